"""The scalar functions and operators: which types they take, and what they answer."""

from __future__ import annotations

import math
import operator
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from wotkit.gviz.errors import InvalidTableQuery
from wotkit.gviz.syntax import Type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_LARGEST_EXACT: Final = 1 << 53
_DAYS: Final = frozenset({Type.DATE, Type.DATETIME})
_TIMES: Final = frozenset({Type.TIMEOFDAY, Type.DATETIME})
_NUMBERS: Final = frozenset({Type.NUMBER})
_TEXTS: Final = frozenset({Type.STRING})


class Function(NamedTuple):
    """A scalar function; null in any argument makes its answer null."""

    takes: tuple[frozenset[Type], ...]
    gives: Type
    call: Callable[..., Any]


def finite(value: float) -> int | float | None:
    """Return a result as a number that JSON has; null where there is none."""
    if isinstance(value, int) and abs(value) > _LARGEST_EXACT:
        value = float(value)
    return value if isinstance(value, int) or math.isfinite(value) else None


def _arithmetic(operate: Callable[[Any, Any], Any]) -> Function:
    def call(left: float, right: float) -> int | float | None:
        try:
            return finite(operate(left, right))
        except (ZeroDivisionError, OverflowError):
            return None

    return Function((_NUMBERS, _NUMBERS), Type.NUMBER, call)


def _divide(left: float, right: float) -> float:
    if isinstance(left, int) and isinstance(right, int) and left % right == 0:
        return left // right
    return left / right


def _attribute(name: str, takes: frozenset[Type]) -> Function:
    return Function((takes,), Type.NUMBER, operator.attrgetter(name))


def _date_diff(later: date, earlier: date) -> int:
    return _day(later).toordinal() - _day(earlier).toordinal()


def _to_date(value: float | date) -> date | None:
    if isinstance(value, date):
        return _day(value)
    try:
        return (_EPOCH + timedelta(milliseconds=value)).date()
    except OverflowError:
        return None


def _day(value: date) -> date:
    return value.date() if isinstance(value, datetime) else value


def _millisecond(value: time | datetime) -> int:
    return value.microsecond // 1000


FUNCTIONS: Final[dict[str, Function]] = {
    "+": _arithmetic(operator.add),
    "-": _arithmetic(operator.sub),
    "*": _arithmetic(operator.mul),
    "/": _arithmetic(_divide),
    "year": _attribute("year", _DAYS),
    # months count from 0, as in JavaScript
    "month": Function((_DAYS,), Type.NUMBER, lambda day: day.month - 1),
    "day": _attribute("day", _DAYS),
    "quarter": Function((_DAYS,), Type.NUMBER, lambda day: (day.month + 2) // 3),
    # Sunday is 1
    "dayOfWeek": Function((_DAYS,), Type.NUMBER, lambda day: day.isoweekday() % 7 + 1),
    "hour": _attribute("hour", _TIMES),
    "minute": _attribute("minute", _TIMES),
    "second": _attribute("second", _TIMES),
    "millisecond": Function((_TIMES,), Type.NUMBER, _millisecond),
    "dateDiff": Function((_DAYS, _DAYS), Type.NUMBER, _date_diff),
    "toDate": Function((_DAYS | _NUMBERS,), Type.DATE, _to_date),
    "upper": Function((_TEXTS,), Type.STRING, str.upper),
    "lower": Function((_TEXTS,), Type.STRING, str.lower),
}
"""Every function but ``now``, whose answer is the same for a whole query."""


def check(name: str, types: Sequence[Type]) -> Type:
    """Return the type of a call's answer.

    Raises:
        InvalidTableQuery: the function does not take these arguments.
    """
    if name == "now":
        if types:
            raise InvalidTableQuery("now() takes no arguments")
        return Type.DATETIME
    function = FUNCTIONS[name]
    if len(types) != len(function.takes):
        raise InvalidTableQuery(f"{name} takes {len(function.takes)} arguments, not {len(types)}")
    for given, taken in zip(types, function.takes, strict=True):
        if given not in taken:
            wanted = " or ".join(sorted(each.value for each in taken))
            raise InvalidTableQuery(f"{name} takes {wanted}, not {given.value}")
    return function.gives
