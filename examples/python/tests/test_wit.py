"""Values of WIT on their way between a component and host functions."""

import ctypes
import sys
import threading
import unittest
from typing import Any

from wasmtime import Engine, Store, WasmtimeError, _ffi
from wasmtime.component import Component, ComponentInstanceType, FuncType, ValType, Variant

from wasi_host.imports import Guest, Imports, Interface
from wasi_host.lock import WASMTIME
from wasi_host.wit import MAX_RESOURCES, Handles, Refused, Resource, lifting, lowering

# Types whose tag wasmtime-py keeps, and types whose tag it drops.
TYPES = {
    "option": "(option string)",
    "option-of-result": "(option (result))",
    "option-of-untagged": "(option (result (list u8)))",
    "bare-result": "(result)",
    "result": "(result (list u8) (error u32))",
    "variant": '(variant (case "none") (case "text" string) (case "number" u32))',
    "two-texts": '(variant (case "a" string) (case "b" string))',
    "record": '(record (field "a-b" u8) (field "c" (option u8)))',
    "list": "(list (tuple string (list u8)))",
}


class Thing(Resource):
    """A resource, which notes that it was dropped."""

    is_dropped = False

    def name(self) -> str:
        return "a thing"

    def dropped(self) -> None:
        self.is_dropped = True


class SpecialThing(Thing):
    def name(self) -> str:
        return "a special thing"


class Host(Interface):
    name = "test:host/things@1.0.0"
    resources = {"thing": Thing}

    def __init__(self, thing: Thing):
        self.thing = thing
        self.taken: list[Any] = []

    def make(self) -> Thing:
        return self.thing

    def take_two(self, first: Thing, second: Thing) -> None:
        self.taken += [first.name(), second.name()]

    def take_list(self, things: list[Thing]) -> None:
        self.taken += [thing.name() for thing in things]


def component(engine: Engine, body: str) -> Component:
    return Component(
        engine,
        f"""(component
          (import "test:host/things@1.0.0" (instance $host
            (export "thing" (type $thing (sub resource)))
            (export "make" (func (result (own $thing))))
            (export "take-two" (func (param "a" (borrow $thing)) (param "b" (borrow $thing))))
            (export "take-list" (func (param "a" (list (borrow $thing)))))))
          (alias export $host "thing" (type $thing))
          (alias export $host "make" (func $make))
          (alias export $host "take-two" (func $two))
          (alias export $host "take-list" (func $list))
          (core module $libc (memory (export "memory") 1))
          (core instance $libc (instantiate $libc))
          (core func $make-core (canon lower (func $make)))
          (core func $two-core (canon lower (func $two)))
          (core func $list-core (canon lower (func $list) (memory (core memory $libc "memory"))))
          (core func $drop-core (canon resource.drop $thing))
          (core module $module
            (import "" "make" (func $make (result i32)))
            (import "" "two" (func $two (param i32 i32)))
            (import "" "list" (func $list (param i32 i32)))
            (import "" "drop" (func $drop (param i32)))
            (import "" "memory" (memory 1))
            (func (export "run") (local $thing i32) {body}))
          (core instance $core (instantiate $module (with "" (instance
            (export "make" (func $make-core)) (export "two" (func $two-core)) (export "list" (func $list-core))
            (export "drop" (func $drop-core)) (export "memory" (memory $libc "memory"))))))
          (func (export "run") (canon lift (core func $core "run"))))""",
    )


class Resources(unittest.TestCase):
    def run_component(self, body: str, thing: Thing) -> Host:
        engine = Engine()
        store, host, guest = Store(engine), Host(thing), Guest(Handles())
        parsed = component(engine, body)
        linker = Imports(engine, parsed).link(engine, [host], guest)
        run = linker.instantiate(store, parsed).get_func(store, "run")
        assert run
        try:
            with WASMTIME:
                run(store)
        finally:
            self.left, self.failure = len(guest.handles), guest.failure
        return host

    def test_two_borrows_arrive(self) -> None:
        """With wasmtime 50.0.1 they do not."""
        host = self.run_component("call $make local.tee $thing local.get $thing call $two", Thing())
        self.assertEqual(host.taken, ["a thing", "a thing"])

    def test_a_list_of_borrows_arrives(self) -> None:
        body = """(i32.store (i32.const 16) (call $make)) (i32.store (i32.const 20) (call $make))
            i32.const 16 i32.const 2 call $list"""
        host = self.run_component(body, SpecialThing())
        self.assertEqual(host.taken, ["a special thing", "a special thing"])

    def test_a_dropped_resource_is_told(self) -> None:
        thing = Thing()
        self.run_component("call $make call $drop", thing)
        self.assertTrue(thing.is_dropped)
        self.assertEqual(self.left, 0)

    def test_resources_are_bounded(self) -> None:
        with self.assertRaises(WasmtimeError):
            self.run_component("(loop $again call $make drop br $again)", Thing())
        self.assertEqual(self.left, MAX_RESOURCES)
        self.assertIn(f"more than {MAX_RESOURCES}", str(self.failure))


