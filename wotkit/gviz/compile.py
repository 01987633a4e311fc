"""Makes functions of expressions and conditions, to be called for every row."""

from __future__ import annotations

import operator
import re
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, Final

import re2  # type: ignore[import-untyped]  # the package has no types

from wotkit.gviz.errors import InvalidTableQuery
from wotkit.gviz.functions import FUNCTIONS
from wotkit.gviz.syntax import (
    AllOf,
    Call,
    Comparison,
    Condition,
    Expression,
    IsNull,
    Literal,
    Not,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wotkit.gviz.table import Row

_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "contains": operator.contains,
    "starts with": str.startswith,
    "ends with": str.endswith,
}
_PATTERN_BYTES: Final = 1 << 20
"""Memory that a compiled pattern may take."""


class Compiler:
    """Knows where in a row the values are that expressions are made of."""

    def __init__(self, places: Mapping[Expression, int], now: datetime) -> None:
        self._places = places
        self._now = now

    def expression(self, expression: Expression) -> Callable[[Row], Any]:
        """Return a function from a row to the expression's value."""
        if expression in self._places:
            return operator.itemgetter(self._places[expression])
        if isinstance(expression, Literal):
            return _constant(expression.value)
        assert isinstance(expression, Call)
        if expression.function == "now":
            return _constant(self._now)
        call = FUNCTIONS[expression.function].call
        arguments = [self.expression(argument) for argument in expression.arguments]
        return _unary(call, *arguments) if len(arguments) == 1 else _binary(call, *arguments)

    def condition(self, condition: Condition) -> Callable[[Row], bool]:
        """Return a function that says whether a condition holds for a row.

        A comparison with null does not hold, and its opposite does.
        """
        if isinstance(condition, Comparison):
            return self._comparison(condition)
        if isinstance(condition, IsNull):
            value = self.expression(condition.operand)
            return lambda row: value(row) is None
        if isinstance(condition, Not):
            holds = self.condition(condition.operand)
            return lambda row: not holds(row)
        parts = [self.condition(part) for part in condition.parts]
        if isinstance(condition, AllOf):
            return lambda row: all(part(row) for part in parts)
        return lambda row: any(part(row) for part in parts)

    def _comparison(self, comparison: Comparison) -> Callable[[Row], bool]:
        left, right = self.expression(comparison.left), self.expression(comparison.right)
        compare = _comparing(comparison)

        def holds(row: Row) -> bool:
            one, other = left(row), right(row)
            return one is not None and other is not None and compare(one, other)

        return holds


def _comparing(comparison: Comparison) -> Callable[[Any, Any], bool]:
    if comparison.operator in {"like", "matches"}:
        if not isinstance(comparison.right, Literal):
            raise InvalidTableQuery(f"{comparison.operator} wants a text in quotes on its right")
        pattern = str(comparison.right.value)
        if comparison.operator == "like":
            pattern = _of_like(pattern)
        matcher = _pattern(pattern)
        return lambda text, _: matcher.fullmatch(text) is not None
    compare = _ORDERS[comparison.operator]
    if comparison.operator in {"contains", "starts with", "ends with"}:
        return compare
    return lambda one, other: compare(_comparable(one), _comparable(other))


def _comparable(value: Any) -> Any:
    """Return a date as the midnight it begins with, so that it compares with a date and time."""
    if type(value) is date:
        return datetime.combine(value, time())
    return value


def _of_like(pattern: str) -> str:
    """Return the regular expression of a pattern in which ``%`` and ``_`` are wildcards."""
    wild = {"%": ".*", "_": "."}
    return "(?s)" + "".join(wild.get(each) or re2.escape(each) for each in pattern)


def _pattern(pattern: str) -> Any:
    """Compile a regular expression that takes time in proportion to the text, whatever it is."""
    options = re2.Options()
    options.max_mem = _PATTERN_BYTES
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except (re2.error, re.error, UnicodeEncodeError) as error:
        raise InvalidTableQuery(f"{pattern[:60]!r} is not a regular expression: {error}") from None


def _constant(value: Any) -> Callable[[Row], Any]:
    return lambda _: value


def _unary(call: Callable[..., Any], argument: Callable[[Row], Any]) -> Callable[[Row], Any]:
    def value(row: Row) -> Any:
        given = argument(row)
        return None if given is None else call(given)

    return value


def _binary(
    call: Callable[..., Any], left: Callable[[Row], Any], right: Callable[[Row], Any]
) -> Callable[[Row], Any]:
    def value(row: Row) -> Any:
        one, other = left(row), right(row)
        return None if one is None or other is None else call(one, other)

    return value
