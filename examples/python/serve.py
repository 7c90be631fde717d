"""Serves the birthday API: the component birthday.wasm as a WSGI application, by waitress.

`application` is for other WSGI servers, and for mounting it in a larger application.
"""

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import waitress
from wasmtime import WasmtimeError

from wasi_host.exchange import MAX_BODY_BYTES
from wasi_host.imports import Interface, MissingImport
from wasi_host.key_value import KeyValue, StoreError, WasiBatch, WasiStore
from wasi_host.pool import MAX_INSTANCES, Pool
from wasi_host.postgres import NoPostgres
from wasi_host.runtime import Runtime
from wasi_host.sqlite_store import SqliteStore
from wasi_host.variables import Variables, from_environment
from wasi_host.wsgi import ComponentApp

WASM = Path(__file__).parents[2] / "target/wasm32-wasip2/component/birthday.wasm"

# The request line and the headers together. Those of browsers have one or two KiB.
MAX_HEAD_BYTES = 16 * 1024

# Open connections, most of them idle. With more, new ones wait in the listener's queue.
MAX_CONNECTIONS = 100

# How long a connection may be silent.
IDLE_SECONDS = 60

# So much of an answer is kept for a client that reads slowly, before the component waits for it.
MAX_UNREAD_BYTES = 1024 * 1024

# The longest line of the log.
MAX_LINE = 1000


def application(wasm: Path = WASM, store: str = ":memory:", allow_outbound: Sequence[str] = ()) -> ComponentApp:
    """The component `wasm` as a WSGI application, with people in `store`, a file of SQLite or `:memory:`.

    Its variables are those of the environment, SPIN_VARIABLE_<NAME>.
    It may connect to the server that `populate_url` names, and to those in `allow_outbound`: http://host:port.

    Raises `OSError`, `ValueError`, `WasmtimeError`, `StoreError` or `MissingImport` if it cannot be served.
    """
    variables = from_environment(os.environ)
    people = SqliteStore(store)
    allowed = {_server(url) for url in allow_outbound}
    # It may not be set; and the component says what is wrong with it.
    with contextlib.suppress(ValueError):
        allowed.add(_server(variables.get("populate_url", "")))

    def imports() -> list[Interface]:
        return [KeyValue(people), WasiStore(people), WasiBatch(), Variables(variables), NoPostgres()]

    runtime = Runtime(
        wasm, imports, logging.getLogger("component").info, lambda scheme, host, port: (scheme, host, port) in allowed
    )
    pool = Pool(runtime)
    # A missing import is found now, and the first request does not wait for an instance.
    with pool.instance():
        return ComponentApp(pool)


def _server(url: str) -> tuple[str, str, int]:
    """The scheme, the host and the port of a URL of HTTP."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        if parts.hostname:
            return parts.scheme, parts.hostname, port
    except (KeyError, ValueError):
        pass
    raise ValueError(f"{url!r} is not of the form http://host:port")


class OneLine(logging.Formatter):
    """Each entry is one line, also that of an exception."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{record.name}: {' '.join(record.getMessage().split())}"[:MAX_LINE]


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdigit():
        raise argparse.ArgumentTypeError("an address is HOST:PORT")
    return host.strip("[]"), int(port)


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Serves the birthday API.")
    parser.add_argument(
        "--listen", type=_address, default=("127.0.0.1", 3000), metavar="HOST:PORT", help="port 0 is any free port"
    )
    parser.add_argument(
        "--store", default=":memory:", metavar="FILE", help="where people are kept, instead of in memory"
    )
    parser.add_argument(
        "--allow-outbound",
        action="append",
        default=[],
        metavar="URL",
        help="a server to which the component may connect",
    )
    parser.add_argument("--component", type=Path, default=WASM, metavar="FILE")
    options = parser.parse_args(arguments)
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # It says of each request that waits for a thread that it waits.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    host, port = options.listen
    if not options.component.exists():
        print(f"serve.py: {options.component} is not built: run `make components`", file=sys.stderr)
        return 1
    try:
        server = waitress.create_server(
            application(options.component, options.store, options.allow_outbound),
            host=host,
            port=port,
            threads=MAX_INSTANCES,
            connection_limit=MAX_CONNECTIONS,
            channel_timeout=IDLE_SECONDS,
            max_request_header_size=MAX_HEAD_BYTES,
            max_request_body_size=MAX_BODY_BYTES,
            outbuf_high_watermark=MAX_UNREAD_BYTES,
            ident=None,
        )
    except (OSError, ValueError, WasmtimeError, StoreError, MissingImport) as error:
        print(f"serve.py: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, _stop)
    print(f"http://{host}:{server.effective_port}", flush=True)
    server.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
