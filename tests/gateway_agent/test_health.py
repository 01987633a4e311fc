"""`/healthz` and `/metrics` of the real agent, and what makes the watchdog hungry."""

import json
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_platform import StandInPlatform
from agent_process import AgentProcess

from gateway_agent import progress
from gateway_agent.health import health
from gateway_agent.metrics import metrics_text
from gateway_agent.progress import find_stuck
from tests.ports import free_port

SIM = '[[input]]\ntype = "sim"\nname = "wave"\ninterval = "20ms"\n'
SAMPLE = re.compile(r'gateway_agent_\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? -?[0-9.e+]+')

WriteConfig = Callable[..., Path]


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def listening(config: Path, port: int) -> Path:
    config.write_text(config.read_text().replace("[clock]", f"[health]\nport = {port}\n[clock]"))
    return config


def test_agent_answers_with_health_and_metrics(
    write_config: WriteConfig, platform: StandInPlatform
) -> None:
    port = free_port()
    with AgentProcess(listening(write_config(SIM), port)) as agent:
        agent.wait_until(lambda: len(platform.stored) > 5 and ask(port, "/healthz")[0] == 200)
        found = json.loads(ask(port, "/healthz")[1])
        assert (found["status"], found["problems"]) == ("ok", [])
        assert found["last_acknowledged"] <= time.time()
        status, text = ask(port, "/metrics")
        assert status == 200
        assert ask(port, "/other")[0] == 404
        assert agent.stop() == 0
    lines = text.splitlines()
    assert all(line.startswith("# ") or SAMPLE.fullmatch(line) for line in lines), text
    values = {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in lines}
    assert values['gateway_agent_delivery_state{state="ok"}'] == "1"
    assert float(values['gateway_agent_input_readings_total{input="wave"}']) > 5
    assert float(values["gateway_agent_readings_stored_total"]) > 0


def test_health_follows_a_changed_port_and_is_degraded_while_the_key_is_refused(
    write_config: WriteConfig, platform: StandInPlatform
) -> None:
    port, other = free_port(), free_port()
    config = listening(write_config(SIM), port)
    with AgentProcess(config) as agent:
        agent.wait_until(lambda: ask(port, "/healthz")[0] == 200)
        with platform.lock:
            platform.key = "fedcba9876543210:rotated"
        agent.wait_until(lambda: '"degraded"' in ask(port, "/healthz")[1])
        status, text = ask(port, "/healthz")
        assert status == 200
        assert "delivery denied" in text
        config.write_text(config.read_text().replace(str(port), str(other)))
        agent.signal(1)
        agent.wait_until(lambda: ask(other, "/metrics")[0] == 200)
        assert ask(port, "/healthz")[0] == 0
        assert agent.stop() == 0


def test_client_that_says_nothing_does_not_stop_the_agent(
    write_config: WriteConfig, platform: StandInPlatform
) -> None:
    port = free_port()
    with AgentProcess(listening(write_config(SIM), port)) as agent:
        agent.wait_until(lambda: ask(port, "/healthz")[0] == 200)
        with socket.create_connection(("127.0.0.1", port)):
            count = len(platform.stored)
            agent.wait_until(lambda: len(platform.stored) > count + 10)
            assert agent.stop() == 0


def test_port_that_is_taken_is_no_obstacle(
    write_config: WriteConfig, platform: StandInPlatform
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = listening(write_config(SIM), taken.getsockname()[1])
        with AgentProcess(config) as agent:
            agent.wait_until(lambda: platform.stored and agent.says("no /healthz"))
            assert agent.stop() == 0


def document(**changed: object) -> dict[str, object]:
    spool = {
        "depth": 3,
        "queued": 1,
        "oldest_age": 7.5,
        "held": False,
        "disk_full": False,
        "dead_letters": 0,
        "committed": 10,
        "acknowledged": 6,
        "trouble": None,
        "dropped": {"disk_full": 2},
    }
    output = {"state": "waiting", "failures": 4, "last_acknowledged": None}
    return {
        "gateway": 'a"b',
        "version": "1",
        "updated": 20.0,
        "started": 5.0,
        "synced": True,
        "spool": spool,
        "output": output,
        "inputs": [],
        "problems": [],
        "stuck": None,
        **changed,
    }


def test_figures_that_are_not_known_are_left_out_and_labels_escaped() -> None:
    text = metrics_text(document())
    assert 'gateway_agent_info{gateway="a\\"b",version="1"} 1\n' in text
    assert "gateway_agent_spool_readings 4\n" in text
    assert "gateway_agent_spool_oldest_seconds 7.5\n" in text
    assert 'gateway_agent_readings_dropped_total{reason="disk_full"} 2\n' in text
    assert "last_acknowledged" not in text
    assert "input_" not in text


def test_only_an_agent_that_keeps_nothing_is_failing() -> None:
    assert health(document())["status"] == "ok"
    assert health(document(problems=["input x: gone"]))["status"] == "degraded"
    assert health(document(problems=["x"], stuck="the sender died"))["status"] == "failing"


class Part:
    """A part of the agent, as busy as the test says."""

    def __init__(self, name: str = "") -> None:
        self.is_alive = True
        self.busy_for = 0.0
        self.name = name

    def figures(self) -> "Part":
        return self


@pytest.mark.parametrize(
    ("which", "change", "reason"),
    [
        ("spool", {"is_alive": False}, "writer died"),
        ("spool", {"busy_for": progress.LONGEST_WRITE + 1}, "writer has been writing"),
        ("sender", {"is_alive": False}, "sender died"),
        ("sender", {"busy_for": progress.LONGEST_DELIVERY + 301}, "sender has been busy"),
        ("boiler", {"is_alive": False}, "input boiler died"),
    ],
)
def test_part_without_progress_is_named(which: str, change: dict[str, object], reason: str) -> None:
    parts = {"spool": Part(), "sender": Part(), "boiler": Part("boiler")}

    def stuck() -> str | None:
        return find_stuck(parts["spool"], parts["sender"], [parts["boiler"]], 30.0)  # type: ignore[arg-type]  # as busy as it is told

    assert stuck() is None
    for name, value in change.items():
        setattr(parts[which], name, value)
    assert reason in str(stuck())
