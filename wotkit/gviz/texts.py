"""Values as plain text, for tables without types such as CSV, and in the ids of a pivot."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import TYPE_CHECKING

from wotkit import strict_json

if TYPE_CHECKING:
    from wotkit.gviz.syntax import Value


def plain(value: Value) -> str:
    """Return a value as text; null is the empty text, a time is ISO 8601."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        spec = "microseconds" if value.microsecond % 1000 else "milliseconds"
        return value.isoformat(timespec=spec) + "Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return value.isoformat(timespec="milliseconds")
    return number(value)


def number(value: float) -> str:
    """Return a number or truth value as JSON; whole ones without a fraction."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        value = int(value)
    return strict_json.encode(value).decode()
