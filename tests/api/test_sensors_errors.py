"""What is wrong with a sensor is said in the words that old clients match on."""

from __future__ import annotations

from typing import Any

import pytest

GOOD = {"name": "greenhouse", "longName": "Greenhouse", "description": "Under the roof"}
FIELD = {"name": "temperature", "type": "NUMBER"}
NOT_FOUND = "Could not locate this resource."
INVALID = "Object has validation errors"


@pytest.mark.parametrize(
    "reference", ["nothing", "alice.nothing", "4711", "a.b.c", "%20", "9" * 50]
)
def test_sensor_that_does_not_exist_is_named(shared_client: Any, reference: str) -> None:
    error = shared_client.error(shared_client.get(f"sensors/{reference}", "alice"), 404)
    assert error["message"] == NOT_FOUND
    assert error["developerMessage"] == [reference.replace("%20", " ")]


def test_name_that_exists_is_a_conflict(client: Any) -> None:
    client.make_sensor("greenhouse")
    error = client.error(client.post("sensors", "alice", GOOD), 409)
    assert "already exists" in error["message"]
    assert error["developerMessage"] == ["the sensor 'alice.greenhouse' already exists"]
    assert "already exists" in error["moreInfo"]["name"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": "abc"}, "name"),
        ({"name": "Greenhouse"}, "name"),
        ({"name": "1greenhouse"}, "name"),
        ({"name": "green.house"}, "name"),
        ({"name": "green house"}, "name"),
        ({"name": "a" * 51}, "name"),
        ({"name": "greenhouse\n"}, "name"),
        ({"name": 12345}, "name"),
        ({"longName": None}, "longName"),
        ({"longName": " "}, "longName"),
        ({"longName": "a" * 256}, "longName"),
        ({"longName": "a\0b"}, "longName"),
        ({"description": None}, "description"),
        ({"description": ""}, "description"),
        ({"latitude": 90.1}, "latitude"),
        ({"latitude": "north"}, "latitude"),
        ({"latitude": "nan"}, "latitude"),
        ({"longitude": -180.1}, "longitude"),
        ({"longitude": True}, "longitude"),
        ({"visibility": "SECRET"}, "visibility"),
        ({"visibility": 1}, "visibility"),
        ({"tags": "a,b"}, "tags"),
        ({"tags": [""]}, "tags"),
        ({"tags": [1]}, "tags"),
        ({"tags": ["a" * 256]}, "tags"),
        ({"tags": [str(i) for i in range(101)]}, "tags"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"": 1}}, "metadata"),
        ({"metadata": {"a": ""}}, "metadata"),
        ({"metadata": {"a": None}}, "metadata"),
        ({"metadata": {"a": [1]}}, "metadata"),
        ({"metadata": {"a": {"b": 1}}}, "metadata"),
        ({"metadata": {"a": 1 << 63}}, "metadata"),
        ({"metadata": {str(i): i for i in range(101)}}, "metadata"),
        ({"imageUrl": 5}, "imageUrl"),
        ({"imageUrl": "a" * 10_001}, "imageUrl"),
        ({"fields": "value"}, "fields"),
        ({"fields": ["value"]}, "fields.0"),
        ({"fields": [FIELD, {"name": "a"}]}, "fields.1.type"),
        ({"fields": [{"type": "NUMBER"}]}, "fields.0.name"),
        ({"fields": [{"name": "", "type": "NUMBER"}]}, "fields.0.name"),
        ({"fields": [{"name": "a", "type": "number"}]}, "fields.0.type"),
        ({"fields": [{"name": "a", "type": ""}]}, "fields.0.type"),
        ({"fields": [{"name": "timestamp", "type": "NUMBER"}]}, "fields.0.name"),
        ({"fields": [{"name": "a\nb", "type": "NUMBER"}]}, "fields.0.name"),
        ({"fields": [{"name": "a" * 101, "type": "NUMBER"}]}, "fields.0.name"),
        ({"fields": [FIELD | {"required": "maybe"}]}, "fields.0.required"),
        ({"fields": [FIELD | {"units": "u" * 256}]}, "fields.0.units"),
        ({"fields": [FIELD, FIELD]}, "fields.1.name"),
    ],
)
def test_invalid_attribute_is_named_alone_and_in_a_list(
    shared_client: Any, change: dict[str, Any], field: str
) -> None:
    bad = {name: value for name, value in (GOOD | change).items() if value is not None}
    error = shared_client.error(shared_client.post("sensors", "alice", bad), 400)
    assert error["message"] == INVALID
    assert list(error["moreInfo"]) == [field]
    assert field.rpartition(".")[2] in " ".join(error["developerMessage"])
    error = shared_client.error(shared_client.put("sensors", "alice", [GOOD, bad | {"id": 1}]), 400)
    assert error["message"] == INVALID
    assert list(error["moreInfo"]) == [f"1.{field}"]
    assert shared_client.get("sensors", "alice").json() == []


