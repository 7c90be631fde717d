"""A key-value store in SQLite: a file, or memory."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .key_value import StoreError, StoreFull

# Far more than names of people need.
MAX_KEY_BYTES = 255

# A value goes through the component's memory as a whole.
MAX_VALUE_BYTES = 1024 * 1024

# The default bound of a store. 508,398 people took 26 MB.
MAX_STORE_BYTES = 256 * 1024 * 1024

# How long a call waits for another process that writes to the same file.
BUSY_SECONDS = 5

PAGE_BYTES = 4096


class SqliteStore:
    """`path` is a file, or `:memory:`. What a call has stored is on the disk when it returns.

    Raises `StoreError` if the file cannot be opened.
    """

    def __init__(self, path: str, max_bytes: int = MAX_STORE_BYTES):
        # One connection for all threads, one at a time: SQLite has one writer in any case.
        self._lock = threading.Lock()
        with _told():
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute(f"PRAGMA max_page_count = {max_bytes // PAGE_BYTES}")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS key_value (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
            )

    def close(self) -> None:
        self._connection.close()

    def get(self, key: str) -> bytes | None:
        with self._connected() as connection:
            return _get(connection, key)

    def get_many(self, keys: list[str]) -> list[tuple[str, bytes | None]]:
        with self._connected() as connection:
            return [(key, _get(connection, key)) for key in keys]

    def keys(self, after: str, limit: int) -> list[str]:
        with self._connected() as connection:
            rows = connection.execute("SELECT key FROM key_value WHERE key > ? ORDER BY key LIMIT ?", (after, limit))
            return [key for (key,) in rows]

    def set_many(self, pairs: list[tuple[str, bytes]]) -> None:
        for key, value in pairs:
            if len(key.encode()) > MAX_KEY_BYTES:
                raise StoreError(f"a key has at most {MAX_KEY_BYTES} bytes")
            if len(value) > MAX_VALUE_BYTES:
                raise StoreError(f"a value has at most {MAX_VALUE_BYTES} bytes")
        with self._connected() as connection, _transaction(connection):
            connection.executemany("INSERT OR REPLACE INTO key_value VALUES (?, ?)", pairs)

    def delete_many(self, keys: list[str]) -> None:
        with self._connected() as connection, _transaction(connection):
            connection.executemany("DELETE FROM key_value WHERE key = ?", [(key,) for key in keys])

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _told():
            yield self._connection


@contextmanager
def _told() -> Iterator[None]:
    """Makes errors of SQLite those of a store."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise StoreFull("the store is full") from None
        raise StoreError(str(error)) from None


def _get(connection: sqlite3.Connection, key: str) -> bytes | None:
    row = connection.execute("SELECT value FROM key_value WHERE key = ?", (key,)).fetchone()
    return row[0] if row else None


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself after some errors.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
