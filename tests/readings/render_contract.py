"""What every readings store promises of JSON; a form of it inherits :class:`RenderContract`."""

from __future__ import annotations

import json
from contextlib import closing
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.readings.model import new
from wotkit import times
from wotkit.readings.form import json_list
from wotkit.readings.store import Append, DropSensor, Range, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = 1_000_000_000
LABEL = ',"sensor_id":7,"sensor_name":"alice.küche \\"1\\""'
HOUR = 3600 * times.MICROSECONDS
LAST_ID = (1 << 63) - 1

late = st.integers(0, times.LATEST)
near = st.integers(0, 3 * HOUR).map(lambda ts: 500_000 * HOUR + ts // 250 * 250)
old = st.integers(times.EARLIEST, -1)
bodies = st.dictionaries(
    st.sampled_from(["value", "é😀", 'q"\\', "timestamp"]),
    st.none() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False, width=16),
    min_size=1,
    max_size=3,
)
plain = st.lists(st.tuples(near | late, bodies), max_size=12)
odd = st.lists(st.tuples(near | old, bodies | st.just({})), max_size=4)
few = st.integers(0, 8)
pages = st.fixed_dictionaries(
    {},
    optional={
        "offset": few | st.just(LAST_ID),
        "limit": few | st.just(LAST_ID - 1),
        "reverse": st.booleans(),
        "after": st.tuples(near, few),
        "through": st.tuples(near, few),
    },
)
counted = st.sampled_from([{}, {"newest": 3}, {"oldest": 3}, {"newest": 50}])


class RenderContract:
    """Inherit it and say how the store is opened."""

    def open(self, folder: Path) -> Store:
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        with closing(self.open(tmp_path)) as found:
            yield found

    def test_list_has_the_readings_that_read_finds_in_their_order(self, tmp_path: Path) -> None:
        sensors = count(1)
        with closing(self.open(tmp_path)) as store:

            @settings(max_examples=200, deadline=None)
            @given(
                plain | st.tuples(plain, odd).map(lambda two: [*two[0], *two[1]]), pages, counted
            )
            @example([(0, {"v": 1}), (-1, {"v": 2})], {"limit": 5}, {})
            @example([(500_000 * HOUR, {"v": 1}), (0, {})], {"limit": 5}, {})
            def agrees(
                drawn: list[tuple[int, dict[str, Any]]],
                page: dict[str, Any],
                counts: dict[str, int],
            ) -> None:
                sensor_id = next(sensors)
                readings = [new(sensor_id, ts, **values) for ts, values in drawn]
                store.apply([Append(readings)], NOW)
                what = Range(sensor_id=sensor_id, **page, **counts)
                assert store.render(what, LABEL) == rendered(store, what, turned=False)
                if not counts:
                    assert store.render(what, LABEL, turned=True) == rendered(
                        store, what, turned=True
                    )

            agrees()

    @pytest.mark.parametrize("turned", [False, True])
    def test_thousand_of_twenty_thousand_and_the_page_behind_them(
        self, store: Store, turned: bool
    ) -> None:
        readings = [new(1, 500_000 * HOUR + n // 2 * 1_000_281, n=n) for n in range(2500)]
        store.apply([Append(readings)], NOW)
        for offset, more in ((0, True), (1000, True), (1500, False), (2000, False), (2500, False)):
            what = Range(sensor_id=1, reverse=turned, offset=offset, limit=1000)
            body, follow = store.render(what, LABEL, turned=turned)
            expected = [n for n in range(2500) if offset <= (2499 - n if turned else n)]
            expected = expected[-1000:] if turned else expected[:1000]
            assert [item["n"] for item in json.loads(body)] == expected
            assert follow is more

    def test_times_are_shown_as_everywhere_also_before_1970(self, store: Store) -> None:
        moments = [times.EARLIEST, -1, 0, 281_000, 281_456, 500_000 * HOUR, times.LATEST]
        store.apply([Append([new(1, ts, at=ts) for ts in moments])], NOW)
        for sensor_moments in (moments, moments[2:]):
            after = (sensor_moments[0] - 1, LAST_ID)
            body, _ = store.render(Range(sensor_id=1, after=after, limit=100), LABEL)
            items = json.loads(body)
            assert [item["at"] for item in items] == sensor_moments
            assert [item["timestamp"] for item in items] == list(map(times.to_iso, sensor_moments))

    def test_sensor_without_readings_has_an_empty_list(self, store: Store) -> None:
        store.apply([Append([new(1, 1, n=1)]), DropSensor(1)], NOW)
        for turned in (False, True):
            what = Range(sensor_id=1, limit=10)
            assert store.render(what, LABEL, turned=turned) == (b"[]", False)


def rendered(store: Store, what: Range, *, turned: bool) -> tuple[bytes, bool]:
    """Say what the list is, by reading everything and leaving out what was not asked for."""
    found = store.read(msgspec.structs.replace(what, limit=None))
    limit = len(found) if what.limit is None else what.limit
    page = found[:limit]
    return json_list(page[::-1] if turned else page, LABEL), len(found) > limit > 0
