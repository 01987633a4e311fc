"""Casts the stored values of a field that was declared after readings carried it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from wotkit import strict_json
from wotkit.readings import store

if TYPE_CHECKING:
    import sqlite3

CAST_ROWS: Final = 20_000
"""Readings looked at in one transaction."""

_OF_SENSOR: Final = "FROM reading WHERE sensor_id = ?"


def cast_part(
    connection: sqlite3.Connection, operation: store.CastField
) -> tuple[int, store.CastField | None]:
    """Cast the next readings; return how many have changed, and what is left to do."""
    sensor_id, name = operation.sensor_id, operation.field
    after, bounds = "", [sensor_id]
    if operation.after is not None:
        after, bounds = " AND (ts, id) > (?, ?)", [sensor_id, *operation.after]
    last = connection.execute(
        f"SELECT ts, id {_OF_SENSOR}{after} ORDER BY ts, id LIMIT 1 OFFSET ?",
        [*bounds, CAST_ROWS - 1],
    ).fetchone()
    through = ""
    if last is not None:
        through, bounds = " AND (ts, id) <= (?, ?)", [*bounds, *last]
    rows = connection.execute(
        f"SELECT ts, id, data {_OF_SENSOR}{after}{through} AND instr(data, ?)",
        [*bounds, strict_json.encode(name) + b":"],
    )
    changes: list[tuple[bytes, int, int, int]] = []
    for ts, reading_id, data in rows:
        values = strict_json.decode(data)
        if _cast_in(values, name, number=operation.number):
            changes.append((strict_json.encode(values), sensor_id, ts, reading_id))
    connection.executemany(
        "UPDATE reading SET data = ? WHERE sensor_id = ? AND ts = ? AND id = ?", changes
    )
    rest = None if last is None else msgspec.structs.replace(operation, after=last)
    return len(changes), rest


def _cast_in(values: dict[str, Any], name: str, *, number: bool) -> bool:
    """Cast one value in place; return whether it has changed."""
    old = values.get(name)
    if old is None:
        return False
    new = store.cast(old, number=number)
    if new is None or (type(new) is type(old) and new == old):
        return False
    values[name] = new
    return True
