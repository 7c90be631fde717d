"""`wasi:http/outgoing-handler`: requests of the component to other servers, by `http.client`.

A thread sends the request and receives the answer, so that the component can wait for it and for a time limit.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from wasmtime.component import Variant

from .imports import Interface
from .wasi_http import (
    FutureIncomingResponse,
    IncomingResponse,
    OutgoingRequest,
    RequestOptions,
)
from .wasi_io import CHUNK_BYTES, CLOSED, Events, InputStream, Pollable, failed
from .wit import Refused

# How long connecting may take, or waiting for the next bytes.
SOCKET_SECONDS = 10

# How long one answer may take with its body.
MAX_SECONDS = 60

# So much of an answer is received before the component takes it.
AHEAD_BYTES = 4 * CHUNK_BYTES

# So many requests are sent at a time, by all instances: each has a thread.
MAX_REQUESTS = 16

# Whether the component may connect there: the scheme, the host and the port.
Allow = Callable[[str, str, int], bool]

_slots = threading.BoundedSemaphore(MAX_REQUESTS)


def nowhere(scheme: str, host: str, port: int) -> bool:
    """Allows no connection."""
    return False


class OutgoingHandler(Interface):
    name = "wasi:http/outgoing-handler@0.2"
    resources = {
        "outgoing-request": OutgoingRequest,
        "request-options": RequestOptions,
        "future-incoming-response": FutureIncomingResponse,
    }

    def __init__(self, events: Events, allow: Allow):
        self._events = events
        self._allow = allow

    def handle(self, request: OutgoingRequest, options: RequestOptions | None) -> FutureIncomingResponse:
        scheme = request.scheme()
        scheme_name = "https" if scheme is None else scheme.tag.lower()
        if scheme_name not in ("http", "https"):
            raise Refused(Variant("HTTP-protocol-error"))
        try:
            address = urlsplit(f"//{request.authority() or ''}")
            host, port = address.hostname or "", address.port or (443 if scheme_name == "https" else 80)
        except ValueError:
            host, port = "", 0
        if not host:
            raise Refused(Variant("HTTP-request-URI-invalid"))
        if not self._allow(scheme_name, host, port):
            raise Refused(Variant("HTTP-request-denied"))
        if not _slots.acquire(blocking=False):
            raise Refused(Variant("connection-limit-reached"))
        fetch = Fetch(self._events, scheme_name, host, port, request)
        # A request with a body is sent when the body is complete.
        if request.content is None or request.content.is_complete:
            fetch.start()
        else:
            request.content.when_complete = fetch.start
        return fetch.future


class Fetch:
    """A request to another server, and its answer."""

    def __init__(self, events: Events, scheme: str, host: str, port: int, request: OutgoingRequest):
        self._events = events
        self._request = request
        if scheme == "https":
            context = ssl.create_default_context()
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=SOCKET_SECONDS, context=context
            )
        else:
            self._connection = http.client.HTTPConnection(host, port, timeout=SOCKET_SECONDS)
        self._socket: socket.socket | None = None
        self._is_started = False
        self._is_cancelled = False
        self._body = ResponseBody(events, self.cancel)
        self.future = FutureIncomingResponse(events, self.cancel)

    def start(self) -> None:
        with self._events.changed:
            if self._is_cancelled:
                return
            self._is_started = True
        threading.Thread(target=self._run, name="outgoing request", daemon=True).start()

    def cancel(self) -> None:
        """Nobody wants the answer any more."""
        with self._events.changed:
            if self._is_cancelled:
                return
            self._is_cancelled = True
            if not self._is_started:
                _slots.release()
            self._events.changed.notify_all()
        if self._socket:
            # It may have ended meanwhile.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        due = time.monotonic() + MAX_SECONDS
        try:
            response = self._send()
            self._answer(Variant("ok", IncomingResponse(response.status, _headers(response), self._body)))
            self._receive(response, due)
        except Exception as error:  # The component is told, whatever it is.
            code = _error_code(error)
            self._answer(Variant("err", code))
            self._body.end(failed("the answer broke off", code))
        finally:
            self._connection.close()
            _slots.release()

    def _send(self) -> http.client.HTTPResponse:
        request, connection = self._request, self._connection
        connection.connect()
        self._socket = connection.sock
        if self._is_cancelled:
            raise ConnectionAbortedError
        method = request.method()
        name = str(method.payload) if method.tag == "other" else method.tag.upper()
        connection.putrequest(name, request.path_with_query() or "/", skip_accept_encoding=True)
        headers = request.headers()
        for header, value in headers.entries():
            connection.putheader(header, value)
        contents = request.content.contents if request.content else b""
        if request.content and not headers.has("content-length"):
            connection.putheader("content-length", str(len(contents)))
        connection.endheaders(contents)
        return connection.getresponse()

    def _answer(self, outcome: Variant) -> None:
        with self._events.changed:
            if self.future.outcome is None:
                self.future.outcome = outcome
                self._events.changed.notify_all()

    def _receive(self, response: http.client.HTTPResponse, due: float) -> None:
        while not self._is_cancelled:
            chunk = response.read1(CHUNK_BYTES)
            if not chunk:
                # http.client does not say that fewer bytes have come than were announced.
                broke_off = bool(response.length)
                self._body.end(failed("the answer broke off") if broke_off else Refused(CLOSED))
                return
            if time.monotonic() > due or not self._body.put(chunk, due):
                raise TimeoutError


class ResponseBody(InputStream):
    """The body of an answer, as far as it has arrived."""

    def __init__(self, events: Events, cancel: Callable[[], None]):
        super().__init__(events)
        self._cancel = cancel
        self._arrived = b""
        self._end: Refused | None = None
        self._is_dropped = False

    def put(self, chunk: bytes, due: float) -> bool:
        """Waits until there is space for `chunk`, up to `due`. False if nobody takes it."""
        changed = self.events.changed
        with changed:
            while len(self._arrived) >= AHEAD_BYTES and not self._is_dropped and time.monotonic() < due:
                changed.wait(due - time.monotonic())
            if len(self._arrived) >= AHEAD_BYTES or self._is_dropped:
                return False
            self._arrived += chunk
            changed.notify_all()
            return True

    def end(self, end: Refused) -> None:
        with self.events.changed:
            self._end = self._end or end
            self.events.changed.notify_all()

    def read(self, length: int) -> bytes:
        with self.events.changed:
            taken, self._arrived = self._arrived[:length], self._arrived[length:]
            if not taken and self._end and length:
                raise self._end
            self.events.changed.notify_all()
            return taken

    def blocking_read(self, length: int) -> bytes:
        self.events.wait([self.subscribe()])
        return self.read(length)

    def subscribe(self) -> Pollable:
        return Pollable(self.events, lambda: bool(self._arrived) or self._end is not None)

    def dropped(self) -> None:
        self._is_dropped = True
        self._cancel()


def _headers(response: http.client.HTTPResponse) -> list[tuple[str, bytes]]:
    return [(name, value.encode("latin-1")) for name, value in response.getheaders()]


def _error_code(error: Exception) -> Variant:
    match error:
        case socket.gaierror():
            return Variant("DNS-error", {"rcode": None, "info-code": None})
        case TimeoutError():
            return Variant("connection-timeout")
        case ssl.SSLCertVerificationError():
            return Variant("TLS-certificate-error")
        case ssl.SSLError():
            return Variant("TLS-protocol-error")
        case ConnectionRefusedError():
            return Variant("connection-refused")
        case ConnectionError():
            return Variant("connection-terminated")
        case http.client.HTTPException() | ValueError():
            return Variant("HTTP-protocol-error")
        case _:
            return Variant("destination-unavailable")
