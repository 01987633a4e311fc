"""What tables ask of readings, as SQL over the JSON of their fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wotkit.readings.store import FieldColumn, FieldSummary, Summary, TimePart

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from wotkit.readings.store import FieldTest, Range

_BODY: Final = "CAST(data AS TEXT)"
_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND
_ORDERS: Final = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


def _floor(size: int) -> str:
    """Return the SQL of a time divided by ``size`` and rounded down, also before 1970."""
    return f"((ts - ((ts % {size}) + {size}) % {size}) / {size})"


def _calendar(letter: str) -> str:
    return f"CAST(strftime('%{letter}', {_floor(_SECOND)}, 'unixepoch') AS INTEGER)"


_PARTS: Final[dict[TimePart, str]] = {
    TimePart.YEAR: _calendar("Y"),
    TimePart.MONTH: f"({_calendar('m')} - 1)",
    TimePart.DAY: _calendar("d"),
    TimePart.HOUR: _calendar("H"),
    TimePart.MINUTE: _calendar("M"),
    TimePart.DATE: _floor(_DAY),
}


def select_where(what: Range, tests: Sequence[FieldTest]) -> tuple[str, list[Any]]:
    """Return the query of time, id and data of the readings that pass all tests."""
    conditions, values = _conditions(what, tests)
    order = "ts DESC, id DESC" if what.reverse else "ts, id"
    limit = -1 if what.limit is None else what.limit
    sql = f"SELECT ts, id, data FROM reading WHERE {conditions} ORDER BY {order} LIMIT ?"  # noqa: S608  # no value is put in
    return sql, [*values, limit]


def summarize(
    connection: sqlite3.Connection,
    what: Range,
    tests: Sequence[FieldTest],
    keys: Sequence[FieldColumn | TimePart],
    fields: Sequence[FieldColumn],
    most: int,
) -> list[Summary]:
    """Return a summary for each combination of keys; see ``Store.summarize``."""
    values: list[Any] = []
    inner = [
        f"{_PARTS[key] if isinstance(key, TimePart) else _value(key, values)} AS k{at}"
        for at, key in enumerate(keys)
    ]
    inner += [f"{_value(field, values)} AS v{at}" for at, field in enumerate(fields)]
    conditions, bound = _conditions(what, tests)
    names = [f"k{at}" for at in range(len(keys))]
    columns = [*names, "count(*)", "min(ts)", "max(ts)"]
    for at, field in enumerate(fields):
        functions = ("count", "total" if field.number else "count", "min", "max")
        columns += [f"{function}(v{at})" for function in functions]
    # with a limit the inner query stays one of its own, which reads the JSON of a field once
    sql = (
        f"SELECT {', '.join(columns)} FROM (SELECT {', '.join(['ts', *inner])} "  # noqa: S608  # as above
        f"FROM reading WHERE {conditions} LIMIT -1)"
    )
    if names:
        sql += f" GROUP BY {', '.join(names)}"
    found = connection.execute(f"{sql} LIMIT ?", [*values, *bound, most])
    return [_summary(row, len(keys)) for row in found]


def _summary(row: tuple[Any, ...], keys: int) -> Summary:
    rest = row[keys + 3 :]
    return Summary(
        keys=row[:keys],
        readings=row[keys],
        first=row[keys + 1],
        last=row[keys + 2],
        fields=tuple(FieldSummary(*rest[at : at + 4]) for at in range(0, len(rest), 4)),
    )


def _conditions(what: Range, tests: Sequence[FieldTest]) -> tuple[str, list[Any]]:
    conditions = ["sensor_id = ?"]
    values: list[Any] = [what.sensor_id]
    if what.after is not None:
        conditions.append("(ts, id) > (?, ?)")
        values += what.after
    if what.through is not None:
        conditions.append("(ts, id) <= (?, ?)")
        values += what.through
    conditions += [_test(test, values) for test in tests]
    return " AND ".join(conditions), values


def _test(test: FieldTest, values: list[Any]) -> str:
    """Return the condition of a test; it is never true where the field has no value."""
    sql = _value(test.field, values)
    values.append(test.value)
    if test.operator == "contains":
        return f"instr({sql}, ?) > 0"
    return f"{sql} {_ORDERS[test.operator]} ?"


def _value(field: FieldColumn, values: list[Any]) -> str:
    """Return the SQL of a field's value, null where it is missing or of another type."""
    path = f'$."{field.name}"'
    values += (path, path)
    types = "'integer', 'real'" if field.number else "'text'"
    return f"CASE WHEN json_type({_BODY}, ?) IN ({types}) THEN json_extract({_BODY}, ?) END"
