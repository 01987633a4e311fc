"""Gateways over HTTP: they appear by reporting, fall silent, and are seen by their owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.api.conftest import running
from wotkit import times
from wotkit.catalog.models import Gateway, changed

if TYPE_CHECKING:
    from tests.api.conftest import Client, MakeKey, People
    from wotkit.catalog import Catalog
    from wotkit.settings import Settings

GATEWAYS = "/api/v2/gateways"
REPORT = {
    "status": "online",
    "version": "1.2.3",
    "interval": 30,
    "uptime": 12.5,
    "clock": {"synchronized": True},
    "spool": {"depth": 3, "oldest": "2026-11-21T10:00:00Z", "dropped": 1, "bytes": 4096},
    "inputs": [
        {"name": "boiler", "type": "modbus", "state": "failing", "error": "no answer"},
        {"name": "cpu", "type": "system", "last_reading": "2026-11-21T10:00:01.5Z"},
    ],
    "actuators": [{"sensor": "pump", "type": "gpio"}],
    "errors": [{"time": "2026-11-21T10:00:00Z", "message": "no answer"}],
    "news": {"from": "a later version"},
}


def report(client: Client, name: str = "greenhouse-1", caller: Any = "alice", **more: Any) -> None:
    answer = client.put(f"{GATEWAYS}/{name}/status", caller, REPORT | more)
    assert answer.status_code == 204, answer.text


def shown(client: Client, name: str = "greenhouse-1", caller: Any = "alice") -> dict[str, Any]:
    answer = client.get(f"{GATEWAYS}/{name}", caller)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def names(client: Client, caller: Any = "alice", **query: Any) -> list[str]:
    answer = client.get(GATEWAYS, caller, **query)
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()]


def fall_silent(catalog: Catalog) -> None:
    catalog.write(lambda: changed(Gateway.update(due=times.now() - 1)))


def test_gateway_appears_with_all_that_it_says(client: Client) -> None:
    assert names(client) == []
    report(client)
    found = shown(client)
    assert times.now() - times.parse(found["firstSeen"]) < 10_000_000
    assert found["firstSeen"] == found["lastSeen"] == found["since"]
    assert found == {
        "id": "greenhouse-1",
        "owner": "alice",
        "status": "online",
        "since": found["since"],
        "firstSeen": found["firstSeen"],
        "lastSeen": found["lastSeen"],
        "key": None,
        "version": "1.2.3",
        "interval": 30,
        "uptime": 12.5,
        "clock": {"synchronized": True},
        "spool": REPORT["spool"],
        "inputs": [
            {
                "name": "boiler",
                "type": "modbus",
                "state": "failing",
                "error": "no answer",
                "lastReading": None,
            },
            {
                "name": "cpu",
                "type": "system",
                "state": "ok",
                "error": None,
                "lastReading": "2026-11-21T10:00:01.5Z",
            },
        ],
        "actuators": REPORT["actuators"],
        "errors": REPORT["errors"],
    }


def test_bare_offline_keeps_what_was_said_before(client: Client) -> None:
    report(client)
    before = shown(client)
    answer = client.put(f"{GATEWAYS}/greenhouse-1/status", "alice", {"status": "offline"})
    assert answer.status_code == 204
    after = shown(client)
    assert after["status"] == "offline"
    assert after["since"] > before["since"]
    kept = before.keys() - {"status", "since"}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def test_gateway_is_offline_when_silent_for_three_intervals(
    client: Client, catalog: Catalog
) -> None:
    report(client, interval=20)
    (due, last) = catalog.read(lambda: [(one.due, one.last_seen) for one in Gateway.select()])[0]
    assert due - last == 60_000_000
    assert shown(client)["status"] == "online"
    fall_silent(catalog)
    silent = shown(client)
    assert silent["status"] == "offline"
    assert times.parse(silent["since"]) < times.now()
    client.put(f"{GATEWAYS}/greenhouse-1/status", "alice", {"status": "offline"})
    assert shown(client)["since"] == silent["since"]
    report(client)
    assert shown(client)["status"] == "online"
    assert shown(client)["since"] > silent["since"]


def test_gateway_without_an_interval_is_given_a_minute(client: Client, catalog: Catalog) -> None:
    client.put(f"{GATEWAYS}/simple/status", "alice", {"status": "online"})
    (due, last) = catalog.read(lambda: [(one.due, one.last_seen) for one in Gateway.select()])[0]
    assert due - last == 180_000_000


def test_list_is_filtered_and_paged(client: Client, catalog: Catalog) -> None:
    report(client, "shed")
    report(client, "barn")
    fall_silent(catalog)
    report(client, "attic")
    client.put(f"{GATEWAYS}/attic/status", "alice", {"status": "offline"})
    report(client, "cellar")
    report(client, "cellar-2")
    assert names(client) == ["attic", "barn", "cellar", "cellar-2", "shed"]
    assert names(client, status="online") == ["cellar", "cellar-2"]
    assert names(client, status="offline") == ["attic", "barn", "shed"]
    assert names(client, q="Cell") == ["cellar", "cellar-2"]
    assert names(client, q="%") == []
    assert names(client, offset=1, limit=2) == ["barn", "cellar"]
    assert client.get(GATEWAYS, "alice", status="gone").status_code == 400


def test_gateway_is_hidden_from_everybody_but_its_owner_and_administrators(client: Client) -> None:
    report(client)
    for other in ("bobby", "charlie"):
        assert names(client, other) == []
        assert client.get(f"{GATEWAYS}/greenhouse-1", other).status_code == 404
        assert client.get(f"{GATEWAYS}/alice.greenhouse-1", other).status_code == 404
        assert client.delete(f"{GATEWAYS}/alice.greenhouse-1", other).status_code == 404
        assert client.get(GATEWAYS, other, owner="alice").status_code == 403
    assert client.get(GATEWAYS).status_code == 401
    assert client.get(f"{GATEWAYS}/greenhouse-1").status_code == 401
    assert shown(client, "alice.greenhouse-1")["owner"] == "alice"
    assert names(client, "admin") == []
    assert names(client, "admin", owner="alice") == ["greenhouse-1"]
    assert shown(client, "alice.greenhouse-1", "admin")["owner"] == "alice"


def test_owners_may_name_their_gateways_alike(client: Client) -> None:
    report(client)
    report(client, caller="charlie", version="9")
    assert shown(client)["version"] == "1.2.3"
    assert shown(client, caller="charlie")["version"] == "9"


def test_key_that_writes_reports_and_no_other(
    client: Client, make_key: MakeKey, people: People
) -> None:
    writer, reader = (make_key(people.alice, scopes=[scope]) for scope in ("write", "read"))
    report(client, caller=writer)
    assert shown(client)["key"] == writer[0]
    path = f"{GATEWAYS}/greenhouse-1/status"
    assert client.put(path, reader, REPORT).status_code == 403
    assert client.put(path, None, REPORT).status_code == 401
    assert client.delete(f"{GATEWAYS}/greenhouse-1", writer).status_code == 403


def test_limited_key_sees_the_gateways_that_use_it(
    client: Client, make_key: MakeKey, people: People
) -> None:
    client.make_sensor("cellar")
    limited = make_key(people.alice, sensors=["cellar"])
    report(client, "other")
    report(client, "own", caller=limited)
    assert names(client, limited) == ["own"]
    assert client.get(f"{GATEWAYS}/other", limited).status_code == 404
    assert names(client) == ["other", "own"]


def test_deleted_gateway_is_gone_until_it_reports(client: Client) -> None:
    report(client)
    assert client.delete(f"{GATEWAYS}/greenhouse-1", "alice").status_code == 204
    assert client.delete(f"{GATEWAYS}/greenhouse-1", "alice").status_code == 404
    client.put(f"{GATEWAYS}/greenhouse-1/status", "alice", {"status": "offline"})
    assert names(client) == []
    report(client)
    assert names(client) == ["greenhouse-1"]


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"status": "away"}, "status"),
        ({"status": None}, "status"),
        ({"version": 7}, "version"),
        ({"interval": 0}, "interval"),
        ({"gateway": "another"}, "gateway"),
        ({"gateway": "with space"}, "gateway"),
        ({"spool": {"depth": -1}}, "spool.depth"),
        ({"spool": {"oldest": "yesterday"}}, "spool.oldest"),
        ({"inputs": [{"name": "a"}, {"name": "b", "state": "odd"}]}, "inputs.1.state"),
        ({"inputs": [{"name": "a", "last_reading": "x"}]}, "inputs.0.last_reading"),
        ({"errors": [{"time": "2026-01-01", "message": "m" * 501}]}, "errors.0.message"),
        ({"inputs": [{"name": "a"}] * 201}, "inputs"),
    ],
)
def test_invalid_report_is_refused_with_its_place(
    client: Client, wrong: dict[str, Any], place: str
) -> None:
    answer = client.put(f"{GATEWAYS}/greenhouse-1/status", "alice", REPORT | wrong)
    assert answer.status_code == 400, answer.text
    assert list(answer.json()["error"]["moreInfo"]) == [place], answer.text
    assert names(client) == []


def test_gateways_beyond_the_limit_are_refused(client: Client, settings: Settings) -> None:
    ingest = msgspec.structs.replace(settings.ingest, max_gateways=2)
    with running(msgspec.structs.replace(settings, ingest=ingest)) as other:
        report(other, "one")
        report(other, "two")
        answer = other.put(f"{GATEWAYS}/three/status", "alice", REPORT)
        assert answer.status_code == 403, answer.text
        assert "at most 2 gateways" in answer.text
        report(other, "two")
        report(other, "three", "charlie")
    assert names(client) == ["one", "two"]


def test_name_that_no_gateway_may_have_is_refused(client: Client) -> None:
    for name in ("a.b", "-a", "ä", "a" * 65):
        answer = client.put(f"{GATEWAYS}/{name}/status", "alice", REPORT)
        assert answer.status_code == 400, name
        assert client.get(f"{GATEWAYS}/{name}", "alice").status_code == 404


def test_report_of_a_hundred_failing_inputs_is_taken_and_a_huge_one_refused(client: Client) -> None:
    inputs = [
        {"name": f"input-{at}", "type": "modbus", "state": "failing", "error": "e" * 400}
        for at in range(100)
    ]
    report(client, inputs=inputs)
    assert len(shown(client)["inputs"]) == 100
    huge = {**REPORT, "news": "x" * 66_000}
    assert client.put(f"{GATEWAYS}/greenhouse-1/status", "alice", huge).status_code == 413
