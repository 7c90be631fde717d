"""`wasi:io`: what to wait for, and streams of bytes."""

import threading
import time
from collections.abc import Callable
from math import inf
from typing import Any

from wasmtime.component import Variant

from .imports import Interface
from .wit import Refused, Resource

# So much is read or written in one call. wasmtime-py converts bytes one by one, so more would not be faster.
CHUNK_BYTES = 16 * 1024

# `blocking-write-and-flush` takes no more (WASI 0.2).
MAX_BLOCKING_WRITE_BYTES = 4096


class DeadlinePassed(Exception):
    """The request has taken too long."""


class IoError(Resource):
    """`wasi:io/error.error`. `code` is the `error-code` of `wasi:http`, if it has one."""

    def __init__(self, message: str, code: Variant | None = None):
        self.message = message
        self.code = code

    def to_debug_string(self) -> str:
        return self.message


CLOSED = Variant("closed")


def failed(message: str, code: Variant | None = None) -> Refused:
    """The error of a stream whose last operation failed."""
    return Refused(Variant("last-operation-failed", IoError(message, code)))


class Events:
    """What an instance waits for: time, and what other threads change. Never longer than the request may take."""

    def __init__(self) -> None:
        self.deadline = inf
        # Those who change what a pollable looks at hold this, and notify.
        self.changed = threading.Condition()

    def wait(self, pollables: "list[Pollable]") -> list[int]:
        """The places of those that are ready: at least one."""
        with self.changed:
            while True:
                ready = [place for place, pollable in enumerate(pollables) if pollable.ready()]
                if ready:
                    return ready
                now = time.monotonic()
                if now >= self.deadline:
                    raise DeadlinePassed
                due = min(self.deadline, *(pollable.due for pollable in pollables))
                self.changed.wait(None if due == inf else max(0, due - now))


class Pollable(Resource):
    """`wasi:io/poll.pollable`: ready when `is_ready` says so, and at the time `due` of `time.monotonic`."""

    def __init__(self, events: Events, is_ready: Callable[[], bool] = lambda: False, due: float = inf):
        self._events = events
        self._is_ready = is_ready
        self.due = due

    def ready(self) -> bool:
        return time.monotonic() >= self.due or self._is_ready()

    def block(self) -> None:
        self._events.wait([self])


class InputStream(Resource):
    """A stream whose next bytes are there, or are waited for, when they are read. It is empty."""

    def __init__(self, events: Events):
        self.events = events

    def read(self, length: int) -> bytes:
        """What is there of the next `length` bytes. Raises `Refused` at the end, or if the stream is broken."""
        return self.blocking_read(length)

    def blocking_read(self, length: int) -> bytes:
        raise Refused(CLOSED)

    def subscribe(self) -> Pollable:
        return Pollable(self.events, due=0)

    def skip(self, length: int) -> int:
        return len(self.read(length))

    def blocking_skip(self, length: int) -> int:
        return len(self.blocking_read(length))


class OutputStream(Resource):
    """A stream into `send`, which takes all bytes at once. `send` raises `OSError` if nobody takes them."""

    def __init__(self, events: Events, send: Callable[[bytes], Any], room: Callable[[], int] = lambda: CHUNK_BYTES):
        self._events = events
        self._send = send
        self._room = room
        self._closed = False

    def check_write(self) -> int:
        if self._closed:
            raise Refused(CLOSED)
        return self._room()

    def write(self, contents: bytes) -> None:
        if len(contents) > self.check_write():
            raise ValueError("the component writes more than check-write has permitted")
        try:
            self._send(contents)
        except OSError:
            self._closed = True
            raise Refused(CLOSED) from None

    def blocking_write_and_flush(self, contents: bytes) -> None:
        if len(contents) > MAX_BLOCKING_WRITE_BYTES:
            raise ValueError(f"the component writes more than {MAX_BLOCKING_WRITE_BYTES} bytes in one blocking call")
        self.write(contents)

    def flush(self) -> None:
        self.check_write()

    def blocking_flush(self) -> None:
        self.check_write()

    def subscribe(self) -> Pollable:
        return Pollable(self._events, lambda: self._closed or self._room() > 0)

    def write_zeroes(self, length: int) -> None:
        if length > self.check_write():
            raise ValueError("the component writes more than check-write has permitted")
        self.write(bytes(length))

    def blocking_write_zeroes_and_flush(self, length: int) -> None:
        if length > MAX_BLOCKING_WRITE_BYTES:
            raise ValueError(f"the component writes more than {MAX_BLOCKING_WRITE_BYTES} bytes in one blocking call")
        self.write_zeroes(length)

    def splice(self, source: InputStream, length: int) -> int:
        contents = source.read(min(length, self.check_write()))
        self.write(contents)
        return len(contents)

    def blocking_splice(self, source: InputStream, length: int) -> int:
        contents = source.blocking_read(min(length, self.check_write()))
        self.write(contents)
        return len(contents)


class Poll(Interface):
    name = "wasi:io/poll@0.2"
    resources = {"pollable": Pollable}

    def __init__(self, events: Events):
        self._events = events

    def poll(self, pollables: list[Pollable]) -> list[int]:
        if not pollables:
            raise ValueError("the component waits for nothing")
        return self._events.wait(pollables)


class Errors(Interface):
    name = "wasi:io/error@0.2"
    resources = {"error": IoError}


class Streams(Interface):
    name = "wasi:io/streams@0.2"
    resources = {"input-stream": InputStream, "output-stream": OutputStream, "error": IoError, "pollable": Pollable}
