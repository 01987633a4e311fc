"""Times that people type into forms, in their own time zone."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from wotkit import times


def parse_local(text: str, zone: str) -> int | None:
    """Return a ``datetime-local`` value of HTML in microseconds; None when it is empty.

    Raises:
        ValueError: it is no time.
    """
    if not text:
        return None
    local = datetime.fromisoformat(text)
    if local.tzinfo is None:
        local = local.replace(tzinfo=ZoneInfo(zone))
    micros = int(local.timestamp()) * times.MICROSECONDS
    if not times.EARLIEST <= micros <= times.LATEST:
        raise ValueError("is outside the years 1 to 9999")
    return micros
