"""The key-value store in SQLite, and variables."""

import tempfile
import unittest
from pathlib import Path

from wasmtime.component import Variant

from wasi_host.key_value import PAGE, Bucket, KeyValue, SpinStore, StoreError, StoreFull, WasiStore
from wasi_host.postgres import NoPostgres
from wasi_host.sqlite_store import MAX_KEY_BYTES, MAX_VALUE_BYTES, SqliteStore
from wasi_host.variables import Variables, from_environment
from wasi_host.wit import Refused


class Sqlite(unittest.TestCase):
    def setUp(self) -> None:
        self.store = SqliteStore(":memory:")
        self.addCleanup(self.store.close)

    def test_what_was_set_can_be_got(self) -> None:
        self.store.set_many([("a", b"1"), ("b", b""), ("a", b"2")])
        self.assertEqual(self.store.get("a"), b"2")
        self.assertEqual(self.store.get_many(["b", "c"]), [("b", b""), ("c", None)])
        self.store.delete_many(["a", "nothing"])
        self.assertEqual(self.store.keys("", 10), ["b"])

    def test_keys_come_in_their_order_page_by_page(self) -> None:
        self.store.set_many([(key, b"") for key in "dbca"])
        self.assertEqual(self.store.keys("", 3), ["a", "b", "c"])
        self.assertEqual(self.store.keys("c", 3), ["d"])

    def test_keys_and_values_are_bounded(self) -> None:
        self.store.set_many([("k" * MAX_KEY_BYTES, b"v" * MAX_VALUE_BYTES)])
        for pair in [("k" * (MAX_KEY_BYTES + 1), b""), ("ü" * 200, b""), ("k", b"v" * (MAX_VALUE_BYTES + 1))]:
            with self.assertRaises(StoreError):
                self.store.set_many([("other", b""), pair])
        self.assertIsNone(self.store.get("other"))

    def test_a_store_that_is_full_keeps_what_it_has(self) -> None:
        small = SqliteStore(":memory:", max_bytes=64 * 1024)
        self.addCleanup(small.close)
        small.set_many([("a", b"1")])
        with self.assertRaises(StoreFull):
            small.set_many([("b", b"2"), ("c", bytes(100_000))])
        self.assertEqual(small.keys("", 10), ["a"])
        small.set_many([("b", b"2")])

    def test_a_file_keeps_people(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "people.db")
            first = SqliteStore(path)
            first.set_many([("a", b"1")])
            first.close()
            second = SqliteStore(path)
            self.assertEqual(second.get("a"), b"1")
            second.close()

    def test_an_error_of_sqlite_is_one_of_the_store(self) -> None:
        self.store.close()
        with self.assertRaises(StoreError):
            self.store.get("a")


class Interfaces(unittest.TestCase):
    def test_there_is_one_store(self) -> None:
        store = SqliteStore(":memory:")
        for open_other in (KeyValue(store).store_open, WasiStore(store).open):
            with self.assertRaises(Refused) as raised:
                open_other("other")
            self.assertEqual(raised.exception.payload, Variant("no-such-store"))

    def test_both_interfaces_have_the_same_data(self) -> None:
        store = SqliteStore(":memory:")
        spin, bucket = SpinStore(store), Bucket(store)
        spin.set("a", b"1")
        self.assertEqual((bucket.get("a"), bucket.exists("b"), spin.get_keys()), (b"1", False, ["a"]))
        bucket.delete("a")
        self.assertFalse(spin.exists("a"))

    def test_all_keys_are_listed_page_by_page(self) -> None:
        store = SqliteStore(":memory:")
        keys = [f"{number:05}" for number in range(PAGE + 1)]
        store.set_many([(key, b"") for key in keys])
        first = Bucket(store).list_keys(None)
        last = Bucket(store).list_keys(str(first["cursor"]))
        self.assertEqual((first["keys"], last), (keys[:-1], {"keys": keys[-1:], "cursor": None}))

    def test_a_store_that_is_full_has_a_case_of_its_own_in_one_interface(self) -> None:
        store = SqliteStore(":memory:", max_bytes=64 * 1024)
        for full, case in [(SpinStore(store), "store-table-full"), (Bucket(store), "other")]:
            with self.assertRaises(Refused) as raised:
                full.set("a", bytes(100_000))
            self.assertEqual(raised.exception.payload.tag, case)

    def test_variables_are_those_of_the_environment(self) -> None:
        environment = {"SPIN_VARIABLE_LEAP_DAY": "feb-28", "SPIN_VARIABLE_API_TOKEN": "", "HOME": "/"}
        variables = Variables(from_environment(environment))
        self.assertEqual(variables.get("leap_day"), "feb-28")
        for name, case in [
            ("api_token", "undefined"),
            ("home", "undefined"),
            ("A", "invalid-name"),
            ("", "invalid-name"),
        ]:
            with self.subTest(name), self.assertRaises(Refused) as raised:
                variables.get(name)
            self.assertEqual(raised.exception.payload, Variant(case, name))

    def test_there_is_no_postgres(self) -> None:
        with self.assertRaises(Refused) as raised:
            NoPostgres().connection_open("postgres://bob:pa55word@db/people")
        self.assertEqual(raised.exception.payload, Variant("connection-failed", "this host has no Postgres"))
