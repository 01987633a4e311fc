"""Times as the platform keeps them: integer microseconds since 1970-01-01 UTC.

Text forms are ISO 8601 (https://www.rfc-editor.org/rfc/rfc3339); in requests more lenient.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MICROSECONDS: Final = 1_000_000
MILLISECONDS: Final = 1_000
EARLIEST: Final = -62_135_596_800_000_000
"""The year 1, in microseconds: the earliest time that has an ISO form."""
LATEST: Final = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LENIENT: Final = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)"
    r"(?:[Tt ](?P<hour>\d{1,2}):(?P<minute>\d\d)"
    r"(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s*(?P<zone>[Zz]|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?)?",
    re.ASCII,
)
_COMMON: Final = re.compile(
    r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:\d\d(?:\.(?:\d{3}|\d{6}))?Z", re.ASCII
)
"""The form that most clients send, and of which the standard library's parser makes the same."""
_NUMBER: Final = re.compile(r"-?[0-9]{1,17}(?P<fraction>\.[0-9]{1,9})?")


def now() -> int:
    """Return the current time in microseconds."""
    return time.time_ns() // 1_000


def parse(value: object) -> int:
    """Return a time that a client sent, in microseconds.

    Accepts a number of milliseconds since 1970 (also as a text) and ISO 8601 with any offset;
    without an offset it is UTC, ``z`` may be lower case and the hour may lack its zero.

    Raises:
        ValueError: saying what is wrong, for the client to read.
    """
    if isinstance(value, str):
        micros = _parse_text(value)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be ISO 8601 or a number of milliseconds since 1970")
    else:
        try:
            micros = round(value * MILLISECONDS)
        except (OverflowError, ValueError):
            raise ValueError("is outside the years 1 to 9999") from None
    if not EARLIEST <= micros <= LATEST:
        raise ValueError("is outside the years 1 to 9999")
    return micros


def _parse_text(text: str) -> int:
    if _COMMON.fullmatch(text) is not None:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return _parse_iso(text)  # which says what is wrong
        return (moment - _EPOCH) // _MICROSECOND
    text = text.strip()
    number = _NUMBER.fullmatch(text)
    if number is None:
        return _parse_iso(text)
    return round(float(text) * MILLISECONDS) if number["fraction"] else int(text) * MILLISECONDS


def _parse_iso(text: str) -> int:
    match = _LENIENT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is neither ISO 8601 nor milliseconds since 1970")
    try:
        day = datetime.fromisoformat(match["date"]).replace(tzinfo=_zone(match["zone"]))
        moment = day.replace(
            hour=int(match["hour"] or 0),
            minute=int(match["minute"] or 0),
            second=int(match["second"] or 0),
            microsecond=int((match["fraction"] or "0").ljust(6, "0")[:6]),
        )
    except ValueError as error:
        raise ValueError(f"{text[:40]!r} is not a time: {error}") from None
    return (moment - _EPOCH) // _MICROSECOND


def _zone(text: str | None) -> timezone:
    if text is None or text in "Zz":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)


def to_iso(micros: int) -> str:
    """Return ISO 8601 in UTC with milliseconds, or with microseconds when they are not zero."""
    moment = _EPOCH + timedelta(microseconds=micros)
    spec = "microseconds" if micros % MILLISECONDS else "milliseconds"
    return moment.replace(tzinfo=None).isoformat(timespec=spec) + "Z"


def in_zone(micros: int, zone: tzinfo | None) -> datetime:
    """Return a time in a time zone, of this machine where that is None.

    UTC where the zone is beyond the ends of the calendar already: "never" is often 9999-12-31.
    """
    moment = _EPOCH + timedelta(microseconds=micros)
    try:
        return moment.astimezone(zone)
    except (OverflowError, ValueError):
        return moment


_DAY: Final = 86_400 * MICROSECONDS
_MINUTES: Final = tuple(f"{minute // 60:02d}:{minute % 60:02d}:" for minute in range(1440))
_SECONDS: Final = tuple(f"{second:02d}." for second in range(60))
_MILLIS: Final = tuple(f"{milli:03d}Z" for milli in range(1000))


def to_iso_all(moments: Iterable[int]) -> list[str]:
    """Return :func:`to_iso` of many times; the text of a day is made once, the rest looked up."""
    found: list[str] = []
    start = end = 0
    day = ""
    for micros in moments:
        if not start <= micros < end:
            start = micros // _DAY * _DAY
            end = start + _DAY
            day = to_iso(start)[:11]
        rest = micros - start
        second = rest // MICROSECONDS
        rest -= second * MICROSECONDS
        fraction = f"{rest:06d}Z" if rest % MILLISECONDS else _MILLIS[rest // MILLISECONDS]
        found.append(f"{day}{_MINUTES[second // 60]}{_SECONDS[second % 60]}{fraction}")
    return found
