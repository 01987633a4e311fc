"""The real agent process against the stand-in platform."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_platform import StandInPlatform
from agent_process import AgentProcess

COUNTER = """
[[input]]
type = "sim"
name = "counter"
mode = "counter"
interval = "5ms"
"""
SYSTEM = """
[[input]]
type = "system"
interval = "300ms"
"""

WriteConfig = Callable[..., Path]


def test_machine_sends_its_own_figures_to_a_sensor_it_registers(
    write_config: WriteConfig, platform: StandInPlatform
) -> None:
    platform.knows_sensors = True
    with AgentProcess(write_config(SYSTEM)) as agent:
        agent.wait_until(lambda: len(platform.stored) >= 3)
        assert agent.stop() == 0
    last = platform.stored[-1]
    assert last["sensor"] == "test-gateway-system"
    assert {"cpu", "memory", "disk", "load1", "net_rx"} <= last.keys()
    units = {
        field["name"]: field.get("units") for field in platform.sensors[last["sensor"]]["fields"]
    }
    assert units["cpu"] == "%"
    assert units["net_rx"] == "B/s"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_delivers_what_was_measured_and_exits_with_0(
    write_config: WriteConfig, platform: StandInPlatform, number: int
) -> None:
    with AgentProcess(write_config(COUNTER)) as agent:
        agent.wait_until(lambda: len(platform.stored) >= 50)
        assert agent.stop(number) == 0
        status = agent.status()
    assert status["running"] is False
    assert status["state"] == "not running"
    assert status["spool"]["depth"] == 0
    measured = status["inputs"][0]["readings"]
    assert [reading["number"] for reading in platform.stored] == [*range(measured)]
    assert platform.seqs() == [*range(1, measured + 1)]


def test_stop_during_an_outage_keeps_the_readings_for_the_next_start(
    write_config: WriteConfig, platform: StandInPlatform
) -> None:
    platform.misbehave = lambda: "503"
    config = write_config(COUNTER)
    with AgentProcess(config) as agent:
        agent.wait_until(lambda: len(platform.ingests()) >= 3)
        assert agent.stop() == 0
        waiting = agent.status()["spool"]["depth"]
    assert waiting > 0
    platform.misbehave = None
    with AgentProcess(config) as agent:
        agent.wait_until(lambda: len(platform.stored) > waiting)
        assert agent.stop() == 0
    assert platform.seqs() == [*range(1, len(platform.stored) + 1)]


def test_replaced_credentials_file_goes_on_without_restart(
    write_config: WriteConfig, platform: StandInPlatform
) -> None:
    config = write_config(COUNTER)
    with AgentProcess(config) as agent:
        agent.wait_until(lambda: platform.stored)
        with platform.lock:
            platform.key = "fedcba9876543210:rotatedPassword"
        count = len(platform.stored)
        agent.wait_until(lambda: platform.ingests()[-1].status == 401)
        config.with_name("credentials").write_text(platform.key)
        agent.wait_until(lambda: len(platform.stored) > count + 10)
        assert agent.stop() == 0
        log = agent.log.read_text()
    assert platform.seqs() == [*range(1, len(platform.stored) + 1)]
    assert "rotatedPassword" not in log
    assert "demoKeyPassword" not in log


def test_corrupt_spool_does_not_stop_the_agent(
    write_config: WriteConfig, platform: StandInPlatform
) -> None:
    config = write_config(COUNTER)
    config.with_name("spool.db").write_bytes(b"no database" * 1000)
    with AgentProcess(config) as agent:
        agent.wait_until(lambda: platform.stored)
        assert agent.stop() == 0
        assert agent.status()["spool"]["corrupt_files"] == 1
    assert list(config.parent.glob("spool.db.corrupt-*"))


def test_second_agent_on_one_spool_is_refused(
    write_config: WriteConfig, platform: StandInPlatform
) -> None:
    config = write_config(COUNTER)
    with AgentProcess(config) as first:
        first.wait_until(lambda: platform.stored)
        with AgentProcess(config) as second:
            assert second.wait() == 1
            assert f"process {first.pid}" in second.log.read_text()
        assert first.stop() == 0


def test_running_agent_says_how_it_is(write_config: WriteConfig, platform: StandInPlatform) -> None:
    with AgentProcess(write_config(COUNTER)) as agent:
        agent.wait_until(lambda: agent.status().get("pid") == agent.pid)
        status = agent.status()
        assert status["running"] is True
        assert status["state"] == "running"
        assert status["inputs"][0]["name"] == "counter"
        agent.kill()
        assert agent.status()["state"] == "not running"


def test_resident_memory_is_below_40_mib(
    write_config: WriteConfig, platform: StandInPlatform
) -> None:
    sims = "".join(
        f'[[input]]\ntype = "sim"\nname = "sim-{n}"\ninterval = "10ms"\n' for n in range(10)
    )
    with AgentProcess(write_config(SYSTEM + sims)) as agent:
        agent.wait_until(lambda: len(platform.stored) >= 2000)
        resident = agent.resident_mib()
        assert agent.stop() == 0
    print(f"{resident:.1f} MiB")
    assert resident < 40


def test_command_line_loads_nothing_of_the_server_and_no_device_library() -> None:
    code = (
        "import sys, gateway_agent.cli, gateway_agent.pipeline;"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert not {"wotkit", "psutil", "asyncio", "requests", "httpx", "msgspec"} & set(loaded)


def test_readings_behind_a_commit_survive_a_kill(
    write_config: WriteConfig, platform: StandInPlatform
) -> None:
    platform.misbehave = lambda: "503"
    config = write_config(COUNTER)
    with AgentProcess(config) as agent:
        agent.wait_until(lambda: len(platform.ingests()) >= 3)
        agent.kill()
    with sqlite3.connect(config.with_name("spool.db")) as spool:
        committed = [seq for (seq,) in spool.execute("SELECT seq FROM reading ORDER BY seq")]
    spool.close()
    assert committed == [*range(1, len(committed) + 1)]
    assert committed


def test_program_of_an_input_is_asked_to_end_before_it_is_killed(
    write_config: WriteConfig, platform: StandInPlatform, tmp_path: Path
) -> None:
    code = (
        "import signal, sys, time\n"
        f"signal.signal(15, lambda *_: (open('{tmp_path}/ended', 'w').close(), sys.exit()))\n"
        "print(1, flush=True)\n"
        "time.sleep(60)"
    )
    command = json.dumps([sys.executable, "-c", code])
    section = (
        f'[[input]]\ntype = "command"\nmode = "stream"\nformat = "number"\ncommand = {command}'
    )
    with AgentProcess(write_config(section)) as agent:
        agent.wait_until(lambda: platform.stored)
        assert agent.stop() == 0
    assert (tmp_path / "ended").exists()
