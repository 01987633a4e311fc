"""``GET data``: readings of every sensor that a sensor query finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.api.conftest import add_people, running, settings_for
from wotkit.api.v1 import data
from wotkit.catalog import Catalog
from wotkit.settings import QuerySettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.api.conftest import Client, MakeKey, People

BASES = ("/api/data", "/api/v1/data", "/api/v2/data")


def at(second: int) -> str:
    return f"2026-01-01T00:00:{second:02d}.000Z"


def fill(client: Client) -> None:
    """Three sensors of Alice, one of them public, and a private one of Charlie."""
    client.make_sensor("roof", visibility="PUBLIC", tags=["out"])
    client.make_sensor("cellar", tags=["in"])
    client.make_sensor("attic", tags=["in"])
    client.make_sensor("secret", "charlie")
    for name, seconds in (("roof", (10, 40)), ("cellar", (20, 30, 30)), ("attic", (5, 50))):
        readings = [{"timestamp": at(second), "value": second} for second in seconds]
        assert client.put(f"/api/v2/sensors/{name}/data", "alice", readings).status_code == 204
    body = {"timestamp": at(25), "value": 25}
    assert client.post("sensors/secret/data", "charlie", body).status_code == 201


@pytest.fixture(scope="module")
def house(shared_client: Client) -> Client:
    fill(shared_client)
    return shared_client


def seconds(client: Client, caller: Any = "alice", **params: Any) -> list[int]:
    answer = client.get("data", caller, **params)
    assert answer.status_code == 200, answer.text
    return [reading["value"] for reading in answer.json()]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("slash", ["", "/"])
def test_readings_say_whose_they_are(house: Client, base: str, slash: str) -> None:
    answer = house.get(base + slash, "alice", owners="alice", tags="out")
    assert answer.status_code == 200
    roof = house.get("sensors/roof", "alice").json()
    assert answer.json() == [
        {
            "id": reading["id"],
            "sensor_id": roof["id"],
            "sensor_name": "alice.roof",
            "timestamp": at(second),
            "value": second,
        }
        for reading, second in zip(answer.json(), (10, 40), strict=True)
    ]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, [5, 10, 20, 30, 30, 40, 50]),
        ({"limit": 2}, [40, 50]),
        ({"limit": 2, "offset": 1}, [30, 40]),
        ({"reverse": "true", "limit": 2}, [50, 40]),
        ({"start": at(10), "end": at(40)}, [20, 30, 30, 40]),
        ({"start": at(40), "end": at(10)}, [20, 30, 30, 40]),
        ({"start": at(40), "end": at(10), "reverse": "true"}, [40, 30, 30, 20]),
        ({"start": at(10), "after": 10_000}, [20]),
        ({"start": at(30), "before": 10_000}, [30, 30]),
        ({"start": at(10), "afterE": 3}, [20, 30, 30]),
        ({"start": at(40), "beforeE": 2}, [30, 40]),
        ({"beforeE": 2}, [40, 50]),
        ({"start": at(10)}, [20, 30, 30, 40, 50]),
        ({"end": at(10)}, [5, 10]),
        ({"start": at(0), "limit": 2, "offset": 2}, [20, 30]),
        ({"orderBy": "time", "start": at(0)}, [5, 10, 20, 30, 30, 40, 50]),
        ({"orderBy": "sensor"}, [10, 40, 20, 30, 30, 5, 50]),
        ({"orderBy": "sensor", "reverse": "true"}, [40, 10, 30, 30, 20, 50, 5]),
        ({"orderBy": "sensor", "start": at(10), "end": at(40)}, [40, 20, 30, 30]),
        ({"orderBy": "sensor", "start": at(0), "offset": 1, "limit": 3}, [40, 20, 30]),
        ({"orderBy": "sensor", "start": at(10), "afterE": 3}, [20, 30, 30]),
        ({"orderBy": "sensor", "beforeE": 3}, [40, 30, 50]),
        ({"tags": "in", "beforeE": 1}, [50]),
        ({"tags": "nothing"}, []),
        ({"text": "cellar"}, [20, 30, 30]),
        ({"limit": 0}, []),
    ],
)
def test_every_pattern_counts_over_all_sensors_together(
    house: Client, params: dict[str, Any], expected: list[int]
) -> None:
    assert seconds(house, **params) == expected


def test_everybody_sees_readings_of_the_sensors_they_see(house: Client) -> None:
    assert seconds(house, None) == [10, 40]
    assert seconds(house, "charlie") == [10, 25, 40]
    assert seconds(house, "charlie", owners="charlie") == [25]
    assert seconds(house, "bobby") == [10, 40]
    assert house.get("data", ("alice", "wrong password")).status_code == 401


def test_active_sensors_had_a_reading_lately(house: Client) -> None:
    assert seconds(house, active="true", tags="in") == [5, 20, 30, 30, 50]
    assert seconds(house, active="false") == []


def test_next_page_is_linked_when_there_is_more(house: Client) -> None:
    answer = house.get("data", "alice", start=at(0), limit=3)
    met = [reading["value"] for reading in answer.json()]
    while "link" in answer.headers:
        assert answer.headers["x-total-truncated"] == "true"
        assert len(answer.json()) == 3
        answer = house.get(answer.headers["link"].partition(">")[0].removeprefix("<"), "alice")
        met += [reading["value"] for reading in answer.json()]
    assert met == [5, 10, 20, 30, 30, 40, 50]
    assert "x-total-truncated" not in answer.headers


@pytest.mark.parametrize(
    ("params", "named", "words"),
    [
        ({"after": 5}, {"after"}, "after without start makes no sense"),
        ({"start": 0, "after": 5, "before": 5}, {"after", "before"}, "do not go together"),
        ({"start": "x"}, {"start"}, "neither ISO 8601 nor milliseconds"),
        ({"orderBy": "name"}, {"orderBy"}, "is invalid"),
        ({"limit": "x"}, {"limit"}, "is invalid"),
        ({"offset": 100_001}, {"offset"}, "begin at a later start"),
        ({"near": "1,2"}, {"near"}, ""),
    ],
)
def test_wrong_parameter_is_named(
    house: Client, params: dict[str, Any], named: set[str], words: str
) -> None:
    error = house.error(house.get("data", "alice", **params), 400)
    assert error["code"] == 1205
    assert error["moreInfo"].keys() == named
    assert words in "; ".join(error["developerMessage"])


def test_filters_of_sensors_fail_in_their_own_words(house: Client) -> None:
    error = house.error(house.get("data", "alice", metadata="a*:b"), 400)
    assert error["message"] == "Unexpected format for metadata query"
    assert "smaller than" in house.error(house.get("data", location="1,2:3,4"), 400)["message"]


def test_other_methods_are_refused(house: Client) -> None:
    for base in BASES:
        answer = house.delete(base, "alice")
        assert house.error(answer, 405)["code"] == 1103
        assert "GET" in answer.headers["allow"]
    assert house.error(house.post("data", "alice", []), 405)["code"] == 1103


def test_key_sees_the_readings_of_its_sensors_only(
    client: Client, people: People, make_key: MakeKey
) -> None:
    fill(client)
    limited = make_key(people.alice, sensors=["cellar"])
    assert seconds(client, limited) == [20, 30, 30]
    writer = make_key(people.alice, scopes=["write"])
    assert client.error(client.get("data", writer), 403)["code"] == 1302


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Client]:
    """A server that reads two sensors and answers three readings at most."""
    limits = QuerySettings(max_data_sensors=2, max_readings=3)
    settings = msgspec.structs.replace(settings_for(tmp_path), query=limits)
    catalog = Catalog(tmp_path)
    catalog.write(add_people)
    catalog.close()
    with running(settings) as found:
        fill(found)
        yield found


def test_too_many_sensors_are_refused_with_what_to_do(small: Client) -> None:
    error = small.error(small.get("data", "alice"), 400)
    assert error["code"] == 1205
    assert "more than 2 sensors match" in error["developerMessage"][0]
    assert seconds(small, tags="in") == [30, 30, 50]


def test_answer_has_as_many_readings_as_the_setting_says(small: Client) -> None:
    for params in ({"start": at(0), "limit": 9}, {"start": at(0), "afterE": 4}, {"beforeE": 9}):
        answer = small.get("data", "alice", tags="in", **params)
        assert len(answer.json()) == 3
        assert answer.headers.get("x-total-truncated") == "true", params


def test_offset_is_bounded(house: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "MOST_SKIPPED", 3)
    assert seconds(house, start=at(0), offset=3) == [30, 30, 40, 50]
    assert house.get("data", "alice", start=at(0), offset=4).status_code == 400
