"""``/metrics`` of a running server: Prometheus can read it, and it counts what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from tests.system.conftest import add_alice
from tests.system.server_process import ServerProcess

if TYPE_CHECKING:
    from pathlib import Path

DATA = "/api/v1/sensors/alice.roof/data"
Labels = tuple[tuple[str, str], ...]


class Samples:
    """One scrape."""

    def __init__(self, server: ServerProcess) -> None:
        with server.wire() as wire:
            answer = wire.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        self.types: dict[str, str] = {}
        self._values: dict[tuple[str, Labels], float] = {}
        for family in text_string_to_metric_families(answer.body.decode()):
            assert family.name not in self.types
            assert family.documentation
            self.types[family.name] = family.type
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                assert key not in self._values
                self._values[key] = sample.value

    def value(self, name: str, **labels: str) -> float:
        return self._values.get((name, tuple(sorted(labels.items()))), 0)

    def requests(self, route: str, method: str, status: int) -> float:
        return self.value(
            "wotkit_request_seconds_count", route=route, method=method, status=str(status)
        )


def test_what_is_promised_is_there_with_its_type(shared_server: ServerProcess) -> None:
    types = Samples(shared_server).types
    assert {name: kind for name, kind in types.items() if name.startswith("wotkit_")} == {
        "wotkit_request_seconds": "histogram",
        "wotkit_readings_accepted": "counter",
        "wotkit_readings_refused": "counter",
        "wotkit_ingest_queue_readings": "gauge",
        "wotkit_ingest_batch_readings": "histogram",
        "wotkit_ingest_commit_seconds": "histogram",
        "wotkit_live_streams": "gauge",
        "wotkit_live_readings": "counter",
        "wotkit_live_ended": "counter",
        "wotkit_mqtt_connections": "gauge",
        "wotkit_mqtt_pending_readings": "gauge",
        "wotkit_mqtt_commands_waiting": "gauge",
        "wotkit_mqtt_connects": "counter",
        "wotkit_mqtt_received_bytes": "counter",
        "wotkit_mqtt_sent_bytes": "counter",
        "wotkit_mqtt_commands_sent": "counter",
        "wotkit_mqtt_commands_acknowledged": "counter",
        "wotkit_mqtt_publishes": "counter",
        "wotkit_mqtt_ended": "counter",
        "wotkit_mqtt_acknowledgement_seconds": "histogram",
        "wotkit_database_bytes": "gauge",
    }


def test_requests_and_readings_are_counted_exactly(tmp_path: Path) -> None:
    options = ("--set", "ingest.rate=1", "--set", "ingest.burst=20")
    with ServerProcess(tmp_path / "data", *options) as server:
        add_alice(server)
        before = Samples(server)
        send_some(server)
        after = Samples(server)
    route = "/api/v1/sensors/{sensor}/data"
    counted = {
        (route, "POST", 201): 5,
        (route, "POST", 400): 2,
        (route, "POST", 401): 1,
        (route, "POST", 404): 1,
        (route, "PUT", 204): 1,
        (route, "GET", 200): 1,
        ("/api/v2/data", "POST", 200): 1,
        ("/api/v2/ingest", "POST", 200): 1,
        ("none", "GET", 404): 3,
        ("none", "other", 404): 1,
    }
    for kind, count in counted.items():
        assert after.requests(*kind) - before.requests(*kind) == count, kind
    accepted = "wotkit_readings_accepted_total"
    assert after.value(accepted) - before.value(accepted) == 5 + 3 + 1 + 2
    refused = "wotkit_readings_refused_total"
    assert after.value(refused, reason="invalid") == 2 + 2 + 0
    assert after.value("wotkit_ingest_queue_readings") == 0
    assert after.value("wotkit_ingest_batch_readings_sum") >= 11
    assert after.value("wotkit_ingest_commit_seconds_count") >= 8
    for database in ("catalog", "readings"):
        assert after.value("wotkit_database_bytes", database=database) > 4096


def send_some(server: ServerProcess) -> None:
    """Do what the test counts."""
    with server.wire(server.add_key("alice")) as alice, server.wire() as nobody:
        for each in range(5):
            alice.post(DATA, {"value": each})
        for wrong in ("warm", True):
            alice.post(DATA, {"value": wrong})
        nobody.post(DATA, {"value": 1})
        alice.post("/api/v1/sensors/nothing/data", {"value": 1})
        alice.put(DATA, [{"value": each, "timestamp": each + 1} for each in range(3)])
        alice.get(DATA)
        batch = [{"sensor": name, "value": 1} for name in ("roof", "nothing", 3)]
        alice.post("/api/v2/data", batch)
        stream = [{"seq": seq, "sensor": "roof", "value": seq} for seq in (1, 2)]
        alice.post("/api/v2/ingest", {"stream": "gw", "readings": stream})
        for path in ("/a", "/b", "/c"):
            nobody.get(path)
        nobody.call("PROPFIND", "/a")
