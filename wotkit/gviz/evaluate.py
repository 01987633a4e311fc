"""Evaluates a query over a table in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wotkit.gviz import checks, patterns
from wotkit.gviz.compile import Compiler
from wotkit.gviz.errors import ProtocolError
from wotkit.gviz.functions import finite
from wotkit.gviz.printing import column_id, column_label
from wotkit.gviz.syntax import Column, Expression, Query, Sort, aggregates_in
from wotkit.gviz.table import Row, Table, TableColumn
from wotkit.gviz.texts import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from wotkit.gviz.syntax import Type, Value

MOST_COLUMNS: Final = 1_000
"""Columns a pivot may make."""
MOST_CELLS: Final = 1_000_000
"""Cells of a pivoted table."""

Keys = tuple[Any, ...]


def evaluate(query: Query, table: Table, now: datetime) -> Table:
    """Return the table that a query asks for.

    Args:
        query: what is asked.
        table: the whole table it is asked about.
        now: what the function ``now()`` answers.

    Raises:
        InvalidTableQuery: the query makes no sense for this table.
        ProtocolError: its answer is too large.
    """
    types = {column.id: column.type for column in table.columns}
    checks.check(query, types)
    titles = _Titles(query, table, types)
    compiler = Compiler(_places(table), now)
    rows: Sequence[Row] = table.rows
    if query.where is not None:
        rows = list(filter(compiler.condition(query.where), rows))
    if any(aggregates_in(each) for each in query.select or ()):
        return _Grouping(query, compiler, titles, now).table(rows)
    rows = _part(query, _ordered(query.order, compiler, rows))
    if query.select is None:
        columns = [titles.column(Column(each.id)) for each in table.columns]
        return Table(columns, rows, query.no_values)
    cells = [compiler.expression(each) for each in query.select]
    return Table(
        [titles.column(each) for each in query.select],
        [[cell(row) for cell in cells] for row in rows],
        query.no_values,
    )


def columns_of(query: Query, table: Table) -> set[str]:
    """Return the ids of the table's columns that a query has any use for."""
    if query.select is None:
        return {column.id for column in table.columns}
    return checks.columns_in(query)


class _Titles:
    """How the columns of the answer are called and formatted."""

    def __init__(self, query: Query, table: Table, types: dict[str, Type]) -> None:
        self._types = types
        self._labels = {column.id: column.label for column in table.columns}
        self._given = dict(query.labels)
        self._patterns = {} if query.no_format else dict(query.formats)
        for expression, pattern in query.formats:
            patterns.compile_pattern(checks.type_of(expression, types), pattern)

    def column(
        self, expression: Expression, pivoted: str | None = None, *, alone: bool = False
    ) -> TableColumn:
        """Return the column of an expression.

        Args:
            expression: what it shows.
            pivoted: the values of the pivot that it is for.
            alone: whether only one column is made for these values, which are its label then.
        """
        made = column_id(expression)
        given = self._given.get(expression)
        label = column_label(expression, self._labels) if given is None else given
        if pivoted is not None:
            made = f"{pivoted} {made}"
            label = pivoted if alone and not given else f"{pivoted} {label}".strip()
        kind = checks.type_of(expression, self._types)
        pattern = self._patterns.get(expression)
        form = None if pattern is None else patterns.compile_pattern(kind, pattern)
        return TableColumn(made, kind, label, pattern, form)


