"""The fields of a sensor over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

LUX = {"name": "lux", "longName": "Light", "type": "NUMBER"}


@pytest.fixture
def shed(client: Any) -> Any:
    """A client, and Alice's public sensor ``shed``."""
    client.make_sensor("shed", visibility="PUBLIC")
    return client


def listed(client: Any) -> list[tuple[str, int]]:
    answer = client.get("sensors/shed/fields", "alice")
    assert answer.status_code == 200
    return [(field["name"], field["index"]) for field in answer.json()]


def test_fields_are_listed_and_shown_one_by_one(shed: Any) -> None:
    fields = shed.get("sensors/alice.shed/fields").json()
    assert [field["name"] for field in fields] == ["lat", "lng", "value", "message"]
    assert fields == shed.get("sensors/alice.shed").json()["fields"]
    for field in fields:
        assert shed.get(f"sensors/alice.shed/fields/{field['name']}").json() == field


def test_put_adds_a_field_at_the_end_and_then_changes_it_in_place(shed: Any) -> None:
    assert shed.put("sensors/shed/fields/lux", "alice", LUX).status_code == 204
    assert listed(shed)[-1] == ("lux", 4)
    shed.put("sensors/shed/fields/last", "alice", LUX | {"name": "last"})
    change = LUX | {"longName": "Light level", "units": "lx", "required": "true", "index": 0}
    assert shed.put("sensors/shed/fields/lux", "alice", change).status_code == 204
    assert shed.get("sensors/shed/fields/lux", "alice").json() == LUX | {
        "longName": "Light level",
        "units": "lx",
        "required": True,
        "index": 4,
    }
    again = change | {"required": "false"}
    assert shed.put("sensors/shed/fields/lux", "alice", again).status_code == 204
    assert shed.get("sensors/shed/fields/lux", "alice").json()["required"] is False


@pytest.mark.parametrize("missing", ["name", "longName", "type"])
def test_missing_attribute_is_named_in_the_words_clients_know(shed: Any, missing: str) -> None:
    body = {name: value for name, value in LUX.items() if name != missing}
    error = shed.error(shed.put("sensors/shed/fields/lux", "alice", body), 400)
    assert error["message"] == "The supplied object is invalid"
    assert error["moreInfo"] == {missing: "is required"}
    assert error["developerMessage"] == [f"{missing} is required"]
    assert ("lux", 4) not in listed(shed)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "other"}, "name"),
        ({"type": "BOOLEAN"}, "type"),
        ({"type": 5}, "type"),
        ({"longName": " "}, "longName"),
        ({"longName": "a" * 256}, "longName"),
        ({"required": "maybe"}, "required"),
    ],
)
def test_invalid_attribute_is_named(shed: Any, change: dict[str, Any], field: str) -> None:
    error = shed.error(shed.put("sensors/shed/fields/lux", "alice", LUX | change), 400)
    assert error["message"] == "The supplied object is invalid"
    assert list(error["moreInfo"]) == [field]


@pytest.mark.parametrize("name", ["timestamp", "id", "sensor_id", "sensor_name"])
def test_name_that_every_reading_has_is_refused(shed: Any, name: str) -> None:
    answer = shed.put(f"sensors/shed/fields/{name}", "alice", LUX | {"name": name})
    assert list(shed.error(answer, 400)["moreInfo"]) == ["name"]


def test_index_closes_up_after_a_deletion(shed: Any) -> None:
    assert shed.delete("sensors/shed/fields/lng", "alice").status_code == 204
    assert listed(shed) == [("lat", 0), ("value", 1), ("message", 2)]


def test_last_field_cannot_be_deleted(shed: Any) -> None:
    for name in ("lat", "lng", "value"):
        shed.delete(f"sensors/shed/fields/{name}", "alice")
    error = shed.error(shed.delete("sensors/shed/fields/message", "alice"), 400)
    assert error["message"] == "Invalid Field Content"
    assert error["developerMessage"] == ["Cannot delete last field from sensor"]
    assert listed(shed) == [("message", 0)]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_field_that_does_not_exist_is_named(shed: Any, method: str) -> None:
    error = shed.error(shed.call(method, "sensors/shed/fields/nothing", "alice"), 400)
    assert error["message"] == "Invalid Field Content"
    assert "nothing" in error["developerMessage"][0]
    assert "nothing" in error["moreInfo"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_field_of_a_sensor_that_does_not_exist_is_not_found(shed: Any, method: str) -> None:
    answer = shed.call(method, "sensors/nothing/fields/lux", "alice", json=LUX)
    assert shed.error(answer, 404)["developerMessage"] == ["nothing"]


def test_name_with_odd_characters_has_an_address(shed: Any) -> None:
    body = LUX | {"name": "µg per m³ %"}
    path = "sensors/shed/fields/%C2%B5g%20per%20m%C2%B3%20%25"
    assert shed.put(path, "alice", body).status_code == 204
    assert shed.get(path, "alice").json()["name"] == "µg per m³ %"
    assert shed.delete(path, "alice").status_code == 204


def test_values_of_a_newly_declared_field_are_cast_where_they_can_be(shed: Any) -> None:
    for second, lux in enumerate(["1.5", "bright", 7]):
        reading = {"timestamp": f"2026-01-01T00:00:0{second}Z", "value": 1, "lux": lux}
        assert shed.post("sensors/shed/data", "alice", reading).status_code == 201
    assert shed.put("sensors/shed/fields/lux", "alice", LUX).status_code == 204
    readings = shed.get("sensors/shed/data", "alice").json()
    assert [reading.get("lux") for reading in readings][::2] == [1.5, 7]
    field = shed.get("sensors/shed/fields/lux", "alice").json()
    assert (field["value"], field["lastUpdate"]) == (7, "2026-01-01T00:00:02.000Z")


def test_fields_replaced_as_a_whole_are_cast_too(shed: Any) -> None:
    reading = {"timestamp": "2026-01-01T00:00:00Z", "value": 1, "lux": "1.5"}
    shed.post("sensors/shed/data", "alice", reading)
    body = {"fields": [LUX, {"name": "value", "type": "STRING"}]}
    assert shed.put("sensors/shed", "alice", body).status_code == 204
    (stored,) = shed.get("sensors/shed/data", "alice").json()
    assert (stored["lux"], stored["value"]) == (1.5, "1")


def test_declared_type_holds_from_the_next_reading_on(shed: Any) -> None:
    assert shed.post("sensors/shed/data", "alice", {"lux": "dark"}).status_code == 201
    shed.put("sensors/shed/fields/lux", "alice", LUX | {"required": True})
    error = shed.error(shed.post("sensors/shed/data", "alice", {"lux": "dark"}), 400)
    assert "expected NUMBER" in error["moreInfo"]["lux"]
    shed.error(shed.post("sensors/shed/data", "alice", {"value": 1}), 400)
    shed.delete("sensors/shed/fields/lux", "alice")
    assert shed.post("sensors/shed/data", "alice", {"lux": "dark"}).status_code == 201


def test_other_methods_are_405(shed: Any) -> None:
    shed.error(shed.call("POST", "sensors/shed/fields", "alice", json=LUX), 405)
    shed.error(shed.call("POST", "sensors/shed/fields/lux", "alice", json=LUX), 405)
