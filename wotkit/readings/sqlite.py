"""The readings store on SQLite: one file, one writer, any number of readers."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from wotkit.readings import (
    form,
    sqlite_arrivals,
    sqlite_batch,
    sqlite_form,
    sqlite_table,
    store,
)
from wotkit.readings.latest import LatestValues
from wotkit.readings.sqlite_writer import SqliteWriter
from wotkit.readings.store import StoredReading, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from wotkit.readings.store import Range

FILE_NAME: Final = "readings.db"
SCHEMA_VERSION: Final = 2
CHECKPOINT_PAGES: Final = 4000
"""Pages of 4 kB after which the log is written back into the file."""
PAGE: Final = 1000
"""Readings a stream reads at a time."""
VARIABLES: Final = 500
"""Values bound to one statement at most where the number is the caller's."""

_SCHEMA: Final = """
CREATE TABLE reading (
    sensor_id INTEGER NOT NULL,
    ts        INTEGER NOT NULL,
    id        INTEGER NOT NULL,
    data      BLOB    NOT NULL,
    PRIMARY KEY (sensor_id, ts, id)
) WITHOUT ROWID;
CREATE TABLE latest (
    sensor_id INTEGER PRIMARY KEY,
    ts        INTEGER NOT NULL,
    id        INTEGER NOT NULL,
    data      BLOB    NOT NULL,
    older     BLOB,
    updated   INTEGER NOT NULL
);
CREATE TABLE resend (
    caller      TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL,
    answer      BLOB    NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (caller, key)
) WITHOUT ROWID;
CREATE INDEX resend_at ON resend (at);
CREATE TABLE stream (
    owner_id INTEGER NOT NULL,
    stream   TEXT    NOT NULL,
    through  INTEGER NOT NULL,
    refused  BLOB    NOT NULL,
    PRIMARY KEY (owner_id, stream)
) WITHOUT ROWID;
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE probe (filler BLOB);
INSERT INTO counter VALUES ('next_id', 1), ('epoch', 0);
"""

_stored: Final[Callable[[tuple[int, int, bytes]], StoredReading]] = partial(
    tuple.__new__, StoredReading
)
"""``StoredReading._make`` in a third of the time."""
_integers: Final = msgspec.json.Decoder(list[int]).decode

_SINCE: Final = {2: ("CREATE INDEX IF NOT EXISTS reading_id ON reading (id)",)}
"""What each later version of the schema added. Ids rise, so this index grows at its end only."""

_REASONS: Final = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk is full or reports an error",
    sqlite3.SQLITE_BUSY: "another process keeps the readings locked",
    sqlite3.SQLITE_LOCKED: "another process keeps the readings locked",
    sqlite3.SQLITE_READONLY: "the data folder is read-only",
    sqlite3.SQLITE_CORRUPT: "the readings file is damaged",
    sqlite3.SQLITE_NOTADB: "the readings file is damaged",
    sqlite3.SQLITE_CANTOPEN: "the readings file cannot be opened",
}


@contextmanager
def _as_store_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        raise StoreError(_REASONS.get(code, "the readings store reports an error")) from error


