"""The one lock of wasmtime-py.

wasmtime-py 49 is not safe with threads: where it lowers a variant it keeps the classes to choose from in a set that all
threads share, and an exception of a host function waits in a global variable. With several threads values then become
those of another type, or an exception is raised in another thread.

So a thread holds this lock while it is inside wasmtime-py. Host functions run without it: what waits for a socket, a
disk or a clock does not hold up other requests.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

WASMTIME = threading.Lock()


@contextmanager
def released() -> Iterator[None]:
    """Gives the lock to others meanwhile. The caller holds it."""
    WASMTIME.release()
    try:
        yield
    finally:
        WASMTIME.acquire()
