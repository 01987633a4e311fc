"""The patterns of the ``format`` clause: the common part of ICU's, for numbers, dates and times.

Numbers: https://unicode-org.github.io/icu-docs/apidoc/released/icu4j/com/ibm/icu/text/DecimalFormat.html
Dates: https://unicode-org.github.io/icu-docs/apidoc/released/icu4j/com/ibm/icu/text/SimpleDateFormat.html
Names are English; times are UTC.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from wotkit.gviz.errors import InvalidTableQuery
from wotkit.gviz.syntax import Type

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime, time

    from wotkit.gviz.syntax import Value

LONGEST: Final = 100
"""Characters a pattern may have."""

_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
_WEEKDAYS: Final = (
    *("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
)
_PIECE: Final = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+", re.ASCII)
_OF_DAYS: Final = "GyMdDEQ"
_OF_TIMES: Final = "HhKkmsSa"
_NUMBER: Final = re.compile(
    r"(?P<before>(?:'[^']*'|[^'#0-9.,;%])*)(?P<percent_before>%?)(?P<whole>[#,]*[0,]*)"
    r"(?:\.(?P<zeros>0*)(?P<more>#*))?(?:E(?P<exponent>\+?0+))?"
    r"(?P<percent>%?)(?P<after>(?:'[^']*'|[^'#0-9.,;%])*)"
)
_CONTEXT: Final = Context(prec=700, rounding=ROUND_HALF_EVEN)


def compile_pattern(kind: Type, pattern: str) -> Callable[[Any], str]:
    """Return a function that formats values of a type.

    Raises:
        InvalidTableQuery: it is not a pattern for this type, or one that is not supported.
    """
    if len(pattern) > LONGEST:
        raise InvalidTableQuery(f"a pattern has at most {LONGEST} characters")
    if kind is Type.NUMBER:
        return _number(pattern)
    if kind is Type.BOOLEAN:
        return _boolean(pattern)
    if kind is Type.STRING:
        raise InvalidTableQuery(f"a string has no pattern, as {pattern!r} is")
    return _moment(kind, pattern)


def _boolean(pattern: str) -> Callable[[Any], str]:
    true, colon, false = pattern.partition(":")
    if not colon:
        raise InvalidTableQuery(f"the pattern {pattern!r} has not the form true:false")
    return lambda value: true if value else false


class _Number(Struct, frozen=True):
    """One side of a number's pattern."""

    before: str
    after: str
    least_whole: int
    grouping: int
    least_fraction: int
    most_fraction: int
    exponent: str | None
    percent: bool

    def digits(self, value: Decimal) -> str:
        """Return the digits of a number that is not negative."""
        if self.percent:
            value = _CONTEXT.scaleb(value, 2)
        power = 0
        if self.exponent is not None:
            power = 0 if value == 0 else value.adjusted() - (max(self.least_whole, 1) - 1)
            value = _CONTEXT.scaleb(value, -power)
        fixed = format(_CONTEXT.quantize(value, Decimal(1).scaleb(-self.most_fraction)), "f")
        whole, _, fraction = fixed.partition(".")
        kept = fraction.rstrip("0").ljust(self.least_fraction, "0")
        whole = whole.lstrip("0").rjust(self.least_whole, "0")
        if not whole and not kept:
            whole = "0"
        text = _grouped(whole, self.grouping) + (f".{kept}" if kept else "")
        if self.exponent is not None:
            sign = "-" if power < 0 else "+" if self.exponent.startswith("+") else ""
            text += f"E{sign}{str(abs(power)).rjust(len(self.exponent.lstrip('+')), '0')}"
        return text


def _grouped(whole: str, size: int) -> str:
    if not size:
        return whole
    first = len(whole) % size
    parts = [whole[:first]] if first else []
    parts += [whole[at : at + size] for at in range(first, len(whole), size)]
    return ",".join(parts)


def _number(pattern: str) -> Callable[[Any], str]:
    positive, semicolon, negative = _split(pattern)
    above = _side(positive, pattern)
    below = _side(negative, pattern) if semicolon else None

    def form(value: float) -> str:
        exact = Decimal(repr(value))
        text = above.digits(abs(exact))
        if exact >= 0 or not text.strip("0.,"):
            return above.before + text + above.after
        if below is None:
            return f"{above.before}-{text}{above.after}"
        return below.before + text + below.after

    return form


def _split(pattern: str) -> tuple[str, bool, str]:
    """Split at the semicolon that stands outside of quotes."""
    quoted = False
    for at, each in enumerate(pattern):
        quoted ^= each == "'"
        if each == ";" and not quoted:
            return pattern[:at], True, pattern[at + 1 :]
    return pattern, False, ""


