"""`wasi:clocks`."""

import time

from .imports import Interface
from .wasi_io import Events, Pollable

NANOS = 1_000_000_000


class MonotonicClock(Interface):
    name = "wasi:clocks/monotonic-clock@0.2"
    resources = {"pollable": Pollable}

    def __init__(self, events: Events):
        self._events = events

    def now(self) -> int:
        return time.monotonic_ns()

    def resolution(self) -> int:
        return 1

    def subscribe_instant(self, when: int) -> Pollable:
        return Pollable(self._events, due=when / NANOS)

    def subscribe_duration(self, duration: int) -> Pollable:
        return Pollable(self._events, due=time.monotonic() + duration / NANOS)


class WallClock(Interface):
    name = "wasi:clocks/wall-clock@0.2"

    def now(self) -> dict[str, int]:
        seconds, nanoseconds = divmod(time.time_ns(), NANOS)
        return {"seconds": seconds, "nanoseconds": nanoseconds}

    def resolution(self) -> dict[str, int]:
        return {"seconds": 0, "nanoseconds": 1}
