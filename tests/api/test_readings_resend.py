"""Idempotency-Key: a write that is sent again is done once, and answered as the first time."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

from wotkit.ingest.door import Door
from wotkit.readings.store import ForgetResends

if TYPE_CHECKING:
    import httpx
    from conftest import Client, MakeKey, People

WRITES = {
    "post": ("POST", "/api/v1/sensors/boiler/data", {"value": 1}),
    "put": ("PUT", "/api/v1/sensors/boiler/data", [{"value": 1}]),
    "put-2": (
        "PUT",
        "/api/v2/sensors/boiler/data",
        [{"value": 1, "timestamp": "2020-01-01T00:00:00Z"}],
    ),
    "data": ("POST", "/api/v2/data", [{"sensor": "boiler", "value": 1}, {"sensor": "nowhere"}]),
}
OTHERS: dict[str, Any] = {
    "post": {"value": 2},
    "put": [{"value": 2}],
    "put-2": [{"value": 2, "timestamp": "2020-01-01T00:00:00Z"}],
    "data": [{"sensor": "boiler", "value": 2}],
}
every_write = pytest.mark.parametrize("write", list(WRITES))


@pytest.fixture
def boiler(shared_client: Client) -> Client:
    """A client, and a sensor of Alice's; no resend key is known."""
    shared_client.delete("sensors/boiler", "alice")
    shared_client.make_sensor("boiler")
    shared_client.run(door_of(shared_client).apply(ForgetResends(1 << 60)))
    return shared_client


def send(
    client: Client, write: str, key: str, caller: Any = "alice", body: Any = None
) -> httpx.Response:
    method, path, usual = WRITES[write]
    headers = {"Idempotency-Key": key}
    return client.call(method, path, caller, json=usual if body is None else body, headers=headers)


def ids(client: Client) -> list[int]:
    return [reading["id"] for reading in client.get("sensors/boiler/data", "alice").json()]


@every_write
def test_second_write_stores_nothing_and_gets_the_first_answer(boiler: Client, write: str) -> None:
    first = send(boiler, write, "k-1")
    assert first.status_code in {200, 201, 204}, first.text
    assert "idempotent-replayed" not in first.headers
    stored = ids(boiler)
    for _ in range(2):
        again = send(boiler, write, "k-1")
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["idempotent-replayed"] == "true"
        assert ids(boiler) == stored


@every_write
def test_another_body_under_the_same_key_is_refused(boiler: Client, write: str) -> None:
    send(boiler, write, "k-1")
    stored = ids(boiler)
    error = boiler.error(send(boiler, write, "k-1", body=OTHERS[write]), 422)
    assert error["code"] == 1504
    assert ids(boiler) == stored


def test_same_body_for_another_sensor_is_another_request(boiler: Client) -> None:
    boiler.delete("sensors/cellar", "alice")
    boiler.make_sensor("cellar")
    send(boiler, "post", "k-1")
    headers = {"Idempotency-Key": "k-1"}
    body = {"value": 1}
    answer = boiler.call("POST", "sensors/cellar/data", "alice", json=body, headers=headers)
    boiler.error(answer, 422)


@every_write
def test_key_of_another_caller_is_another_key(
    client: Client, people: People, make_key: MakeKey, write: str
) -> None:
    client.make_sensor("boiler")
    one, two = make_key(people.alice), make_key(people.alice)
    for caller in ("alice", one, two):
        answer = send(client, write, "k-1", caller)
        assert "idempotent-replayed" not in answer.headers
    for caller in ("alice", one, two):
        assert "idempotent-replayed" in send(client, write, "k-1", caller).headers


@every_write
def test_key_that_was_forgotten_is_new(boiler: Client, write: str) -> None:
    send(boiler, write, "k-1")
    before = ids(boiler)
    boiler.run(door_of(boiler).apply(ForgetResends(1 << 60)))
    again = send(boiler, write, "k-1")
    assert "idempotent-replayed" not in again.headers
    assert max(ids(boiler)) > max(before)


def door_of(client: Client) -> Door:
    """Return the running application's door."""
    found = [thing for thing in gc.get_objects() if isinstance(thing, Door)]
    return next(door for door in found if door._loop is client._loop)


def test_request_that_was_refused_may_come_again_corrected(boiler: Client) -> None:
    boiler.error(send(boiler, "post", "k-1", body={"value": "warm"}), 400)
    assert send(boiler, "post", "k-1").status_code == 201
    assert len(ids(boiler)) == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "é".encode()])
@every_write
def test_key_that_is_not_visible_ascii_is_refused(boiler: Client, write: str, key: Any) -> None:
    error = boiler.error(send(boiler, write, key), 400)
    assert list(error["moreInfo"]) == ["Idempotency-Key"]
    assert ids(boiler) == []


def test_longest_key_is_taken(boiler: Client) -> None:
    for _ in range(2):
        assert send(boiler, "post", "~" * 255).status_code == 201
    assert len(ids(boiler)) == 1


def test_same_request_many_times_at_once_is_stored_once(boiler: Client) -> None:
    async def at_once() -> list[httpx.Response]:
        method, path, body = WRITES["post"]
        auth = ("alice", "correct horse battery")
        headers = {"Idempotency-Key": "k-1"}
        requests = [
            boiler._http.request(method, path, json=body, headers=headers, auth=auth)
            for _ in range(20)
        ]
        return list(await asyncio.gather(*requests))

    answers = boiler.run(at_once())
    assert {answer.status_code for answer in answers} == {201}
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 19
    assert len(ids(boiler)) == 1
