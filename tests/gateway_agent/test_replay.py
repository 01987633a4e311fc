"""Dead letters sent again, and a spool emptied without reading anything new."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_platform import StandInPlatform
from agent_process import AgentProcess
from click.testing import CliRunner

from gateway_agent.cli import main

COUNTER = '[[input]]\ntype = "sim"\nmode = "counter"\ninterval = "10ms"\n'
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    logger = logging.getLogger("gateway_agent")
    before = logger.handlers, logger.propagate, logger.level
    yield
    logger.handlers, logger.propagate = before[:2]
    logger.setLevel(before[2])


def call(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def test_dead_letters_are_sent_again_and_stored(
    write_config: Write, platform: StandInPlatform
) -> None:
    config = write_config(COUNTER)
    platform.is_rejected = lambda reading: reading["number"] == 5
    with AgentProcess(config) as agent:
        agent.wait_until(lambda: len(platform.stored) > 10)
        assert call("replay", "--dead", "--config", config)[0] == 1, "the agent runs"
        agent.stop()
    assert 5 not in {reading["number"] for reading in platform.stored}
    assert call("replay", "--config", config)[0] == 2
    late = call("replay", "--from", "2099-01-01", "--config", config)
    assert late == (0, "0 readings wait to be sent again\n")
    assert call("replay", "--dead", "--config", config) == (0, "1 readings wait to be sent again\n")
    platform.is_rejected = lambda _: False
    code, told = call("drain", "--timeout", "20s", "--config", config)
    assert (code, told.splitlines()[-1]) == (0, "0 readings wait")
    assert platform.stored[-1]["number"] == 5


def test_drain_gives_up_in_time_and_says_what_waits(
    write_config: Write, platform: StandInPlatform
) -> None:
    config = write_config(COUNTER)
    platform.misbehave = lambda: "503"
    with AgentProcess(config) as agent:
        agent.wait_until(lambda: len(platform.ingests()) >= 2)
        agent.stop()
    code, told = call("drain", "--timeout", "300ms", "--config", config)
    assert code == 1
    assert int(told.splitlines()[-1].split()[0]) > 0


def test_drain_does_not_call_a_spool_empty_that_it_cannot_open(
    write_config: Write,
) -> None:
    config = write_config(COUNTER)
    config.with_name("spool.db").mkdir()
    code, told = call("drain", "--timeout", "300ms", "--config", config)
    assert code == 1
    assert "spool cannot be read" in told
