"""Alerts fire when readings come in, once, and only about what their owner may see."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.api.conftest import running
from wotkit.catalog.models import Member, changed
from wotkit.settings import AlertSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.api.conftest import Client, People
    from wotkit.catalog import Catalog
    from wotkit.settings import Settings

ALERTS = "/api/v2/alerts"
INBOX = "/api/v2/inbox"
SILENCE = 0.3
PATIENCE = 10.0


@pytest.fixture
def settings(settings: Settings) -> Settings:
    quick = AlertSettings(check_seconds=0.1, webhook_private=True, retry_seconds=0.05)
    return msgspec.structs.replace(settings, alerts=quick)


def warm(sensor: Any, limit: float = 30, **attributes: Any) -> dict[str, Any]:
    condition = {"sensorId": sensor, "field": "value", "operator": "GT", "value": limit}
    return {"name": "too warm", "conditions": [condition]} | attributes


def make(client: Client, body: dict[str, Any], caller: str = "alice") -> str:
    answer = client.post(ALERTS, caller, body)
    assert answer.status_code == 201, answer.text
    return f"{ALERTS}/{answer.json()['id']}"


def send(client: Client, sensor: str, value: Any, caller: str = "alice", **more: Any) -> None:
    answer = client.post(f"sensors/{sensor}/data", caller, {"value": value} | more)
    assert answer.status_code == 201, answer.text


def until(client: Client, wanted: Any, found: Any) -> None:
    """Let the server work until ``found()`` is what is wanted."""
    ends = time.monotonic() + PATIENCE
    while (last := found()) != wanted:
        assert time.monotonic() < ends, f"{last!r} is not {wanted!r}"
        client.run(asyncio.sleep(0.01))


def told(client: Client, caller: str = "alice") -> list[str]:
    """The messages of the inbox, oldest first."""
    return [one["message"] for one in reversed(client.get(INBOX, caller).json())]


def settle(client: Client) -> None:
    """Let the server do what it has to do, so that what it does not do is seen."""
    client.run(asyncio.sleep(SILENCE))


@pytest.fixture
def cellar(client: Client) -> Iterator[str]:
    client.make_sensor("cellar")
    yield "cellar"
    client.run(asyncio.sleep(0.05))


def test_alert_fires_once_until_it_has_ended(client: Client, cellar: str) -> None:
    path = make(client, warm(cellar, template="${value}"))
    for value in (29, 31, 35, 32, 20, 40):
        send(client, cellar, value)
    until(client, ["31", "40"], lambda: told(client))
    assert client.get(path, "alice").json()["inProgress"] is True
    send(client, cellar, 1)
    until(client, False, lambda: client.get(path, "alice").json()["inProgress"])
    assert told(client) == ["31", "40"]


def test_message_says_what_happened(client: Client, cellar: str) -> None:
    before = client.post(ALERTS, "alice", warm(cellar, longName="Too warm")).json()
    send(client, cellar, 31.5)
    until(client, 1, lambda: len(told(client)))
    (message,) = client.get(INBOX, "alice").json()
    assert message.pop("timestamp").endswith("Z")
    assert message == {
        "id": message["id"],
        "title": "Too warm",
        "message": "alice.cellar: value GT 30 (it is 31.5)",
        "sendEmail": False,
        "email": "",
        "read": False,
        "sent": False,
        "alert": before["id"],
    }


def test_readings_of_one_list_are_each_compared(client: Client, cellar: str) -> None:
    make(client, warm(cellar, template="${value}"))
    items = [
        {"timestamp": f"2026-01-01T00:00:0{at}Z", "value": value}
        for at, value in enumerate([10, 50, 10])
    ]
    assert client.put(f"sensors/{cellar}/data", "alice", items).status_code == 204
    until(client, ["50"], lambda: told(client))


def test_conditions_of_two_sensors_have_to_hold_together(client: Client, cellar: str) -> None:
    client.make_sensor("attic")
    both = warm(cellar)["conditions"] + warm("attic", 5)["conditions"]
    make(client, {"name": "both", "conditions": both, "template": "both"})
    send(client, cellar, 31)
    settle(client)
    assert told(client) == []
    send(client, "attic", 6)
    until(client, ["both"], lambda: told(client))


def test_alert_made_after_the_reading_fires_with_the_next(client: Client, cellar: str) -> None:
    send(client, cellar, 50)
    make(client, warm(cellar, template="${value}"))
    send(client, cellar, None, other=1)
    until(client, ["50"], lambda: told(client))


def test_disabled_alert_is_silent_and_begins_anew_when_enabled(client: Client, cellar: str) -> None:
    path = make(client, warm(cellar, template="${value}"))
    make(client, warm(cellar, 31.5, template="${value} is seen"))
    send(client, cellar, 31)
    until(client, ["31"], lambda: told(client))
    client.put(path, "alice", {"disabled": True})
    assert client.get(path, "alice").json()["inProgress"] is False
    send(client, cellar, 10)
    send(client, cellar, 32)
    until(client, ["31", "32 is seen"], lambda: told(client))
    client.put(path, "alice", {"disabled": False})
    send(client, cellar, 33)
    until(client, ["31", "32 is seen", "33"], lambda: told(client))


def test_sensor_that_falls_silent_is_told_and_speaks_again(client: Client, cellar: str) -> None:
    condition = {"sensorId": cellar, "operator": "NODATA", "seconds": 0.5}
    path = make(client, {"name": "gone", "template": "silent", "conditions": [condition]})
    send(client, cellar, 1)
    assert told(client) == []
    until(client, ["silent"], lambda: told(client))
    assert client.get(path, "alice").json()["inProgress"] is True
    send(client, cellar, 1)
    until(client, False, lambda: client.get(path, "alice").json()["inProgress"])
    until(client, ["silent", "silent"], lambda: told(client))


def test_owner_hears_nothing_of_a_sensor_that_became_private(client: Client) -> None:
    client.make_sensor("square", visibility="PUBLIC")
    path = make(client, warm("alice.square", template="${value}"), "charlie")
    send(client, "square", 31)
    until(client, ["31"], lambda: told(client, "charlie"))
    send(client, "square", 10)
    until(client, False, lambda: client.get(path, "charlie").json()["inProgress"])
    client.put("sensors/square", "alice", {"visibility": "PRIVATE"})
    send(client, "square", 99)
    until(client, True, lambda: client.get(path, "charlie").json()["disabled"])
    assert "no longer visible" in client.get(path, "charlie").json()["disabledReason"]
    assert told(client, "charlie") == ["31"]


def test_member_hears_of_the_teams_sensors_as_long_as_it_is_one(
    client: Client, catalog: Catalog, people: People
) -> None:
    client.make_sensor("pond", owner="garden")
    make(client, warm("garden.pond", template="${value}"), "bobby")
    send(client, "garden.pond", 31)
    until(client, ["31"], lambda: told(client, "bobby"))
    send(client, "garden.pond", 10)
    catalog.write(lambda: changed(Member.delete().where(Member.user == people.bobby.user_id)))
    send(client, "garden.pond", 32)
    settle(client)
    assert told(client, "bobby") == ["31"]


def test_alert_dies_quietly_with_its_sensor(client: Client, cellar: str) -> None:
    client.make_sensor("attic")
    both = warm(cellar)["conditions"] + warm("attic", 5)["conditions"]
    path = make(client, {"name": "both", "conditions": both})
    assert client.delete("sensors/attic", "alice").status_code == 204
    found = client.get(path, "alice").json()
    assert (found["disabled"], len(found["conditions"])) == (True, 1)
    assert "deleted" in found["disabledReason"]
    send(client, cellar, 99)  # what is left must not fire
    settle(client)
    assert told(client) == []
    error = client.error(client.put(path, "alice", {"disabled": False}), 400)
    assert "conditions" in error["moreInfo"]
    fixed = {"disabled": False, "conditions": warm(cellar)["conditions"], "template": "on"}
    assert client.put(path, "alice", fixed).status_code == 204
    assert client.get(path, "alice").json()["disabledReason"] == ""
    send(client, cellar, 99)
    until(client, ["on"], lambda: told(client))


def test_alert_in_progress_does_not_fire_again_after_a_restart(
    client: Client, cellar: str, settings: Settings, data: Path
) -> None:
    make(client, warm(cellar, template="${value}"))
    send(client, cellar, 31)
    until(client, ["31"], lambda: told(client))
    with running(settings) as second:  # on the same folder, beside the first
        send(second, cellar, 32)
        settle(second)
        assert told(second) == ["31"]
        send(second, cellar, 1)
        send(second, cellar, 33)
        until(second, ["31", "33"], lambda: told(second))


def test_reading_that_nobody_evaluated_is_made_good_at_the_next_start(
    client: Client, cellar: str, settings: Settings, catalog: Catalog
) -> None:
    make(client, warm(cellar, template="${value} is seen"))
    send(client, cellar, 50)
    until(client, ["50 is seen"], lambda: told(client))
    path = make(client, warm(cellar, template="${value}"))  # too late for that reading
    settle(client)
    assert told(client) == ["50 is seen"]
    with running(settings) as second:
        until(second, ["50 is seen", "50"], lambda: told(second))
        assert second.get(path, "alice").json()["inProgress"] is True


def test_trial_says_when_it_would_have_fired_and_tells_nobody(client: Client, cellar: str) -> None:
    items = [
        {"timestamp": f"2026-01-01T00:00:0{at}Z", "value": value}
        for at, value in enumerate([10, 31, 32, 10, 33])
    ]
    client.put(f"sensors/{cellar}/data", "alice", items)
    path = make(client, warm(cellar, template="${value}", disabled=True))
    span = {"start": "2025-12-31T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
    answer = client.post(f"{path}/test", "alice", span)
    assert answer.status_code == 200
    assert answer.json() == {
        "start": "2025-12-31T00:00:00.000Z",
        "end": "2026-01-02T00:00:00.000Z",
        "readings": 5,
        "fired": [
            {
                "timestamp": "2026-01-01T00:00:01.000Z",
                "ended": "2026-01-01T00:00:03.000Z",
                "message": "31",
            },
            {"timestamp": "2026-01-01T00:00:04.000Z", "ended": None, "message": "33"},
        ],
    }
    later = {"start": "2026-01-01T00:00:01+00:00", "end": 1767225602000}
    assert client.post(f"{path}/test", "alice", later).json()["fired"] == []
    assert client.call("POST", f"{path}/test/", "alice").json()["readings"] == 0
    assert told(client) == []


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"start": "yesterday"}, "start"),
        ({"end": "tomorrow"}, "end"),
        ({"start": 2, "end": 1}, "start"),
        ({"start": [1]}, "start"),
    ],
)
def test_trial_of_a_wrong_range_is_refused(
    client: Client, cellar: str, body: dict[str, Any], place: str
) -> None:
    error = client.error(client.post(f"{make(client, warm(cellar))}/test", "alice", body), 400)
    assert (error["message"], list(error["moreInfo"])) == ("Object has validation errors", [place])


def test_trial_of_an_alert_without_conditions_is_refused(client: Client) -> None:
    path = make(client, {"name": "empty"})
    error = client.error(client.post(f"{path}/test", "alice", {}), 400)
    assert error["moreInfo"] == {"conditions": "there are none"}


def test_webhook_is_posted_to_its_address_and_logged(client: Client, cellar: str) -> None:
    bodies: list[bytes] = []

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r")[0])
        bodies.append(await reader.readexactly(length))
        status = b"503 Later" if len(bodies) == 1 else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\n\r\n")
        writer.close()

    server = client.run(asyncio.start_server(receive, "127.0.0.1", 0))
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    path = make(client, warm(cellar, webhook=address))
    send(client, cellar, 31)

    def logged() -> list[tuple[str, str, int, str]]:
        found = client.get(f"{path}/deliveries/", "alice").json()
        names = ("channel", "status", "attempts", "outcome")
        return [tuple(one[name] for name in names) for one in found]

    until(client, [("webhook", "sent", 2, "answered 200")], logged)
    server.close()
    first, second = (json.loads(body) for body in bodies)
    assert first == second
    assert first["title"] == "too warm"
    assert first["conditions"][0]["found"] == 31
    assert client.get(path, "alice").json()["webhook"] == address
