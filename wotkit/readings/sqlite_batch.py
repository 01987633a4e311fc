"""Many changes in one SQL statement.

Each statement that Python gives to SQLite lets go of the interpreter lock and must get it back
from a busy event loop, which takes longer than the statement. So a whole batch is one INSERT of
several rows into a view, and triggers put each row where it belongs: outside the lock, in one
transaction, with one fsync.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import sqlite3

COLUMNS: Final = 7
MOST_ROWS: Final = 256
"""Rows of one statement; a larger batch takes several, in a transaction."""

EPOCH, READING, NEWEST, LATEST, STREAM, RESEND, NEXT_ID = range(7)
"""What a row is; NEWEST is a reading and the latest of its sensor at once."""

_UPSERT_LATEST: Final = """
    INSERT INTO latest (sensor_id, ts, id, data, older, updated)
    VALUES (NEW.a, NEW.b, NEW.c, NEW.d, NEW.e, NEW.f)
    ON CONFLICT (sensor_id) DO UPDATE SET ts = excluded.ts, id = excluded.id,
        data = excluded.data, older = excluded.older, updated = excluded.updated;
"""
_INSERT_READING: Final = "INSERT INTO reading VALUES (NEW.a, NEW.b, NEW.c, NEW.d);"

_ACTIONS: Final = {
    EPOCH: """
        SELECT RAISE(ABORT, 'another writer')
        WHERE NEW.a <> (SELECT value FROM counter WHERE name = 'epoch');
    """,
    READING: _INSERT_READING,
    NEWEST: _INSERT_READING + _UPSERT_LATEST,
    LATEST: _UPSERT_LATEST,
    STREAM: """
        INSERT INTO stream (owner_id, stream, through, refused)
        VALUES (NEW.a, NEW.b, NEW.c, NEW.d) ON CONFLICT (owner_id, stream)
        DO UPDATE SET through = excluded.through, refused = excluded.refused;
    """,
    RESEND: """
        INSERT INTO resend (caller, key, fingerprint, answer, at)
        VALUES (NEW.a, NEW.b, NEW.c, NEW.d, NEW.e);
    """,
    NEXT_ID: "UPDATE counter SET value = NEW.a WHERE name = 'next_id';",
}

_VIEW: Final = """
    CREATE VIEW batch AS
    SELECT 0 AS kind, NULL AS a, NULL AS b, NULL AS c, NULL AS d, NULL AS e, NULL AS f
"""

SCHEMA: Final = (
    _VIEW,
    *(
        f"CREATE TRIGGER batch_{kind} INSTEAD OF INSERT ON batch WHEN NEW.kind = {kind} "
        f"BEGIN {action} END"
        for kind, action in _ACTIONS.items()
    ),
)
"""The view and its triggers, as statements."""

_INSERT: Final = tuple(
    "INSERT INTO batch VALUES (?,?,?,?,?,?,?)" + ",(?,?,?,?,?,?,?)" * (count - 1)
    for count in range(1, MOST_ROWS + 1)
)

_READING_COLUMNS: Final = 4
_INSERT_READINGS: Final = tuple(
    (count, "INSERT INTO reading VALUES (?,?,?,?)" + ",(?,?,?,?)" * (count - 1))
    for count in (512, 256, 128, 64, 32)
)


class Batch:
    """Rows that are to be written together."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute
        self._first_id = 0
        self.values: list[Any] = []
        """Seven for each row; readings come first, in the order of their ids."""

    def __len__(self) -> int:
        return len(self.values) // COLUMNS

    def begin(self, next_id: int) -> None:
        """Start anew; the first reading that is added has the id ``next_id``."""
        self.values.clear()
        self._first_id = next_id

    def add_latest(
        self, sensor_id: int, ts: int, reading_id: int, data: bytes, older: bytes | None, at: int
    ) -> None:
        """Set the latest of a sensor, in the row of the reading itself when it is in here."""
        place = (reading_id - self._first_id) * COLUMNS
        values = self.values
        if 0 <= place < len(values) and values[place] == READING and values[place + 4] is data:
            values[place] = NEWEST
            values[place + 5] = older
            values[place + 6] = at
        else:
            values += (LATEST, sensor_id, ts, reading_id, data, older, at)

    def add_stream(self, owner_id: int, stream: str, through: int, refused: bytes | None) -> None:
        """Set the position of a stream."""
        self.values += (STREAM, owner_id, stream, through, refused, None, None)

    def add_resend(self, caller: str, key: str, fingerprint: bytes, answer: bytes, at: int) -> None:
        """Record a resend key; a key that is there already makes the statement fail."""
        self.values += (RESEND, caller, key, fingerprint, answer, at, None)

    def add_next_id(self, next_id: int) -> None:
        """Set the counter of ids."""
        self.values += (NEXT_ID, next_id, None, None, None, None, None)

    def add_epoch(self, epoch: int) -> None:
        """Make the statement fail when another writer has been there since this epoch began."""
        self.values += (EPOCH, epoch, None, None, None, None, None)

    def write(self) -> None:
        """Write everything, at most :data:`MOST_ROWS` rows with a statement for all tables."""
        values = self.values
        step = MOST_ROWS * COLUMNS
        first = self._write_readings() if len(values) > step else 0
        for start in range(first, len(values), step):
            part = values if len(values) <= step else values[start : start + step]
            self._execute(_INSERT[len(part) // COLUMNS - 1], part)
        values.clear()

    def _write_readings(self) -> int:
        """Write readings past the view, whose triggers take thrice as long; return where to go on.

        The newest of a sensor and what does not fill a statement is left for the view.
        """
        values = self.values
        kinds = values[::COLUMNS]
        count = next((row for row, kind in enumerate(kinds) if kind != READING), len(kinds))
        rows: list[Any] = [None] * (count * _READING_COLUMNS)
        for column in range(_READING_COLUMNS):
            rows[column::_READING_COLUMNS] = values[column + 1 : count * COLUMNS : COLUMNS]
        done = 0
        for size, statement in _INSERT_READINGS:
            while count - done >= size:
                start = done * _READING_COLUMNS
                self._execute(statement, rows[start : start + size * _READING_COLUMNS])
                done += size
        return done * COLUMNS
