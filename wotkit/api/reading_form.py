"""Readings in the form of version 1: built by joining bytes, the stored JSON never parsed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from wotkit import strict_json, times

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wotkit.readings.store import StoredReading


def list_form(sensor_id: int, sensor_name: str, readings: Iterable[StoredReading]) -> bytes:
    """Return the JSON list of readings of one sensor (``owner.name``)."""
    iso = times.IsoFormatter()
    after_id = b',"sensor_id":%d,"sensor_name":%b,"timestamp":"' % (
        sensor_id,
        strict_json.encode(sensor_name),
    )
    items = [
        b'{"id":%d%b%b"%b' % (reading_id, after_id, iso(ts).encode(), _members(data))
        for ts, reading_id, data in readings
    ]
    return b"[" + b",".join(items) + b"]"


def _members(data: bytes) -> bytes:
    """Return what follows the timestamp: the stored object without its opening brace."""
    return b"," + data[1:] if len(data) > 2 else b"}"  # noqa: PLR2004  # an empty object


class ReadingView(Struct, kw_only=True):
    """A reading; its fields stand beside these attributes, under their own names."""

    id: int
    sensor_id: int
    sensor_name: str
    timestamp: str