def test_every_wrong_attribute_is_named_at_once(shared_client: Any) -> None:
    error = shared_client.error(shared_client.post("sensors", "alice", {"fields": [{}]}), 400)
    assert set(error["moreInfo"]) == {
        "name",
        "longName",
        "description",
        "fields.0.name",
        "fields.0.type",
    }
    assert set(error["moreInfo"].values()) == {"is required"}
    bad = GOOD | {"name": "A", "latitude": 91, "tags": [""]}
    error = shared_client.error(shared_client.post("sensors", "alice", bad), 400)
    assert set(error["moreInfo"]) == {"name", "latitude", "tags"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"longName": ""}, "longName"),
        ({"latitude": 100}, "latitude"),
        ({"visibility": "x"}, "visibility"),
        ({"metadata": {"a": ""}}, "metadata"),
        ({"fields": [{"name": "a"}]}, "fields.0.type"),
    ],
)
def test_invalid_change_is_refused_and_changes_nothing(
    client: Any, change: dict[str, Any], field: str
) -> None:
    before = client.make_sensor("greenhouse")
    answer = client.put("sensors/greenhouse", "alice", change | {"tags": ["new"]})
    error = client.error(answer, 400)
    assert (error["message"], list(error["moreInfo"])) == (INVALID, [field])
    assert client.get("sensors/greenhouse", "alice").json() == before


def test_sensor_is_never_left_without_fields(client: Any) -> None:
    client.make_sensor("greenhouse")
    error = client.error(client.put("sensors/greenhouse", "alice", {"fields": []}), 400)
    assert error["message"] == "Invalid Field Content"
    assert error["developerMessage"] == ["Cannot delete last field from sensor"]


def test_list_is_all_or_nothing(client: Any) -> None:
    client.make_sensor("cellar")
    names = ["attic", "cellar"]
    error = client.error(client.put("sensors", "alice", [GOOD | {"name": n} for n in names]), 409)
    assert "already exists" in error["message"]
    assert "'alice.cellar' already exists" in error["developerMessage"][0]
    assert list(error["moreInfo"]) == ["1.name"]
    error = client.error(client.put("sensors", "alice", [GOOD, GOOD]), 409)
    assert "greenhouse" in error["developerMessage"][0]
    error = client.error(client.put("sensors", "alice", [GOOD, GOOD | {"owner": "nobody"}]), 404)
    assert error["developerMessage"] == ["nobody"]
    assert [sensor["name"] for sensor in client.get("sensors", "alice").json()] == ["cellar"]


def test_list_of_more_than_a_hundred_is_refused(client: Any) -> None:
    many = [GOOD | {"name": f"sensor{i}"} for i in range(101)]
    error = client.error(client.put("sensors", "alice", many), 400)
    assert "100" in error["developerMessage"][0]
    error = client.error(client.put("sensors", "alice", [GOOD, "greenhouse"]), 400)
    assert error["moreInfo"] == {"1": "must be a JSON object"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "sensors", "[]"),
        ("POST", "sensors", ""),
        ("POST", "sensors", '"greenhouse"'),
        ("POST", "sensors", "{"),
        ("PUT", "sensors", "{}"),
        ("PUT", "sensors/greenhouse", "[]"),
        ("PUT", "sensors/greenhouse", "null"),
        ("PUT", "sensors/greenhouse/fields/lux", "[]"),
    ],
)
def test_body_of_another_form_is_refused(client: Any, method: str, path: str, body: str) -> None:
    client.make_sensor("greenhouse")
    error = client.error(client.call(method, path, "alice", content=body), 400)
    assert error["message"] == "The body could not be read"
    assert "JSON" in error["developerMessage"][0]


def test_name_given_twice_in_a_body_is_refused(client: Any) -> None:
    body = '{"name": "greenhouse", "name": "cellar", "longName": "x", "description": "y"}'
    error = client.error(client.call("POST", "sensors", "alice", content=body), 400)
    assert error["moreInfo"] == {"name": "stands twice"}
