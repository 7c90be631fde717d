"""One request of a client, and the answer to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from wasmtime.component import Variant

from .http_fields import Headers
from .wasi_http import IncomingRequest, OutgoingResponse, ResponseOutparam
from .wasi_io import CHUNK_BYTES, CLOSED, Events, InputStream, failed
from .wit import Refused

# The longest body that is passed on: some 250,000 people, to be restored. A longer one would take too much time.
MAX_BODY_BYTES = 16 * 1024 * 1024

Write = Callable[[bytes], object]
# Sends the head, and returns what sends a part of the body: the `start_response` of WSGI, with a status as a number.
Start = Callable[[int, Headers], Write]


class Readable(Protocol):
    def read(self, length: int, /) -> bytes: ...


@dataclass(frozen=True)
class Request:
    method: str
    scheme: str
    authority: str | None
    path_with_query: str
    headers: Headers
    body: Readable
    # In bytes. None: up to the end of `body`.
    length: int | None


class RequestBody(InputStream):
    """The body of a request. It is read from the server when the component reads it."""

    def __init__(self, events: Events, source: Readable, length: int | None):
        super().__init__(events)
        self._source = source
        self._length = length
        self._read = 0

    def blocking_read(self, length: int) -> bytes:
        if max(self._read, self._length or 0) > MAX_BODY_BYTES:
            raise failed("the body is too large", Variant("HTTP-request-body-size", self._length))
        if self._read == self._length:
            raise Refused(CLOSED)
        if length == 0:
            return b""
        length = min(length, CHUNK_BYTES)
        try:
            # More than the body has must not be asked for: some servers would wait for it (PEP 3333).
            chunk = self._source.read(length if self._length is None else min(length, self._length - self._read))
        except OSError:
            raise failed("the body broke off", Variant("connection-terminated")) from None
        if not chunk:
            broke_off = failed("the body broke off", Variant("connection-terminated"))
            raise Refused(CLOSED) if self._length is None else broke_off
        self._read += len(chunk)
        return chunk


class ResponseBody:
    """Where the body of the answer goes. What is written before the head is sent waits for it."""

    def __init__(self) -> None:
        self._waiting = b""
        self._write: Write | None = None
        self.is_finished = False
        # Why nobody takes more of it.
        self.client_gone: Exception | None = None

    def attach(self, write: Write) -> None:
        """The head has been sent."""
        self._write = write
        waiting, self._waiting = self._waiting, b""
        if waiting:
            self._pass_on(write, waiting)

    def send(self, contents: bytes) -> None:
        if self._write is None:
            self._waiting += contents
        else:
            self._pass_on(self._write, contents)
        if self.client_gone:
            raise OSError("nobody reads on")

    def _pass_on(self, write: Write, contents: bytes) -> None:
        try:
            write(contents)
        except Exception as error:  # Every server has its own.
            self.client_gone = error

    def room(self) -> int:
        return CHUNK_BYTES - len(self._waiting)

    def finish(self) -> None:
        self.is_finished = True


class Exchange:
    """A request and the answer, which `start` sends."""

    def __init__(self, events: Events, request: Request, start: Start):
        self._start = start
        self._is_head = request.method == "HEAD"
        # How the component refuses to answer: an `error-code`.
        self.error: Variant | None = None
        self.body: ResponseBody | None = None
        self.is_started = False
        body = RequestBody(events, request.body, request.length)
        self.incoming = IncomingRequest(
            request.method, request.scheme, request.authority, request.path_with_query, request.headers, body
        )
        self.outparam = ResponseOutparam(self._take)

    def _take(self, result: Variant) -> None:
        if result.tag == "err":
            self.error = result.payload
            return
        response = result.payload
        assert isinstance(response, OutgoingResponse)
        body = response.sink
        assert isinstance(body, ResponseBody)
        if not response.body_is_taken:
            body.finish()
        self.body = body
        write = self._start(response.status, response.headers().entries())
        self.is_started = True
        body.attach(_refuse if self._is_head else write)

    @property
    def is_finished(self) -> bool:
        """There is nothing more to send: the answer is complete, or nobody reads on."""
        return self.body is not None and (self.body.is_finished or self.body.client_gone is not None)


def _refuse(contents: bytes) -> None:
    """An answer to HEAD has no content. The component is told that nobody reads on, so that it makes no more of it."""
    raise BrokenPipeError
