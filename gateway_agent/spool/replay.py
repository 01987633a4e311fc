"""Puts dead letters back among the readings, for when what refused them was mended."""

import sqlite3
from pathlib import Path
from urllib.parse import quote

_COLUMNS = "sensor, wall_us, boot_us, boot, synced, fields"


def replay_dead_letters(path: Path, since_us: int = 0) -> int:
    """Have dead letters measured since then sent again, under new numbers; how many they are.

    Only while no agent has the spool. Raises sqlite3.Error, with nothing changed.
    """
    db = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw", uri=True, timeout=5, isolation_level=None
    )
    try:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN IMMEDIATE")
        moved = db.execute(
            f"INSERT INTO reading ({_COLUMNS}) SELECT {_COLUMNS} FROM dead_letter"  # noqa: S608 - constants
            " WHERE wall_us >= ? ORDER BY id",
            (since_us,),
        ).rowcount
        db.execute("DELETE FROM dead_letter WHERE wall_us >= ?", (since_us,))
        db.execute(
            "INSERT INTO counter VALUES ('replayed', ?)"
            " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            (moved,),
        )
        db.execute("COMMIT")
    finally:
        db.close()
    return moved
