"""The engine switch: all that the catalog knows about the database product it runs on.

A PostgreSQL form offers the same functions and watch: connect and disconnect, copy, count changes,
keep what is derived, match a wildcard, compare with many ids, search texts, and say whether
anything changed or the database cannot serve now.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from peewee import SQL, Expression, InterfaceError, NodeList, SqliteDatabase, Table

from wotkit.catalog import engine_derived
from wotkit.errors import Overloaded, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from peewee import Database, Model

    from wotkit.errors import WotkitError

WRITE_LOCK: Final = "IMMEDIATE"
"""How a writing transaction begins: the lock is taken first, so it never fails half-way."""

_COUNTING_TRIGGER: Final = (
    'CREATE TRIGGER IF NOT EXISTS "count_{table}_{verb}" AFTER {verb} ON "{table}" '
    "BEGIN UPDATE revision SET number = number + 1 WHERE id = 1; END"
)

_ONLY_ADDED: Final = {
    "changed": 'BEFORE UPDATE ON "{table}"',
    # a day is the least that is kept; an hour less, since this clock counts whole seconds
    "young": (
        'BEFORE DELETE ON "{table}" '
        "WHEN OLD.{at} > (CAST(strftime('%s', 'now') AS INTEGER) - 82800) * 1000000"
    ),
}
_REFUSING_TRIGGER: Final = (
    'CREATE TRIGGER IF NOT EXISTS "keep_{table}_{name}" {when} '
    "BEGIN SELECT RAISE(ABORT, 'rows of {table} are only added'); END"
)

_REASONS: Final = {
    "FULL": "the disk is full",
    "IOERR": "the disk is full or reports an error",
    "READONLY": "the data folder is read-only",
    "CANTOPEN": "its file cannot be opened",
}


class _Sqlite(SqliteDatabase):
    """Knows the connections of all threads, so that none outlives its thread or the catalog."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._guard = threading.Lock()
        self._connections: dict[threading.Thread, sqlite3.Connection] | None = {}
        super().__init__(*args, check_same_thread=False, **kwargs)

    def connect(self, reuse_if_open: bool = False) -> bool:
        """Open this thread's connection, and close those of threads that ended."""
        with self._guard:
            if self._connections is None:
                raise InterfaceError("the catalog is closed")
            for thread in [thread for thread in self._connections if not thread.is_alive()]:
                self._connections.pop(thread).close()
            opened = super().connect(reuse_if_open)
            connection = super().connection()  # type: ignore[no-untyped-call]  # peewee's own
            self._connections[threading.current_thread()] = connection
        return opened

    def rollback(self) -> None:
        """Undo the transaction, unless SQLite did so itself, as it does when the disk is full.

        A second ROLLBACK would be an error, and hide the first one
        (https://sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction).
        """
        connection: sqlite3.Connection = super().connection()  # type: ignore[no-untyped-call]  # peewee's own
        if connection.in_transaction:
            super().rollback()

    def close_all(self) -> None:
        """Close every thread's connection, for good."""
        self.close()
        with self._guard:
            connections, self._connections = self._connections, None
            for connection in (connections or {}).values():
                connection.close()


def connect(path: Path, *, busy_seconds: float) -> Database:
    """Return the database at ``path``; each thread opens its own connection at first use."""
    return _Sqlite(
        str(path),
        pragmas={
            "journal_mode": "wal",
            "synchronous": "full",
            "foreign_keys": 1,
            "cache_size": -8000,
        },
        timeout=busy_seconds,
    )


def disconnect(database: Database) -> None:
    """Close the connections of all threads; units of work under way must have ended."""
    assert isinstance(database, _Sqlite)
    database.close_all()


def unavailable(error: Exception) -> WotkitError | None:
    """Return what to tell a caller when the database cannot serve now, and not by our mistake."""
    cause: Any = error
    while hasattr(cause, "orig"):  # wrapped once more where a statement makes its connection
        cause = cause.orig
    name = getattr(cause, "sqlite_errorname", "").split("_")[1:2]
    if name in (["BUSY"], ["LOCKED"]):
        return Overloaded("another process is writing to the catalog", retry_after=1)
    if name and name[0] in _REASONS:
        return StoreUnavailable(f"the catalog cannot be used: {_REASONS[name[0]]}", retry_after=5)
    return None


