"""Readings in the form of version 1: built by joining bytes, the stored JSON never parsed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from wotkit import strict_json, times
from wotkit.readings.form import EMPTY, json_list

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from wotkit.readings.store import StoredReading


def label(sensor_id: int, sensor_name: str) -> str:
    """Return what each reading of a sensor (``owner.name``) says of it, behind the id."""
    return f',"sensor_id":{sensor_id},"sensor_name":{strict_json.encode(sensor_name).decode()}'


def list_form(sensor_id: int, sensor_name: str, readings: Collection[StoredReading]) -> bytes:
    """Return the JSON list of readings of one sensor."""
    return json_list(readings, label(sensor_id, sensor_name))


def mixed_form(names: Mapping[int, str], readings: Sequence[tuple[int, StoredReading]]) -> bytes:
    """Return the JSON list of readings of several sensors, without sensors that have no name."""
    after_id = {sensor_id: label(sensor_id, name) for sensor_id, name in names.items()}
    moments = times.to_iso_all([reading.ts for _, reading in readings])
    items = [
        f'{{"id":{reading_id}{after_id[sensor_id]},"timestamp":"{iso}"'
        f"{',' if len(data) > EMPTY else ''}{data[1:].decode()}"
        for (sensor_id, (_, reading_id, data)), iso in zip(readings, moments, strict=True)
        if sensor_id in after_id
    ]
    return f"[{','.join(items)}]".encode()


class ReadingView(Struct, kw_only=True):
    """A reading; its fields stand beside these attributes, under their own names."""

    id: int
    sensor_id: int
    sensor_name: str
    timestamp: str
