"""The sender's own view of a spool file, beside the writer's."""

import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

from gateway_agent.spool.records import Row

_ROW_OVERHEAD: Final = 100
"""Characters around the fields of a reading when it is sent."""


class SpoolReader:
    """Reads what is committed, without ever holding the writer up. One thread at a time."""

    def __init__(self, path: Path) -> None:
        """Raises sqlite3.Error when the file is not there or cannot be read."""
        address = f"file:{quote(str(path))}?mode=rw"
        self._db = sqlite3.connect(
            address, uri=True, timeout=5, isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA query_only = 1")
        self._db.execute("PRAGMA cache_size = -512")

    def rows_after(self, seq: int, limit: int, max_bytes: int) -> list[Row]:
        """The oldest readings behind `seq`: at most `limit`, and about `max_bytes` when sent.

        One reading comes even when it alone is larger. Raises sqlite3.DatabaseError.
        """
        cursor = self._db.execute(
            "SELECT seq, sensor, wall_us, fields, tries, synced, boot_us, boot_id, offset_us"
            " FROM reading JOIN boot ON boot.id = reading.boot"
            " WHERE seq > ? ORDER BY seq LIMIT ?",
            (seq, limit),
        )
        rows: list[Row] = []
        size = 0
        try:
            for found in cursor:
                row = _row(*found)
                size += len(row.fields) + _ROW_OVERHEAD
                if rows and size > max_bytes:
                    break
                rows.append(row)
        finally:
            cursor.close()
        return rows

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()


def _row(
    seq: int,
    sensor: str,
    wall_us: int,
    fields: str,
    tries: int,
    synced: int,
    boot_us: int,
    boot_id: str,
    offset_us: int | None,
) -> Row:
    return Row(seq, sensor, wall_us, fields, tries, bool(synced), boot_us, boot_id, offset_us)
