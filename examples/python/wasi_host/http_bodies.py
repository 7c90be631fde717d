"""Bodies of `wasi:http/types`."""

from typing import Protocol

from wasmtime.component import Variant

from .http_fields import Fields
from .wasi_io import Events, InputStream, OutputStream, Pollable
from .wit import Refused, Resource


class FutureTrailers(Resource):
    """The trailers of a body: there are none."""

    def __init__(self, events: Events):
        self._events = events
        self._taken = False

    def subscribe(self) -> Pollable:
        return Pollable(self._events, due=0)

    def get(self) -> Variant:
        if self._taken:
            return Variant("err")
        self._taken = True
        return Variant("ok", Variant("ok", None))


class IncomingBody(Resource):
    """A body that arrives by `stream`, which is taken once."""

    def __init__(self, stream: InputStream):
        self.events = stream.events
        self._stream: InputStream | None = stream

    def stream(self) -> InputStream:
        stream, self._stream = self._stream, None
        if stream is None:
            raise Refused()
        return stream

    def dropped(self) -> None:
        if self._stream:
            self._stream.dropped()


class Sink(Protocol):
    """Where the bytes of an outgoing body go."""

    def send(self, contents: bytes) -> None:
        """Takes all of them. Raises `OSError` if nobody wants them."""

    def room(self) -> int:
        """So many are taken at once."""

    def finish(self) -> None:
        """There are no more, and the body is complete."""


class OutgoingBody(Resource):
    """A body that the component makes. One that is dropped without being finished breaks off."""

    def __init__(self, events: Events, sink: Sink, headers: Fields, wrong_length: str):
        """`wrong_length` is the error if the body has another length than `headers` say."""
        self._events = events
        self._sink = sink
        self._wrong_length = wrong_length
        self._length = next((int(value) for value in headers.get("content-length") if value.isdigit()), None)
        self._written = 0
        self._is_taken = False

    def write(self) -> OutputStream:
        if self._is_taken:
            raise Refused()
        self._is_taken = True
        return OutputStream(self._events, self._send, self._sink.room)

    def _send(self, contents: bytes) -> None:
        self._written += len(contents)
        if self._length is not None and self._written > self._length:
            raise OSError("the body is longer than its content-length")
        self._sink.send(contents)

    def finish(self) -> None:
        # An answer to HEAD has the length of what is not sent.
        if self._length is not None and self._written not in (self._length, 0):
            raise Refused(Variant(self._wrong_length, self._written))
        self._sink.finish()
