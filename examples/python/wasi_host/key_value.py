"""The key-value store of this host, by the interfaces of Spin and of WASI."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from wasmtime.component import Variant

from .imports import Interface
from .wit import Refused, Resource

# The one store that there is.
LABEL = "default"

# So many keys are listed in one call.
PAGE = 1000

# `get-keys` gives all keys as one list: with more the component has to take pages.
MAX_LISTED_KEYS = 100_000

T = TypeVar("T")


class StoreError(Exception):
    """The store cannot do it. The message goes to the component, which may log it."""


class StoreFull(StoreError):
    """The store takes no more."""


class Store(Protocol):
    """What keeps keys and values. Any method may raise `StoreError`; threads call it at the same time."""

    def get(self, key: str) -> bytes | None: ...

    def get_many(self, keys: list[str]) -> list[tuple[str, bytes | None]]: ...

    def keys(self, after: str, limit: int) -> list[str]:
        """The next `limit` keys after this one, in their order."""
        ...

    def set_many(self, pairs: list[tuple[str, bytes]]) -> None:
        """All, or none. They are durable when it returns, as far as the store is."""
        ...

    def delete_many(self, keys: list[str]) -> None: ...


def _answer(work: Callable[[], T]) -> T:
    """What `work` returns. An error of the store becomes one of WIT."""
    try:
        return work()
    except StoreFull:
        raise Refused(Variant("store-table-full")) from None
    except StoreError as error:
        raise Refused(Variant("other", str(error))) from None


def _wasi_answer(work: Callable[[], T]) -> T:
    """The same for `wasi:keyvalue`, which has no case for a store that is full."""
    try:
        return work()
    except StoreError as error:
        raise Refused(Variant("other", str(error))) from None


class SpinStore(Resource):
    """`fermyon:spin/key-value.store`."""

    def __init__(self, store: Store):
        self._store = store

    def get(self, key: str) -> bytes | None:
        return _answer(lambda: self._store.get(key))

    def set(self, key: str, value: bytes) -> None:
        _answer(lambda: self._store.set_many([(key, value)]))

    def delete(self, key: str) -> None:
        _answer(lambda: self._store.delete_many([key]))

    def exists(self, key: str) -> bool:
        return self.get(key) is not None

    def get_keys(self) -> list[str]:
        keys = _answer(lambda: self._store.keys("", MAX_LISTED_KEYS + 1))
        if len(keys) > MAX_LISTED_KEYS:
            raise Refused(Variant("other", f"there are more than {MAX_LISTED_KEYS} keys"))
        return keys


class KeyValue(Interface):
    name = "fermyon:spin/key-value@2.0.0"
    resources = {"store": SpinStore}

    def __init__(self, store: Store):
        self._store = store

    def store_open(self, label: str) -> SpinStore:
        if label != LABEL:
            raise Refused(Variant("no-such-store"))
        return SpinStore(self._store)


class Bucket(Resource):
    """`wasi:keyvalue/store.bucket`."""

    def __init__(self, store: Store):
        self.store = store

    def get(self, key: str) -> bytes | None:
        return _wasi_answer(lambda: self.store.get(key))

    def set(self, key: str, value: bytes) -> None:
        _wasi_answer(lambda: self.store.set_many([(key, value)]))

    def delete(self, key: str) -> None:
        _wasi_answer(lambda: self.store.delete_many([key]))

    def exists(self, key: str) -> bool:
        return self.get(key) is not None

    def list_keys(self, cursor: str | None) -> dict[str, object]:
        """The cursor is the last key of the page before."""
        keys = _wasi_answer(lambda: self.store.keys(cursor or "", PAGE))
        return {"keys": keys, "cursor": keys[-1] if len(keys) == PAGE else None}


class WasiStore(Interface):
    name = "wasi:keyvalue/store@0.2.0-draft2"
    resources = {"bucket": Bucket}

    def __init__(self, store: Store):
        self._store = store

    def open(self, identifier: str) -> Bucket:
        if identifier != LABEL:
            raise Refused(Variant("no-such-store"))
        return Bucket(self._store)


class WasiBatch(Interface):
    name = "wasi:keyvalue/batch@0.2.0-draft2"
    resources = {"bucket": Bucket}

    def get_many(self, bucket: Bucket, keys: list[str]) -> list[tuple[str, bytes | None]]:
        return _wasi_answer(lambda: bucket.store.get_many(keys))

    def set_many(self, bucket: Bucket, key_values: list[tuple[str, bytes]]) -> None:
        _wasi_answer(lambda: bucket.store.set_many(key_values))

    def delete_many(self, bucket: Bucket, keys: list[str]) -> None:
        _wasi_answer(lambda: bucket.store.delete_many(keys))