class SqliteStore:
    """A :class:`wotkit.readings.store.Store` in one SQLite file.

    Durable means ``synchronous=FULL``: in WAL mode, one fsync for each transaction
    (https://sqlite.org/pragma.html#pragma_synchronous).
    """

    def __init__(self, path: Path, *, busy_seconds: float = 5.0) -> None:
        """Open the file, or make it.

        Raises:
            StoreError: it cannot be opened, or a newer program wrote it.
        """
        self._path = path
        self._busy_seconds = busy_seconds
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        with _as_store_errors():
            connection = self._connect()
            self._migrate(connection)
        self._writer = SqliteWriter(connection)

    def apply(self, operations: Sequence[store.Operation], now: int) -> list[store.Outcome]:
        """See :meth:`wotkit.readings.store.Store.apply`."""
        with _as_store_errors():
            return self._writer.apply(operations, now)

    def read(self, what: Range) -> list[StoredReading]:
        """See :meth:`wotkit.readings.store.Store.read`."""
        sql, values = _select(what)
        with _as_store_errors():
            return _fetch(self._reader(), sql, values)

    def render(self, what: Range, label: str, *, turned: bool = False) -> tuple[bytes, bool]:
        """See :meth:`wotkit.readings.store.Store.render`."""
        if what.limit:
            query = _select_turned(what) if turned else _select(what)
            more, values = _select(_behind(what))
            with _as_store_errors(), suppress(sqlite3.DataError):  # more than a value holds
                found = sqlite_form.json_list(
                    self._reader(), query, (f"EXISTS ({more})", values), label
                )
                if found is not None:
                    return found
        return form.render(self.read, what, label, turned=turned)

    def read_where(self, what: Range, tests: Sequence[store.FieldTest]) -> list[StoredReading]:
        """See :meth:`wotkit.readings.store.Store.read_where`."""
        sql, values = sqlite_table.select_where(what, tests)
        with _as_store_errors():
            return _fetch(self._reader(), sql, values)

    def summarize(
        self,
        what: Range,
        tests: Sequence[store.FieldTest],
        keys: Sequence[store.FieldColumn | store.TimePart],
        fields: Sequence[store.FieldColumn],
        most: int,
    ) -> list[store.Summary]:
        """See :meth:`wotkit.readings.store.Store.summarize`."""
        with _as_store_errors():
            return sqlite_table.summarize(self._reader(), what, tests, keys, fields, most)

    def stream(self, what: Range) -> Iterator[StoredReading]:
        """See :meth:`wotkit.readings.store.Store.stream`."""
        if what.newest is not None or what.oldest is not None or what.reverse or what.offset:
            yield from self.read(what)
            return
        after, left = what.after, what.limit
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            page = self.read(
                store.Range(sensor_id=what.sensor_id, after=after, through=what.through, limit=size)
            )
            yield from page
            if len(page) < size:
                return
            after = (page[-1].ts, page[-1].id)
            left = None if left is None else left - size

    def find(self, sensor_id: int, reading_id: int) -> StoredReading | None:
        """See :meth:`wotkit.readings.store.Store.find`."""
        with _as_store_errors():
            found = (
                self._reader()
                .execute(
                    "SELECT ts, id, data FROM reading WHERE id = ? AND sensor_id = ?",
                    (reading_id, sensor_id),
                )
                .fetchone()
            )
        return None if found is None else StoredReading._make(found)

    def since(
        self, after: int, most: int, sensor_ids: Collection[int] | None = None
    ) -> store.Arrivals:
        """See :meth:`wotkit.readings.store.Store.since`."""
        with _as_store_errors():
            return sqlite_arrivals.since(self._reader(), after, most, sensor_ids)

    def last_id(self) -> int:
        """See :meth:`wotkit.readings.store.Store.last_id`."""
        with _as_store_errors():
            return sqlite_arrivals.last_id(self._reader())

    def count(self, what: Range, most: int) -> int:
        """See :meth:`wotkit.readings.store.Store.count`."""
        condition, values = _between(what)
        with _as_store_errors():
            (count,) = (
                self._reader()
                .execute(
                    f"SELECT count(*) FROM (SELECT 1 FROM reading WHERE {condition} LIMIT ?)",  # noqa: S608  # made here
                    (*values, most),
                )
                .fetchone()
            )
        return int(count)

    def newest(self, sensor_ids: Collection[int]) -> dict[int, tuple[int, int]]:
        """See :meth:`wotkit.readings.store.Store.newest`."""
        rows = self._of_latest("sensor_id, ts, id", sensor_ids)
        return {sensor_id: (ts, reading_id) for sensor_id, ts, reading_id in rows}

    def latest(self, sensor_ids: Collection[int]) -> dict[int, store.Latest]:
        """See :meth:`wotkit.readings.store.Store.latest`."""
        rows = self._of_latest("sensor_id, ts, id, data, older, updated", sensor_ids)
        return {sensor_id: LatestValues.load(*row).public() for sensor_id, *row in rows}

    def active(self, since: int) -> set[int]:
        """See :meth:`wotkit.readings.store.Store.active`."""
        with _as_store_errors():
            rows = self._reader().execute(
                "SELECT sensor_id FROM latest WHERE updated >= ?", (since,)
            )
            return {sensor_id for (sensor_id,) in rows}

    def acked_through(self, owner_id: int, stream: str) -> int:
        """See :meth:`wotkit.readings.store.Store.acked_through`."""
        with _as_store_errors():
            row = (
                self._reader()
                .execute(
                    "SELECT through FROM stream WHERE owner_id = ? AND stream = ?",
                    (owner_id, stream),
                )
                .fetchone()
            )
        return int(row[0]) if row else 0

    def size_bytes(self) -> int:
        """See :meth:`wotkit.readings.store.Store.size_bytes`."""
        files = (self._path, self._path.with_name(self._path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        """Close every connection; the log is written back into the file."""
        with self._lock:
            for connection in self._readers:
                connection.close()
            self._readers.clear()
        self._writer.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path,
            timeout=self._busy_seconds,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute("PRAGMA cache_size = -16000")
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA_VERSION:
                raise StoreError(
                    f"{self._path.name} was written by a newer version of WoTKit "
                    f"(schema {version}; this one knows {SCHEMA_VERSION}). Install that version."
                )
            if version == 0:
                for statement in (*_SCHEMA.split(";"), *sqlite_batch.SCHEMA):
                    connection.execute(statement)
            for number in range(version + 1, SCHEMA_VERSION + 1):
                for statement in _SINCE.get(number, ()):
                    connection.execute(statement)
            if version != SCHEMA_VERSION:
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            connection.close()
            raise

    def _of_latest(self, columns: str, sensor_ids: Collection[int]) -> list[Any]:
        ids = list(sensor_ids)
        found: list[Any] = []
        with _as_store_errors():
            execute = self._reader().execute
            for start in range(0, len(ids), VARIABLES):
                part = ids[start : start + VARIABLES]
                marks = ",".join("?" * len(part))
                found += execute(
                    f"SELECT {columns} FROM latest WHERE sensor_id IN ({marks})",  # noqa: S608  # names of columns and question marks
                    part,
                )
        return found

    def _reader(self) -> sqlite3.Connection:
        """Return this thread's connection for reading."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect()
            sqlite_form.prepare(connection)
            connection.execute("PRAGMA query_only = 1")
            self._local.connection = connection
            with self._lock:
                self._readers.append(connection)
        return connection


def _fetch(connection: sqlite3.Connection, sql: str, values: list[Any]) -> list[StoredReading]:
    """Return the rows of a query of time, id and data, in order.

    They come out of SQLite as one row: each row lets go of the interpreter lock and must get it
    back from whoever has it then, which takes longer than reading it. Compact JSON has no line
    feeds, so these separate the data.
    """
    try:
        ts, ids, data = connection.execute(
            "SELECT group_concat(ts), group_concat(id), "  # noqa: S608  # of a query made here
            f"CAST(group_concat(data, char(10)) AS BLOB) FROM ({sql})",
            values,
        ).fetchone()
    except sqlite3.DataError:  # more than a value of SQLite holds
        return list(map(StoredReading._make, connection.execute(sql, values)))
    if ts is None:
        return []
    columns = (_integers(f"[{ts}]"), _integers(f"[{ids}]"), data.split(b"\n"))
    return list(map(_stored, zip(*columns, strict=True)))


def _select(what: Range) -> tuple[str, list[Any]]:
    """Return the query of time, id and data, in the order of the answer, and its values."""
    condition, values = _between(what)
    sql = f"SELECT ts, id, data FROM reading WHERE {condition}"  # noqa: S608
    counted = what.oldest if what.newest is None else what.newest
    if counted is not None:
        sql = f"SELECT * FROM ({sql}{_ordered(newest_first=what.newest is not None)} LIMIT ?)"  # noqa: S608
        values.append(counted)
    sql += _ordered(newest_first=what.reverse)
    if what.limit is not None or what.offset:
        sql += " LIMIT ? OFFSET ?"
        values += (-1 if what.limit is None else what.limit, what.offset)
    return sql, values


def _select_turned(what: Range) -> tuple[str, list[Any]]:
    """Return the same for the opposite order; without counts, and with a limit.

    It first looks where the answer begins and ends, so that nothing needs to be sorted. Rising
    order is that of the table itself: without saying so, the query needs no step of its own.
    """
    assert what.limit
    condition, values = _between(what)
    ordered = _ordered(newest_first=what.reverse)
    edge = f"FROM reading WHERE {condition}{ordered} LIMIT 1 OFFSET ?"
    near, far = (">=", "<=") if not what.reverse else ("<=", ">=")
    beyond = -1 if what.reverse else 1
    order = "" if what.reverse else _ordered(newest_first=True)
    sql = (
        f"SELECT ts, id, data FROM reading WHERE {condition} "  # noqa: S608
        f"AND (ts, id) {near} (SELECT ts, id {edge}) "
        f"AND (ts, id) {far} (SELECT * FROM (SELECT ts, id {edge}) UNION ALL SELECT ?, 0 LIMIT 1)"
        f"{order}"
    )
    last = [*values, min(what.offset + what.limit - 1, store.LAST_ID)]
    return sql, [*values, *values, what.offset, *last, beyond * store.LAST_ID]


def _behind(what: Range) -> Range:
    """Return the first reading behind the limit."""
    offset = min(what.offset + (what.limit or 0), store.LAST_ID)
    return msgspec.structs.replace(what, offset=offset, limit=1)


def _between(what: Range) -> tuple[str, list[Any]]:
    """Return the condition of the bounds, and its values."""
    conditions = ["sensor_id = ?"]
    values: list[Any] = [what.sensor_id]
    if what.after is not None:
        conditions.append("(ts, id) > (?, ?)")
        values += what.after
    if what.through is not None:
        conditions.append("(ts, id) <= (?, ?)")
        values += what.through
    return " AND ".join(conditions), values


def _ordered(*, newest_first: bool) -> str:
    return " ORDER BY ts DESC, id DESC" if newest_first else " ORDER BY ts, id"
