"""Runs an alert over stored readings, to say when it would have fired."""

from __future__ import annotations

import heapq
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from wotkit import strict_json
from wotkit.alerts.rules import Event, SensorValues, replay
from wotkit.readings.store import Range

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wotkit.alerts.rules import Episode
    from wotkit.catalog.alert_rules import RuleRow
    from wotkit.readings.store import Store

MOST_READINGS: Final = 100_000
LARGEST_ID: Final = (1 << 63) - 1


class Trial(NamedTuple):
    """How a trial went."""

    episodes: list[Episode]
    readings: int
    reached: int
    """Until when readings were looked at: before the end, when there were too many."""


def run(store: Store, row: RuleRow, start: int, end: int, most: int = MOST_READINGS) -> Trial:
    """Run an alert over the readings of ``start < ts <= end``.

    What a sensor last said at ``start`` is known; of fields its newest reading has not, nothing.
    """
    sensor_ids = sorted({condition.sensor_id for condition in row.conditions})
    values = {sensor_id: _before(store, sensor_id, start) for sensor_id in sensor_ids}
    merged = heapq.merge(*(_events(store, one, start, end) for one in sensor_ids))
    events = [event for _, _, event in islice(merged, most + 1)]
    reached = end
    if len(events) > most:
        events.pop()
        reached = events[-1].ts
    return Trial(replay(row, values, events, start, reached), len(events), reached)


def _before(store: Store, sensor_id: int, start: int) -> SensorValues:
    found = SensorValues()
    wanted = Range(sensor_id=sensor_id, through=(start, LARGEST_ID), newest=1)
    for reading in store.read(wanted):
        found.add(reading.ts, strict_json.decode(reading.data), reading.ts)
    return found


def _events(store: Store, sensor_id: int, start: int, end: int) -> Iterator[tuple[int, int, Event]]:
    """Yield a sensor's readings by time and id."""
    wanted = Range(sensor_id=sensor_id, after=(start, LARGEST_ID), through=(end, LARGEST_ID))
    for reading in store.stream(wanted):
        yield (
            reading.ts,
            reading.id,
            Event(reading.ts, sensor_id, strict_json.decode(reading.data)),
        )