def types() -> dict[str, ValType]:
    """Those of `TYPES`, as wasmtime-py has them."""
    engine = Engine()
    found = {}
    for name, ty in TYPES.items():
        parsed = Component(
            engine,
            f"""(component (import "values" (instance
              (type $ty {ty}) (export "value" (type $named (eq $ty))) (export "make" (func (result $named))))))""",
        )
        values = parsed.type.imports(engine)["values"].ty
        assert isinstance(values, ComponentInstanceType)
        make = values.exports(engine)["make"].ty
        assert isinstance(make, FuncType) and make.result
        found[name] = make.result
    return found


class Values(unittest.TestCase):
    def test_a_value_has_one_form_whether_wasmtime_keeps_its_tag_or_not(self) -> None:
        known = types()
        store, handles = Store(Engine()), Handles()
        for name, value in [
            ("option", None),
            ("option", ""),
            ("option-of-result", None),
            ("option-of-result", Variant("err")),
            ("option-of-untagged", None),
            ("option-of-untagged", Variant("err")),
            ("bare-result", Variant("ok")),
            ("bare-result", Variant("err")),
            ("result", Variant("ok", b"\0\xff")),
            ("result", Variant("err", 7)),
            ("variant", Variant("none")),
            ("variant", Variant("text", "x")),
            ("variant", Variant("number", 0)),
            ("two-texts", Variant("a", "x")),
            ("two-texts", Variant("b", "x")),
            ("record", {"a-b": 1, "c": None}),
            ("record", {"a-b": 1, "c": 0}),
            ("list", []),
            ("list", [("a", b""), ("b", b"c")]),
        ]:
            with self.subTest(name=name, value=value):
                ty, raw = known[name], _ffi.wasmtime_component_val_t()
                ty.convert_to_c(store, lowering(ty)(handles, value), ctypes.pointer(raw))
                self.assertEqual(lifting(ty)(store, handles, ty.convert_from_c(raw)), value)


class Bytes(Interface):
    """Gives bytes, or refuses with a number: wasmtime-py drops the tag of that result."""

    name = "test:host/bytes@1.0.0"

    def __init__(self, outcome: bytes | int):
        self.outcome = outcome

    def get(self) -> bytes:
        if isinstance(self.outcome, int):
            raise Refused(self.outcome)
        return self.outcome


class Threads(unittest.TestCase):
    def test_values_of_one_thread_are_not_taken_for_those_of_another(self) -> None:
        """Without the lock they are."""
        failures: list[BaseException] = []

        def work(outcome: bytes | int) -> None:
            engine = Engine()
            store, guest = Store(engine), Guest(Handles())
            try:
                with WASMTIME:
                    parsed = Component(engine, CALLING_OFTEN)
                    linker = Imports(engine, parsed).link(engine, [Bytes(outcome)], guest)
                    run = linker.instantiate(store, parsed).get_func(store, "run")
                    assert run
                    run(store)
            except Exception as error:
                failures.append(error)

        # Threads take turns much more often than usual.
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            threads = [threading.Thread(target=work, args=(outcome,)) for outcome in (b"a", 1, b"b", 2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(interval)
        self.assertEqual(failures, [])


# Calls `get` five thousand times.
CALLING_OFTEN = """
    (component
      (import "test:host/bytes@1.0.0" (instance $host
        (export "get" (func (result (result (list u8) (error u32)))))))
      (alias export $host "get" (func $get))
      (core module $libc
        (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))
      (core instance $libc (instantiate $libc))
      (core func $get-core (canon lower (func $get)
        (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
      (core module $module
        (import "" "get" (func $get (param i32)))
        (func (export "run") (local $calls i32)
          (loop $again
            (call $get (i32.const 16))
            (local.set $calls (i32.add (local.get $calls) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $calls) (i32.const 5000))))))
      (core instance $core (instantiate $module (with "" (instance (export "get" (func $get-core))))))
      (func (export "run") (canon lift (core func $core "run"))))
"""
