"""The journal of commands: written before acting, so that each is carried out at most once."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_KEPT: Final = 2000
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS command (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    detail TEXT NOT NULL,
    reported INTEGER NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """What became of a command; `reported` is the last state that the platform was told."""

    key: str
    state: str
    detail: str = ""
    reported: bool = False


def prepare(db: sqlite3.Connection) -> None:
    """Make the table where an older agent made the file. Raises sqlite3.DatabaseError."""
    found = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'command'").fetchone()
    if found is None:
        db.execute(SCHEMA)


def load(db: sqlite3.Connection) -> dict[str, JournalEntry]:
    """Every entry, oldest first."""
    rows = db.execute("SELECT key, state, detail, reported FROM command ORDER BY number")
    return {row[0]: JournalEntry(row[0], row[1], row[2], bool(row[3])) for row in rows}


def write(db: sqlite3.Connection, entries: Iterable[JournalEntry]) -> None:
    """Write entries in the transaction that is open; the oldest go beyond the newest 2000."""
    rows = [(e.key, e.state, e.detail, int(e.reported)) for e in entries]
    if not rows:
        return
    db.executemany(
        "INSERT INTO command (key, state, detail, reported) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (key) DO UPDATE SET state = excluded.state, detail = excluded.detail,"
        " reported = excluded.reported",
        rows,
    )
    # Not by the newest number: an update takes a number too, and leaves it unused.
    db.execute(
        "DELETE FROM command WHERE number <="
        " (SELECT number FROM command ORDER BY number DESC LIMIT 1 OFFSET ?)",
        (_KEPT,),
    )


def merge(known: dict[str, JournalEntry], entries: Iterable[JournalEntry]) -> None:
    """Do in memory, oldest first, what `write` does on disk."""
    known.update((entry.key, entry) for entry in entries)
    if len(known) > _KEPT:
        for key in list(known)[: len(known) - _KEPT]:
            del known[key]
