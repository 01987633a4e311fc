"""The parts of a query: what the grammar makes, and what is evaluated."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime, time

Value: TypeAlias = "str | int | float | bool | date | datetime | time | None"
"""What a cell holds; times are UTC and have no zone."""


class Type(Enum):
    """The type of a column."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    TIMEOFDAY = "timeofday"


class Literal(Struct, frozen=True):
    """A constant."""

    type: Type
    value: Value


class Column(Struct, frozen=True):
    """A column of the table, by its id."""

    id: str


class Aggregate(Struct, frozen=True):
    """An aggregation function over a column."""

    function: str
    column: Column


class Call(Struct, frozen=True):
    """A scalar function, or one of ``+ - * /``, over other expressions."""

    function: str
    arguments: tuple[Expression, ...]


Expression: TypeAlias = Literal | Column | Aggregate | Call


class Comparison(Struct, frozen=True):
    """``left operator right``."""

    operator: str
    left: Expression
    right: Expression


class IsNull(Struct, frozen=True):
    """Whether an expression has no value."""

    operand: Expression


class Not(Struct, frozen=True):
    """The opposite of a condition."""

    operand: Condition


class AllOf(Struct, frozen=True):
    """Conditions joined by AND."""

    parts: tuple[Condition, ...]


class AnyOf(Struct, frozen=True):
    """Conditions joined by OR."""

    parts: tuple[Condition, ...]


Condition: TypeAlias = Comparison | IsNull | Not | AllOf | AnyOf


class Sort(Struct, frozen=True):
    """One key of an order."""

    by: Expression
    descending: bool = False


class Query(Struct, frozen=True, kw_only=True):
    """A whole query; ``select`` is None for ``*``."""

    select: tuple[Expression, ...] | None = None
    where: Condition | None = None
    group: tuple[Expression, ...] = ()
    pivot: tuple[Expression, ...] = ()
    order: tuple[Sort, ...] = ()
    limit: int | None = None
    offset: int = 0
    labels: tuple[tuple[Expression, str], ...] = ()
    formats: tuple[tuple[Expression, str], ...] = ()
    no_values: bool = False
    no_format: bool = False


AGGREGATES: Final = ("avg", "count", "max", "min", "sum")
ARITHMETIC: Final = {"+": "sum", "-": "difference", "*": "product", "/": "quotient"}
"""Operators, and how they are called in the ids of columns."""


def parts_of(expression: Expression) -> Iterator[Expression]:
    """Yield an expression and everything inside it."""
    yield expression
    if isinstance(expression, Aggregate):
        yield expression.column
    elif isinstance(expression, Call):
        for argument in expression.arguments:
            yield from parts_of(argument)


def aggregates_in(expression: Expression) -> list[Aggregate]:
    """Return the aggregations inside an expression."""
    return [part for part in parts_of(expression) if isinstance(part, Aggregate)]


def operands_of(condition: Condition) -> Iterator[Expression]:
    """Yield the expressions that a condition compares."""
    if isinstance(condition, Comparison):
        yield condition.left
        yield condition.right
    elif isinstance(condition, IsNull):
        yield condition.operand
    elif isinstance(condition, Not):
        yield from operands_of(condition.operand)
    else:
        for part in condition.parts:
            yield from operands_of(part)
