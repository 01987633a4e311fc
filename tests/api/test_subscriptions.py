"""Following sensors over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

BASES = ("/api", "/api/v1", "/api/v2")


def followed(client: Any, who: str) -> list[str]:
    answer = client.get("subscribe", who)
    assert answer.status_code == 200
    return [sensor["name"] for sensor in answer.json()]


@pytest.fixture
def sensors(client: Any) -> Any:
    client.make_sensor("open", visibility="PUBLIC")
    client.make_sensor("shut")
    client.make_sensor("shared", owner="garden")
    return client


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("slash", ["", "/"])
def test_follower_lists_what_it_follows(sensors: Any, base: str, slash: str) -> None:
    assert sensors.call("PUT", f"{base}/subscribe/alice.open{slash}", "charlie").status_code == 204
    answer = sensors.call("GET", f"{base}/subscribe{slash}", "charlie")
    assert [sensor["name"] for sensor in answer.json()] == ["open"]
    assert answer.json()[0]["subscriberNames"] == ["charlie"]
    gone = sensors.call("DELETE", f"{base}/subscribe/alice.open{slash}", "charlie")
    assert gone.status_code == 204
    assert followed(sensors, "charlie") == []


def test_teammate_follows_private_sensor_of_the_organization_by_id(sensors: Any) -> None:
    shared = sensors.get("sensors/garden.shared", "alice").json()["id"]
    assert sensors.put(f"subscribe/{shared}", "bobby", None).status_code == 204
    assert followed(sensors, "bobby") == ["shared"]
    assert followed(sensors, "alice") == []


def test_following_twice_and_leaving_twice_is_403(sensors: Any) -> None:
    sensors.put("subscribe/alice.open", "charlie", None)
    error = sensors.error(sensors.put("subscribe/alice.open", "charlie", None), 403)
    assert "Cannot perform action" in error["message"]
    assert "already subscribed" in error["developerMessage"][0]
    sensors.delete("subscribe/alice.open", "charlie")
    error = sensors.error(sensors.delete("subscribe/alice.open", "charlie"), 403)
    assert "Cannot perform action" in error["message"]
    assert "not subscribed" in error["developerMessage"][0]


@pytest.mark.parametrize("sensor", ["alice.shut", "2", "nothing", "charlie.nothing"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_hidden_sensor_cannot_be_followed_nor_told_from_a_missing_one(
    sensors: Any, method: str, sensor: str
) -> None:
    error = sensors.error(sensors.call(method, f"subscribe/{sensor}", "charlie"), 404)
    assert error["message"] == "Could not locate this resource."
    assert sensor in error["developerMessage"][0]


def test_making_a_sensor_private_ends_subscriptions(sensors: Any) -> None:
    sensors.put("subscribe/alice.open", "charlie", None)
    sensors.put("sensors/open", "alice", {"visibility": "PRIVATE"})
    sensors.put("sensors/open", "alice", {"visibility": "PUBLIC"})
    assert followed(sensors, "charlie") == []


def test_list_comes_in_pages(sensors: Any) -> None:
    for name in ("open", "shut", "garden.shared"):
        sensors.put(f"subscribe/{name}", "alice", None)
    answer = sensors.get("subscribe", "alice", limit=2)
    assert [sensor["name"] for sensor in answer.json()] == ["open", "shut"]
    rest = sensors.get(answer.links["next"]["url"], "alice")
    assert [sensor["name"] for sensor in rest.json()] == ["shared"]
    assert "next" not in rest.links
    assert "limit" in sensors.error(sensors.get("subscribe", "alice", limit=0), 400)["moreInfo"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "subscribe"), ("PUT", "subscribe/1"), ("DELETE", "subscribe/1")]
)
def test_subscriptions_need_credentials(client: Any, method: str, path: str) -> None:
    answer = client.call(method, path)
    client.error(answer, 401)
    assert "www-authenticate" in answer.headers


def test_key_needs_the_scope(client: Any, people: Any, make_key: Any) -> None:
    client.make_sensor("open", visibility="PUBLIC")
    reader = make_key(people.charlie, scopes=["read"])
    client.error(client.put("subscribe/alice.open", reader, None), 403)
    assert client.get("subscribe", reader).json() == []


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "subscribe"), ("DELETE", "subscribe"), ("GET", "subscribe/1")]
)
def test_other_methods_are_405(client: Any, method: str, path: str) -> None:
    client.error(client.call(method, path, "alice"), 405)
