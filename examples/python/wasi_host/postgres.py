"""`spin:postgres`, which this host does not have: a component may import it, and gets no connection."""

from typing import NoReturn

from wasmtime.component import Variant

from .imports import Interface
from .wit import Refused, Resource


class Connection(Resource):
    """There is none, so nothing calls it."""

    def query(self, statement: str, parameters: list[Variant]) -> NoReturn:
        raise NotImplementedError

    def execute(self, statement: str, parameters: list[Variant]) -> NoReturn:
        raise NotImplementedError


class NoPostgres(Interface):
    name = "spin:postgres/postgres@4.0.0"
    resources = {"connection": Connection}

    def connection_open(self, address: str) -> NoReturn:
        # The address may have a password, so it is not repeated.
        raise Refused(Variant("connection-failed", "this host has no Postgres"))
