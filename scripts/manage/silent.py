"""Finds sensors that have stopped sending."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_api import Platform

PAGE: Final = 1000
_DURATION: Final = re.compile(r"(\d+)([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Silent(NamedTuple):
    """A sensor that has been silent."""

    name: str
    last: datetime | None
    """When it last sent something; None when it never did."""


def duration(text: str) -> timedelta:
    """Return what ``90s``, ``15m``, ``6h``, ``2d`` or ``1w`` means.

    Raises:
        ValueError: it is none of these.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a time such as 90s, 15m, 6h, 2d or 1w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def silent(platform: Platform, limit: timedelta, **filters: Any) -> Iterator[Silent]:
    """Yield the sensors the key may read that sent nothing for ``limit``."""
    since = datetime.now(UTC) - limit
    offset = 0
    while True:
        page = platform.call("GET", "sensors", offset=offset, limit=PAGE, **filters)
        for sensor in page:
            last = sensor.get("lastUpdate")
            moment = None if last is None else datetime.fromisoformat(last)
            if moment is None or moment < since:
                yield Silent(f"{sensor['owner']}.{sensor['name']}", moment)
        if len(page) < PAGE:
            return
        offset += PAGE
