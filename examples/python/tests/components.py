"""Components for the tests: the built ones, and small ones that fail."""

import io
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from wasi_host.exchange import Request, Write
from wasi_host.imports import Interface
from wasi_host.key_value import KeyValue, Store, WasiBatch, WasiStore
from wasi_host.pool import Pool
from wasi_host.postgres import NoPostgres
from wasi_host.runtime import Runtime
from wasi_host.sqlite_store import SqliteStore
from wasi_host.variables import Variables

ROOT = Path(__file__).parents[3]
BIRTHDAY = ROOT / "target/wasm32-wasip2/component/birthday.wasm"


def birthday(store: Store | None = None, variables: dict[str, str] | None = None, **more: object) -> Runtime:
    """The birthday component, with people in memory unless there is a `store`."""
    people = store or SqliteStore(":memory:")

    def imports() -> Iterable[Interface]:
        return [KeyValue(people), WasiStore(people), WasiBatch(), Variables(variables or {}), NoPostgres()]

    return Runtime(BIRTHDAY, imports, **{"log": lambda line: None, **more})  # type: ignore[arg-type]


def handler(body: str, imports: str = "", **more: object) -> Runtime:
    """A component whose `handle` has this body in WebAssembly text, and which imports more than it needs."""
    text = f"""
        (component
          {imports}
          (import "wasi:http/types@0.2.0" (instance $types
            (export "incoming-request" (type (sub resource)))
            (export "response-outparam" (type (sub resource)))))
          (alias export $types "incoming-request" (type $request))
          (alias export $types "response-outparam" (type $outparam))
          (core module $module
            (memory (export "memory") 1)
            (func (export "handle") (param i32 i32) {body}))
          (core instance $core (instantiate $module))
          (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))
            (canon lift (core func $core "handle")))
          (instance $handler (export "handle" (func $handle)))
          (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))
    """
    with tempfile.NamedTemporaryFile(suffix=".wat") as file:
        file.write(text.encode())
        file.flush()
        return Runtime(Path(file.name), **more)  # type: ignore[arg-type]


@dataclass
class Answer:
    status: int = 0
    headers: dict[str, bytes] = field(default_factory=dict)
    body: bytes = b""


def request(method: str, path: str, body: bytes = b"", headers: Iterable[tuple[str, bytes]] = ()) -> Request:
    return Request(method, "http", "localhost", path, list(headers), io.BytesIO(body), len(body))


def send(pool: Pool, sent: Request) -> Answer:
    """The answer of an instance of `pool`. Raises what `Instance.handle` raises."""
    answer = Answer()

    def start(status: int, headers: list[tuple[str, bytes]]) -> Write:
        answer.status, answer.headers = status, dict(headers)

        def write(part: bytes) -> None:
            answer.body += part

        return write

    with pool.instance() as instance:
        instance.handle(sent, start)
    return answer
