"""Alerts on gateways fire when one has been offline for so long, and end when it is back."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.api.conftest import running
from wotkit import times
from wotkit.catalog.models import AlertDelivery, Gateway, changed, rows
from wotkit.settings import AlertSettings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.api.conftest import Client, MakeKey, People
    from wotkit.catalog import Catalog
    from wotkit.settings import Settings

ALERTS = "/api/v2/alerts"
INBOX = "/api/v2/inbox"
PATIENCE = 10.0
QUICK = AlertSettings(check_seconds=0.1, webhook_private=True, retry_seconds=0.05)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, alerts=QUICK)


def report(client: Client, status: str = "online", name: str = "shed", **more: Any) -> None:
    path = f"/api/v2/gateways/{name}/status"
    assert client.put(path, "alice", {"status": status, **more}).status_code == 204


def gone(seconds: float = 0.3, name: str = "shed", **attributes: Any) -> dict[str, Any]:
    condition = {"gateway": name, "operator": "OFFLINE", "seconds": seconds}
    return {"name": "gateway gone", "conditions": [condition]} | attributes


def make(client: Client, body: dict[str, Any]) -> str:
    answer = client.post(ALERTS, "alice", body)
    assert answer.status_code == 201, answer.text
    return f"{ALERTS}/{answer.json()['id']}"


def until(client: Client, wanted: Any, found: Any) -> None:
    """Let the server work until ``found()`` is what is wanted."""
    ends = time.monotonic() + PATIENCE
    while (last := found()) != wanted:
        assert time.monotonic() < ends, f"{last!r} is not {wanted!r}"
        client.run(asyncio.sleep(0.01))


def told(client: Client) -> list[str]:
    return [one["message"] for one in reversed(client.get(INBOX, "alice").json())]


def in_progress(client: Client, path: str) -> bool:
    return bool(client.get(path, "alice").json()["inProgress"])


def fall_silent(catalog: Catalog, seconds: float) -> None:
    """Let the time for the next report have passed so many seconds ago."""
    due = times.now() - int(seconds * times.MICROSECONDS)
    catalog.write(lambda: changed(Gateway.update(due=due)))


def test_alert_is_made_shown_and_changed(client: Client) -> None:
    report(client)
    path = make(client, gone(60))
    (condition,) = client.get(path, "alice").json()["conditions"]
    assert condition == {
        "sensorId": None,
        "sensor": None,
        "gateway": "shed",
        "field": "",
        "operator": "OFFLINE",
        "value": None,
        "seconds": 60,
    }
    changed_body = {"conditions": gone(90)["conditions"]}
    assert client.put(path, "alice", changed_body).status_code == 204
    assert client.get(path, "alice").json()["conditions"][0]["seconds"] == 90


def test_alert_fires_once_when_offline_for_so_long_and_ends_when_back(client: Client) -> None:
    report(client)
    path = make(client, gone(0.5))
    client.run(asyncio.sleep(0.3))
    assert told(client) == []
    report(client, "offline")
    began = time.monotonic()
    until(client, ["gateway shed: offline for 0.5 s"], lambda: told(client))
    assert time.monotonic() - began > 0.3
    assert in_progress(client, path)
    report(client)
    until(client, False, lambda: in_progress(client, path))
    report(client, "offline")
    until(client, 2, lambda: len(told(client)))


def test_short_absence_fires_nothing(client: Client) -> None:
    report(client)
    path = make(client, gone(60))
    report(client, "offline")
    client.run(asyncio.sleep(0.4))
    assert told(client) == []
    assert not in_progress(client, path)


def test_silent_gateway_fires_too(client: Client, catalog: Catalog) -> None:
    report(client)
    make(client, gone(60))
    fall_silent(catalog, 30)
    client.run(asyncio.sleep(0.4))
    assert told(client) == []
    fall_silent(catalog, 61)
    until(client, ["gateway shed: offline for 60 s"], lambda: told(client))


def test_template_and_webhook_tell_of_the_gateway(client: Client, catalog: Catalog) -> None:
    report(client)
    words = "${sensor} is ${status}, last seen ${lastSeen}"
    make(client, gone(0.1, template=words, webhook="http://127.0.0.1:9/", longName="Shed"))
    last_seen = client.get("/api/v2/gateways/shed", "alice").json()["lastSeen"]
    report(client, "offline")
    until(client, [f"shed is offline, last seen {last_seen}"], lambda: told(client))
    ((body,),) = catalog.read(lambda: rows(AlertDelivery.select(AlertDelivery.body)))
    (condition,) = json.loads(body)["conditions"]
    assert condition["gateway"] == "shed"
    assert condition["operator"] == "OFFLINE"
    assert "sensorId" not in condition


def test_gateway_and_sensor_hold_together(client: Client) -> None:
    client.make_sensor("cellar")
    report(client)
    warm = {"sensorId": "cellar", "field": "value", "operator": "GT", "value": 30}
    make(client, gone(0.1, template="both") | {"conditions": [warm, *gone(0.1)["conditions"]]})
    report(client, "offline")
    client.run(asyncio.sleep(0.4))
    assert told(client) == []
    client.post("sensors/cellar/data", "alice", {"value": 31})
    until(client, ["both"], lambda: told(client))


def test_deleted_gateway_disables_its_alerts(client: Client) -> None:
    report(client)
    path = make(client, gone(60))
    assert client.delete("/api/v2/gateways/shed", "alice").status_code == 204
    until(client, True, lambda: client.get(path, "alice").json()["disabled"])
    assert "gateway" in client.get(path, "alice").json()["disabledReason"]
    report(client)
    assert client.put(path, "alice", {"disabled": False}).status_code == 400
    assert client.put(path, "alice", gone(60, disabled=False)).status_code == 204


def test_alert_survives_a_restart(settings: Settings, people: People, data: Path) -> None:
    with running(settings) as client:
        report(client)
        path = make(client, gone(1))
        report(client, "offline")
        assert not in_progress(client, path)
    with running(settings) as client:
        until(client, ["gateway shed: offline for 1 s"], lambda: told(client))
        assert in_progress(client, path)
    with running(settings) as client:
        client.run(asyncio.sleep(0.5))
        assert len(told(client)) == 1
        report(client)
        until(client, False, lambda: in_progress(client, path))


def test_gateway_of_somebody_else_is_not_found(
    client: Client, people: People, make_key: MakeKey
) -> None:
    report(client)
    for caller in ("charlie", "admin"):
        for name in ("shed", "alice.shed"):
            assert client.post(ALERTS, caller, gone(60, name)).status_code == 404
    assert client.post(ALERTS, "alice", gone(60, "attic")).status_code == 404
    client.make_sensor("cellar")
    path = make(client, gone(60))
    limited = make_key(people.alice, sensors=["cellar"])
    assert client.get(path, limited).status_code == 404
    assert client.post(ALERTS, limited, gone(60)).status_code == 404


@pytest.mark.parametrize(
    ("condition", "place"),
    [
        ({"gateway": "shed", "operator": "OFFLINE"}, "seconds"),
        ({"gateway": "shed", "operator": "OFFLINE", "seconds": 0}, "seconds"),
        ({"gateway": "shed", "operator": "NODATA", "seconds": 60}, "operator"),
        ({"sensorId": "cellar", "operator": "OFFLINE", "seconds": 60}, "operator"),
        ({"gateway": "shed", "sensorId": 1, "operator": "OFFLINE", "seconds": 60}, "gateway"),
        ({"operator": "OFFLINE", "seconds": 60}, "sensorId"),
    ],
)
def test_condition_that_makes_no_sense_is_refused(
    client: Client, condition: dict[str, Any], place: str
) -> None:
    report(client)
    answer = client.post(ALERTS, "alice", {"name": "gateway gone", "conditions": [condition]})
    assert answer.status_code == 400
    assert list(answer.json()["error"]["moreInfo"]) == [f"conditions.0.{place}"]


def test_alert_on_a_gateway_is_not_tried_over_readings(client: Client) -> None:
    report(client)
    answer = client.call("POST", f"{make(client, gone(60))}/test", "alice")
    assert answer.status_code == 400
    assert "gateway" in answer.text
