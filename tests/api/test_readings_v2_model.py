"""Queries, paging and deletion of version 2 against a list that is simply filtered."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.readings.model import new
from wotkit.api.v2 import reading_query
from wotkit.api.v2.reading_query import ReadingQuery, read_cursor
from wotkit.readings.query import Walk
from wotkit.readings.sqlite import FILE_NAME, SqliteStore
from wotkit.readings.store import Append, Delete, Range, Replace, StoredReading

if TYPE_CHECKING:
    from collections.abc import Iterator

SECOND = 1_000_000
SECONDS = st.integers(1, 6)
IDS = st.none() | st.integers(0, 12)
OFTEN = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path_factory.mktemp("readings") / FILE_NAME)) as found:
        yield found


def fill(store: SqliteStore, seconds: list[int], replaced: int | None) -> list[StoredReading]:
    """Make the store hold readings of these times; then replace those of one, as a PUT does."""
    readings = [new(1, second * SECOND, n=place) for place, second in enumerate(seconds)]
    store.apply([Delete(1, 0, 10 * SECOND), Append(readings)], 1)
    held = store.read(Range(sensor_id=1))
    if replaced is not None:
        ts = replaced * SECOND
        outcome = store.apply([Replace(1, [new(1, ts, n=-1)])], 1)[0]
        held = [reading for reading in held if reading.ts != ts]
        held.append(StoredReading(ts, outcome.first_id, b'{"n":-1}'))
    return sorted(held)


@st.composite
def bounds(draw: st.DrawFn) -> dict[str, Any]:
    ends = sorted(draw(st.tuples(SECONDS, SECONDS)))
    return {
        "start": draw(st.sampled_from([None, ends[0]])),
        "end": draw(st.sampled_from([None, ends[1]])),
        "start_id": draw(IDS),
        "end_id": draw(IDS),
        "offset": draw(st.none() | st.integers(0, 4)),
        "limit": draw(st.none() | st.integers(0, 6)),
    }


def asked(held: list[StoredReading], drawn: dict[str, Any]) -> ReadingQuery:
    """Return the query, with places among the readings in the place of ids."""

    def real(place: int | None) -> int | None:
        return held[place % len(held)].id if place and held else None if place else place

    def text(second: int | None) -> str | None:
        return None if second is None else str(second * 1000)

    query = ReadingQuery(
        start=text(drawn["start"]),
        end=text(drawn["end"]),
        start_id=real(drawn["start_id"]),
        end_id=real(drawn["end_id"]),
        offset=drawn["offset"] or 0,
        limit=drawn["limit"],
    )
    times = {reading.id: reading.ts // 1000 for reading in held}
    if query.start is None and query.start_id:
        query.start = str(times[query.start_id])
    if query.end is None and query.end_id:
        query.end = str(times[query.end_id])
    if query.end is None:
        query.end_id = None
    if query.start and query.end and int(query.end) < int(query.start):
        query.end = query.end_id = None
    return query


def matching(held: list[StoredReading], query: ReadingQuery) -> list[StoredReading]:
    """Say in plain words which readings the bounds let through."""

    def after_start(reading: StoredReading) -> bool:
        if query.start is None:
            return True
        start = int(query.start) * 1000
        same = reading.ts == start and query.start_id is not None and reading.id > query.start_id
        return reading.ts > start or same

    def until_end(reading: StoredReading) -> bool:
        if query.end is None:
            return True
        end = int(query.end) * 1000
        same = reading.ts == end and (query.end_id is None or reading.id <= query.end_id)
        return reading.ts < end or same

    return [reading for reading in held if after_start(reading) and until_end(reading)]


FILLED = {"seconds": st.lists(SECONDS, max_size=25), "replaced": st.none() | SECONDS}


@given(**FILLED, drawn=bounds())
@OFTEN
def test_range_is_what_its_words_say(
    store: SqliteStore,
    seconds: list[int],
    replaced: int | None,
    drawn: dict[str, Any],
) -> None:
    held = fill(store, seconds, replaced)
    query = asked(held, drawn)
    expected = matching(held, query)
    if drawn["start"] is None:  # the id says the time too
        query.start = None
    understood = reading_query.understand(query, store, 1, 0)
    end = None if query.limit is None else (query.offset or 0) + query.limit
    assert store.read(understood.what) == expected[query.offset or 0 : end]
    assert store.count(understood.counted, 1000) == len(expected)
    walk, met = Walk(reading_query.all_at_once(understood, store), 2), []
    while not walk.done:
        met += walk.next(store)
    assert met == expected[query.offset or 0 : end]


@given(**FILLED, drawn=bounds())
@OFTEN
def test_deletion_takes_exactly_what_a_query_answers(
    store: SqliteStore, seconds: list[int], replaced: int | None, drawn: dict[str, Any]
) -> None:
    held = fill(store, seconds, replaced)
    query = asked(held, drawn)
    what = reading_query.understand(query, store, 1, 0).what
    gone = store.read(what)
    part = reading_query.part(what, store)
    assert (part is None) == (gone == [])
    if part is not None:
        (first, first_id), (last, last_id) = part
        outcome = store.apply([Delete(1, first, last, first_id, last_id)], 1)[0]
        assert outcome.deleted == len(gone)
    assert store.read(Range(sensor_id=1)) == [each for each in held if each not in gone]


@given(**FILLED, drawn=bounds(), size=st.integers(1, 5), late=SECONDS)
@OFTEN
def test_pages_by_cursor_neither_skip_nor_repeat(
    store: SqliteStore,
    seconds: list[int],
    replaced: int | None,
    drawn: dict[str, Any],
    size: int,
    late: int,
) -> None:
    held = fill(store, seconds, replaced)
    query = asked(held, drawn | {"offset": None, "limit": size})
    expected = matching(held, query)
    met: list[StoredReading] = []
    while True:
        page = store.read(reading_query.understand(query, store, 1, 0).what)
        met += page
        if len(page) < size:
            break
        key = (page[-1].ts, page[-1].id)
        query.cursor = reading_query.make_cursor(key)
        assert read_cursor(query.cursor) == key
        if len(met) == size:  # one comes in late while they are read, and is met or not
            store.apply([Append([new(1, late * SECOND, n=99)])], 1)
    assert [each for each in met if each.data != b'{"n":99}'] == expected
    assert len(set(met)) == len(met)
