"""The engine switch: all that the catalog knows about the database product it runs on.

A PostgreSQL form offers the same four functions and watch: connect, copy, count changes, and say
whether anything changed.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from peewee import SqliteDatabase

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from peewee import Database, Model

WRITE_LOCK: Final = "IMMEDIATE"
"""How a writing transaction begins: the lock is taken first, so it never fails half-way."""


_COUNTING_TRIGGER: Final = (
    'CREATE TRIGGER IF NOT EXISTS "count_{table}_{verb}" AFTER {verb} ON "{table}" '
    "BEGIN UPDATE revision SET number = number + 1 WHERE id = 1; END"
)


def connect(path: Path, *, busy_seconds: float) -> Database:
    """Return the database at ``path``; each thread opens its own connection at first use."""
    return SqliteDatabase(
        str(path),
        pragmas={
            "journal_mode": "wal",
            "synchronous": "full",
            "foreign_keys": 1,
            "cache_size": -8000,
        },
        timeout=busy_seconds,
    )


def copy(path: Path, to: Path) -> None:
    """Copy a database that may be in use, complete with what its log holds."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)


def count_changes(database: Database, tables: Iterable[type[Model]]) -> None:
    """Make every change of these tables raise the revision, whoever makes it."""
    database.execute_sql("INSERT OR IGNORE INTO revision (id, number) VALUES (1, 0)")
    for table in tables:
        name = table._meta.table_name  # noqa: SLF001  # peewee's documented place for it
        for verb in ("INSERT", "UPDATE", "DELETE"):
            database.execute_sql(_COUNTING_TRIGGER.format(table=name, verb=verb))


class ChangeWatch:
    """Tells, at about 2 µs a call, whether cached tables have changed since they were read.

    ``PRAGMA data_version`` of a connection changes when any other connection, in this process or
    another, has committed (https://sqlite.org/pragma.html#pragma_data_version). Only then is the
    revision read. To be used in one thread.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._execute = self._connection.execute
        self._version = -1
        self._revision = -1

    def revision(self) -> int:
        """Return the number that is raised by every change to a cached table."""
        (version,) = self._execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._version = version
            (self._revision,) = self._execute("SELECT number FROM revision").fetchone()
        return self._revision

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