def copy(path: Path, to: Path) -> None:
    """Copy a database that may be in use, complete with what its log holds."""
    to.touch(mode=0o600)  # it holds password hashes, as the original does
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)


def count_changes(database: Database, tables: Iterable[type[Model]]) -> None:
    """Make every change of these tables raise the revision, whoever makes it.

    To be called at every start: a migration that rebuilds a table takes its triggers away, and the
    program may have ended right after it.
    """
    with database.atomic(WRITE_LOCK):
        database.execute_sql("INSERT OR IGNORE INTO revision (id, number) VALUES (1, 0)")
        for table in tables:
            name = table._meta.table_name  # noqa: SLF001  # peewee's documented place for it
            for verb in ("INSERT", "UPDATE", "DELETE"):
                database.execute_sql(_COUNTING_TRIGGER.format(table=name, verb=verb))


def only_add(database: Database, table: type[Model], at: str) -> None:
    """Refuse to change rows of a table, or to delete those whose time ``at`` is within 23 hours."""
    name = table._meta.table_name  # noqa: SLF001  # as above
    with database.atomic(WRITE_LOCK):
        for trigger, when in _ONLY_ADDED.items():
            rule = when.format(table=name, at=at)
            database.execute_sql(_REFUSING_TRIGGER.format(table=name, name=trigger, when=rule))


def keep_derived(database: Database) -> None:
    """Make the database keep the text index of sensors and the uses of tags, from now on."""
    with database.atomic(WRITE_LOCK):
        engine_derived.keep(database)


def listed(column: Any, ids: Iterable[int]) -> Any:
    """Return the condition that a column is one of very many numbers, as one bound value."""
    listing = NodeList((SQL("(SELECT value FROM json_each("), _json(ids), SQL("))")), glue="")
    return Expression(column, "IN", listing)


def _json(ids: Iterable[int]) -> str:
    return "[{}]".format(",".join(map(str, ids)))


def can_search(word: str) -> bool:
    """Return whether the text index can be asked for this word.

    Not for one that is shorter, which is compared row by row, and not for one with a NUL, at which
    its queries end; no text of a sensor has one.
    """
    return len(word) >= engine_derived.SHORTEST and "\0" not in word


def searched(words: Collection[str]) -> tuple[Any, Any, Any]:
    """Return a table of sensors with these words in their texts, to be joined.

    Also its column of sensor ids, by which it is in order without sorting, and the condition on
    it. The index is of every three characters in a row, so a word is found inside longer ones, in
    any case (https://sqlite.org/fts5.html#the_trigram_tokenizer).
    """
    table = Table("sensor_text").alias("found")
    quoted = " AND ".join(['"{}"'.format(word.replace('"', '""')) for word in words])
    return table, table.c.rowid, Expression(SQL("sensor_text"), "MATCH", quoted)


def wildcard(column: Any, parts: Sequence[str]) -> Any:
    """Return the condition that a text is these parts, in order, with anything between them.

    Case counts. GLOB (https://sqlite.org/lang_expr.html#glob), for it can use an index.
    """
    literal = ("".join(f"[{char}]" if char in "*?[" else char for char in part) for part in parts)
    return Expression(column, "GLOB", "*".join(literal))


_CACHED_TABLES: Final = "SELECT number FROM revision"
_MESSAGES: Final = "SELECT coalesce(max(value), 0) FROM counter WHERE name = 'control_message'"


def watch_messages(path: Path) -> ChangeWatch:
    """Return a watch whose number is the id of the last message to an actuator."""
    return ChangeWatch(path, _MESSAGES)


class ChangeWatch:
    """Tells, at about 2 µs a call, whether cached tables have changed since they were read.

    ``PRAGMA data_version`` of a connection changes when any other connection, in this process or
    another, has committed (https://sqlite.org/pragma.html#pragma_data_version). Only then is the
    revision read. To be used in one thread.
    """

    def __init__(self, path: Path, question: str = _CACHED_TABLES) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._question = question
        self._execute = self._connection.execute
        self._version = -1
        self.seen = -1
        """The revision when it was last asked for."""

    def revision(self) -> int:
        """Return the number that is raised by every change to a cached table."""
        (version,) = self._execute("PRAGMA data_version").fetchone()
        if version != self._version:
            (self.seen,) = self._execute(self._question).fetchone()
            self._version = version  # not before: what could not be read is asked for again
        return self.seen

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
