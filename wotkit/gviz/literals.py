"""Dates and times as queries write them."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Final

from wotkit.gviz.errors import InvalidTableQuery
from wotkit.gviz.syntax import Literal, Type

if TYPE_CHECKING:
    from collections.abc import Callable

_DATE: Final = r"(\d{4})-(\d{1,2})-(\d{1,2})"
_TIME: Final = r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,6}))?"
_FORMS: Final[dict[Type, tuple[re.Pattern[str], Callable[..., date | time], str]]] = {
    Type.DATE: (re.compile(_DATE, re.ASCII), date, "yyyy-MM-dd"),
    Type.TIMEOFDAY: (re.compile(_TIME, re.ASCII), time, "HH:mm:ss[.SSS]"),
    Type.DATETIME: (
        re.compile(f"{_DATE}[ T]{_TIME}", re.ASCII),
        datetime,
        "yyyy-MM-dd HH:mm:ss[.SSS]",
    ),
}
WORDS: Final = {
    "date": Type.DATE,
    "timeofday": Type.TIMEOFDAY,
    "datetime": Type.DATETIME,
    "timestamp": Type.DATETIME,
}
"""What stands before the text of a date or time."""


def read(word: str, text: str) -> Literal:
    """Return the literal ``word 'text'``.

    Raises:
        InvalidTableQuery: the text has another form.
    """
    kind = WORDS[word]
    pattern, make, form = _FORMS[kind]
    match = pattern.fullmatch(text)
    if match is None:
        raise InvalidTableQuery(f"{word} {text[:40]!r} has not the form {form}")
    *parts, last = match.groups()
    if kind is Type.DATE:
        numbers = [int(part) for part in (*parts, last)]
    else:
        numbers = [*(int(part) for part in parts), int((last or "").ljust(6, "0"))]
    try:
        return Literal(kind, make(*numbers))
    except ValueError as error:
        raise InvalidTableQuery(f"{word} {text[:40]!r}: {error}") from None


def write(literal: Literal) -> str:
    """Return a date or time as a query writes it."""
    value = literal.value
    assert isinstance(value, date | time)
    text = value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    return f"{literal.type.value} '{text}'"
