"""Keys made over HTTP do in the whole application what they say, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.api.conftest import Client

KEYS = "/api/v2/keys"


@pytest.fixture
def roof(client: Client) -> dict[str, Any]:
    """A private sensor of Alice."""
    return client.make_sensor("roof")


def make(client: Client, owner: str = "alice", **attributes: Any) -> tuple[str, str]:
    answer = client.post(KEYS, owner, {"name": "gateway", **attributes})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"], answer.json()["password"]


def status(answer: Any) -> tuple[int, int | None]:
    """Return status and error code."""
    if answer.is_success:
        return answer.status_code, None
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.usefixtures("roof")
def test_read_key_reads_private_readings_and_cannot_post(client: Client) -> None:
    key = make(client, scopes=["read"])
    assert client.get("sensors/alice.roof/data", key).status_code == 200
    refused = client.post("sensors/alice.roof/data", key, {"value": 1})
    assert status(refused) == (403, 1302)
    assert refused.json()["error"]["developerMessage"] == ["the scope 'write' is needed"]
    assert client.get("sensors/alice.roof/data", "alice").json() == []


@pytest.mark.usefixtures("roof")
def test_write_key_posts_and_can_neither_read_nor_manage(client: Client) -> None:
    key = make(client, scopes=["write"])
    assert client.post("sensors/alice.roof/data", key, {"value": 1}).status_code == 201
    for scope, answer in (
        ("read", client.get("sensors/alice.roof/data", key)),
        ("manage", client.post("sensors", key, {"name": "more", "longName": "x"})),
        ("manage", client.delete("sensors/alice.roof", key)),
    ):
        assert status(answer) == (403, 1302)
        assert answer.json()["error"]["developerMessage"] == [f"the scope {scope!r} is needed"]


@pytest.mark.usefixtures("roof")
def test_key_gets_another_scope_at_the_next_request(client: Client) -> None:
    key = make(client, scopes=["read"])
    assert status(client.post("sensors/alice.roof/data", key, {"value": 1})) == (403, 1302)
    assert client.put(f"{KEYS}/{key[0]}", "alice", {"scopes": ["write"]}).status_code == 204
    assert client.post("sensors/alice.roof/data", key, {"value": 1}).status_code == 201
    assert status(client.get("sensors/alice.roof/data", key)) == (403, 1302)


@pytest.mark.usefixtures("roof")
def test_limited_key_sees_and_writes_its_sensors_only(client: Client) -> None:
    client.make_sensor("cellar")
    client.make_sensor("square", visibility="PUBLIC")
    key = make(client, sensors=["roof"])
    assert client.post("sensors/roof/data", key, {"value": 1}).status_code == 201
    for other in ("cellar", "square"):
        assert status(client.get(f"sensors/alice.{other}", key)) == (404, 1101)
        assert status(client.post(f"sensors/{other}/data", key, {"value": 1})) == (404, 1101)
    assert [each["name"] for each in client.get("sensors", key).json()] == ["roof"]


@pytest.mark.usefixtures("roof")
def test_key_whose_only_sensor_is_deleted_sees_none(client: Client) -> None:
    client.make_sensor("cellar")
    key = make(client, sensors=["roof"])
    assert client.delete("sensors/roof", "alice").status_code == 204
    assert client.get("sensors", key).json() == []
    assert client.get(f"{KEYS}/{key[0]}", "alice").json()["sensors"] == []


@pytest.mark.usefixtures("roof")
def test_revoked_key_cannot_post_any_more(client: Client) -> None:
    key = make(client)
    assert client.post("sensors/roof/data", key, {"value": 1}).status_code == 201
    assert client.delete(f"{KEYS}/{key[0]}", "alice").status_code == 204
    assert status(client.post("sensors/roof/data", key, {"value": 2})) == (401, 1301)
    assert [each["value"] for each in client.get("sensors/roof/data", "alice").json()] == [1]


@pytest.mark.usefixtures("roof")
def test_fleet_posts_without_a_gap_while_its_key_is_rotated(client: Client) -> None:
    key_id, old = make(client)
    new = client.post(f"{KEYS}/{key_id}/rotate", "alice", {"overlapHours": 1}).json()["password"]
    for value, password in enumerate((old, new)):
        answer = client.post("sensors/roof/data", (key_id, password), {"value": value})
        assert answer.status_code == 201
    client.post(f"{KEYS}/{key_id}/rotate", "alice", {"overlapHours": 0})
    for password in (old, new):
        answer = client.post("sensors/roof/data", (key_id, password), {"value": 2})
        assert status(answer) == (401, 1301)


@pytest.mark.usefixtures("roof")
def test_key_of_a_stranger_does_not_see_a_private_sensor(client: Client) -> None:
    key = make(client, "charlie", scopes=["all"])
    assert status(client.get("sensors/alice.roof", key)) == (404, 1101)
    assert status(client.post("sensors/alice.roof/data", key, {"value": 1})) == (404, 1101)


def test_trailing_slash_and_the_location_lead_to_the_key(client: Client) -> None:
    answer = client.post(KEYS + "/", "alice", {"name": "gateway"})
    assert answer.status_code == 201
    assert client.get(answer.headers["location"], "alice").json()["id"] == answer.json()["id"]


def test_keys_are_of_version_2_only(client: Client) -> None:
    assert status(client.get("/api/v1/keys", "alice")) == (404, 1102)
    assert status(client.get("/api/keys", "alice")) == (404, 1102)
