"""``POST /api/v2/data``: readings of many sensors, each answered for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx
    from conftest import Client, MakeKey, People

PATH = "/api/v2/data"


@pytest.fixture
def client_of_two(client: Client) -> Client:
    """A client; Alice has ``boiler`` and ``cellar``, her organization ``greenhouse``."""
    for name in ("boiler", "cellar"):
        client.make_sensor(name, fields=[{"name": "value", "type": "NUMBER"}])
    client.make_sensor("greenhouse", owner="garden")
    return client


def post(client: Client, *items: Any, caller: Any = "alice") -> httpx.Response:
    return client.post(PATH, caller, list(items))


def values(client: Client, sensor: str) -> list[Any]:
    answer = client.get(f"sensors/{sensor}/data", "alice")
    return [reading["value"] for reading in answer.json()]


@pytest.mark.parametrize("slash", ["", "/"])
def test_all_stored_is_201_with_a_line_for_each(client_of_two: Client, slash: str) -> None:
    client = client_of_two
    sensor_id = client.get("sensors/boiler", "alice").json()["id"]
    references = ["boiler", "alice.boiler", sensor_id, str(sensor_id), "cellar"]
    items = [
        {"sensor": name, "value": n} for n, name in enumerate([*references, "garden.greenhouse"])
    ]
    answer = client.post(PATH + slash, "alice", items)
    assert answer.status_code == 201
    assert answer.json() == [{"index": n, "status": 201} for n in range(6)]
    assert sorted(values(client, "boiler")) == [0, 1, 2, 3]
    assert values(client, "cellar") == [4]
    assert values(client, "garden.greenhouse") == [5]


def test_wrong_items_are_answered_as_if_sent_alone(client_of_two: Client) -> None:
    client = client_of_two
    bad = [
        ({"sensor": "boiler", "value": "warm"}, 400, "value", "expected NUMBER"),
        ({"sensor": "nowhere", "value": 1}, 404, None, "nowhere"),
        ({"value": 1}, 400, "sensor", "is required"),
        ({"sensor": True, "value": 1}, 400, "sensor", "is required"),
        ({"sensor": "", "value": 1}, 400, "sensor", "is required"),
        ({"sensor": "boiler"}, 400, "value", "at least one field"),
        ({"sensor": "boiler", "value": 1, "timestamp": "2999-01-01"}, 400, "timestamp", "future"),
        ({"sensor": "boiler", "value": 1, "timestamp": "soon"}, 400, "timestamp", "ISO 8601"),
        (5, 400, "sensor", "is required"),
    ]
    good = {"sensor": "cellar", "value": 7}
    answer = post(client, good, *(item for item, *_ in bad), good)
    assert answer.status_code == 200
    results = answer.json()
    assert [result["index"] for result in results] == list(range(len(bad) + 2))
    assert results[0] == {"index": 0, "status": 201}
    assert results[-1]["status"] == 201
    for result, (_, status, field, words) in zip(results[1:-1], bad, strict=True):
        error = result["error"]
        assert (result["status"], error["status"]) == (status, status)
        assert words in str(error["developerMessage"])
        assert list(error["moreInfo"]) == ([] if field is None else [field])
    assert (values(client, "cellar"), values(client, "boiler")) == ([7, 7], [])


def test_nothing_right_stores_nothing(client_of_two: Client) -> None:
    answer = post(client_of_two, {"sensor": "nowhere", "value": 1})
    assert (answer.status_code, answer.json()[0]["status"]) == (200, 404)


def test_sensors_of_others_are_as_if_not_there(
    client_of_two: Client, people: People, make_key: MakeKey
) -> None:
    client = client_of_two
    client.make_sensor("public", visibility="PUBLIC")
    items = [{"sensor": f"alice.{name}", "value": 1} for name in ("boiler", "public", "nothing")]
    assert [result["status"] for result in post(client, *items, caller="charlie").json()] == [
        404
    ] * 3
    limited = make_key(people.alice, scopes=["write"], sensors=["alice.cellar"])
    mixed = [{"sensor": "boiler", "value": 1}, {"sensor": "cellar", "value": 2}]
    assert [result["status"] for result in post(client, *mixed, caller=limited).json()] == [
        404,
        201,
    ]
    assert (values(client, "boiler"), values(client, "cellar")) == ([], [2])


def test_batch_needs_credentials_that_write(
    client_of_two: Client, people: People, make_key: MakeKey
) -> None:
    client, item = client_of_two, {"sensor": "boiler", "value": 1}
    assert "www-authenticate" in post(client, item, caller=None).headers
    client.error(post(client, item, caller=None), 401)
    client.error(post(client, item, caller=("alice", "wrong")), 401)
    client.error(post(client, item, caller=make_key(people.alice, scopes=["read"])), 403)
    assert values(client, "boiler") == []


@pytest.mark.parametrize("body", [{}, [], {"sensor": "boiler", "value": 1}, 5])
def test_anything_but_a_list_is_refused(shared_client: Client, body: Any) -> None:
    error = shared_client.error(shared_client.post(PATH, "alice", body), 400)
    assert "JSON list of readings" in error["developerMessage"][0]


def test_list_beyond_the_limit_is_too_large(shared_client: Client) -> None:
    many = [{"sensor": "boiler"}] * 10_001
    shared_client.error(shared_client.post(PATH, "alice", many), 413)


def test_order_of_a_list_is_the_order_of_the_ids(client_of_two: Client) -> None:
    items = [
        {"sensor": "boiler", "value": n, "timestamp": "2020-01-01T00:00:00Z"} for n in range(300)
    ]
    assert post(client_of_two, *items).status_code == 201
    assert values(client_of_two, "boiler") == list(range(300))
