"""What the agent tells the platform about itself, and when."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from agent_broker import BehindBroker, Broker
from agent_platform import StandInPlatform
from agent_process import AgentProcess

from gateway_agent.inputs.runner import InputFigures
from gateway_agent.outputs.sender import SenderFigures
from gateway_agent.report import Figures, Observer
from gateway_agent.spool import SpoolFigures

SIM = """
[[input]]
type = "sim"
name = "counter"
mode = "counter"
interval = "50ms"
"""


@dataclass
class Bench:
    """An observer, and figures for it to see."""

    folder: Path
    spool: SpoolFigures = field(default_factory=SpoolFigures)
    sender: SenderFigures = field(default_factory=SenderFigures)
    inputs: list[InputFigures] = field(default_factory=list)
    synced: bool = True

    def __post_init__(self) -> None:
        self.observer = Observer(
            "greenhouse-1",
            lambda: Figures(self.spool, self.sender, self.inputs, self.synced),
            interval=60.0,
            spool_path=self.folder / "spool.db",
            types=lambda: {"boiler": "modbus"},
            actuators=lambda: [("pump", "gpio")],
        )

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.observer.report())
        return found

    def state(self, **figures: Any) -> str:
        """The state of the only input, once it has such figures."""
        before = self.inputs[0] if self.inputs else InputFigures("boiler")
        self.inputs = [replace(before, **figures)]
        return str(self.report()["inputs"][0]["state"])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_report_has_the_figures(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "spool.db").write_bytes(b"x" * 100)
    (tmp_path / "spool.db-wal").write_bytes(b"x" * 11)
    bench.spool = SpoolFigures(
        depth=7,
        oldest_us=1_000_000,
        counters={"dropped_full": 2, "dropped_invalid": 3, "committed": 9},
    )
    bench.inputs = [InputFigures("boiler", open=True, readings=1, last_reading=2.5)]
    report = bench.report()
    assert 0 <= report.pop("uptime") < 10
    assert report.pop("version")
    assert report == {
        "gateway": "greenhouse-1",
        "status": "online",
        "interval": 60.0,
        "clock": {"synchronized": True},
        "spool": {
            "depth": 7,
            "oldest": "1970-01-01T00:00:01.000000Z",
            "dropped": 5,
            "bytes": 111,
        },
        "inputs": [
            {
                "name": "boiler",
                "type": "modbus",
                "state": "ok",
                "last_reading": "1970-01-01T00:00:02.500000Z",
            }
        ],
        "actuators": [{"sensor": "pump", "type": "gpio"}],
        "errors": [],
    }


def test_state_of_an_input_follows_what_it_does(bench: Bench) -> None:
    assert bench.state() == "waiting"
    assert bench.state(errors=1, last_error="no such device") == "failing"
    assert bench.report()["inputs"][0]["error"] == "no such device"
    assert bench.state(open=True) == "failing"
    assert bench.state(readings=1) == "ok"
    assert "error" not in bench.report()["inputs"][0]
    assert bench.state() == "ok"
    assert bench.state(readings=2, errors=2, last_error="one point fails") == "failing"
    assert bench.state(readings=3) == "ok"


def test_last_errors_are_kept_newest_first(bench: Bench) -> None:
    for number in range(12):
        bench.inputs = [InputFigures("boiler", errors=number, last_error=f"no answer {number}")]
        bench.observer.look()
    bench.sender = SenderFigures(state="waiting", last_error="HTTP 503")
    messages = [one["message"] for one in bench.report()["errors"]]
    assert messages[0] == "delivery: HTTP 503"
    assert messages[1] == "input boiler: no answer 11"
    assert len(messages) == 10


@pytest.mark.parametrize(
    "news",
    [
        {"synced": False},
        {"sender": SenderFigures(state="denied")},
        {"spool": SpoolFigures(disk_full=True)},
        {"inputs": [InputFigures("boiler", open=False, last_error="gone")]},
    ],
)
def test_what_people_should_know_is_news_and_nothing_else(
    bench: Bench, news: dict[str, Any]
) -> None:
    bench.inputs = [InputFigures("boiler", open=True, readings=1)]
    assert bench.observer.look()
    bench.report()
    bench.inputs = [InputFigures("boiler", open=True, readings=2, last_reading=1.0)]
    bench.spool = SpoolFigures(depth=5)
    bench.sender = SenderFigures(sent=9)
    assert not bench.observer.look()
    for name, value in news.items():
        setattr(bench, name, value)
    assert bench.observer.look()


def test_report_of_very_many_failing_inputs_is_cut_to_what_the_platform_takes(bench: Bench) -> None:
    bench.inputs = [
        InputFigures(f"input-{number:033}", last_error="\udc80" + "é" * 500)
        for number in range(300)
    ]
    sent = bench.observer.report()
    assert len(sent) <= 60_000
    report = json.loads(sent)
    assert len(report["inputs"]) == 200
    assert all(one["state"] == "failing" and one["error"] for one in report["inputs"])


def test_report_without_figures_says_that_it_is_there(bench: Bench) -> None:
    def lost() -> Figures:
        raise RuntimeError("the parts are being replaced")

    bench.observer._figures = lost
    assert bench.report() == {"gateway": "greenhouse-1", "status": "online", "interval": 60.0}
    assert not bench.observer.look()


# The agent itself


def puts(platform: StandInPlatform) -> list[dict[str, Any]]:
    with platform.lock:
        return list(platform.reports)


def test_agent_reports_over_http_again_and_again_and_says_goodbye(
    write_config: Callable[..., Path], platform: StandInPlatform
) -> None:
    config = write_config(SIM, 'report_interval = "300ms"')
    with AgentProcess(config) as agent:
        agent.wait_until(lambda: len(puts(platform)) >= 4)
        agent.stop()
    reports = puts(platform)
    assert reports[-1] == {"gateway": "test-gateway", "status": "offline"}
    assert {one["status"] for one in reports[:-1]} == {"online"}
    assert reports[-2]["inputs"][0]["state"] == "ok"
    assert reports[-2]["inputs"][0]["type"] == "sim"
    assert reports[-2]["interval"] == 0.3


def test_agent_goes_on_where_nobody_takes_its_reports(
    write_config: Callable[..., Path], platform: StandInPlatform
) -> None:
    platform.takes_reports = False
    config = write_config(SIM, 'report_interval = "200ms"')
    with AgentProcess(config) as agent:
        agent.wait_until(lambda: len(platform.seqs()) > 20)
        assert agent.stop() == 0
        assert agent.log.read_text().count("status not reported") == 1


def test_agent_reports_over_mqtt_where_it_has_it_and_its_will_is_the_brokers(
    write_config: Callable[..., Path], platform: StandInPlatform, tmp_path: Path
) -> None:
    (tmp_path / "broker").mkdir()
    broker = Broker(tmp_path / "broker")
    try:
        config = write_config(SIM, f'mqtt = "{broker.url}"\nreport_interval = "300ms"')
        with BehindBroker(broker, platform) as behind, AgentProcess(config) as agent:
            agent.wait_until(lambda: len(behind.statuses) >= 4)
            agent.kill()
            agent.wait_until(lambda: json.loads(behind.statuses[-1])["status"] == "offline")
            reports = [json.loads(one) for one in behind.statuses]
    finally:
        broker.stop()
    assert reports[-1] == {"gateway": "test-gateway", "status": "offline"}
    assert {one["status"] for one in reports[:-1]} == {"online"}
    assert reports[-2]["inputs"][0]["name"] == "counter"
    assert puts(platform) == []


def test_agent_whose_broker_is_gone_reports_over_http(
    write_config: Callable[..., Path], platform: StandInPlatform, tmp_path: Path
) -> None:
    (tmp_path / "broker").mkdir()
    broker = Broker(tmp_path / "broker")
    try:
        config = write_config(SIM, f'mqtt = "{broker.url}"\nreport_interval = "300ms"')
        with BehindBroker(broker, platform) as behind:
            agent = AgentProcess(config)
            agent.wait_until(lambda: behind.statuses)
        with agent:
            broker.stop()
            agent.wait_until(lambda: puts(platform))
    finally:
        broker.stop()
    assert puts(platform)[-1]["status"] == "online"
