"""A component that imports more than the host gives, and host functions that fail."""

import unittest

from wasi_host.imports import Interface, MissingImport
from wasi_host.key_value import KeyValue, WasiBatch, WasiStore
from wasi_host.pool import Pool
from wasi_host.runtime import Runtime, Trapped
from wasi_host.sqlite_store import SqliteStore
from wasi_host.variables import Variables
from wasi_host.wit import Resource

from .components import BIRTHDAY, birthday, handler, request, send


class Broken(SqliteStore):
    """A store that fails on reading one key in a way that it should not."""

    def __init__(self) -> None:
        super().__init__(":memory:")

    def get(self, key: str) -> bytes | None:
        if key == "people/bug":
            raise ZeroDivisionError("a mistake of the host\n" * 1000)
        if key == "people/exit":
            raise SystemExit(1)
        return super().get(key)


class MissingImports(unittest.TestCase):
    def check(self, runtime: Runtime, reason: str) -> None:
        with self.assertRaises(MissingImport) as raised:
            runtime.instance()
        self.assertEqual(str(raised.exception), f"the component imports {reason}, which this host does not have")

    def test_an_interface_is_named(self) -> None:
        people = SqliteStore(":memory:")
        imports = [KeyValue(people), WasiStore(people), WasiBatch(), Variables({})]
        self.check(Runtime(BIRTHDAY, lambda: imports), "spin:postgres/postgres@4.0.0")

    def test_a_function_is_named(self) -> None:
        text = '(import "test:host/missing@1.0.0" (instance (export "call-me" (func))))'

        class Missing(Interface):
            name = "test:host/missing@1.0.0"

        self.check(handler("", text, more=lambda: [Missing()]), "call-me of test:host/missing@1.0.0")

    def test_a_resource_is_named(self) -> None:
        text = '(import "test:host/missing@1.0.0" (instance (export "thing" (type (sub resource)))))'

        class Missing(Interface):
            name = "test:host/missing@1.0.0"

        runtime = handler("", text, more=lambda: [Missing()])
        self.check(runtime, "the resource thing of test:host/missing@1.0.0")

    def test_a_method_is_named(self) -> None:
        text = """(import "test:host/missing@1.0.0" (instance
            (export "thing" (type $thing (sub resource)))
            (export "[method]thing.call-me" (func (param "self" (borrow $thing))))))"""

        class Thing(Resource):
            pass

        class Missing(Interface):
            name = "test:host/missing@1.0.0"
            resources = {"thing": Thing}

        runtime = handler("", text, more=lambda: [Missing()])
        self.check(runtime, "[method]thing.call-me of test:host/missing@1.0.0")

    def test_another_version_is_another_interface(self) -> None:
        text = '(import "wasi:clocks/wall-clock@0.3.0" (instance (export "now" (func))))'
        self.check(handler("", text), "wasi:clocks/wall-clock@0.3.0")


class FailingHostFunctions(unittest.TestCase):
    def test_an_exception_ends_the_call_and_no_other(self) -> None:
        pool = Pool(birthday(Broken()))
        for name, error in [("bug", ZeroDivisionError), ("exit", SystemExit)]:
            with self.subTest(name):
                with self.assertRaises(Trapped) as raised:
                    send(pool, request("GET", f"/hello/{name}"))
                self.assertIsInstance(raised.exception.__cause__, error)
                self.assertIn("[method]store.get", str(raised.exception))
                self.assertIn(error.__name__, str(raised.exception))
                self.assertLessEqual(len(str(raised.exception)), 500)
                self.assertNotIn("\n", str(raised.exception))
                self.assertEqual(send(pool, request("GET", "/hello/bob")).status, 404)

    def test_an_exception_is_not_raised_in_another_instance(self) -> None:
        """wasmtime-py keeps it in a global variable."""
        broken, sound = Pool(birthday(Broken())), Pool(handler("unreachable"))
        with self.assertRaises(Trapped):
            send(broken, request("GET", "/hello/bug"))
        with self.assertRaises(Trapped) as raised:
            send(sound, request("GET", "/"))
        self.assertIn("unreachable", str(raised.exception))
