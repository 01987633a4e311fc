"""Finds readings by the order in which they were stored: their ids only rise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from wotkit.readings.store import Arrival, Arrivals

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Sequence

_integers: Final = msgspec.json.Decoder(list[int]).decode

PAGE_BYTES: Final = 4 << 20
"""Of data that is answered at a time, if one reading has not more."""

_LAST: Final = "SELECT coalesce(max(id), 0) FROM reading"
_NEXT: Final = "FROM reading INDEXED BY reading_id WHERE id > ? ORDER BY id LIMIT ?"
"""Of an index that holds the whole key: other sensors' readings are passed over unread."""
_THROUGH: Final = f"SELECT count(*), max(id) FROM (SELECT id {_NEXT})"  # noqa: S608  # made here
_WANTED: Final = " WHERE near.sensor_id IN (SELECT value FROM json_each(?))"


def last_id(connection: sqlite3.Connection) -> int:
    """Return the id of the reading that was stored last, of those there are; 0 without any."""
    (found,) = connection.execute(_LAST).fetchone()
    return int(found)


def since(
    connection: sqlite3.Connection, after: int, most: int, sensor_ids: Collection[int] | None
) -> Arrivals:
    """Do as :meth:`wotkit.readings.store.Store.since`."""
    count, through = connection.execute(_THROUGH, (after, most)).fetchone()
    if not count:
        return Arrivals([], after, more=False)
    more = count == most
    rows, values = _rows(after, most, sensor_ids)
    ids, sizes = connection.execute(
        f"SELECT group_concat(i), group_concat(length(d)) FROM ({rows})",  # noqa: S608  # made here
        values,
    ).fetchone()
    if ids is None:
        return Arrivals([], through, more)
    found, wanted = _integers(f"[{ids}]"), _how_many(_integers(f"[{sizes}]"))
    if wanted < len(found):
        through, more = found[wanted - 1], True
    readings = _read(connection, f"{rows} LIMIT {wanted}", values)
    # another process may have stored more between the statements
    return Arrivals(readings, max(through, readings[-1].id if readings else 0), more)


def _how_many(sizes: Sequence[int]) -> int:
    """Return how many readings are enough for a page, at least one."""
    total = 0
    for number, size in enumerate(sizes, 1):
        total += size
        if total >= PAGE_BYTES:
            return number
    return len(sizes)


def _rows(after: int, most: int, sensor_ids: Collection[int] | None) -> tuple[str, list[Any]]:
    """Return the query of readings in their order, and its values."""
    values: list[Any] = [after, most]
    condition = ""
    if sensor_ids is not None:
        condition = _WANTED
        values.append("[{}]".format(",".join(map(str, sensor_ids))))
    sql = (
        "SELECT reading.sensor_id AS s, reading.ts AS t, reading.id AS i, reading.data AS d "  # noqa: S608  # made here
        f"FROM (SELECT sensor_id, ts, id {_NEXT}) AS near CROSS JOIN reading USING "
        f"(sensor_id, ts, id){condition} ORDER BY near.id"
    )
    return sql, values


def _read(connection: sqlite3.Connection, rows: str, values: list[Any]) -> list[Arrival]:
    """Return the rows; out of SQLite they come as one, as in :mod:`wotkit.readings.sqlite`."""
    sensors, ts, ids, data = connection.execute(
        "SELECT group_concat(s), group_concat(t), group_concat(i), "  # noqa: S608  # made here
        f"CAST(group_concat(d, char(10)) AS BLOB) FROM ({rows})",
        values,
    ).fetchone()
    if sensors is None:
        return []
    columns = (*(_integers(f"[{each}]") for each in (sensors, ts, ids)), data.split(b"\n"))
    return list(map(Arrival._make, zip(*columns, strict=True)))
