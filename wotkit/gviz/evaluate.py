"""Evaluates a query over a table in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from wotkit.gviz import checks, patterns
from wotkit.gviz.compile import Compiler
from wotkit.gviz.errors import ProtocolError
from wotkit.gviz.functions import finite
from wotkit.gviz.printing import column_id, column_label
from wotkit.gviz.syntax import Aggregate, Column, Expression, Query, Sort, aggregates_in
from wotkit.gviz.table import Row, Table, TableColumn
from wotkit.gviz.texts import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from wotkit.gviz.syntax import Type, Value

MOST_COLUMNS: Final = 1_000
"""Columns a pivot may make."""
MOST_CELLS: Final = 1_000_000
"""Cells of a pivoted table."""

Keys: TypeAlias = tuple[Any, ...]
Groups: TypeAlias = dict[Keys, dict[Keys, Keys]]


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
    if is_grouped(query):
        grouping = _Grouping(query, titles, now)
        return grouping.table(grouping.groups(compiler, rows))
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


def is_grouped(query: Query) -> bool:
    """Return whether a query has an aggregation; otherwise its rows are those of the table."""
    return any(aggregates_in(each) for each in query.select or ())


def aggregates_of(query: Query) -> list[Aggregate]:
    """Return the aggregations of a query, each once."""
    found = (each for part in query.select or () for each in aggregates_in(part))
    return list(dict.fromkeys(found))


def evaluate_groups(
    query: Query, columns: Sequence[TableColumn], groups: Groups, now: datetime
) -> Table:
    """Return the table that a query asks for, from groups that were made already.

    Args:
        query: what is asked, and was checked.
        columns: those of the whole table.
        groups: for each values of GROUP BY, for each values of PIVOT, the values of
            :func:`aggregates_of`.
        now: what the function ``now()`` answers.

    Raises:
        ProtocolError: the answer is too large.
    """
    types = {column.id: column.type for column in columns}
    return _Grouping(query, _Titles(query, Table(columns, ()), types), now).table(groups)


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
    """Makes the answer of a query with aggregations."""

    def __init__(self, query: Query, titles: _Titles, now: datetime) -> None:
        self._query = query
        self._titles = titles
        self._aggregates = aggregates_of(query)
        places = {each: at for at, each in enumerate((*query.group, *self._aggregates))}
        self._compiler = Compiler(places, now)

    def groups(self, compiler: Compiler, rows: Iterable[Row]) -> Groups:
        """Return the groups of rows, and of each the aggregated values."""
        group = [compiler.expression(each) for each in self._query.group]
        pivot = [compiler.expression(each) for each in self._query.pivot]
        values = [(compiler.expression(each.column), each.function) for each in self._aggregates]
        buckets: dict[Keys, dict[Keys, list[Row]]] = {}
        for row in rows:
            keys = tuple(key(row) for key in group)
            parts = tuple(key(row) for key in pivot)
            buckets.setdefault(keys, {}).setdefault(parts, []).append(row)
        if not buckets and not group and not pivot:
            buckets[()] = {(): []}
        return {
            keys: {
                pivoted: tuple(aggregate(name, map(value, found)) for value, name in values)
                for pivoted, found in parts.items()
            }
            for keys, parts in buckets.items()
        }

    def table(self, groups: Groups) -> Table:
        """Return the answer: a row for each group, in the order of its keys or as asked."""
        pivots = sorted({pivot for parts in groups.values() for pivot in parts}, key=_rank)
        columns = self._columns(pivots)
        if len(columns) > MOST_COLUMNS or len(columns) * len(groups) > MOST_CELLS:
            raise ProtocolError("other", f"the pivot makes a table of {len(columns)} columns")
        nothing = (None,) * len(self._aggregates)
        cells = [(pivot, self._compiler.expression(each)) for pivot, each in columns]
        answer = [
            [cell((*keys, *groups[keys].get(pivot, nothing))) for pivot, cell in cells]
            for keys in _part(self._query, self._ordered(groups))
        ]
        return Table(self._titled(columns), answer, self._query.no_values)

    def _ordered(self, groups: Groups) -> list[Keys]:
        """Return the keys of the groups in the order of the answer."""
        found = sorted(groups, key=_rank)
        nothing = (None,) * len(self._aggregates)
        for key in reversed(self._query.order):
            value = self._compiler.expression(key.by)
            # with a pivot, no aggregation stands in ORDER BY
            rank = {keys: value((*keys, *groups[keys].get((), nothing))) for keys in found}
            found.sort(key=lambda keys: _rank((rank[keys],)), reverse=key.descending)
        return found

    def _columns(self, pivots: list[Keys]) -> list[tuple[Keys, Expression]]:
        """Return the columns of the answer: those with an aggregation once for each pivot."""
        found: list[tuple[Keys, Expression]] = []
        for selected in self._query.select or ():
            if self._query.pivot and aggregates_in(selected):
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


def aggregate(name: str, values: Iterable[Any]) -> Value:
    """Return an aggregation of values; nulls do not count."""
    values = [each for each in values if each is not None]
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
