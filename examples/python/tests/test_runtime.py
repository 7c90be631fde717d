"""Instances whose call fails, and how they are used again."""

import sys
import threading
import time
import unittest
from pathlib import Path

from wasmtime import WasmtimeError

from wasi_host.exchange import MAX_BODY_BYTES, Request
from wasi_host.pool import Overloaded, Pool
from wasi_host.runtime import Runtime, TimedOut, Trapped
from wasi_host.sqlite_store import SqliteStore

from .components import birthday, handler, request, send


class Failures(unittest.TestCase):
    def check(self, pool: Pool, reason: str) -> None:
        with self.assertRaises(Trapped) as raised:
            send(pool, request("GET", "/"))
        self.assertIn(reason, str(raised.exception))

    def test_a_trap_is_told_in_one_line(self) -> None:
        self.check(Pool(handler("unreachable")), "wasm `unreachable` instruction executed")

    def test_a_component_without_an_answer_has_failed(self) -> None:
        self.check(Pool(handler("")), "the component has ended without an answer")

    def test_an_endless_loop_is_ended(self) -> None:
        pool = Pool(handler("(loop $again br $again)", max_seconds=0.5))
        start = time.monotonic()
        with self.assertRaises(TimedOut):
            send(pool, request("GET", "/"))
        self.assertLess(time.monotonic() - start, 5)

    def test_memory_is_bounded(self) -> None:
        grow = "(if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then unreachable))"
        self.check(Pool(handler(grow, max_memory_bytes=64 * 1024)), "unreachable")
        self.check(Pool(handler(grow)), "without an answer")

    def test_an_instance_that_trapped_is_not_used_again(self) -> None:
        made = 0

        class Counting(Runtime):
            def instance(self):  # type: ignore[no-untyped-def]
                nonlocal made
                made += 1
                return super().instance()

        runtime = handler("unreachable")
        runtime.__class__ = Counting
        pool = Pool(runtime)
        for _ in range(3):
            self.check(pool, "unreachable")
        self.assertEqual(made, 3)

    def test_a_file_that_is_no_component_is_refused(self) -> None:
        with self.assertRaises(WasmtimeError):
            Runtime(Path(__file__))


class Requests(unittest.TestCase):
    def test_an_instance_is_used_again(self) -> None:
        pool = Pool(birthday())
        for _ in range(50):
            self.assertEqual(send(pool, request("GET", "/health")).status, 200)
        with pool.instance() as instance:
            # The open store, and the log.
            self.assertLessEqual(len(instance._guest.handles), 2)

    def test_a_body_over_the_bound_is_refused(self) -> None:
        sent = request("PUT", "/hello/bob", b"x")
        large = Request(**{**vars(sent), "length": MAX_BODY_BYTES + 1})
        self.assertEqual(send(Pool(birthday()), large).status, 413)

    def test_a_body_that_breaks_off_is_refused(self) -> None:
        sent = request("PUT", "/hello/bob", b'{"dateOfBirth":"2000-10-01"}')
        short = Request(**{**vars(sent), "length": 100})
        answer = send(Pool(birthday()), short)
        self.assertEqual((answer.status, b"/problems/invalid-body" in answer.body), (400, True))

    def test_a_body_of_unknown_length_is_read_to_its_end(self) -> None:
        sent = request("PUT", "/hello/bob", b'{"dateOfBirth":"2000-10-01"}')
        unknown = Request(**{**vars(sent), "length": None})
        self.assertEqual(send(Pool(birthday()), unknown).status, 204)


class SlowStore(SqliteStore):
    """A store that is slow until `go` is set."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.go = threading.Event()
        self.is_busy = threading.Event()

    def get(self, key: str) -> bytes | None:
        if key == "people/slow":
            self.is_busy.set()
            self.go.wait()
        return super().get(key)


class Threads(unittest.TestCase):
    def test_a_store_that_blocks_holds_up_its_own_request_only(self) -> None:
        store = SlowStore()
        pool = Pool(birthday(store), size=2, wait_seconds=0.2)
        slow = threading.Thread(target=send, args=(pool, request("GET", "/hello/slow")))
        slow.start()
        try:
            self.assertTrue(store.is_busy.wait(10))
            self.assertEqual(send(pool, request("GET", "/hello/bob")).status, 404)
        finally:
            store.go.set()
            slow.join()

    def test_who_finds_no_instance_in_time_is_told(self) -> None:
        store = SlowStore()
        pool = Pool(birthday(store), size=1, wait_seconds=0.2)
        slow = threading.Thread(target=send, args=(pool, request("GET", "/hello/slow")))
        slow.start()
        try:
            self.assertTrue(store.is_busy.wait(10))
            with self.assertRaises(Overloaded):
                send(pool, request("GET", "/hello/bob"))
        finally:
            store.go.set()
            slow.join()
        self.assertEqual(send(pool, request("GET", "/hello/bob")).status, 404)

    def test_answers_of_many_threads_are_not_mixed_up(self) -> None:
        pool = Pool(birthday(), size=4)
        failures: list[str] = []

        def work(letter: str) -> None:
            born = b'{"dateOfBirth":"2000-10-01"}'
            for number in range(25):
                name = letter * (number + 1)
                stored = send(pool, request("PUT", f"/hello/{name}", born)).status
                answer = send(pool, request("GET", f"/hello/{name}"))
                refused = send(pool, request("GET", f"/hello/{name}1")).status
                if (stored, refused) != (204, 400) or f"Hello, {name}!".encode() not in answer.body:
                    failures.append(f"{name}: {stored} {refused} {answer}")

        # Threads take turns much more often than usual.
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            threads = [threading.Thread(target=work, args=(letter,)) for letter in "abcdef"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(interval)
        self.assertEqual(failures, [])
