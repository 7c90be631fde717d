"""Headers and trailers of `wasi:http/types`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from wasmtime.component import Variant

from .wit import Refused, Resource

Headers = list[tuple[str, bytes]]

# RFC 9110, 5.6.2 and 5.5.
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[^\0\r\n]*")

# They are of the connection, which is the server's (RFC 9110, 7.6.1).
FORBIDDEN = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "host", "http2-settings"}


class Fields(Resource):
    """Headers, or trailers."""

    def __init__(self, entries: Iterable[tuple[str, bytes]] = (), is_mutable: bool = True):
        self._entries = list(entries)
        self.is_mutable = is_mutable

    def get(self, name: str) -> list[bytes]:
        return [value for known, value in self._entries if known.lower() == name.lower()]

    def has(self, name: str) -> bool:
        return bool(self.get(name))

    def entries(self) -> Headers:
        return list(self._entries)

    def clone(self) -> Fields:
        return Fields(self._entries)

    def set(self, name: str, values: list[bytes]) -> None:
        self._check(name, values)
        self._entries = self._without(name) + [(name, value) for value in values]

    def append(self, name: str, value: bytes) -> None:
        self._check(name, [value])
        self._entries.append((name, value))

    def delete(self, name: str) -> None:
        self._check(name, [])
        self._entries = self._without(name)

    def _without(self, name: str) -> Headers:
        return [(known, value) for known, value in self._entries if known.lower() != name.lower()]

    def _check(self, name: str, values: list[bytes]) -> None:
        if not self.is_mutable:
            raise Refused(Variant("immutable"))
        if not TOKEN.fullmatch(name) or not all(_VALUE.fullmatch(value) for value in values):
            raise Refused(Variant("invalid-syntax"))
        if name.lower() in FORBIDDEN:
            raise Refused(Variant("forbidden"))
