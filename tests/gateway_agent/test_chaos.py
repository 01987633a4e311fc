"""Kill the agent again and again while the platform misbehaves: nothing lost, nothing doubled."""

import random
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_platform import StandInPlatform
from agent_process import AgentProcess

MISDEEDS = ["503", "503 0", "429 0", "500", "401", "drop", "lose the answer", "captive portal"]
INPUT = """
[[input]]
type = "sim"
name = "counter"
mode = "counter"
interval = "5ms"
burst = 3
"""


def kill_and_restart(
    config: Path, platform: StandInPlatform, kills: int, chance: random.Random
) -> None:
    platform.misbehave = lambda: chance.choice(MISDEEDS) if chance.random() < 0.5 else None
    for _ in range(kills):
        before = len(platform.stored)
        with AgentProcess(config) as agent:
            agent.wait_until(lambda: len(platform.stored) > before)  # noqa: B023 - used at once
            time.sleep(chance.uniform(0, 0.3))
            agent.kill()
    platform.misbehave = None
    with AgentProcess(config) as agent:
        before = len(platform.stored)
        agent.wait_until(lambda: len(platform.stored) > before + 100)
        assert agent.stop() == 0
        assert agent.status()["spool"]["depth"] == 0


def last_seq(config: Path) -> int:
    with sqlite3.connect(config.with_name("spool.db")) as spool:
        (seq,) = spool.execute("SELECT seq FROM sqlite_sequence WHERE name = 'reading'").fetchone()
    spool.close()
    return seq


def assert_stored_exactly_once(config: Path, platform: StandInPlatform) -> None:
    assert len(platform.streams) == 1
    assert platform.seqs() == [*range(1, last_seq(config) + 1)]
    runs = defaultdict(list)
    for reading in platform.stored:
        runs[reading["run"]].append(reading["number"])
    for numbers in runs.values():
        assert numbers == [*range(len(numbers))]


@pytest.mark.parametrize("kills", [8, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.timeout(600)
def test_every_committed_reading_is_stored_exactly_once(
    write_config: Callable[..., Path], platform: StandInPlatform, kills: int
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    platform.knows_sensors = True
    config = write_config(INPUT, platform_lines="batch = 50")
    kill_and_restart(config, platform, kills, random.Random(seed))
    assert_stored_exactly_once(config, platform)


def test_reading_survives_kill_between_send_and_ack(
    write_config: Callable[..., Path], platform: StandInPlatform
) -> None:
    config = write_config(INPUT)
    platform.misbehave = lambda: "lose the answer"
    for _ in range(2):
        before = len(platform.stored)
        with AgentProcess(config) as agent:
            agent.wait_until(lambda: len(platform.stored) > before)  # noqa: B023 - used at once
            agent.kill()
    platform.misbehave = None
    with AgentProcess(config) as agent:
        before = len(platform.stored)
        agent.wait_until(lambda: len(platform.stored) > before + 10)
        assert agent.stop() == 0
    assert_stored_exactly_once(config, platform)
