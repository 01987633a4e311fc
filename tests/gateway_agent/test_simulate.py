"""A configuration runs without its hardware, and leaves everything real alone."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_platform import StandInPlatform

from gateway_agent.config import Config, load_config
from gateway_agent.inputs.sim import SimConfig
from gateway_agent.inputs.simulated import made_up
from gateway_agent.reading import FieldSpec
from gateway_agent.simulation import simulated
from gateway_agent.spool import SpoolLock

WriteConfig = Callable[..., Path]
BOILER = """
[health]
port = 9273
[[input]]
type = "modbus"
name = "boiler"
url = "tcp://192.0.2.1:502"
interval = "100ms"
[[input.point]]
register = 100
sensor = "boiler"
field = "flow"
units = "°C"
[[input.point]]
register = 102
datatype = "string"
sensor = "alice.meter-of-the-cellar-in-the-old-house-by-the-lake"
field = "model"
[[input]]
type = "onewire"
[[input]]
type = "sim"
mode = "counter"
interval = "100ms"
[[actuator]]
type = "command"
sensor = "pump"
command = ["touch", "TOUCHED"]
safe_state = "off"
"""


@pytest.fixture
def config_file(write_config: WriteConfig, tmp_path: Path) -> Path:
    return write_config(BOILER.replace("TOUCHED", str(tmp_path / "touched")))


def names(config: Config) -> list[str]:
    found = []
    for settings in config.inputs:
        found += [spec.name for spec in getattr(settings, "specs", ())]
        found += [settings.sensor or ""] if isinstance(settings, SimConfig) else []
    return found


def run(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway_agent", "simulate", "--config", str(config), *options],
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )


def test_everything_has_a_name_of_its_own(config_file: Path) -> None:
    real = load_config(config_file)
    config = simulated(real, real_names=False)
    assert config.gateway.id == "test-gateway-simulated"
    assert config.spool.path == real.spool.path.with_name("spool-simulated.db")
    assert config.actuators == ()
    assert config.health.port == 0
    assert names(config) == [
        "boiler-simulated",
        "alice.meter-of-the-cellar-in-the-old-house-by--simulated",
        "test-gateway-onewire-simulated",
        "test-gateway-sim-simulated",
    ]
    assert all(len(name.rpartition(".")[2]) <= 50 for name in names(config))


def test_real_names_are_used_only_when_asked_for(config_file: Path) -> None:
    config = simulated(load_config(config_file), real_names=True)
    assert names(config)[0] == "boiler"
    assert names(config)[-1] == "test-gateway-sim"
    assert config.spool.path.name == "spool-simulated.db"


def test_values_are_in_the_range_of_their_units() -> None:
    temperature = FieldSpec("flow", "Flow", "°C")
    values = [made_up("boiler", temperature, moment) for moment in range(0, 600, 10)]
    assert all(isinstance(value, float) and 15 <= value <= 25 for value in values)
    assert len(set(values)) > 20
    assert made_up("boiler", FieldSpec("model", "Model", numeric=False), 0) == "simulated"
    assert made_up("boiler", temperature, 7) != made_up("other", temperature, 7)


def test_simulated_readings_arrive_and_are_called_so(
    config_file: Path, platform: StandInPlatform, tmp_path: Path
) -> None:
    ran = run(config_file, "--for", "2s")
    assert ran.returncode == 0, ran.stderr
    assert "Simulated values, nothing is measured." in ran.stderr
    assert "simulated readings stored so far, 0 wait, 0 refused" in ran.stdout
    boiler = platform.sensors["boiler-simulated"]
    assert boiler["longName"].endswith("(simulated)")
    assert boiler["description"].startswith("Simulated readings, nothing is measured.")
    assert boiler["fields"][0]["units"] == "°C"
    assert {reading["sensor"] for reading in platform.stored} == {
        *("boiler-simulated", "alice.meter-of-the-cellar-in-the-old-house-by--simulated"),
        *("test-gateway-onewire-simulated", "test-gateway-sim-simulated"),
    }
    assert not load_config(config_file).spool.path.exists()
    assert not (tmp_path / "touched").exists()


def test_simulation_runs_beside_the_agent(config_file: Path, platform: StandInPlatform) -> None:
    lock = SpoolLock(load_config(config_file).spool.path)
    lock.acquire()
    try:
        assert run(config_file, "--for", "1s").returncode == 0
    finally:
        lock.release()
    assert platform.stored


def test_dry_run_prints_and_sends_nothing(config_file: Path, platform: StandInPlatform) -> None:
    ran = run(config_file, "--dry", "--for", "1500ms")
    assert ran.returncode == 0, ran.stderr
    lines = [line for line in ran.stdout.splitlines() if "  boiler-simulated  flow=" in line]
    assert len(lines) == 2
    assert all(line.endswith("°C") for line in lines)
    assert platform.requests == []


def test_dry_run_ends_with_a_signal(config_file: Path) -> None:
    command = [sys.executable, "-m", "gateway_agent", "simulate", "--dry", "--config"]
    with subprocess.Popen([*command, str(config_file)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_user_cannot_configure_the_stand_in(write_config: WriteConfig) -> None:
    ran = run(write_config('[[input]]\ntype = "simulated"\n'))
    assert ran.returncode == 78
    assert "no input 'simulated'" in ran.stderr
