from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from wotkit import strict_json
from wotkit.readings.sqlite import FILE_NAME, SqliteStore
from wotkit.readings.store import Append, NewReading, Range, Replace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = 1_800_000_000_000_000
ODD_TEXTS = ["\n", "\r\n", "\0", ",", '"]', "température", "🌡", "\u2028"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / FILE_NAME)) as opened:
        yield opened


def reading(sensor_id: int, ts: int, value: Any) -> NewReading:
    values = {"value": value}
    return NewReading(sensor_id, ts, strict_json.encode(values), values)


def values_of(store: SqliteStore, what: Range) -> list[Any]:
    return [strict_json.decode(one.data)["value"] for one in store.read(what)]


@pytest.mark.parametrize("count", [256, 257, 513, 1000, 1300])
@pytest.mark.parametrize("sensors", [1, 3, 100])
def test_every_reading_of_a_bulk_is_stored_with_its_latest(
    store: SqliteStore, count: int, sensors: int
) -> None:
    bulk = [reading(n % sensors, n, n) for n in range(count)]
    (outcome,) = store.apply([Append(bulk)], NOW)
    assert outcome.stored == count
    for sensor in range(sensors):
        mine = list(range(sensor, count, sensors))
        found = store.read(Range(sensor_id=sensor))
        assert [one.ts for one in found] == mine
        assert [one.id for one in found] == [outcome.first_id + n for n in mine]
        assert values_of(store, Range(sensor_id=sensor)) == mine
        assert store.latest([sensor])[sensor].fields == {"value": (mine[-1], mine[-1])}


def test_bulk_takes_the_place_of_the_one_before(store: SqliteStore) -> None:
    for round_number in range(3):
        bulk = [reading(1, ts, round_number * 1000 + ts) for ts in range(1000)]
        store.apply([Replace(1, bulk, first=0, last=999)], NOW)
    assert values_of(store, Range(sensor_id=1)) == list(range(2000, 3000))
    assert values_of(store, Range(sensor_id=1, newest=2, reverse=True)) == [2999, 2998]


def test_any_text_comes_back_as_it_was_stored(store: SqliteStore) -> None:
    store.apply([Append([reading(1, ts, text) for ts, text in enumerate(ODD_TEXTS)])], NOW)
    assert values_of(store, Range(sensor_id=1)) == ODD_TEXTS
    assert values_of(store, Range(sensor_id=2)) == []
