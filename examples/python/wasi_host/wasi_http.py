"""`wasi:http/types`: requests and answers, as a component sees them.

`exchange.py` makes an incoming request and takes the answer; `outgoing.py` sends the requests of the component.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from wasmtime.component import Variant

from .http_bodies import FutureTrailers, IncomingBody, OutgoingBody, Sink
from .http_fields import TOKEN, Fields, Headers
from .imports import Interface
from .wasi_io import CHUNK_BYTES, Events, InputStream, IoError, OutputStream, Pollable
from .wit import Refused, Resource

METHODS = ("get", "head", "post", "put", "delete", "connect", "options", "trace", "patch")


class IncomingRequest(Resource):
    """A request of a client. Its body is taken once."""

    def __init__(
        self, method: str, scheme: str, authority: str | None, path_with_query: str, headers: Headers, body: InputStream
    ):
        self._method = method
        self._scheme = scheme
        self._authority = authority
        self._path_with_query = path_with_query
        self._headers = headers
        self._body: IncomingBody | None = IncomingBody(body)

    def method(self) -> Variant:
        method = self._method.lower()
        return Variant(method) if method in METHODS and self._method.isupper() else Variant("other", self._method)

    def scheme(self) -> Variant:
        return Variant("HTTPS" if self._scheme == "https" else "HTTP")

    def authority(self) -> str | None:
        return self._authority

    def path_with_query(self) -> str:
        return self._path_with_query

    def headers(self) -> Fields:
        return Fields(self._headers, is_mutable=False)

    def consume(self) -> IncomingBody:
        body, self._body = self._body, None
        if body is None:
            raise Refused()
        return body


class IncomingResponse(Resource):
    """The answer of another server. Its body is taken once."""

    def __init__(self, status: int, headers: Headers, body: InputStream):
        self._status = status
        self._headers = headers
        self._body: IncomingBody | None = IncomingBody(body)

    def status(self) -> int:
        return self._status

    def headers(self) -> Fields:
        return Fields(self._headers, is_mutable=False)

    def consume(self) -> IncomingBody:
        body, self._body = self._body, None
        if body is None:
            raise Refused()
        return body

    def dropped(self) -> None:
        if self._body:
            self._body.dropped()


class OutgoingResponse(Resource):
    """The answer of the component. `sink` gets its body."""

    def __init__(self, events: Events, headers: Fields, sink: Sink):
        headers.is_mutable = False
        self._events = events
        self._headers = headers
        self.sink = sink
        self.status = 200
        self.body_is_taken = False

    def status_code(self) -> int:
        return self.status

    def set_status_code(self, status: int) -> None:
        if not 100 <= status <= 999:
            raise Refused()
        self.status = status

    def headers(self) -> Fields:
        return self._headers

    def body(self) -> OutgoingBody:
        if self.body_is_taken:
            raise Refused()
        self.body_is_taken = True
        return OutgoingBody(self._events, self.sink, self._headers, "HTTP-response-body-size")


class OutgoingRequest(Resource):
    """A request of the component to another server."""

    def __init__(self, events: Events, headers: Fields):
        headers.is_mutable = False
        self._events = events
        self._headers = headers
        self._method = Variant("get")
        self._path_with_query: str | None = None
        self._scheme: Variant | None = None
        self._authority: str | None = None
        self.content: Content | None = None

    def body(self) -> OutgoingBody:
        if self.content is not None:
            raise Refused()
        self.content = Content()
        return OutgoingBody(self._events, self.content, self._headers, "HTTP-request-body-size")

    def method(self) -> Variant:
        return self._method

    def set_method(self, method: Variant) -> None:
        if method.tag == "other" and not TOKEN.fullmatch(str(method.payload)):
            raise Refused()
        self._method = method

    def path_with_query(self) -> str | None:
        return self._path_with_query

    def set_path_with_query(self, path_with_query: str | None) -> None:
        if path_with_query is not None and not re.fullmatch(r"/[!-~]*", path_with_query):
            raise Refused()
        self._path_with_query = path_with_query

    def scheme(self) -> Variant | None:
        return self._scheme

    def set_scheme(self, scheme: Variant | None) -> None:
        self._scheme = scheme

    def authority(self) -> str | None:
        return self._authority

    def set_authority(self, authority: str | None) -> None:
        # A user or a password is no part of it (RFC 9110, 4.2.4).
        if authority is not None and not re.fullmatch(r"[0-9A-Za-z._~%!$&'()*+,;=:\[\]-]+", authority):
            raise Refused()
        self._authority = authority

    def headers(self) -> Fields:
        return self._headers


# The longest body that a component sends to another server: all of it is kept in memory.
MAX_SENT_BYTES = 64 * CHUNK_BYTES


class Content:
    """The body of a request to another server, which is kept until it is complete."""

    def __init__(self) -> None:
        self.contents = b""
        self.when_complete: Callable[[], None] | None = None
        self.is_complete = False

    def send(self, contents: bytes) -> None:
        if len(contents) > self.room():
            raise OSError("the body is too large")
        self.contents += contents

    def room(self) -> int:
        return MAX_SENT_BYTES - len(self.contents)

    def finish(self) -> None:
        self.is_complete = True
        if self.when_complete:
            self.when_complete()


class RequestOptions(Resource):
    """Time limits, in nanoseconds. They are kept, and this host's own limits hold."""

    def __init__(self) -> None:
        self._timeouts: dict[str, int | None] = {}

    def connect_timeout(self) -> int | None:
        return self._timeouts.get("connect")

    def set_connect_timeout(self, duration: int | None) -> None:
        self._timeouts["connect"] = duration

    def first_byte_timeout(self) -> int | None:
        return self._timeouts.get("first byte")

    def set_first_byte_timeout(self, duration: int | None) -> None:
        self._timeouts["first byte"] = duration

    def between_bytes_timeout(self) -> int | None:
        return self._timeouts.get("between bytes")

    def set_between_bytes_timeout(self, duration: int | None) -> None:
        self._timeouts["between bytes"] = duration


