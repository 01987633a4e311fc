"""The shortcut answers as the framework does, and only what is ordinary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from wotkit.api.shortcut import Shortcut
from wotkit.edge import Edge

if TYPE_CHECKING:
    import httpx
    from conftest import Client, MakeKey, People

JSON = {"Content-Type": "application/json"}
FRAMEWORK = {**JSON, "Content-Encoding": "identity"}
"""A header that changes nothing, and that the shortcut leaves to the framework."""

BODIES = [
    b'{"value":1}',
    b'{"value":21.5,"message":"ok","undeclared":[1,{"a":null}]}',
    b'{"value":1,"timestamp":"2020-01-01T00:00:00Z"}',
    b'{"value":1,"timestamp":1577836800000}',
    b'{"value":"12.5","id":7}',
    b"{}",
    b'{"value":"warm"}',
    b'{"value":1,"timestamp":"3020-01-01T00:00:00Z"}',
    b'{"value":1,"timestamp":"yesterday"}',
    b'{"value":1,"value":2}',
    b'{"value":NaN}',
    b'{"value":1e999}',
    b'{"value":1',
    b'{"value":"\xff"}',
    b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'[{"value":1}]',
    b' {"value":1}',
    b"value=1&message=form",
    b"",
]


def shortcut_of(client: Client) -> Shortcut:
    edge = client._http._transport.app
    assert isinstance(edge, Edge)
    assert isinstance(edge._app, Shortcut)
    return edge._app


def post(
    client: Client, body: bytes, headers: dict[str, str], path: str = "sensors/boiler/data"
) -> httpx.Response:
    return client.call("POST", path, "alice", content=body, headers=headers)


def without_request_id(answer: httpx.Response) -> Any:
    if not answer.content:
        return None
    answered = answer.json()
    answered["error"].pop("requestId")
    return answered


@pytest.fixture
def boiler(client: Client) -> Client:
    """A client whose caller and sensor the server knows already."""
    client.make_sensor("boiler")
    assert post(client, b'{"value":0}', FRAMEWORK).status_code == 201
    return client


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body[:40].decode("latin-1"))
def test_shortcut_answers_as_the_framework_does(boiler: Client, body: bytes) -> None:
    quick, framed = post(boiler, body, JSON), post(boiler, body, FRAMEWORK)
    assert quick.status_code == framed.status_code
    assert without_request_id(quick) == without_request_id(framed)
    same = ("content-length", "retry-after", "www-authenticate", "x-content-type-options")
    assert [quick.headers.get(name) for name in same[1:]] == [
        framed.headers.get(name) for name in same[1:]
    ]
    stored = boiler.get("sensors/boiler/data", "alice").json()
    stored.sort(key=lambda reading: reading["id"])
    if quick.status_code == 201:
        first, second = ({**reading, "id": 0, "timestamp": 0} for reading in stored[-2:])
        assert first == second
        assert len(stored) == 3
    else:
        assert len(stored) == 1


def test_ordinary_reading_does_not_pass_the_framework(
    boiler: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def framework(*_: Any) -> None:
        raise AssertionError(f"the framework was asked: {_[0]}")

    monkeypatch.setattr(shortcut_of(boiler), "_app", framework)
    for path in (
        "sensors/boiler/data",
        "/api/sensors/boiler/data",
        "/api/v2/sensors/boiler/data/",
    ):
        assert post(boiler, b'{"value":1}', JSON, path).status_code == 201
    assert post(boiler, b'{"value":"warm"}', JSON).status_code == 400


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Idempotency-Key": "once"}, b'{"value":1}'),
        ({"Content-Encoding": "identity"}, b'{"value":1}'),
        ({"Transfer-Encoding": "chunked"}, b'{"value":1}'),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"value=1"),
    ],
)
def test_unusual_request_is_left_to_the_framework(
    boiler: Client, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], body: bytes
) -> None:
    shortcut = shortcut_of(boiler)
    app, asked = shortcut._app, []

    async def framework(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await app(scope, receive, send)

    monkeypatch.setattr(shortcut, "_app", framework)
    assert post(boiler, body, {**JSON, **headers}).status_code == 201
    assert asked == ["/api/v1/sensors/boiler/data"]


def test_reader_is_refused_also_when_caller_and_sensor_are_known(
    boiler: Client, people: People, make_key: MakeKey
) -> None:
    reader = make_key(people.alice, scopes=["read"])
    assert boiler.get("sensors/boiler/data", reader).status_code == 200
    for _ in range(2):
        answer = boiler.call(
            "POST", "sensors/alice.boiler/data", reader, content=b'{"value":1}', headers=JSON
        )
        assert boiler.error(answer, 403)["code"] == 1302


def test_deleted_sensor_is_gone_at_the_next_reading(boiler: Client) -> None:
    assert post(boiler, b'{"value":1}', JSON).status_code == 201
    assert boiler.delete("sensors/boiler", "alice").status_code == 204
    assert boiler.error(post(boiler, b'{"value":1}', JSON), 404)["code"] == 1101


def test_unexpected_error_has_the_one_shape(
    boiler: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError("a secret detail")

    monkeypatch.setattr(shortcut_of(boiler)._ingest, "append_to", broken)
    answer = post(boiler, b'{"value":1}', JSON)
    assert boiler.error(answer, 500)["code"] == 1901
    assert "secret" not in answer.text
