"""A compiled component, and instances of it."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from wasmtime import Config, Engine, Store, WasmtimeError
from wasmtime.component import Component, ExportIndex

from . import wasi_cli, wasi_clocks, wasi_io
from .exchange import Exchange, Request, ResponseBody, Start
from .imports import Guest, Imports, Interface
from .lock import WASMTIME
from .outgoing import Allow, OutgoingHandler, nowhere
from .wasi_http import Types
from .wit import Handles

# How long one request may take. Storing the people of the largest body took 34 s, and exporting them again 50 s.
MAX_SECONDS = 60.0

# How often the time is checked while WebAssembly runs.
TICK_SECONDS = 0.25

# The memory of one instance. While 508,398 people were exported, the whole process had 217 MB at most.
MAX_MEMORY_BYTES = 256 * 1024 * 1024

# The longest message about a failure.
MAX_MESSAGE = 500

Log = Callable[[str], None]


class Trapped(Exception):
    """The call of the component ended by a trap, an exception of a host function, or without an answer.

    The message is one line. The instance must not be used again.
    """

    # Whether the client has the complete answer nevertheless.
    is_answered = False


class TimedOut(Trapped):
    """It took longer than it may."""


class BrokenOff(Exception):
    """The component began an answer and gave up. The instance can be used again."""


class Runtime:
    """A component that exports `wasi:http/incoming-handler`, compiled once.

    `more` gives the interfaces that the component imports beside those of WASI: anew for each instance.
    `log` gets the lines that the component writes, and `allow` says where it may connect.

    Raises `WasmtimeError` if `wasm` is no component, or not one that handles requests.
    """

    def __init__(
        self,
        wasm: Path,
        more: Callable[[], Iterable[Interface]] = list,
        log: Log = print,
        allow: Allow = nowhere,
        max_seconds: float = MAX_SECONDS,
        max_memory_bytes: int = MAX_MEMORY_BYTES,
    ):
        config = Config()
        # In the user's cache folder, so that the next start does not compile. Without such a folder each start does.
        with contextlib.suppress(WasmtimeError):
            config.cache = True
        config.epoch_interruption = True
        self.engine = Engine(config)
        self.component = Component.from_file(self.engine, wasm)
        self.handler = _handler(self.component, self.engine)
        self.more = more
        self.log = log
        self.allow = allow
        self.max_seconds = max_seconds
        self.max_memory_bytes = max_memory_bytes
        with WASMTIME:
            self.imports = Imports(self.engine, self.component)
        self._ticking = threading.Lock()
        self._ticks = False

    def instance(self) -> Instance:
        """A new instance. Raises `MissingImport` if there is an import that nobody gives."""
        return Instance(self)

    def tick(self) -> None:
        """Lets time pass for WebAssembly from now on: after a fork, too, if nothing was called before."""
        with self._ticking:
            if not self._ticks:
                self._ticks = True
                threading.Thread(target=_tick, args=(self.engine,), name="ticks", daemon=True).start()


def _tick(engine: Engine) -> None:
    while True:
        time.sleep(TICK_SECONDS)
        engine.increment_epoch()


def _handler(component: Component, engine: Engine) -> ExportIndex:
    for name in component.type.exports(engine):
        if name.startswith("wasi:http/incoming-handler@0.2."):
            interface = component.get_export_index(name)
            handle = component.get_export_index("handle", interface)
            if handle:
                return handle
    raise WasmtimeError("the component does not export wasi:http/incoming-handler@0.2")


class Instance:
    """An instance, which handles one request at a time."""

    def __init__(self, runtime: Runtime):
        self._runtime = runtime
        self._guest = Guest(Handles())
        self._events = wasi_io.Events()
        with WASMTIME:
            self._linker = runtime.imports.link(runtime.engine, self._interfaces(), self._guest)
            self._store = Store(runtime.engine)
            self._store.set_limits(memory_size=runtime.max_memory_bytes)
            self._store.set_epoch_deadline(_ticks(runtime.max_seconds))
        try:
            with WASMTIME:
                instance = self._linker.instantiate(self._store, runtime.component)
                handle = instance.get_func(self._store, runtime.handler)
            assert handle is not None, "the handler is a function"
            self._handle = handle
        except BaseException:
            self.close()
            raise

    def _interfaces(self) -> list[Interface]:
        events, log = self._events, self._runtime.log
        return [
            wasi_io.Poll(events),
            wasi_io.Errors(),
            wasi_io.Streams(),
            wasi_clocks.MonotonicClock(events),
            wasi_clocks.WallClock(),
            wasi_cli.Environment(),
            wasi_cli.Exit(),
            wasi_cli.Stdin(events),
            wasi_cli.Stdout(events, log),
            wasi_cli.Stderr(events, log),
            wasi_cli.TerminalInput(),
            wasi_cli.TerminalOutput(),
            wasi_cli.TerminalStdin(),
            wasi_cli.TerminalStdout(),
            wasi_cli.TerminalStderr(),
            Types(events, ResponseBody),
            OutgoingHandler(events, self._runtime.allow),
            *self._runtime.more(),
        ]

    def handle(self, request: Request, start: Start) -> None:
        """Has the component answer `request` by `start`.

        Raises `Trapped` if it fails, before or after `start` was called, and `BrokenOff` if it gives up after that.
        """
        seconds = self._runtime.max_seconds
        self._runtime.tick()
        self._events.deadline = time.monotonic() + seconds
        self._guest.failure = None
        exchange = Exchange(self._events, request, start)
        handles = self._guest.handles
        with WASMTIME:
            self._store.set_epoch_deadline(_ticks(seconds))
            try:
                self._handle(self._store, handles.own(exchange.incoming), handles.own(exchange.outparam))
            except Exception as error:  # wasmtime-py may raise what a host function of another thread has raised.
                trapped = self._trapped(error)
                trapped.is_answered = exchange.is_finished
                raise trapped from self._guest.failure
        if exchange.error:
            raise Trapped(f"the component has answered with the error {exchange.error.tag}")
        if not exchange.is_started:
            raise Trapped("the component has ended without an answer")
        if not exchange.is_finished:
            raise BrokenOff("the component has broken off its answer")

    def _trapped(self, error: Exception) -> Trapped:
        if time.monotonic() >= self._events.deadline:
            return TimedOut(f"the component has taken longer than {self._runtime.max_seconds} seconds")
        failure = self._guest.failure
        if failure:
            return Trapped(_line(f"{_cause(error)}: {type(failure).__name__}: {failure}"))
        return Trapped(_line(_cause(error)))

    def close(self) -> None:
        self._guest.handles.drop_all()
        # Host functions refer to the instance, and the linker to them: nothing else would end that circle.
        with WASMTIME:
            self._store.close()
            self._linker.close()


def _ticks(seconds: float) -> int:
    return math.ceil(seconds / TICK_SECONDS) + 1


def _cause(error: Exception) -> str:
    """What wasmtime's message gives as the cause, after a backtrace of WebAssembly."""
    _, _, causes = str(error).rpartition("Caused by:")
    return causes.strip().split("\n\n")[0] or type(error).__name__


def _line(text: str) -> str:
    return " ".join(text.split())[:MAX_MESSAGE]