def _side(side: str, pattern: str) -> _Number:
    match = _NUMBER.fullmatch(side)
    if match is None or not (match["whole"] or match["zeros"] or match["more"]):
        raise InvalidTableQuery(f"the number pattern {pattern!r} is not supported")
    whole = match["whole"]
    zeros, more = match["zeros"] or "", match["more"] or ""
    grouping = len(whole) - whole.rindex(",") - 1 if "," in whole else 0
    if whole.endswith(",") or (match["exponent"] and grouping):
        raise InvalidTableQuery(f"the number pattern {pattern!r} is not supported")
    percent = "%" if match["percent"] else ""
    return _Number(
        before=_unquoted(match["before"]) + match["percent_before"],
        after=percent + _unquoted(match["after"]),
        least_whole=whole.count("0"),
        grouping=grouping,
        least_fraction=len(zeros),
        most_fraction=len(zeros) + len(more),
        exponent=match["exponent"],
        percent=bool(percent or match["percent_before"]),
    )


def _unquoted(text: str) -> str:
    return re.sub(r"'([^']*)'", lambda match: match[1] or "'", text)


def _moment(kind: Type, pattern: str) -> Callable[[Any], str]:
    """Return how a pattern of letters formats dates, times or both."""
    allowed = {Type.DATE: _OF_DAYS, Type.TIMEOFDAY: _OF_TIMES}.get(
        kind, _OF_DAYS + _OF_TIMES + "zZX"
    )
    pieces: list[str | Callable[[Any], str]] = []
    at = 0
    while at < len(pattern):
        match = _PIECE.match(pattern, at)
        if match is None:
            raise InvalidTableQuery(f"the quote in the pattern {pattern!r} has no end")
        at = match.end()
        if match[2] is not None:
            pieces.append(_letters(match[0], allowed, kind, pattern))
        elif match[1] is not None:
            pieces.append(match[1].replace("''", "'") or "'")
        else:
            pieces.append(match[0])

    def form(value: Value) -> str:
        return "".join(piece if isinstance(piece, str) else piece(value) for piece in pieces)

    return form


def _letters(letters: str, allowed: str, kind: Type, pattern: str) -> Callable[[date | time], str]:
    letter, width = letters[0], len(letters)
    made = _FORMS.get(letter)
    if letter not in allowed or made is None:
        raise InvalidTableQuery(
            f"{letters!r} in the pattern {pattern!r} is not supported for {kind.value}"
        )
    return lambda value: made(value, width)


def _padded(find: Callable[[Any], int]) -> Callable[[Any, int], str]:
    return lambda value, width: str(find(value)).rjust(width, "0")


def _year(value: date, width: int) -> str:
    two = 2
    return f"{value.year % 100:02d}" if width == two else str(value.year).rjust(width, "0")


def _month(value: date, width: int) -> str:
    short, long = 3, 4
    if width < short:
        return str(value.month).rjust(width, "0")
    name = _MONTHS[value.month - 1]
    return name if width == long else name[: 1 if width > long else short]


def _weekday(value: date, width: int) -> str:
    short, long = 3, 4
    name = _WEEKDAYS[value.weekday()]
    return name[:short] if width < long else name if width == long else name[0]


def _fraction(value: time | datetime, width: int) -> str:
    return f"{value.microsecond:06d}"[:width].ljust(width, "0")


def _zone(_: datetime, width: int) -> str:
    return "+0000" if width < 4 else "GMT"  # noqa: PLR2004  # RFC 822 up to three letters


_FORMS: Final[dict[str, Callable[[Any, int], str]]] = {
    "G": lambda _, width: "AD" if width < 4 else "Anno Domini",  # noqa: PLR2004  # the long form
    "y": _year,
    "M": _month,
    "d": _padded(lambda value: value.day),
    "D": _padded(lambda value: value.timetuple().tm_yday),
    "E": _weekday,
    "Q": _padded(lambda value: (value.month + 2) // 3),
    "H": _padded(lambda value: value.hour),
    "k": _padded(lambda value: value.hour or 24),
    "K": _padded(lambda value: value.hour % 12),
    "h": _padded(lambda value: value.hour % 12 or 12),
    "m": _padded(lambda value: value.minute),
    "s": _padded(lambda value: value.second),
    "S": _fraction,
    "a": lambda value, _: "AM" if value.hour < 12 else "PM",  # noqa: PLR2004  # noon
    "z": lambda _, __: "UTC",
    "Z": _zone,
    "X": lambda _, __: "Z",
}
