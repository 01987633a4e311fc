"""Reading page by page and across sensors, against lists that are simply sorted."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.readings.model import new
from wotkit.readings import query
from wotkit.readings.query import Across, Walk, read_across
from wotkit.readings.sqlite import FILE_NAME, SqliteStore
from wotkit.readings.store import LAST_ID, Append, Delete, Range, StoredReading

if TYPE_CHECKING:
    from collections.abc import Iterator

Found = tuple[int, StoredReading]

TIMES = st.integers(0, 9)
KEYS = st.none() | st.tuples(TIMES, st.integers(0, 60) | st.just(LAST_ID))
PUSHED = st.lists(st.tuples(st.integers(1, 5), TIMES), max_size=60)
OFTEN = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path_factory.mktemp("readings") / FILE_NAME)) as found:
        yield found


def fill(store: SqliteStore, pushed: list[tuple[int, int]]) -> list[Found]:
    """Make the store hold exactly these readings, as sensor and time."""
    store.apply([Delete(sensor_id, 0, 1000) for sensor_id in range(1, 6)], 1)
    outcome = store.apply([Append([new(sensor_id, ts, n=ts) for sensor_id, ts in pushed])], 1)[0]
    return [
        (sensor_id, StoredReading(ts, outcome.first_id + place, b'{"n":%d}' % ts))
        for place, (sensor_id, ts) in enumerate(pushed)
    ]


def place(found: Found) -> tuple[int, int]:
    return found[1][:2]


def sorted_by(found: list[Found], what: Across) -> list[Found]:
    found = sorted(found, key=place, reverse=what.reverse)
    return sorted(found, key=lambda each: each[0]) if what.by_sensor else found


def expected_of(held: list[Found], sensor_ids: list[int], what: Across) -> tuple[list[Found], bool]:
    within = [
        each
        for each in sorted(held, key=place)
        if each[0] in sensor_ids
        and (what.after is None or place(each) > what.after)
        and (what.through is None or place(each) <= what.through)
    ]
    if what.newest is not None:
        within = within[max(0, len(within) - what.newest) :]
    if what.oldest is not None:
        within = within[: what.oldest]
    end = what.offset + what.limit
    more = len(within) > end > what.offset
    if what.latest:
        return sorted_by(within[::-1][what.offset : end], what), more
    return sorted_by(within, what)[what.offset : end], more


@st.composite
def across(draw: st.DrawFn) -> dict[str, Any]:
    few = st.none() | st.integers(0, 20)
    count = draw(st.sampled_from(["newest", "oldest"]))
    number = draw(few)
    return {
        "after": draw(KEYS),
        "through": draw(KEYS),
        count: number,
        "latest": number is None and draw(st.booleans()),
        "by_sensor": draw(st.booleans()),
        "reverse": draw(st.booleans()),
        "offset": draw(st.integers(0, 12)),
        "limit": draw(st.integers(0, 40)),
    }


@given(
    pushed=PUSHED,
    asked=st.sets(st.integers(1, 7)).map(sorted),
    wanted=across(),
    head=st.integers(1, 3),
)
@example([(1, 5)] * 30 + [(2, 5)] * 30, [1, 2], {"reverse": True, "limit": 40}, 1)
@OFTEN
def test_many_sensors_are_read_as_if_all_were_sorted(
    store: SqliteStore,
    pushed: list[tuple[int, int]],
    asked: list[int],
    wanted: dict[str, Any],
    head: int,
) -> None:
    held = fill(store, pushed)
    shift = min((found.id for _, found in held), default=1) - 1
    for name in ("after", "through"):  # so that ids of bounds are near those that are stored
        if wanted.get(name) is not None and wanted[name][1] != LAST_ID:
            wanted[name] = (wanted[name][0], wanted[name][1] + shift)
    what = Across(**wanted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query, "HEAD", head)
        assert read_across(store, asked, what) == expected_of(held, asked, what)


@given(
    pushed=st.lists(TIMES, max_size=60),
    reverse=st.booleans(),
    offset=st.integers(0, 5),
    limit=st.none() | st.integers(0, 30),
    rows=st.integers(1, 5),
    most=st.integers(1, 9),
)
@OFTEN
def test_walk_meets_every_reading_once_in_order(
    store: SqliteStore,
    pushed: list[int],
    reverse: bool,
    offset: int,
    limit: int | None,
    rows: int,
    most: int,
) -> None:
    held = [found for _, found in fill(store, [(1, ts) for ts in pushed])]
    held.sort(reverse=reverse)
    what = Range(sensor_id=1, reverse=reverse, offset=offset, limit=limit)
    walk, met = Walk(what, rows), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query, "PAGE_ROWS", most)
        while not walk.done:
            page = walk.next(store)
            assert len(page) <= max(rows, most)
            met += page
    assert met == held[offset:][:limit]


def test_walk_goes_on_where_it_was_when_readings_come_and_go(store: SqliteStore) -> None:
    held = fill(store, [(1, 5)] * 6)
    walk = Walk(Range(sensor_id=1), rows=3)
    met = walk.next(store)
    store.apply([Append([new(1, 4, n=4)]), Delete(1, 5, 5, 0, met[-1].id)], 1)
    while not walk.done:
        met += walk.next(store)
    assert met == [reading for _, reading in held]


def test_pages_of_large_readings_are_short(store: SqliteStore) -> None:
    fill(store, [])
    store.apply([Append([new(1, ts, text="x" * 100_000) for ts in range(200)])], 1)
    walk, pages = Walk(Range(sensor_id=1)), []
    while not walk.done:
        pages.append(len(walk.next(store)))
    assert sum(pages) == 200
    assert max(pages[1:]) * 100_000 <= query.PAGE_BYTES


def test_newest_of_many_sensors_opens_only_those_that_have_them(store: SqliteStore) -> None:
    fill(store, [(sensor_id, sensor_id) for sensor_id in range(1, 6)])
    read: list[int] = []

    class Watched:
        newest = staticmethod(store.newest)

        @staticmethod
        def read(what: Range) -> list[StoredReading]:
            read.append(what.sensor_id)
            return store.read(what)

    watched: Any = Watched()  # as much of a store as it takes
    found, more = read_across(watched, [1, 2, 3, 4, 5], Across(latest=True, limit=2))
    assert [sensor_id for sensor_id, _ in found] == [4, 5]
    assert more
    assert set(read) <= {5, 4, 3}
