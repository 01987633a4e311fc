"""SIGHUP to the real agent: what the file does not change runs on, a mistake changes nothing."""

import errno
import signal
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from agent_platform import StandInPlatform
from agent_process import AgentProcess

from gateway_agent.config import load_config
from gateway_agent.credentials import CredentialSource
from gateway_agent.pipeline import Agent
from gateway_agent.reload import ConfigWatch, fingerprint
from gateway_agent.spool import SpoolLock

COUNTER = """
[[input]]
type = "sim"
name = "counter"
mode = "counter"
interval = "5ms"
"""
OTHER = COUNTER.replace('"counter"\nmode', '"other"\nmode')

WriteConfig = Callable[..., Path]


def of(platform: StandInPlatform, name: str) -> list[tuple[int, int]]:
    """Run and number of what an input counted."""
    with platform.lock:
        stored = list(platform.stored)
    sensor = f"test-gateway-{name}"
    return [(each["run"], each["number"]) for each in stored if each["sensor"] == sensor]


def assert_one_run(counted: list[tuple[int, int]]) -> None:
    assert counted == [(counted[0][0], number) for number in range(len(counted))]


def reload(agent: AgentProcess, text: str, answer: str) -> None:
    before = agent.log.read_text().count(answer)
    agent.config.write_text(text)
    agent.signal(signal.SIGHUP)
    agent.wait_until(lambda: agent.log.read_text().count(answer) > before)


def grows(agent: AgentProcess, platform: StandInPlatform, name: str, more: int = 10) -> None:
    before = len(of(platform, name))
    agent.wait_until(lambda: len(of(platform, name)) >= before + more)


def test_input_that_is_added_starts_and_goes_while_another_runs_on(
    write_config: WriteConfig, platform: StandInPlatform
) -> None:
    config = write_config(COUNTER)
    first = config.read_text()
    with AgentProcess(config) as agent:
        grows(agent, platform, "counter")
        reload(agent, first + OTHER, "inputs_started=1 inputs_stopped=0 inputs_kept=1")
        grows(agent, platform, "other")
        reload(agent, first, "inputs_started=0 inputs_stopped=1 inputs_kept=1")
        count = len(of(platform, "other"))
        grows(agent, platform, "counter", 50)
        assert len(of(platform, "other")) <= count + 20
        assert agent.stop() == 0
    assert_one_run(of(platform, "counter"))
    assert_one_run(of(platform, "other"))
    assert platform.seqs() == [*range(1, len(platform.stored) + 1)]
    assert len(platform.streams) == 1


def test_changed_input_alone_is_started_again(
    write_config: WriteConfig, platform: StandInPlatform
) -> None:
    config = write_config(COUNTER + OTHER)
    text = config.read_text()
    head, _, last = text.rpartition('"5ms"')
    with AgentProcess(config) as agent:
        grows(agent, platform, "other")
        reload(agent, f'{head}"7ms"{last}', "inputs_started=1 inputs_stopped=1 inputs_kept=1")
        agent.wait_until(lambda: len({run for run, _ in of(platform, "other")}) == 2)
        assert agent.stop() == 0
    assert_one_run(of(platform, "counter"))
    assert len({run for run, _ in of(platform, "other")}) == 2


def test_wrong_file_is_explained_and_changes_nothing(
    write_config: WriteConfig, platform: StandInPlatform
) -> None:
    config = write_config(COUNTER)
    good = config.read_text()
    with AgentProcess(config) as agent:
        grows(agent, platform, "counter")
        reload(agent, good + "[[input]]\ntype = 'simm'\n", "did you mean sim?")
        assert agent.says("the old one stays")
        reload(agent, good.replace("[spool]", 'ca_file = "missing.pem"\n[spool]'), "missing.pem")
        grows(agent, platform, "counter")
        assert agent.stop() == 0
    assert_one_run(of(platform, "counter"))
    assert platform.seqs() == [*range(1, len(platform.stored) + 1)]


def test_changed_platform_restarts_the_sender_and_no_input(
    write_config: WriteConfig, platform: StandInPlatform
) -> None:
    config = write_config(COUNTER, platform_lines="batch = 50")
    text = config.read_text()
    with StandInPlatform() as other, AgentProcess(config) as agent:
        grows(agent, platform, "counter")
        reload(agent, text.replace(platform.url, other.url), "platform_changed=True")
        agent.wait_until(lambda: len(of(other, "counter")) >= 50)
        assert agent.stop() == 0
        counted = of(platform, "counter") + of(other, "counter")
        assert other.streams.keys() == platform.streams.keys()
    assert_one_run(counted)


