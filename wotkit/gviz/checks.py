"""What a query may say beyond its grammar: types, and which clauses go together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wotkit.gviz import functions
from wotkit.gviz.errors import InvalidTableQuery
from wotkit.gviz.printing import write
from wotkit.gviz.syntax import (
    Aggregate,
    Call,
    Column,
    Comparison,
    Condition,
    Expression,
    IsNull,
    Literal,
    Not,
    Query,
    Type,
    aggregates_in,
    operands_of,
    parts_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TEXT_COMPARISONS: Final = ("contains", "starts with", "ends with", "matches", "like")


def check(query: Query, types: Mapping[str, Type]) -> None:
    """Check a query for a table whose columns have these types.

    Raises:
        InvalidTableQuery: saying what makes no sense.
    """
    _check_plain(query)
    if query.where is not None:
        check_condition(query.where, types)
    for expression in _expressions(query):
        type_of(expression, types)
    _check_unique(query)
    _check_titles(query)
    aggregated = [each for selected in query.select or () for each in aggregates_in(selected)]
    ordered = [each for key in query.order for each in aggregates_in(key.by)]
    if aggregated:
        _check_grouping(query, aggregated)
        _check_order(query, ordered)
    elif query.group or query.pivot:
        clause = "GROUP BY" if query.group else "PIVOT"
        raise InvalidTableQuery(f"{clause} needs an aggregation in SELECT")
    elif ordered:
        raise InvalidTableQuery(f"{write(ordered[0])} in ORDER BY must be in SELECT as well")


def type_of(expression: Expression, types: Mapping[str, Type]) -> Type:
    """Return the type of an expression's values.

    Raises:
        InvalidTableQuery: there is no such column, or a function does not take such arguments.
    """
    if isinstance(expression, Literal):
        return expression.type
    if isinstance(expression, Column):
        if expression.id not in types:
            raise InvalidTableQuery(f"there is no column {expression.id!r}")
        return types[expression.id]
    if isinstance(expression, Call):
        given = [type_of(argument, types) for argument in expression.arguments]
        return functions.check(expression.function, given)
    inside = type_of(expression.column, types)
    if expression.function in {"avg", "sum"} and inside is not Type.NUMBER:
        raise InvalidTableQuery(
            f"{expression.function} takes number, not {inside.value}: {write(expression)}"
        )
    return Type.NUMBER if expression.function == "count" else inside


def check_condition(condition: Condition, types: Mapping[str, Type]) -> None:
    """Check that a condition compares what can be compared.

    Raises:
        InvalidTableQuery: it does not.
    """
    if isinstance(condition, Comparison):
        left, right = type_of(condition.left, types), type_of(condition.right, types)
        if condition.operator in TEXT_COMPARISONS:
            if {left, right} != {Type.STRING}:
                raise InvalidTableQuery(
                    f"{condition.operator} compares string with string, not {left.value} "
                    f"with {right.value}"
                )
        elif left is not right and {left, right} != {Type.DATE, Type.DATETIME}:
            raise InvalidTableQuery(
                f"{left.value} cannot be compared with {right.value}: "
                f"{write(condition.left)} {condition.operator} {write(condition.right)}"
            )
    elif isinstance(condition, IsNull):
        type_of(condition.operand, types)
    elif isinstance(condition, Not):
        check_condition(condition.operand, types)
    else:
        for part in condition.parts:
            check_condition(part, types)


def columns_in(query: Query) -> set[str]:
    """Return the ids of the columns that a query names."""
    expressions = [*_expressions(query)]
    if query.where is not None:
        expressions += operands_of(query.where)
    return {
        part.id
        for expression in expressions
        for part in parts_of(expression)
        if isinstance(part, Column)
    }


def _expressions(query: Query) -> Iterable[Expression]:
    yield from query.select or ()
    yield from query.group
    yield from query.pivot
    yield from (key.by for key in query.order)
    yield from (each for each, _ in (*query.labels, *query.formats))


def _check_plain(query: Query) -> None:
    compared = () if query.where is None else operands_of(query.where)
    for clause, expressions in (
        ("WHERE", compared),
        ("GROUP BY", query.group),
        ("PIVOT", query.pivot),
    ):
        for expression in expressions:
            for found in aggregates_in(expression):
                raise InvalidTableQuery(f"{write(found)}: no aggregation may stand in {clause}")


def _check_unique(query: Query) -> None:
    for clause, expressions in (
        ("SELECT", query.select or ()),
        ("GROUP BY", query.group),
        ("PIVOT", query.pivot),
        ("ORDER BY", tuple(key.by for key in query.order)),
        ("LABEL", tuple(each for each, _ in query.labels)),
        ("FORMAT", tuple(each for each, _ in query.formats)),
    ):
        seen: set[Expression] = set()
        for expression in expressions:
            if expression in seen:
                raise InvalidTableQuery(f"{write(expression)} stands twice in {clause}")
            seen.add(expression)
    for expression in query.group:
        if expression in query.pivot:
            raise InvalidTableQuery(f"{write(expression)} cannot be both in GROUP BY and in PIVOT")


def _check_titles(query: Query) -> None:
    for clause, titles in (("LABEL", query.labels), ("FORMAT", query.formats)):
        for expression, _ in titles:
            listed = query.select is None and isinstance(expression, Column)
            if not listed and expression not in (query.select or ()):
                raise InvalidTableQuery(f"{write(expression)} in {clause} is not in SELECT")


def _check_grouping(query: Query, aggregated: list[Aggregate]) -> None:
    for selected in query.select or ():
        _check_grouped(selected, query.group)
    for clause, keys in (("GROUP BY", query.group), ("PIVOT", query.pivot)):
        for found in aggregated:
            if found.column in keys:
                raise InvalidTableQuery(
                    f"{write(found.column)} is aggregated in SELECT and cannot be in {clause}"
                )


def _check_grouped(expression: Expression, group: tuple[Expression, ...]) -> None:
    if expression in group or isinstance(expression, Literal | Aggregate):
        return
    if isinstance(expression, Call):
        for argument in expression.arguments:
            _check_grouped(argument, group)
        return
    raise InvalidTableQuery(
        f"{write(expression)} must be added to GROUP BY, removed from SELECT, or aggregated"
    )


def _check_order(query: Query, ordered: list[Aggregate]) -> None:
    if query.pivot and ordered:
        raise InvalidTableQuery(f"{write(ordered[0])} cannot be in ORDER BY together with PIVOT")
    for key in query.order:
        _check_selected(key.by, query.select or ())


def _check_selected(expression: Expression, select: tuple[Expression, ...]) -> None:
    if expression in select or isinstance(expression, Literal):
        return
    if isinstance(expression, Call):
        for argument in expression.arguments:
            _check_selected(argument, select)
        return
    raise InvalidTableQuery(
        f"{write(expression)} in ORDER BY must be in SELECT, as that has an aggregation"
    )