class _Grouping:
    """Evaluates a query with aggregations."""

    def __init__(self, query: Query, compiler: Compiler, titles: _Titles, now: datetime) -> None:
        self._query = query
        self._titles = titles
        self._group = [compiler.expression(each) for each in query.group]
        self._pivot = [compiler.expression(each) for each in query.pivot]
        selected = query.select or ()
        found = dict.fromkeys(each for part in selected for each in aggregates_in(part))
        self._aggregates = [(compiler.expression(each.column), each.function) for each in found]
        places = {each: place for place, each in enumerate((*query.group, *found))}
        self._compiler = Compiler(places, now)

    def table(self, rows: Iterable[Row]) -> Table:
        """Return the answer: a row for each group, in the order of its keys or as asked."""
        buckets: dict[Keys, dict[Keys, list[Row]]] = {}
        for row in rows:
            keys = tuple(key(row) for key in self._group)
            pivot = tuple(key(row) for key in self._pivot)
            buckets.setdefault(keys, {}).setdefault(pivot, []).append(row)
        if not buckets and not self._group and not self._pivot:
            buckets[()] = {(): []}
        pivots = sorted({pivot for parts in buckets.values() for pivot in parts}, key=_rank)
        columns = self._columns(pivots)
        if len(columns) > MOST_COLUMNS or len(columns) * len(buckets) > MOST_CELLS:
            raise ProtocolError("other", f"the pivot makes a table of {len(columns)} columns")
        groups = [self._aggregated(keys, buckets[keys]) for keys in sorted(buckets, key=_rank)]
        first = pivots[0] if pivots else ()
        nothing = (None,) * len(self._aggregates)
        order = [(self._compiler.expression(key.by), key.descending) for key in self._query.order]
        for value, descending in reversed(order):
            groups.sort(
                key=lambda group, value=value: _rank(  # type: ignore[misc]  # mypy infers no lambda defaults
                    (value((*group[0], *group[1].get(first, nothing))),)
                ),
                reverse=descending,
            )
        cells = [(pivot, self._compiler.expression(each)) for pivot, each in columns]
        answer = [
            [cell((*keys, *parts.get(pivot, nothing))) for pivot, cell in cells]
            for keys, parts in _part(self._query, groups)
        ]
        return Table(self._titled(columns), answer, self._query.no_values)

    def _columns(self, pivots: list[Keys]) -> list[tuple[Keys, Expression]]:
        """Return the columns of the answer: those with an aggregation once for each pivot."""
        found: list[tuple[Keys, Expression]] = []
        for selected in self._query.select or ():
            if self._pivot and aggregates_in(selected):
                found += [(pivot, selected) for pivot in pivots]
            else:
                found.append(((), selected))
        return found

    def _titled(self, columns: list[tuple[Keys, Expression]]) -> list[TableColumn]:
        alone = sum(bool(aggregates_in(each)) for each in self._query.select or ()) == 1
        return [
            self._titles.column(each, ",".join(map(_shown, pivot)) if pivot else None, alone=alone)
            for pivot, each in columns
        ]

    def _aggregated(
        self, keys: Keys, parts: dict[Keys, list[Row]]
    ) -> tuple[Keys, dict[Keys, Keys]]:
        return keys, {
            pivot: tuple(_aggregate(name, value, rows) for value, name in self._aggregates)
            for pivot, rows in parts.items()
        }


def _aggregate(name: str, value: Callable[[Row], Any], rows: Iterable[Row]) -> Value:
    values = [each for each in map(value, rows) if each is not None]
    if name == "count":
        return len(values)
    if not values:
        return None
    if name in {"min", "max"}:
        found: Value = min(values) if name == "min" else max(values)
        return found
    total = sum(map(float, values))
    return finite(total if name == "sum" else total / len(values))


def _places(table: Table) -> dict[Expression, int]:
    return {Column(column.id): place for place, column in enumerate(table.columns)}


def _ordered(order: Iterable[Sort], compiler: Compiler, rows: Sequence[Row]) -> Sequence[Row]:
    for key in reversed(tuple(order)):
        value = compiler.expression(key.by)
        rows = sorted(rows, key=lambda row: _rank((value(row),)), reverse=key.descending)
    return rows


def _rank(keys: Iterable[Any]) -> tuple[tuple[bool, Any], ...]:
    """Return a key to sort by, in which null comes first."""
    return tuple((key is not None, key) for key in keys)


def _part(query: Query, rows: Sequence[Any]) -> Sequence[Any]:
    end = None if query.limit is None else query.offset + query.limit
    return rows[query.offset : end]


def _shown(value: Value) -> str:
    return "null" if value is None else plain(value)