def test_another_spool_is_begun_and_the_former_one_left_in_order(
    write_config: WriteConfig, platform: StandInPlatform
) -> None:
    config = write_config(COUNTER)
    text = config.read_text()
    with AgentProcess(config) as agent:
        grows(agent, platform, "counter")
        reload(agent, text.replace('"spool.db"', '"other.db"'), "with another spool")
        agent.wait_until(lambda: len(platform.streams) == 2)
        grows(agent, platform, "counter")
        assert not SpoolLock(config.with_name("spool.db")).is_held()
        assert agent.stop() == 0
    numbers = [number for _, number in of(platform, "counter")]
    assert numbers.count(0) == 2
    assert sorted(numbers) != numbers


def test_spool_of_another_agent_is_not_taken(
    write_config: WriteConfig, platform: StandInPlatform
) -> None:
    config = write_config(COUNTER)
    text = config.read_text()
    lock = SpoolLock(config.with_name("other.db"))
    lock.acquire()
    with sqlite3.connect(config.with_name("foreign.db")) as foreign:
        foreign.execute("CREATE TABLE theirs (x)")
    foreign.close()
    with AgentProcess(config) as agent:
        grows(agent, platform, "counter")
        reload(agent, text.replace('"spool.db"', '"other.db"'), "uses this spool")
        grows(agent, platform, "counter")
        reload(agent, text.replace('"spool.db"', '"foreign.db"'), "another program's database")
        grows(agent, platform, "counter")
        assert agent.stop() == 0
    lock.release()
    assert len(platform.streams) == 1
    assert platform.seqs() == [*range(1, len(platform.stored) + 1)]


def test_users_input_is_the_same_until_its_file_changes(write_config: WriteConfig) -> None:
    code = (
        "from gateway_agent.inputs import Input\n"
        "class Mine(Input):\n"
        "    def sensors(self): return []\n"
        "    def read(self): return []\n"
    )
    config = write_config('[[input]]\ntype = "python"\npath = "mine.py"\nclass = "Mine"\n')
    file = config.with_name("mine.py")
    file.write_text(code)
    before = fingerprint(load_config(config).inputs[0])
    assert fingerprint(load_config(config).inputs[0]) == before
    file.write_text(code + "# changed\n")
    assert fingerprint(load_config(config).inputs[0]) != before


def test_file_is_read_once_for_each_request(write_config: WriteConfig) -> None:
    watch = ConfigWatch(write_config(COUNTER))
    assert watch.take() is None
    watch.ask()
    assert watch.take() is not None
    assert watch.take() is None


def test_users_input_runs_on_through_a_reload_and_a_broken_one_harms_no_other(
    write_config: WriteConfig, platform: StandInPlatform
) -> None:
    section = '[[input]]\ntype = "python"\npath = "mine.py"\nclass = "Mine"\ninterval = "20ms"\n'
    config = write_config(COUNTER + section)
    code = config.with_name("mine.py")
    good = (
        "from gateway_agent.inputs import Input, Sample\n"
        "class Mine(Input):\n"
        "    def __init__(self, config, context):\n        pass\n"
        "    def sensors(self):\n        return []\n"
        "    def read(self):\n        yield Sample('mine', {'value': 1})\n"
    )
    code.write_text(good)
    text = config.read_text()
    with AgentProcess(config) as agent:
        grows(agent, platform, "counter")
        reload(agent, text, "inputs_started=0 inputs_stopped=0 inputs_kept=2")
        code.write_text(good.replace("pass", "raise ValueError('no such device')"))
        reload(agent, text, "inputs_started=1 inputs_stopped=1 inputs_kept=1")
        agent.wait_until(lambda: agent.says("ValueError: no such device"))
        grows(agent, platform, "counter")
        assert agent.stop() == 0
    assert_one_run(of(platform, "counter"))


def test_stop_asked_for_while_a_reload_waits_for_room_is_obeyed(
    write_config: WriteConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(write_config(COUNTER))
    elsewhere = replace(config, spool=replace(config.spool, path=tmp_path / "full" / "spool.db"))
    acquire = SpoolLock.acquire

    def acquire_where_there_is_room(lock: SpoolLock) -> None:
        if lock._file.parent.name == "full":
            raise OSError(errno.ENOSPC, "full")
        acquire(lock)

    monkeypatch.setattr(SpoolLock, "acquire", acquire_where_there_is_room)
    asked = iter([False, True])
    changes = iter([elsewhere])
    source = CredentialSource({}, config.platform.credentials_file)
    assert Agent(config, source).run(lambda _: next(asked), lambda: next(changes, None))
