import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_process import AgentProcess
from click.testing import CliRunner

from gateway_agent.cli import main
from gateway_agent.commands.runner import ActuatorFigures
from gateway_agent.config import Config, load_config
from gateway_agent.inputs.runner import InputFigures
from gateway_agent.outputs.sender import SenderFigures
from gateway_agent.spool import SpoolFigures, SpoolLock
from gateway_agent.status import Document, StatusFile, read_status


@pytest.fixture
def config(write_config: Callable[..., Path]) -> Config:
    return load_config(write_config('[[input]]\ntype = "sim"'))


@pytest.fixture
def running(config: Config) -> Iterator[StatusFile]:
    """As if an agent ran: its lock is held, and it can say how it is."""
    lock = SpoolLock(config.spool.path)
    lock.acquire()
    yield StatusFile(config)
    lock.release()


def shown(config: Config) -> list[str]:
    result = CliRunner().invoke(main, ["status", "--config", str(config.file)])
    assert result.exit_code == 0, result.output
    return [" ".join(line.split()) for line in result.output.splitlines()]


def test_agent_that_works_is_running(config: Config, running: StatusFile) -> None:
    figures = SpoolFigures(depth=2, queued=1, oldest_us=1, counters={"committed": 9})
    sender = SenderFigures(sent=7, last_acknowledged=1.0)
    running.publish(figures, sender, [InputFigures("sim", open=True, readings=9)])
    document = read_status(config)
    assert (document["state"], document["problems"]) == ("running", [])
    lines = shown(config)
    assert lines[0] == "gateway test-gateway"
    assert lines[1].startswith("state running (process ")
    assert lines[2].startswith("waiting 3 readings, the oldest ")
    assert lines[-1] == "input sim: 9 readings"


def test_every_trouble_is_named(config: Config, running: StatusFile) -> None:
    spool = SpoolFigures(
        disk_full=True,
        trouble="SpoolFullError: no room",
        dead_letters=4,
        counters={"dropped_disk_full": 12, "corrupt_files": 1},
    )
    sender = SenderFigures(state="denied", last_error="HTTP 401: Unauthorized")
    running.publish(spool, sender, [InputFigures("sim", errors=3, last_error="OSError: gone")])
    document = read_status(config)
    assert document["state"] == "degraded"
    assert document["problems"] == [
        "delivery denied: HTTP 401: Unauthorized",
        "spool: SpoolFullError: no room",
        "the disk is full",
        "input sim: OSError: gone",
    ]
    assert document["spool"]["dropped"] == {"disk_full": 12}
    lines = shown(config)
    assert "dropped 12 readings: disk full" in lines
    assert "refused 4 readings, kept as dead letters" in lines
    assert "last sent nothing yet" in lines
    assert "input sim: 0 readings, 3 errors" in lines


def test_silent_agent_is_degraded(config: Config, running: StatusFile) -> None:
    assert read_status(config)["problems"] == ["the agent has not said anything yet"]
    running.publish(SpoolFigures(), SenderFigures(), [])
    file = config.spool.path.with_name("spool.db.status.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"updated": 0}))
    assert read_status(config)["problems"] == ["the agent has not said anything for a while"]


def test_actuators_and_the_output_in_use_are_shown(config: Config, running: StatusFile) -> None:
    now = time.time()
    running.publish(
        SpoolFigures(),
        SenderFigures(sent=7, failures=2, via="mqtt"),
        [InputFigures("sim", open=True, readings=9, last_reading=now, errors=1, last_error="torn")],
        [
            ActuatorFigures("pump", "on", "off", now - 60, "done", done=3),
            ActuatorFigures("lamp"),
            ActuatorFigures(
                "valve", None, "off", now, "failed", failed=1, last_error="OSError: gone"
            ),
        ],
    )
    document = read_status(config)
    assert document["actuators"][0]["safe_state"] == "off"
    assert document["problems"] == ["actuator valve: OSError: gone"]
    lines = shown(config)
    assert "output mqtt: ok, 7 sent, 2 failures" in lines
    assert any(line.startswith("input sim: 9 readings, the last ") for line in lines)
    assert lines[-3].startswith("actuator pump: on, safe state off, last command 1m")
    assert lines[-3].endswith("ago: done")
    assert lines[-2] == "actuator lamp: not set yet, no safe state, no command yet"
    assert lines[-1].startswith("actuator valve: not set yet, safe state off, last command ")
    assert lines[-1].endswith("ago: failed, 1 failed, the last: OSError: gone")


def test_actuator_of_a_running_agent_is_in_its_status(write_config: Callable[..., Path]) -> None:
    config = write_config(
        '[[input]]\ntype = "sim"\n[[actuator]]\ntype = "command"\nsensor = "pump"\n'
        'command = ["true", "{value}"]\nsafe_state = "off"\n'
    )

    def actuators() -> list[Document]:
        found: list[Document] = agent.status().get("actuators", [])
        return found

    with AgentProcess(config) as agent:
        agent.wait_until(lambda: any(actuator["value"] for actuator in actuators()))
        (actuator,) = actuators()
        assert agent.status()["output"]["via"] == "http"
        assert agent.stop() == 0
    assert (actuator["sensor"], actuator["value"], actuator["safe_state"]) == ("pump", "off", "off")
    assert actuator["last_command"] is None


def test_time_since_the_start_is_true_though_the_clock_was_set(
    config: Config, running: StatusFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time() + 50 * 365 * 86_400
    monkeypatch.setattr(time, "time", lambda: later)
    document = running.publish(SpoolFigures(), SenderFigures(), [])
    assert 0 <= document["updated"] - document["started"] < 60
