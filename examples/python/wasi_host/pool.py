"""Instances that are used again."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .runtime import BrokenOff, Instance, Runtime

# So many requests run at a time. More would not be faster: one thread at a time is inside wasmtime-py.
MAX_INSTANCES = 8

# How long a request waits for an instance.
WAIT_SECONDS = 5.0

# After so many requests an instance is replaced, so that memory that a component loses comes back.
MAX_REQUESTS = 10_000


class Overloaded(Exception):
    """All instances have been busy for too long."""


class Pool:
    """At most `size` instances of a component. One whose call failed is replaced."""

    def __init__(self, runtime: Runtime, size: int = MAX_INSTANCES, wait_seconds: float = WAIT_SECONDS):
        self._runtime = runtime
        self._wait_seconds = wait_seconds
        self._slots = threading.BoundedSemaphore(size)
        # The one that was used last is used first. With how many requests each has had.
        self._idle: list[tuple[Instance, int]] = []

    @contextmanager
    def instance(self) -> Iterator[Instance]:
        """An instance for one request. Raises `Overloaded` if there is none in time."""
        if not self._slots.acquire(timeout=self._wait_seconds):
            raise Overloaded
        try:
            try:
                instance, requests = self._idle.pop()
            except IndexError:
                instance, requests = self._runtime.instance(), 0
            try:
                yield instance
            except BrokenOff:
                self._give_back(instance, requests + 1)
                raise
            except BaseException:
                instance.close()
                raise
            self._give_back(instance, requests + 1)
        finally:
            self._slots.release()

    def _give_back(self, instance: Instance, requests: int) -> None:
        if requests < MAX_REQUESTS:
            self._idle.append((instance, requests))
        else:
            instance.close()

    def close(self) -> None:
        """Ends the idle instances."""
        while self._idle:
            self._idle.pop()[0].close()
