"""Whether the server answers, is ready, and counts."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from wotkit import __version__
from wotkit.api.health import PROBE_SECONDS

if TYPE_CHECKING:
    from conftest import Client

    from wotkit.catalog import Catalog


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Limit the pages of every readings file that is opened: a full disk."""
    from wotkit.readings.sqlite import SqliteStore

    opened: list[Any] = []
    connect = SqliteStore._connect

    def noted(store: Any) -> Any:
        opened.append(connect(store))
        return opened[-1]

    monkeypatch.setattr(SqliteStore, "_connect", noted)

    def limit(full: bool) -> None:
        execute = opened[0].execute
        (count,) = execute("PRAGMA page_count").fetchone()
        execute(f"PRAGMA max_page_count = {count if full else count + 10_000}")

    return limit


def test_process_answers(shared_client: Client) -> None:
    answer = shared_client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "version": __version__})


def test_server_is_ready(shared_client: Client) -> None:
    answer = shared_client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "reasons": []})


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_only_get_is_allowed(shared_client: Client, path: str) -> None:
    shared_client.error(shared_client.call("POST", path), 405)


def test_full_disk_is_said_by_readiness_until_it_is_over(pages: Any, client: Client) -> None:
    client.make_sensor("boiler")
    path, large = "sensors/boiler/data", {"message": "x" * 60_000}
    assert client.post(path, "alice", large).status_code == 201
    pages(full=True)
    refused = client.post(path, "alice", large)
    error = client.error(refused, 503)
    assert error["developerMessage"] == ["the disk is full"]
    assert refused.headers["retry-after"] == "5"
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "reasons": ["readings: the disk is full"]}
    assert "retry-after" in answer.headers
    assert client.get("/healthz").status_code == 200
    assert len(client.get(path, "alice").json()) == 1
    pages(full=False)
    assert client.get("/readyz").status_code == 200
    assert client.post(path, "alice", large).status_code == 201
    assert len(client.get(path, "alice").json()) == 2


def test_catalog_that_cannot_be_read_is_said(client: Client, catalog: Catalog) -> None:
    with closing(sqlite3.connect(catalog.path, isolation_level=None)) as other:
        other.execute("ALTER TABLE dropped_sensor RENAME TO mislaid")
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["reasons"] == ["catalog: cannot be read"]
        other.execute("ALTER TABLE mislaid RENAME TO dropped_sensor")
    assert client.get("/readyz").status_code == 200


def test_metrics_are_served_when_the_catalog_cannot_be_read(
    client: Client, catalog: Catalog
) -> None:
    waiting = "wotkit_mqtt_commands_waiting 0.0"
    assert waiting in client.get("/metrics").text
    with closing(sqlite3.connect(catalog.path, isolation_level=None)) as other:
        other.execute("ALTER TABLE mqtt_delivery RENAME TO mislaid")
        answer = client.get("/metrics")
        assert answer.status_code == 200
        assert "wotkit_mqtt_connections 0.0" in answer.text
        assert "wotkit_mqtt_commands_waiting" not in answer.text
        other.execute("ALTER TABLE mislaid RENAME TO mqtt_delivery")
    assert waiting in client.get("/metrics").text


def test_good_answer_is_believed_for_a_while_only(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commits() -> float:
        text = client.get("/metrics").text
        line = next(x for x in text.splitlines() if x.startswith("wotkit_ingest_commit_seconds_c"))
        return float(line.split()[1])

    assert client.get("/readyz").status_code == 200
    before = -1.0
    while (now := commits()) != before:  # until the first sweep, at the start, is over
        before = now
        client.run(asyncio.sleep(0.2))
    assert client.get("/readyz").status_code == 200
    assert commits() == before
    later = time.monotonic() + PROBE_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert client.get("/readyz").status_code == 200
    assert commits() == before + 1


def test_metrics_count_what_was_accepted_and_refused(client: Client) -> None:
    client.make_sensor("boiler")
    for n in range(3):
        client.post("sensors/boiler/data", "alice", {"value": n})
    client.post("sensors/boiler/data", "alice", {"value": "warm"})
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "wotkit_readings_accepted_total 3.0" in answer.text
    assert 'wotkit_readings_refused_total{reason="invalid"} 1.0' in answer.text
    assert "wotkit_ingest_queue_readings 0.0" in answer.text
