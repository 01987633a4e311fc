from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from wotkit import times
from wotkit.catalog import Catalog, sensors
from wotkit.readings.sqlite import FILE_NAME, SqliteStore
from wotkit.readings.store import Append, NewReading, Range

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Wotkit


@pytest.fixture
def alice(wotkit: Wotkit) -> Wotkit:
    wotkit.user("alice")
    return wotkit


def store_readings(data: Path, sensor_id: int, count: int) -> None:
    now = times.now()
    with closing(SqliteStore(data / FILE_NAME)) as store:
        readings = [
            NewReading(sensor_id, now - n, b'{"value":1}', {"value": 1}) for n in range(count)
        ]
        store.apply([Append(readings)], now)


def stored(data: Path, sensor_id: int) -> int:
    with closing(SqliteStore(data / FILE_NAME)) as store:
        return len(store.read(Range(sensor_id=sensor_id)))


def test_created_sensor_is_private_unless_asked_otherwise(alice: Wotkit) -> None:
    alice.ok("sensor", "create", "cellar", "--user", "alice")
    alice.ok("sensor", "create", "roof", "--user", "alice", "--public")
    found = {row["name"]: row for row in alice.json("sensor", "list")}
    assert found["cellar"]["visibility"] == "PRIVATE"
    assert found["roof"]["visibility"] == "PUBLIC"
    assert found["roof"]["owner"] == "alice"
    names = [field["name"] for field in found["roof"]["fields"]]
    assert names == ["lat", "lng", "value", "message"]


def test_fields_may_have_type_and_units(alice: Wotkit) -> None:
    row = alice.json(
        *("sensor", "create", "roof", "--user", "alice", "--field", "temperature:number:°C"),
        *("--field", "state:STRING", "--field", "level", "--tag", "outside"),
    )
    assert row["fields"] == [
        {"name": "temperature", "type": "NUMBER", "units": "°C"},
        {"name": "state", "type": "STRING", "units": ""},
        {"name": "level", "type": "NUMBER", "units": ""},
    ]
    assert row["tags"] == ["outside"]


def test_field_of_an_unknown_type_is_an_error_of_usage(alice: Wotkit) -> None:
    command = ("sensor", "create", "roof", "--user", "alice", "--field", "at:DATE")
    assert "DATE" in alice.refused(*command, status=2)


def test_invalid_name_is_refused(alice: Wotkit) -> None:
    said = alice.refused("sensor", "create", "R", "--user", "alice")
    assert "validation errors" in said
    assert "name" in said


def test_sensor_of_an_unknown_or_disabled_user_is_refused(alice: Wotkit) -> None:
    assert "charlie" in alice.refused("sensor", "create", "roof", "--user", "charlie")
    alice.ok("user", "disable", "alice")
    assert "disabled" in alice.refused("sensor", "create", "roof", "--user", "alice")


def test_list_shows_the_latest_reading(alice: Wotkit) -> None:
    row = alice.json("sensor", "create", "roof", "--user", "alice")
    assert row["latest_reading"] is None
    store_readings(alice.data, row["id"], 3)
    assert alice.json("sensor", "list")[0]["latest_reading"].startswith("20")
    heads, line = alice.ok("sensor", "list").splitlines()
    assert line.index("alice.roof") == heads.index("SENSOR")


def test_list_is_of_one_owner_or_of_all(alice: Wotkit) -> None:
    alice.user("bobby")
    alice.ok("sensor", "create", "roof", "--user", "alice")
    alice.ok("sensor", "create", "door", "--user", "bobby")
    assert [row["name"] for row in alice.json("sensor", "list", "--owner", "bobby")] == ["door"]
    assert len(alice.json("sensor", "list")) == 2


@pytest.mark.parametrize("by_id", [True, False])
def test_deleted_sensor_takes_its_readings_along(alice: Wotkit, by_id: bool) -> None:
    gone = alice.json("sensor", "create", "roof", "--user", "alice")
    stays = alice.json("sensor", "create", "door", "--user", "alice")
    for row in (gone, stays):
        store_readings(alice.data, row["id"], 30)
    alice.ok("sensor", "delete", str(gone["id"]) if by_id else "alice.roof")
    assert [row["name"] for row in alice.json("sensor", "list")] == ["door"]
    assert stored(alice.data, gone["id"]) == 0
    assert stored(alice.data, stays["id"]) == 30
    with closing(Catalog(alice.data)) as catalog:
        assert catalog.read(sensors.pending_drops) == []


def test_unknown_sensor_is_an_error_of_one_line(alice: Wotkit) -> None:
    said = alice.refused("sensor", "delete", "alice.roof")
    assert said == "Error: Could not locate this resource: alice.roof\n"
