"""`wasi:cli`: no environment, no input, and a log."""

from collections.abc import Callable
from typing import NoReturn

from wasmtime.component import Variant

from .imports import Interface
from .wasi_io import Events, InputStream, OutputStream
from .wit import Resource

# A longer line of the component's log is cut into several.
MAX_LINE_BYTES = 8 * 1024


class Lines:
    """Calls `log` with each line of what is written."""

    def __init__(self, log: Callable[[str], None]):
        self._log = log
        self._unfinished = b""

    def write(self, contents: bytes) -> None:
        *lines, rest = (self._unfinished + contents).split(b"\n")
        while len(rest) >= MAX_LINE_BYTES:
            lines.append(rest[:MAX_LINE_BYTES])
            rest = rest[MAX_LINE_BYTES:]
        self._unfinished = rest
        for line in lines:
            for start in range(0, max(len(line), 1), MAX_LINE_BYTES):
                self._log(line[start : start + MAX_LINE_BYTES].decode(errors="replace"))


class Environment(Interface):
    name = "wasi:cli/environment@0.2"

    def get_environment(self) -> list[tuple[str, str]]:
        return []

    def get_arguments(self) -> list[str]:
        return []

    def initial_cwd(self) -> None:
        return None


class Exit(Interface):
    name = "wasi:cli/exit@0.2"

    def exit(self, status: Variant) -> NoReturn:
        raise RuntimeError(f"the component has exited ({status.tag})")


class Stdin(Interface):
    name = "wasi:cli/stdin@0.2"
    resources = {"input-stream": InputStream}

    def __init__(self, events: Events):
        self._events = events

    def get_stdin(self) -> InputStream:
        return InputStream(self._events)


class Stdout(Interface):
    name = "wasi:cli/stdout@0.2"
    resources = {"output-stream": OutputStream}

    def __init__(self, events: Events, log: Callable[[str], None]):
        self._events = events
        self._lines = Lines(log)

    def get_stdout(self) -> OutputStream:
        return OutputStream(self._events, self._lines.write)


class Stderr(Interface):
    name = "wasi:cli/stderr@0.2"
    resources = {"output-stream": OutputStream}

    def __init__(self, events: Events, log: Callable[[str], None]):
        self._events = events
        self._lines = Lines(log)

    def get_stderr(self) -> OutputStream:
        return OutputStream(self._events, self._lines.write)


class TerminalInputResource(Resource):
    """A terminal, which no server has."""


class TerminalOutputResource(Resource):
    """A terminal, which no server has."""


class TerminalInput(Interface):
    name = "wasi:cli/terminal-input@0.2"
    resources = {"terminal-input": TerminalInputResource}


class TerminalOutput(Interface):
    name = "wasi:cli/terminal-output@0.2"
    resources = {"terminal-output": TerminalOutputResource}


class TerminalStdin(Interface):
    name = "wasi:cli/terminal-stdin@0.2"
    resources = {"terminal-input": TerminalInputResource}

    def get_terminal_stdin(self) -> None:
        return None


class TerminalStdout(Interface):
    name = "wasi:cli/terminal-stdout@0.2"
    resources = {"terminal-output": TerminalOutputResource}

    def get_terminal_stdout(self) -> None:
        return None


class TerminalStderr(Interface):
    name = "wasi:cli/terminal-stderr@0.2"
    resources = {"terminal-output": TerminalOutputResource}

    def get_terminal_stderr(self) -> None:
        return None
