"""What of a query the readings store can do, so that less is read and evaluated here."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from wotkit.gviz.evaluate import Groups, aggregates_of, is_grouped
from wotkit.gviz.functions import finite
from wotkit.gviz.syntax import (
    AllOf,
    Call,
    Column,
    Comparison,
    Condition,
    Expression,
    Literal,
    Query,
    Type,
)
from wotkit.readings.store import LAST_ID, FieldColumn, FieldTest, Range, TimePart

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wotkit.gviz.syntax import Value
    from wotkit.readings.store import Summary

TIMESTAMP: Final = Column("timestamp")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_MICROSECOND: Final = timedelta(microseconds=1)
_FLIPPED: Final = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_PARTS: Final = {
    "year": TimePart.YEAR,
    "month": TimePart.MONTH,
    "day": TimePart.DAY,
    "hour": TimePart.HOUR,
    "minute": TimePart.MINUTE,
    "toDate": TimePart.DATE,
}


class Plan(Struct, frozen=True, kw_only=True):
    """What the store is asked; whatever it does, the query holds for what it answers."""

    what: Range
    tests: tuple[FieldTest, ...]
    complete: bool
    """Whether bounds and tests say all that WHERE says."""
    keys: tuple[FieldColumn | TimePart, ...] | None = None
    """What to group by, for GROUP BY and then PIVOT; None: the readings themselves are needed."""
    fields: tuple[FieldColumn, ...] = ()
    """The fields that are aggregated."""


def plan(query: Query, what: Range, fields: Mapping[str, FieldColumn]) -> Plan:
    """Return what to ask the store for a query over a whole range.

    Args:
        query: what is asked, and was checked.
        what: the range, which has neither an offset nor is part of another one.
        fields: the columns that are fields of the sensor, by name.
    """
    bounds: list[tuple[str, int]] = []
    tests: list[FieldTest] = []
    complete = True
    for condition in _conjuncts(query.where):
        found = _pushed(condition, fields)
        if found is None:
            complete = False
        elif isinstance(found, FieldTest):
            tests.append(found)
        else:
            bounds.append(found)
    what = _within(what, bounds)
    grouped = _grouped(query, fields) if complete else None
    if grouped is not None:
        keys, columns = grouped
        return Plan(what=what, tests=tuple(tests), complete=True, keys=keys, fields=columns)
    if complete and not is_grouped(query) and query.limit is not None:
        what = _first(query, what)
    return Plan(what=what, tests=tuple(tests), complete=complete)


def groups(query: Query, planned: Plan, summaries: Iterable[Summary]) -> Groups:
    """Return what the store answered as the groups of a query."""
    assert planned.keys is not None
    count = len(query.group)
    found: Groups = {}
    for summary in summaries:
        keys = tuple(map(_key, planned.keys, summary.keys))
        values = tuple(
            _value(each.function, each.column, planned.fields, summary)
            for each in aggregates_of(query)
        )
        found.setdefault(keys[:count], {})[keys[count:]] = values
    return found


def _conjuncts(condition: Condition | None) -> Iterable[Condition]:
    if isinstance(condition, AllOf):
        for part in condition.parts:
            yield from _conjuncts(part)
    elif condition is not None:
        yield condition


def _pushed(
    condition: Condition, fields: Mapping[str, FieldColumn]
) -> tuple[str, int] | FieldTest | None:
    """Return a condition as a bound of time or as a test of a field, if it is one."""
    if not isinstance(condition, Comparison):
        return None
    left, right, compared = condition.left, condition.right, condition.operator
    if isinstance(left, Literal) and compared in _FLIPPED:
        left, right, compared = right, left, _FLIPPED[compared]
    if not isinstance(left, Column) or not isinstance(right, Literal):
        return None
    if left == TIMESTAMP and compared != "!=":
        return compared, _micros(right)
    field = fields.get(left.id)
    if field is None or not field.plain or compared not in {*_FLIPPED, "contains"}:
        return None
    value = right.value
    if not isinstance(value, str | int | float) or (isinstance(value, str) and "\0" in value):
        return None
    return FieldTest(field, compared, value)


def _within(what: Range, bounds: Iterable[tuple[str, int]]) -> Range:
    """Return the range narrowed by comparisons with its time."""
    after, through = what.after, what.through
    for compared, ts in bounds:
        if compared in {">", ">=", "="}:
            low = (ts if compared == ">" else ts - 1, LAST_ID)
            after = low if after is None else max(after, low)
        if compared in {"<", "<=", "="}:
            high = (ts - 1 if compared == "<" else ts, LAST_ID)
            through = high if through is None else min(through, high)
    return Range(
        sensor_id=what.sensor_id,
        after=after,
        through=through,
        reverse=what.reverse,
        limit=what.limit,
    )


def _first(query: Query, what: Range) -> Range:
    """Return the range with no more readings than the answer has, if their order is that of time.

    Of readings of one instant at its end, any may be left out.
    """
    if len(query.order) > 1 or (query.order and query.order[0].by != TIMESTAMP):
        return what
    most = query.offset + (query.limit or 0)
    return Range(
        sensor_id=what.sensor_id,
        after=what.after,
        through=what.through,
        reverse=query.order[0].descending if query.order else what.reverse,
        limit=most if what.limit is None else min(what.limit, most),
    )


def _grouped(
    query: Query, fields: Mapping[str, FieldColumn]
) -> tuple[tuple[FieldColumn | TimePart, ...], tuple[FieldColumn, ...]] | None:
    """Return the keys and the fields of a query's groups, if the store can make them."""
    if not is_grouped(query):
        return None
    keys: list[FieldColumn | TimePart] = []
    for expression in (*query.group, *query.pivot):
        key = _key_of(expression, fields)
        if key is None:
            return None
        keys.append(key)
    columns: dict[FieldColumn, None] = {}
    for each in aggregates_of(query):
        if each.column == TIMESTAMP:
            continue
        field = fields.get(each.column.id)
        if field is None or not field.plain:
            return None
        columns[field] = None
    return tuple(keys), tuple(columns)


def _key_of(
    expression: Expression, fields: Mapping[str, FieldColumn]
) -> FieldColumn | TimePart | None:
    if isinstance(expression, Call) and expression.arguments == (TIMESTAMP,):
        return _PARTS.get(expression.function)
    field = fields.get(expression.id) if isinstance(expression, Column) else None
    return field if field is not None and field.plain else None


def _key(key: FieldColumn | TimePart, value: Any) -> Value:
    if key is TimePart.DATE:
        return (_EPOCH + timedelta(days=value)).date()
    found: Value = value
    return found


def _value(function: str, column: Column, fields: Sequence[FieldColumn], summary: Summary) -> Value:
    """Return an aggregation's value out of a summary."""
    if column == TIMESTAMP:
        if function == "count":
            return summary.readings
        ts = summary.first if function == "min" else summary.last
        return None if ts is None else _EPOCH + ts * _MICROSECOND
    at = next(at for at, field in enumerate(fields) if field.name == column.id)
    found = summary.fields[at]
    if function == "count":
        return found.values
    if not found.values:
        return None
    if function in {"min", "max"}:
        extreme: Value = found.least if function == "min" else found.greatest
        return extreme
    return finite(found.total if function == "sum" else found.total / found.values)


def _micros(literal: Literal) -> int:
    value = literal.value
    assert isinstance(value, date)
    if literal.type is Type.DATE:
        value = datetime.combine(value, time())
    assert isinstance(value, datetime)
    return (value - _EPOCH) // _MICROSECOND
