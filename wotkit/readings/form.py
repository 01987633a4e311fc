"""Readings as JSON: built by joining text, the stored JSON never parsed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from wotkit import strict_json, times

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from wotkit.readings.store import Range, StoredReading

EMPTY: Final = len(b"{}")


class Named(NamedTuple):
    """The sensor whose readings are answered."""

    id: int
    name: str
    """``owner.name``."""


def objects(sensor: Named, readings: Sequence[StoredReading]) -> list[str]:
    """Return each reading as a JSON object."""
    name = strict_json.encode(sensor.name).decode()
    after_id = f',"sensor_id":{sensor.id},"sensor_name":{name},"timestamp":"'
    moments = times.to_iso_all([reading.ts for reading in readings])
    return [
        f'{{"id":{reading_id}{after_id}{ts // times.MILLISECONDS}","timestamp_iso":"{iso}"'
        f"{',' if len(data) > EMPTY else ''}{data[1:].decode()}"
        for (ts, reading_id, data), iso in zip(readings, moments, strict=True)
    ]


def json_list(readings: Collection[StoredReading], label: str) -> bytes:
    """Return a JSON list of objects: the id, then ``label``, the timestamp and the fields.

    Args:
        readings: in the order of the list.
        label: members that all of them have, such as ``,"sensor_id":1``.
    """
    after_id = f'{label},"timestamp":"'
    moments = times.to_iso_all([reading.ts for reading in readings])
    # as text, which is put together faster than bytes; an empty object adds its brace alone
    items = [
        f'{{"id":{reading_id}{after_id}{iso}"{"," if len(data) > EMPTY else ""}{data[1:].decode()}'
        for (_, reading_id, data), iso in zip(readings, moments, strict=True)
    ]
    return f"[{','.join(items)}]".encode()


def render(
    read: Callable[[Range], list[StoredReading]], what: Range, label: str, *, turned: bool
) -> tuple[bytes, bool]:
    """Do as :meth:`wotkit.readings.store.Store.render`, by reading one more than was asked for."""
    if what.limit is None:
        found, more = read(what), False
    else:
        found = read(msgspec.structs.replace(what, limit=what.limit + 1))
        more = len(found) > what.limit > 0
        found = found[: what.limit]
    if turned:
        found.reverse()
    return json_list(found, label), more
