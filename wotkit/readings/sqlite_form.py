"""Has SQLite put together the JSON of readings, which it does without the interpreter lock.

SQLite's own functions for times are slow, so the text of a time is looked up in temporary tables
of the connection: the hour, the minute with its second, and the milliseconds. An hour is learned
when a query meets it for the first time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

HOURS: Final = 20_000
"""Hours that a connection remembers before it begins anew."""

_HOUR: Final = "ts / 3600000000"
_TABLES: Final = (
    "PRAGMA temp_store = MEMORY",
    "CREATE TEMP TABLE hour_text (n INTEGER PRIMARY KEY, t TEXT NOT NULL)",
    "CREATE TEMP TABLE second_text (n INTEGER PRIMARY KEY, t TEXT NOT NULL)",
    "CREATE TEMP TABLE milli_text (n INTEGER PRIMARY KEY, t TEXT NOT NULL)",
    """WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < 3599)
    INSERT INTO second_text SELECT n, printf('%02d:%02d.', n / 60, n % 60) FROM c""",
    """WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < 999)
    INSERT INTO milli_text SELECT n, printf('%03dZ",', n) FROM c""",
)

_FRACTION: Final = (
    "CASE WHEN ts % 1000 THEN substr(1000000 + ts % 1000000, 2) || 'Z\",' ELSE m.t END"
)
_NEW_HOUR: Final = 1
_NOT_HERE: Final = 2
"""What an answer lacks: the text of an hour, or a form that is Python's to make."""
_LACK: Final = (
    f"max(CASE WHEN ts < 0 OR length(data) < 3 THEN {_NOT_HERE} "
    f"WHEN h.t IS NULL THEN {_NEW_HOUR} ELSE 0 END)"
)


def prepare(connection: sqlite3.Connection) -> None:
    """Make the temporary tables of a connection that is to be one for reading."""
    for statement in _TABLES:
        connection.execute(statement)


def json_list(
    connection: sqlite3.Connection,
    query: tuple[str, Sequence[Any]],
    more: tuple[str, Sequence[Any]],
    label: str,
) -> tuple[bytes, bool] | None:
    """Return the list that :func:`wotkit.readings.form.json_list` does, and whether more follow.

    None where that is to be made in Python: before 1970, and where a reading has no fields.

    Args:
        connection: one for reading, prepared.
        query: SQL of time, id and data, in order, and its values.
        more: a condition that holds when more follow, and its values.
        label: as there.
    """
    sql = (
        "SELECT CAST('[{\"id\":' || group_concat("  # noqa: S608  # of a query that the store made
        f"id || ? || h.t || s.t || {_FRACTION} || substr(data, 2), ',{{\"id\":') || ']' AS BLOB), "
        f"{_LACK}, {more[0]} FROM ({query[0]}) "
        f"LEFT JOIN temp.hour_text h ON h.n = {_HOUR} "
        "LEFT JOIN temp.second_text s ON s.n = ts / 1000000 % 3600 "
        "LEFT JOIN temp.milli_text m ON m.n = ts / 1000 % 1000"
    )
    values = (f'{label},"timestamp":"', *more[1], *query[1])
    body, lack, follow = connection.execute(sql, values).fetchone()
    if lack == _NEW_HOUR:
        _learn_hours(connection, *query)
        body, lack, follow = connection.execute(sql, values).fetchone()
    return None if lack else (body or b"[]", bool(follow))


def _learn_hours(connection: sqlite3.Connection, sql: str, values: Sequence[Any]) -> None:
    learn = (
        "INSERT OR IGNORE INTO temp.hour_text "  # noqa: S608  # as above
        "SELECT n, strftime('%Y-%m-%dT%H:', n * 3600, 'unixepoch') "
        f"FROM (SELECT DISTINCT {_HOUR} AS n FROM ({sql}))"
    )
    (known,) = connection.execute("SELECT count(*) FROM temp.hour_text").fetchone()
    connection.execute("PRAGMA query_only = 0")  # temporary tables are no exception
    try:
        if known > HOURS:
            connection.execute("DELETE FROM temp.hour_text")
        connection.execute(learn, values)
    finally:
        connection.execute("PRAGMA query_only = 1")
