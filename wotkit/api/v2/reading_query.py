"""The reading query of version 2: three groups of parameters that do not mix."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from wotkit import times
from wotkit.api.v1.reading_range import time_of
from wotkit.errors import InvalidQuery
from wotkit.readings.query import before
from wotkit.readings.store import LAST_ID, Range

if TYPE_CHECKING:
    from wotkit.readings.query import Key
    from wotkit.readings.store import Store

MOST: Final = 1000
"""Readings of one answer as JSON, and how many there are by default."""

_CURSOR: Final = re.compile(rb"reading:(-?\d{1,18}):(\d{1,19})")


class Bounds(Struct, kw_only=True):
    """Group 3: ``start < t <= end``, or ``t = start`` and a higher id, up to an id at the end."""

    start: Annotated[
        str | None,
        Meta(
            examples=["2026-06-19T22:00:00Z"],
            description="Absolute time, ISO 8601 or milliseconds since 1970; not included.",
        ),
    ] = None
    start_id: (
        Annotated[
            int,
            Meta(
                ge=0,
                description="Of the readings at start, those with a higher id are included. "
                "Without start: only what comes after this reading. 0 includes start.",
            ),
        ]
        | None
    ) = None
    end: Annotated[str | None, Meta(description="Absolute time; included.")] = None
    end_id: (
        Annotated[
            int,
            Meta(
                ge=0,
                description="Of the readings at end, those up to this id are included. "
                "Without end: up to this reading.",
            ),
        ]
        | None
    ) = None
    limit: (
        Annotated[
            int,
            Meta(ge=0, description="How many; as JSON 1000 at most, and more counts as that."),
        ]
        | None
    ) = None
    offset: Annotated[int, Meta(ge=0, description="How many to leave out first.")] | None = None


class ReadingQuery(Bounds, kw_only=True):
    """Which readings, in which form; without any parameter, the latest 1 000."""

    recent_t: (
        Annotated[int, Meta(ge=0, description="Group 1: so many milliseconds back from now.")]
        | None
    ) = None
    recent_n: (
        Annotated[int, Meta(ge=0, description="Group 2: so many, the newest; 1000 by default.")]
        | None
    ) = None
    cursor: (
        Annotated[
            str,
            Meta(
                description="With group 3: where a page starts, from the `Link` of the one before."
            ),
        ]
        | None
    ) = None
    format: (
        Annotated[
            Literal["json", "csv", "ndjson"],
            Meta(description="Instead of the header `Accept`. csv and ndjson may be of any size."),
        ]
        | None
    ) = None


class Understood(Struct, kw_only=True):
    """What a query asks for."""

    what: Range
    """Without a limit, unless one was given."""
    counted: Range
    """All that matches, whatever part of it is answered."""
    echo: dict[str, Any]
    """How the query was understood, for the answer."""
    recent: bool
    """Whether the newest are wanted when not all can be answered."""
    most: int | None = None
    """Of the newest so many, how many were asked for."""
    matching: int | None = None
    """The newest so many."""


def check_groups(query: ReadingQuery) -> None:
    """Check that parameters are of one group.

    Raises:
        InvalidQuery: saying which do not go together.
    """
    names = ("start", "start_id", "end", "end_id", "offset", "cursor")
    third = [name for name in names if getattr(query, name) is not None]
    first = ["recent_t"] if query.recent_t is not None else []
    second = ["recent_n"] if query.recent_n is not None else []
    limit = ["limit"] if query.limit is not None else []
    for mixed in ((first, [*second, *third, *limit]), (second, third)):
        if mixed[0] and mixed[1]:
            given = [*mixed[0], *mixed[1]]
            raise InvalidQuery(
                f"{' and '.join(given)} do not go together: recent_t stands alone, recent_n goes "
                "with limit, and start, start_id, end, end_id, limit and offset with each other",
                more=dict.fromkeys(given, "is of another group than the rest"),
            )


def understand(query: ReadingQuery, store: Store, sensor_id: int, now: int) -> Understood:
    """Return what a query whose groups were checked asks for.

    Raises:
        InvalidQuery: a parameter is malformed, or names a reading that is not there.
        StoreError: the store cannot be read.
    """
    third = (query.start, query.start_id, query.end, query.end_id, query.offset, query.cursor)
    if query.recent_t is not None:
        after = _storable(now - query.recent_t * times.MILLISECONDS)
        what = Range(sensor_id=sensor_id, after=(after, LAST_ID))
        echo: dict[str, Any] = {"recent_t": query.recent_t}
        return Understood(what=what, counted=what, echo=echo, recent=True)
    if all(given is None for given in third):
        most = MOST if query.recent_n is None else query.recent_n
        echo = {"recent_n": most}
        if query.limit is not None:
            most = min(most, query.limit)
            echo["limit"] = query.limit
        what = Range(sensor_id=sensor_id)
        return Understood(
            what=what, counted=what, echo=echo, recent=True, most=most, matching=echo["recent_n"]
        )
    return _of_bounds(query, store, sensor_id)


def _of_bounds(query: ReadingQuery, store: Store, sensor_id: int) -> Understood:
    counted = bounds(query, store, sensor_id)
    after = counted.after
    if query.cursor is not None:
        cursor = read_cursor(query.cursor)
        after = cursor if after is None else max(after, cursor)
    what = Range(
        sensor_id=sensor_id,
        after=after,
        through=counted.through,
        offset=query.offset or 0,
        limit=query.limit,
    )
    echo: dict[str, Any] = {}
    for name, key in (("start", counted.after), ("end", counted.through)):
        if key is not None:
            echo[name] = _millis(key[0])
        if getattr(query, f"{name}_id") is not None:
            echo[f"{name}_id"] = getattr(query, f"{name}_id")
    if query.cursor is not None:
        echo["cursor"] = query.cursor
    echo["offset"] = what.offset
    return Understood(what=what, counted=counted, echo=echo, recent=False)


def bounds(query: Bounds, store: Store, sensor_id: int) -> Range:
    """Return the range of group 3, without offset and limit.

    Raises:
        InvalidQuery: a parameter is malformed, or names a reading that is not there.
        StoreError: the store cannot be read.
    """
    start = _time("start", query.start, query.start_id, store, sensor_id)
    end = _time("end", query.end, query.end_id, store, sensor_id)
    if start is not None and end is not None and end < start:
        raise InvalidQuery("end lies before start", more={"end": "lies before start"})
    return Range(
        sensor_id=sensor_id,
        after=None if start is None else (start, _or_last(query.start_id)),
        through=None if end is None else (end, _or_last(query.end_id)),
    )


def _time(name: str, text: str | None, at: int | None, store: Store, sensor_id: int) -> int | None:
    """Return the time of a bound: as it is given, or that of the reading it names."""
    if text is not None:
        return time_of(name, text)
    if at is None or (at == 0 and name == "start"):  # 0 includes an instant, and there is none
        return None
    found = store.find(sensor_id, at)
    if found is None:
        why = f"is invalid: there is no reading {at}"
        raise InvalidQuery(f"{name}_id {why}", more={f"{name}_id": why})
    return found.ts


def _or_last(reading_id: int | None) -> int:
    return LAST_ID if reading_id is None else reading_id


def _storable(ts: int) -> int:
    return max(times.EARLIEST - 1, min(times.LATEST, ts))


def _millis(ts: int) -> int | float:
    millis, micros = divmod(ts, times.MILLISECONDS)
    return millis if micros == 0 else ts / times.MILLISECONDS


def all_at_once(understood: Understood, store: Store) -> Range:
    """Return the range in the order of the answer, ending where the newest reading is now.

    So that what comes in while it is read does not make it longer and longer.

    Raises:
        StoreError: the store cannot be read.
    """
    what = understood.what
    newest = store.newest([what.sensor_id]).get(what.sensor_id)
    if newest is None:
        return Range(sensor_id=what.sensor_id, limit=0)
    through = newest if what.through is None else min(what.through, newest)
    after = what.after
    if understood.most is not None and understood.most > 0:
        backwards = Range(
            sensor_id=what.sensor_id,
            through=through,
            reverse=True,
            offset=understood.most - 1,
            limit=1,
        )
        oldest = store.read(backwards)
        after = before((oldest[0].ts, oldest[0].id)) if oldest else None
    return Range(
        sensor_id=what.sensor_id,
        after=after,
        through=through,
        offset=what.offset,
        limit=what.limit if understood.most is None else understood.most,
    )


def part(what: Range, store: Store) -> tuple[Key, Key] | None:
    """Return the first and the last place of a range, offset and limit included.

    None when there is nothing in it.

    Raises:
        StoreError: the store cannot be read.
    """
    if what.limit == 0:
        return None
    first = _at(what, store, what.offset)
    if first is None:
        return None
    last = what.through or (times.LATEST, LAST_ID)
    if what.limit is not None:
        last = _at(what, store, what.offset + what.limit - 1) or last
    return first, last


def _at(what: Range, store: Store, place: int) -> Key | None:
    found = store.read(
        Range(
            sensor_id=what.sensor_id,
            after=what.after,
            through=what.through,
            offset=min(place, LAST_ID),
            limit=1,
        )
    )
    return (found[0].ts, found[0].id) if found else None


def following(query: ReadingQuery, understood: Understood, last: Key) -> dict[str, str]:
    """Return the parameters that make a query of group 3 one for what comes behind ``last``.

    A bound that was given by a reading alone gets its time too: the reading may be deleted before
    the next page is asked for.
    """
    found = {"cursor": make_cursor(last)}
    ends = {"start": understood.counted.after, "end": understood.counted.through}
    for name, key in ends.items():
        if key is not None and getattr(query, name) is None:
            found[name] = times.to_iso(key[0])
    return found


def read_cursor(cursor: str) -> Key:
    """Return the place behind which a page starts.

    Raises:
        InvalidQuery: this server made no such cursor.
    """
    try:
        padding = "=" * (-len(cursor) % 4)
        decoded = base64.b64decode(cursor + padding, altchars=b"-_", validate=True)
    except ValueError:
        decoded = b""
    match = _CURSOR.fullmatch(decoded)
    key = (int(match[1]), int(match[2])) if match is not None else (0, LAST_ID + 1)
    if key[1] > LAST_ID or make_cursor(key) != cursor:
        raise InvalidQuery(more={"cursor": "is invalid: take it from a link of an answer"})
    return key


def make_cursor(key: Key) -> str:
    """Return what :func:`read_cursor` reads."""
    return base64.urlsafe_b64encode(b"reading:%d:%d" % key).decode("ascii").rstrip("=")
