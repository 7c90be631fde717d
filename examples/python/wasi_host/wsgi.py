"""A component as a WSGI application (PEP 3333)."""

import json
import logging
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from .exchange import Request, Start, Write
from .http_fields import FORBIDDEN, Headers
from .pool import Overloaded, Pool
from .runtime import BrokenOff, TimedOut, Trapped

# When a client that was refused may try again.
RETRY_AFTER_SECONDS = b"1"

_PROBLEMS = {
    "internal": (500, "The service failed", "The request could not be answered; the log of the service says why."),
    "overloaded": (503, "The service is busy", "Too many requests are in flight. Try again in a moment."),
    "timeout": (504, "The service took too long", "The request was not answered in time, and was given up."),
}

_log = logging.getLogger(__name__)


class Truncated(Exception):
    """The answer has begun and cannot be completed. The server closes the connection, so that the client knows."""


class ComponentApp:
    """A WSGI application whose requests a component answers.

    It can be mounted below a path, which the component does not see.
    The answer is sent by the `write` of `start_response`, part by part, as the component makes it.
    """

    def __init__(self, pool: Pool):
        self._pool = pool

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = _request(environ)
        is_started = False

        def start(status: int, headers: Headers) -> Write:
            nonlocal is_started
            text = [(name, value.decode("latin-1")) for name, value in headers]
            write: Write = start_response(f"{status} {_reason(status)}", text)
            is_started = True
            return write

        try:
            with self._pool.instance() as instance:
                instance.handle(request, start)
        except Overloaded:
            _answer(start, "overloaded")
        except BrokenOff as error:
            _log.error("%s", error)
            raise Truncated from None
        except Exception as error:  # An instance that cannot be made is one, too.
            _log.error("%s: %s", type(error).__name__, error)
            if not is_started:
                _answer(start, "timeout" if isinstance(error, TimedOut) else "internal")
            elif not (isinstance(error, Trapped) and error.is_answered):
                raise Truncated from None
        return []


def _answer(start: Start, problem: str) -> None:
    """A problem document (RFC 9457)."""
    status, title, detail = _PROBLEMS[problem]
    document = {"type": f"/problems/{problem}", "title": title, "status": status, "detail": detail}
    body = json.dumps(document).encode()
    headers = [("content-type", b"application/problem+json"), ("content-length", str(len(body)).encode())]
    if problem == "overloaded":
        headers.append(("retry-after", RETRY_AFTER_SECONDS))
    start(status, headers)(body)


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _request(environ: dict[str, Any]) -> Request:
    headers = [
        (name.removeprefix("HTTP_").replace("_", "-").lower(), value.encode("latin-1"))
        for name, value in environ.items()
        if name.startswith("HTTP_") or (name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value)
    ]
    length = environ.get("CONTENT_LENGTH") or None
    if length is None and not environ.get("wsgi.input_terminated"):
        length = 0
    return Request(
        method=environ["REQUEST_METHOD"],
        scheme=environ["wsgi.url_scheme"],
        authority=environ.get("HTTP_HOST"),
        path_with_query=_path_with_query(environ),
        headers=[(name, value) for name, value in headers if name not in FORBIDDEN],
        body=environ["wsgi.input"],
        length=None if length is None else int(length),
    )


def _path_with_query(environ: dict[str, Any]) -> str:
    """The path as the client has sent it, without that of the mount.

    WSGI itself has only the decoded path, in which `a%2Fb` looks like `a/b`. waitress gives the original as
    REQUEST_URI, and gunicorn as RAW_URI.
    """
    mount = _quoted(environ.get("SCRIPT_NAME", ""))
    target = environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""
    if target.startswith(f"{mount}/"):
        return target.removeprefix(mount)
    query = environ.get("QUERY_STRING")
    path = _quoted(environ.get("PATH_INFO", "")) or "/"
    return f"{path}?{query}" if query else path


def _quoted(path: str) -> str:
    return quote(path.encode("latin-1"), safe="/!$&'()*+,;=:@~")
