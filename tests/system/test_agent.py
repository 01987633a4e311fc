"""The real agent and the real server: what was measured arrives once, whatever is killed."""

from __future__ import annotations

import contextlib
import itertools
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from tests.gateway_agent.agent_process import AgentProcess
from tests.system.lossy_proxy import LossyProxy
from tests.system.server_process import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.server_process import Key, ServerProcess

AGENT = (sys.executable, "-m", "gateway_agent")
COUNTER = "alice.greenhouse-1-counter"
SYSTEM = "alice.greenhouse-1-system"
INPUTS = """
[[input]]
type = "system"
interval = "200ms"
[[input]]
type = "sim"
name = "counter"
mode = "counter"
interval = "5ms"
burst = 2
"""


@pytest.fixture
def key(server: ServerProcess) -> Key:
    return server.add_key("alice")


def init(folder: Path, port: int, key: Key) -> Path:
    """Let the agent write its configuration; then have it measure and retry often."""
    config = folder / "agent.toml"
    command = ["init", "--config", str(config), "--url", f"http://127.0.0.1:{port}/api"]
    subprocess.run(
        [*AGENT, *command, "--key-file", "-", "--id", "greenhouse-1", "--yes"],
        input=":".join(key),
        text=True,
        check=True,
        capture_output=True,
        timeout=30,
    )
    written, _, _ = config.read_text(encoding="utf-8").partition("[[input]]")
    often = {
        "[platform]\n": '[platform]\nretry_min = "20ms"\nretry_max = "100ms"\nbatch = 50\n',
        "[spool]\n": '[spool]\ncommit_interval = "20ms"\n',
    }
    for section, lines in often.items():
        assert section in written
        written = written.replace(section, lines)
    config.write_text(written + INPUTS, encoding="utf-8")
    return config


def wait_for_more(agent: AgentProcess, server: ServerProcess, key: Key, more: int) -> None:
    """Wait until so many readings arrived that were measured from now on."""
    now = int(time.time() * 1000)
    query = f"start={now}&end=4102444800000&limit={more}"

    def arrived() -> bool:
        with server.wire(key) as wire:
            answer = wire.get(f"/api/sensors/{COUNTER}/data?{query}")
        return answer.status == 200 and len(answer.json()) >= more

    agent.wait_until(arrived)


def stop_when_all_is_sent(agent: AgentProcess, server: ServerProcess, key: Key) -> None:
    wait_for_more(agent, server, key, 50)
    assert agent.stop() == 0
    assert agent.status()["spool"]["depth"] == 0


def check_each_stored_once(config: Path, server: ServerProcess, key: Key) -> None:
    """All that the spool ever took is stored, and each run's numbers are without a gap."""
    found = [path for path in config.parent.rglob("*.db") if "spool" in path.name]
    with contextlib.closing(sqlite3.connect(found[0])) as spool:
        (taken,) = spool.execute(
            "SELECT seq FROM sqlite_sequence WHERE name = 'reading'"
        ).fetchone()
    with server.wire(key) as wire:
        counted = wire.readings(COUNTER)
        assert len(counted) + len(wire.readings(SYSTEM)) == taken
    runs: dict[int, list[int]] = defaultdict(list)
    for reading in counted:
        runs[reading["run"]].append(reading["number"])
    for numbers in runs.values():
        assert sorted(numbers) == [*range(len(numbers))]
    print(f"{taken} readings of {len(runs)} runs")


def test_machine_readings_arrive_with_names_and_units(
    server: ServerProcess, key: Key, tmp_path: Path
) -> None:
    config = init(tmp_path / "agent", server.port, key)

    def has_arrived() -> bool:
        with server.wire(key) as wire:
            answer = wire.get(f"/api/sensors/{SYSTEM}/data")
        return answer.status == 200 and any("cpu" in reading for reading in answer.json())

    with AgentProcess(config) as agent:
        agent.wait_until(has_arrived)
        assert agent.stop() == 0
    with server.wire(key) as wire:
        sensor: dict[str, Any] = wire.get(f"/api/sensors/{SYSTEM}").json()
        last = {name: value for each in wire.readings(SYSTEM) for name, value in each.items()}
    assert sensor["longName"]
    assert sensor["visibility"] == "PRIVATE"
    fields = {field["name"]: field for field in sensor["fields"]}
    assert fields["cpu"]["units"] == "%"
    assert fields["net_rx"]["units"] == "B/s"
    assert all(field["type"] == "NUMBER" and field["longName"] for field in fields.values())
    for name in ("cpu", "memory", "disk", "load1"):
        assert fields[name]["value"] == last[name]
    assert 0 <= last["memory"] <= 100


@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.timeout(300)
def test_every_reading_is_stored_once_when_both_are_killed(
    server: ServerProcess, key: Key, tmp_path: Path, kills: int
) -> None:
    config = init(tmp_path / "agent", server.port, key)
    for _ in range(kills):
        with AgentProcess(config) as agent:
            wait_for_more(agent, server, key, 30)
            time.sleep(random.uniform(0, 0.2))
            server.kill_worker()
            wait_for_worker(server)
            wait_for_more(agent, server, key, 30)
            server.kill_all()
            time.sleep(random.uniform(0, 0.3))
            if random.random() < 0.5:
                agent.kill()
                server.start()
            else:
                server.start()
                time.sleep(random.uniform(0, 0.2))
                agent.kill()
    with AgentProcess(config) as agent:
        stop_when_all_is_sent(agent, server, key)
    check_each_stored_once(config, server, key)


def wait_for_worker(server: ServerProcess) -> None:
    def answers() -> bool:
        try:
            with server.wire() as wire:
                return wire.get("/healthz").status == 200
        except OSError:
            return False

    wait_until(answers, 15, "an answer")


@pytest.mark.parametrize("answers", [30, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.timeout(300)
def test_every_reading_is_stored_once_when_answers_are_lost(
    server: ServerProcess, key: Key, tmp_path: Path, answers: int
) -> None:
    config = init(tmp_path / "agent", server.port, key)
    turn, calm = itertools.count(1), threading.Event()
    with LossyProxy(server.port, lambda: not calm.is_set() and next(turn) % 3 == 0) as proxy:
        direct, through = f"127.0.0.1:{server.port}", f"127.0.0.1:{proxy.port}"
        text = config.read_text(encoding="utf-8")
        assert direct in text
        config.write_text(text.replace(direct, through), encoding="utf-8")
        with AgentProcess(config) as agent:
            agent.wait_until(lambda: proxy.lost >= answers)
            calm.set()
            stop_when_all_is_sent(agent, server, key)
    check_each_stored_once(config, server, key)
