"""The statements that move readings: in, out, to the dead letters, back to the end.

All but `prepare` belong into a transaction that is open. Raises sqlite3.DatabaseError.
"""

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence

from gateway_agent.reading import Reading
from gateway_agent.spool.records import Settlement, storable


def prepare(db: sqlite3.Connection) -> None:
    """Add what a file of an older agent lacks: the offset of a boot's clock, in microseconds."""
    if "offset_us" not in {column[1] for column in db.execute("PRAGMA table_info(boot)")}:
        db.execute("ALTER TABLE boot ADD COLUMN offset_us INTEGER")


class Boots:
    """Inserts readings, with the numbers of the boots that they were measured in."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._numbers: dict[str, int] = {}

    def forget(self) -> None:
        """The transaction was undone, and numbers with it."""
        self._numbers.clear()

    def insert(self, readings: Sequence[Reading], tally: Counter[str]) -> None:
        """Append readings."""
        self._db.executemany(
            "INSERT INTO reading (sensor, wall_us, boot_us, boot, synced, fields)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                (
                    reading.sensor,
                    reading.stamp.wall_us,
                    reading.stamp.boot_us,
                    self._number(reading.stamp.boot_id),
                    int(reading.stamp.synced),
                    reading.fields,
                )
                for reading in readings
            ),
        )
        tally.update(added=len(readings), committed=len(readings))

    def save_offsets(self, offsets: Mapping[str, int]) -> None:
        """Write down how far wall time is from the time since these boots, in microseconds."""
        for boot_id, offset_us in offsets.items():
            self._db.execute(
                "UPDATE boot SET offset_us = ? WHERE id = ?", (offset_us, self._number(boot_id))
            )

    def _number(self, boot_id: str) -> int:
        if boot_id not in self._numbers:
            self._db.execute("INSERT OR IGNORE INTO boot (boot_id) VALUES (?)", (boot_id,))
            sql = "SELECT id FROM boot WHERE boot_id = ?"
            self._numbers[boot_id] = self._db.execute(sql, (boot_id,)).fetchone()[0]
        return self._numbers[boot_id]


def settle(db: sqlite3.Connection, settlement: Settlement, tally: Counter[str]) -> None:
    """Do with readings what the platform decided."""
    through = settlement.through
    stayed = 0
    for seq in sorted(settlement.respool):
        moved = db.execute(
            "INSERT INTO reading (sensor, wall_us, boot_us, boot, synced, tries, fields)"
            " SELECT sensor, wall_us, boot_us, boot, synced, tries + 1, fields"
            " FROM reading WHERE seq = ? AND seq <= ?",
            (seq, through),
        ).rowcount
        tally.update(added=moved, respooled=moved)
        stayed += moved
    for seq, refusal in sorted(settlement.refused.items()):
        moved = db.execute(
            "INSERT INTO dead_letter"
            " (seq, sensor, wall_us, boot_us, boot, synced, fields, code, message)"
            " SELECT seq, sensor, wall_us, boot_us, boot, synced, fields, ?, ?"
            " FROM reading WHERE seq = ? AND seq <= ?",
            (storable(refusal.code), storable(refusal.message), seq, through),
        ).rowcount
        tally["dead"] += moved
        stayed += moved
    removed = db.execute("DELETE FROM reading WHERE seq <= ?", (through,)).rowcount
    tally.update(removed=removed, acknowledged=removed - stayed)


def drop_dead_letters(db: sqlite3.Connection, count: int) -> int:
    """Delete the oldest dead letters; how many there were."""
    return db.execute(
        "DELETE FROM dead_letter WHERE id IN (SELECT id FROM dead_letter ORDER BY id LIMIT ?)",
        (count,),
    ).rowcount


def drop_readings(db: sqlite3.Connection, count: int) -> int:
    """Delete the oldest readings; how many there were."""
    return db.execute(
        "DELETE FROM reading WHERE seq IN (SELECT seq FROM reading ORDER BY seq LIMIT ?)",
        (count,),
    ).rowcount
