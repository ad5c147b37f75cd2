"""One SQLite file per service: write-ahead log, durable commits, seeded once.

Invariant: a file whose `user_version` is SEEDED holds the whole seed. Schema, seed and that mark are one transaction:
a killed seeding leaves an empty file, which is seeded again at the next start.
Source: sqlite.org/pragma.html (user_version is transactional; synchronous=FULL syncs the log at every commit).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

import msgspec

# Raise it when a schema or the seed changes: an older file is then refused instead of misread.
SEEDED = 2


class ForeignDatabase(RuntimeError):
    """The file was made by another version of the demo, or by something else."""


def opened(path: Path, *, schema: str, fill: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    """The service's database; `fill` runs only if the file is new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        _seed_once(connection, path, schema=schema, fill=fill)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """Everything inside is committed, durably, or nothing is. Never await in here: the connection is shared."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has already rolled back by itself after some errors, a full disk among them.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def attempt(connection: sqlite3.Connection) -> Generator[None]:
    """Within a transaction: an exception takes back what was done inside, and the transaction lives on."""
    connection.execute("SAVEPOINT attempt")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK TO attempt")
        raise
    finally:
        connection.execute("RELEASE attempt")


def as_set(keys: Iterable[str]) -> str:
    """Keys as one parameter for `IN (SELECT value FROM json_each(?))`: one statement for every number of keys."""
    return msgspec.json.encode(list(keys)).decode()


def _seed_once(
    connection: sqlite3.Connection, path: Path, *, schema: str, fill: Callable[[sqlite3.Connection], None]
) -> None:
    # The mark is read inside the transaction: of two processes that open a new file, the second finds it seeded.
    with transaction(connection):
        mark = connection.execute("PRAGMA user_version").fetchone()[0]
        if mark == SEEDED:
            return
        if mark != 0:
            raise ForeignDatabase(f"{path} has version {mark}, this demo reads {SEEDED}: delete it to seed anew")
        for statement in _statements(schema):
            connection.execute(statement)
        fill(connection)
        connection.execute(f"PRAGMA user_version = {SEEDED}")


def _statements(schema: str) -> list[str]:
    # `executescript` would commit the open transaction; our schemas have no semicolon inside a statement.
    return [statement for part in schema.split(";") if (statement := part.strip())]
