"""Reads many readings, of one sensor or of many, in bounded memory whatever their number."""

from __future__ import annotations

import heapq
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec import Struct

from wotkit.readings.store import Range, StoredReading

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wotkit.readings.store import Store

PAGE_ROWS: Final = 2000
"""Readings read at a time at most."""
PAGE_BYTES: Final = 1 << 20
"""Bytes of readings that a page has, roughly."""
FIRST_ROWS: Final = 64
"""Readings of a first page, before anything is known of their size."""
HEAD: Final = 8
"""Readings that are read first of each of many sensors."""

Key = tuple[int, int]
"""Time and id: a reading's place among those of its sensor."""
Found = tuple[int, StoredReading]
"""A sensor's id and a reading of it."""
Keyed = tuple[int, int, Found]


def before(key: Key) -> Key:
    """Return the bound that lets only what lies before ``key`` through."""
    ts, reading_id = key
    return ts, reading_id - 1


class Walk:
    """Reads a range page by page; each page may be read in another thread.

    What is stored and deleted meanwhile may or may not be met; whatever else is in the range is
    met exactly once.
    """

    def __init__(self, what: Range, rows: int = FIRST_ROWS) -> None:
        """Take a range whose ``newest`` and ``oldest`` are not set."""
        self._what = what
        self._rows = min(rows, PAGE_ROWS)
        self._left = what.limit
        self.done = False

    def next(self, store: Store) -> list[StoredReading]:
        """Return the next readings; none when there are no more.

        Raises:
            StoreError: the store cannot be read.
        """
        rows = self._rows if self._left is None else min(self._rows, self._left)
        page = store.read(msgspec.structs.replace(self._what, limit=rows)) if rows else []
        if len(page) < rows or not page:
            self.done = True
        if page:
            self._move_beyond(page)
        return page

    def _move_beyond(self, page: list[StoredReading]) -> None:
        last = (page[-1].ts, page[-1].id)
        change = {"through": before(last)} if self._what.reverse else {"after": last}
        self._what = msgspec.structs.replace(self._what, offset=0, **change)
        if self._left is not None:
            self._left -= len(page)
        size = sum(len(reading.data) for reading in page) // len(page) + 1
        self._rows = max(1, min(PAGE_ROWS, PAGE_BYTES // size, 4 * len(page)))


def each(store: Store, what: Range, rows: int = FIRST_ROWS) -> Iterator[StoredReading]:
    """Yield the readings of a range, in constant memory; see :class:`Walk`."""
    walk = Walk(what, rows)
    while not walk.done:
        yield from walk.next(store)


class Across(Struct, frozen=True, kw_only=True):
    """Which readings of many sensors to read, and how; the words are those of Range."""

    after: Key | None = None
    through: Key | None = None
    newest: int | None = None
    """Only so many of all sensors, counted from the newest."""
    oldest: int | None = None
    latest: bool = False
    """Offset and limit count from the newest reading, whatever the order of the answer."""
    by_sensor: bool = False
    """Ordered by sensor, then by time; else by time."""
    reverse: bool = False
    """Newest first, within each sensor when they are ordered by sensor."""
    offset: int = 0
    limit: int


class Page(NamedTuple):
    """Readings, and whether there are more."""

    readings: list[Found]
    more: bool


def read_across(store: Store, sensor_ids: Sequence[int], what: Across) -> Page:
    """Return readings of many sensors, whose ids rise.

    Takes time and memory for the readings up to the end of the answer and some for each sensor,
    however many are stored.

    Raises:
        StoreError: the store cannot be read.
    """
    end = what.offset + what.limit
    count = what.oldest if what.newest is None else what.newest
    if count is not None:
        walk = _by_time(store, sensor_ids, what, backwards=what.newest is not None)
        chosen = sorted(islice(walk, count), key=partial(_place, what=what))
        return Page(chosen[what.offset : end], len(chosen) > end > what.offset)
    if what.by_sensor and not what.latest:
        found = list(islice(_by_sensor(store, sensor_ids, what), what.limit + 1))
    else:
        walk = _by_time(store, sensor_ids, what, backwards=what.reverse or what.latest)
        found = list(islice(walk, what.offset, end + 1))
    more = len(found) > what.limit > 0
    found = found[: what.limit]
    if what.latest:
        found.sort(key=partial(_place, what=what))
    return Page(found, more)


def _place(found: Found, what: Across) -> tuple[int, ...]:
    """Return what sorts a reading in the order of the answer."""
    sensor_id, reading = found
    sign = -1 if what.reverse else 1
    place = (sign * reading.ts, sign * reading.id)
    return (sensor_id, *place) if what.by_sensor else place


def _by_sensor(store: Store, sensor_ids: Sequence[int], what: Across) -> Iterator[Found]:
    """Yield one sensor after the other, beyond the offset."""
    skip = what.offset
    for sensor_id in sensor_ids:
        span = _span(what, sensor_id, backwards=what.reverse)
        if skip:
            count = store.count(span, skip)
            if count == skip:
                span = msgspec.structs.replace(span, offset=skip)
            skip -= count
            if skip:
                continue
        for reading in each(store, span, HEAD):
            yield sensor_id, reading


def _by_time(
    store: Store, sensor_ids: Sequence[int], what: Across, *, backwards: bool
) -> Iterator[Found]:
    """Yield the readings of all sensors by time and id, merging what is read of each."""
    newest = store.newest(sensor_ids)
    if what.after is not None:
        newest = {sensor_id: key for sensor_id, key in newest.items() if key > what.after}
    if backwards:
        yield from _from_newest(store, what, newest)
        return
    for _, _, found in heapq.merge(*(_keyed(store, what, sensor_id) for sensor_id in newest)):
        yield found


def _from_newest(store: Store, what: Across, newest: dict[int, Key]) -> Iterator[Found]:
    """Yield readings from the newest on; a sensor is read only when its newest may be next."""
    heap: list[tuple[int, int, int, Found | None, Iterator[Keyed]]] = []
    for sensor_id, key in newest.items():
        ts, reading_id = min(key, what.through or key)
        walk = _keyed(store, what, sensor_id, backwards=True)
        heap.append((-ts, -reading_id, sensor_id, None, walk))
    heapq.heapify(heap)
    while heap:
        _, _, sensor_id, found, walk = heap[0]
        if found is not None:
            yield found
        following = next(walk, None)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (following[0], following[1], sensor_id, following[2], walk))


def _keyed(
    store: Store, what: Across, sensor_id: int, *, backwards: bool = False
) -> Iterator[Keyed]:
    """Yield a sensor's readings, each with what sorts it among those of others."""
    sign = -1 if backwards else 1
    for reading in each(store, _span(what, sensor_id, backwards=backwards), HEAD):
        yield sign * reading.ts, sign * reading.id, (sensor_id, reading)


def _span(what: Across, sensor_id: int, *, backwards: bool) -> Range:
    return Range(sensor_id=sensor_id, after=what.after, through=what.through, reverse=backwards)