class ResponseOutparam(Resource):
    """Where the component puts its answer. `take` gets it, or an `error-code`."""

    def __init__(self, take: Callable[[Variant], None]):
        self.take = take


class FutureIncomingResponse(Resource):
    """An answer that another server has yet to give, which `outcome` then is. `cancel` ends what is under way."""

    def __init__(self, events: Events, cancel: Callable[[], None]):
        self._events = events
        self._cancel = cancel
        # A result of the response or an error-code.
        self.outcome: Variant | None = None
        self._is_taken = False

    def subscribe(self) -> Pollable:
        return Pollable(self._events, lambda: self.outcome is not None)

    def get(self) -> Variant | None:
        if self.outcome is None:
            return None
        if self._is_taken:
            return Variant("err")
        self._is_taken = True
        return Variant("ok", self.outcome)

    def dropped(self) -> None:
        if not self._is_taken:
            self._cancel()


class Types(Interface):
    name = "wasi:http/types@0.2"
    resources = {
        "fields": Fields,
        "headers": Fields,
        "trailers": Fields,
        "incoming-request": IncomingRequest,
        "incoming-response": IncomingResponse,
        "incoming-body": IncomingBody,
        "future-trailers": FutureTrailers,
        "future-incoming-response": FutureIncomingResponse,
        "outgoing-request": OutgoingRequest,
        "outgoing-response": OutgoingResponse,
        "outgoing-body": OutgoingBody,
        "request-options": RequestOptions,
        "response-outparam": ResponseOutparam,
        "input-stream": InputStream,
        "output-stream": OutputStream,
        "io-error": IoError,
        "pollable": Pollable,
    }

    def __init__(self, events: Events, response_sink: Callable[[], Sink]):
        self._events = events
        self._response_sink = response_sink

    def new_fields(self) -> Fields:
        return Fields()

    def fields_from_list(self, entries: Headers) -> Fields:
        fields = Fields()
        for name, value in entries:
            fields.append(name, value)
        return fields

    def new_outgoing_request(self, headers: Fields) -> OutgoingRequest:
        return OutgoingRequest(self._events, headers)

    def new_outgoing_response(self, headers: Fields) -> OutgoingResponse:
        return OutgoingResponse(self._events, headers, self._response_sink())

    def new_request_options(self) -> RequestOptions:
        return RequestOptions()

    def response_outparam_set(self, param: ResponseOutparam, response: Variant) -> None:
        param.take(response)

    def incoming_body_finish(self, body: IncomingBody) -> FutureTrailers:
        return FutureTrailers(body.events)

    def outgoing_body_finish(self, body: OutgoingBody, trailers: Fields | None) -> None:
        # HTTP/1.1 clients seldom take trailers, and WSGI has none, so they are left out.
        body.finish()

    def http_error_code(self, error: IoError) -> Variant | None:
        return error.code
