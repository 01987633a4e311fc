"""Commands over a real broker: the agent as a process, what it does to a file, what it tells."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from agent_broker import BehindBroker, Broker
from agent_platform import KEY, StandInPlatform
from agent_process import AgentProcess

from gateway_agent.actuators.command import CommandActuator, CommandConfig
from gateway_agent.backoff import Backoff
from gateway_agent.commands.command import Command
from gateway_agent.commands.poll import CommandPoll
from gateway_agent.commands.runner import ActuatorRunner
from gateway_agent.config import PlatformConfig, SpoolConfig
from gateway_agent.credentials import CredentialSource
from gateway_agent.outputs.client import PlatformClient
from gateway_agent.spool import JournalEntry, Spool

SIM = '[[input]]\ntype = "sim"\ninterval = "1s"\n'
PUMP = """
[[actuator]]
type = "command"
sensor = "pump"
command = ["sh", "-c", "sleep {sleep}; echo $0 >> {file}; echo did $0", "{{value}}"]
{more}
"""

Write = Callable[..., Path]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    (tmp_path / "broker").mkdir()
    broker = Broker(tmp_path / "broker")
    yield broker
    broker.stop()


@pytest.fixture
def behind(broker: Broker, platform: StandInPlatform) -> Iterator[BehindBroker]:
    with BehindBroker(broker, platform) as behind:
        yield behind


class Pump:
    """Writes its states to a file."""

    def __init__(self, folder: Path, write_config: Write, broker: Broker) -> None:
        self.file = folder / "pump"
        self._write, self._broker = write_config, broker

    def config(self, more: str = "", sleep: float = 0) -> Path:
        section = PUMP.format(file=self.file, more=more, sleep=sleep)
        return self._write(SIM + section, platform_lines=f'mqtt = "{self._broker.url}"')

    def states(self) -> list[str]:
        return self.file.read_text().split() if self.file.exists() else []


@pytest.fixture
def pump(tmp_path: Path, write_config: Write, broker: Broker) -> Pump:
    return Pump(tmp_path, write_config, broker)


def online(behind: BehindBroker, times: int = 1) -> Callable[[], bool]:
    """Whether the agent has connected so many times: it says how it is each time."""
    return lambda: sum('"online"' in status for status in behind.statuses) >= times


def test_command_is_accepted_done_and_told(pump: Pump, behind: BehindBroker) -> None:
    with AgentProcess(pump.config()) as agent:
        agent.wait_until(online(behind))
        behind.command(7, "pump", {"state": "on"})
        agent.wait_until(lambda: len(behind.results) == 2)
        assert agent.stop() == 0
    assert behind.states(7) == ["accepted", "done"]
    assert behind.results[1]["detail"] == "did on"
    assert pump.states() == ["on"]


def test_doubled_command_acts_once_even_after_a_kill(pump: Pump, behind: BehindBroker) -> None:
    config = pump.config()
    with AgentProcess(config) as agent:
        agent.wait_until(online(behind))
        moment = time.time()
        behind.command(7, "pump", {"state": "on"}, seconds=300, at=moment)
        agent.wait_until(lambda: "done" in behind.states(7))
        agent.kill()
    behind.results.clear()
    with AgentProcess(config) as agent:
        agent.wait_until(online(behind, 2))
        behind.command(7, "pump", {"state": "on"}, seconds=300, at=moment)
        agent.wait_until(lambda: "done" in behind.states(7))
        agent.kill()
    assert pump.states() == ["on"]


def test_stale_command_does_nothing(pump: Pump, behind: BehindBroker) -> None:
    with AgentProcess(pump.config()) as agent:
        agent.wait_until(online(behind))
        behind.command(8, "pump", {"state": "on"}, seconds=-5)
        agent.wait_until(lambda: behind.states(8))
        assert agent.stop() == 0
    assert behind.results[0] == {"id": 8, "state": "failed", "detail": "expired"}
    assert not pump.states()


def test_command_that_a_kill_interrupted_is_told_and_not_repeated(
    pump: Pump, behind: BehindBroker
) -> None:
    config = pump.config(sleep=2)
    with AgentProcess(config) as agent:
        agent.wait_until(online(behind))
        behind.command(9, "pump", {"state": "on"})
        agent.wait_until(lambda: behind.states(9) == ["accepted"])
        agent.kill()
    with AgentProcess(config) as agent:
        agent.wait_until(lambda: "failed" in behind.states(9))
        agent.kill()
    assert "interrupted" in behind.results[-1]["detail"]


@pytest.mark.parametrize(
    ("message", "detail"), [({"state": "on; rm -rf"}, "plain text"), ({"a": 1, "b": 2}, "no state")]
)
def test_message_that_asks_for_nonsense_fails(
    pump: Pump, behind: BehindBroker, message: dict[str, object], detail: str
) -> None:
    with AgentProcess(pump.config()) as agent:
        agent.wait_until(online(behind))
        behind.command(5, "pump", message)
        agent.wait_until(lambda: behind.states(5) == ["failed"])
        agent.kill()
    assert detail in behind.results[0]["detail"]
    assert not pump.states()


def test_safe_state_is_taken_at_start_after_max_on_and_at_exit(
    pump: Pump, behind: BehindBroker
) -> None:
    with AgentProcess(pump.config('safe_state = "off"\nmax_on = "300ms"')) as agent:
        agent.wait_until(lambda: pump.states() == ["off"])
        agent.wait_until(online(behind))
        behind.command(1, "pump", {"state": "on"})
        agent.wait_until(lambda: pump.states() == ["off", "on", "off"])
        assert agent.stop() == 0
    assert pump.states() == ["off", "on", "off", "off"]


def test_safe_state_is_taken_when_the_platform_is_away(
    pump: Pump, behind: BehindBroker, broker: Broker
) -> None:
    config = pump.config('safe_state = "off"\naway_limit = "500ms"')
    with AgentProcess(config) as agent:
        agent.wait_until(online(behind))
        behind.command(1, "pump", {"state": "on"})
        agent.wait_until(lambda: pump.states() == ["off", "on"])
        time.sleep(1)
        assert pump.states() == ["off", "on"], "the platform is there"
        broker.stop()
        agent.wait_until(lambda: pump.states() == ["off", "on", "off"])
        agent.kill()


def test_command_that_goes_on_at_the_end_gives_way_to_the_safe_state(
    pump: Pump, behind: BehindBroker
) -> None:
    slow = pump.config('safe_state = "off"')
    slow.write_text(slow.read_text().replace("sleep 0;", "[ $0 = off ] || sleep 8;"))
    with AgentProcess(slow) as agent:
        agent.wait_until(online(behind))
        behind.command(1, "pump", {"state": "on"})
        agent.wait_until(lambda: behind.states(1) == ["accepted"])
        assert agent.stop() == 0
    assert pump.states() == ["off", "off"]


def test_command_is_not_repeated_while_the_journal_cannot_be_opened(tmp_path: Path) -> None:
    def open_spool() -> Spool:
        spool = Spool(SpoolConfig(path=tmp_path / "spool.db", commit_interval=0.01), "m1")
        spool.start()
        return spool

    spool = open_spool()
    assert spool.note_command(JournalEntry("7@x", "done"), 10)
    spool.close()
    (tmp_path / "spool.db").rename(tmp_path / "away")
    (tmp_path / "spool.db").mkdir()
    spool = open_spool()
    told: list[JournalEntry] = []
    config = CommandConfig(type="command", sensor="pump", command=("touch", f"{tmp_path}/acted"))
    runner = ActuatorRunner(
        config, CommandActuator(config), spool, report=told.append, away_seconds=lambda: 0.0
    )
    runner.start()
    runner.submit(Command("7@x", "pump", {"state": "on"}, None, lambda: None))
    time.sleep(0.3)
    (tmp_path / "spool.db").rmdir()
    (tmp_path / "away").rename(tmp_path / "spool.db")
    deadline = time.monotonic() + 20
    while not told:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    runner.stop()
    assert runner.join(10)
    spool.close()
    assert told == [JournalEntry("7@x", "done")]
    assert not (tmp_path / "acted").exists()


def test_repeated_command_does_not_make_max_on_longer(tmp_path: Path) -> None:
    spool = Spool(SpoolConfig(path=tmp_path / "spool.db", commit_interval=0.01), "m1")
    spool.start()
    config = CommandConfig(
        type="command",
        sensor="pump",
        command=("sh", "-c", f"echo $0 >> {tmp_path}/pump", "{value}"),
        safe_state="off",
        max_on=1.0,
    )
    runner = ActuatorRunner(
        config, CommandActuator(config), spool, report=lambda _: None, away_seconds=lambda: 0.0
    )
    runner.start()
    for number in range(12):
        runner.submit(Command(str(number), "pump", {"state": "on"}, None, lambda: None))
        time.sleep(0.2)
    runner.stop()
    assert runner.join(10)
    spool.close()
    assert "on off on" in " ".join((tmp_path / "pump").read_text().split())


def test_safe_state_is_taken_when_the_network_is_silent(
    pump: Pump, behind: BehindBroker, broker: Broker
) -> None:
    config = pump.config('safe_state = "off"\naway_limit = "2s"')
    with AgentProcess(config) as agent:
        agent.wait_until(online(behind))
        behind.command(1, "pump", {"state": "on"})
        agent.wait_until(lambda: pump.states() == ["off", "on"])
        with broker.frozen():
            deadline = time.monotonic() + 25
            while pump.states() != ["off", "on", "off"]:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        agent.kill()


def test_commands_that_wait_at_a_reload_of_actuators_are_carried_out_after_it(
    pump: Pump, behind: BehindBroker
) -> None:
    config = pump.config('max_on = "1m"\nsafe_state = "off"', sleep=0.4)
    with AgentProcess(config) as agent:
        agent.wait_until(online(behind))
        for number in (1, 2, 3):
            behind.command(number, "pump", {"state": "on"})
        agent.wait_until(lambda: behind.states(1))
        config.write_text(config.read_text().replace('"1m"', '"2m"'))
        agent.signal(signal.SIGHUP)
        agent.wait_until(lambda: agent.says("actuators_changed=True"))
        agent.wait_until(lambda: all("done" in behind.states(number) for number in (1, 2, 3)))
        agent.kill()
    assert pump.states().count("on") == 3


@pytest.mark.parametrize("status", [200, 404])
def test_platform_that_answers_polls_at_once_is_not_flooded(tmp_path: Path, status: int) -> None:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.answer(200, b'{"subscription": 7}')

        def do_GET(self) -> None:
            asked.append(self.path)
            self.answer(status, b"[]")

        def answer(self, status: int, body: bytes) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    (tmp_path / "key").write_text(KEY)
    platform = PlatformConfig(http=f"http://127.0.0.1:{server.server_port}/api")
    poll = CommandPoll(
        PlatformClient(platform, CredentialSource({}, tmp_path / "key")),
        "pump",
        lambda _: True,
        timeout=30,
        retry=Backoff(1, 60),
        is_needed=lambda: True,
        takes_plain=True,
        heard=lambda: None,
    )
    poll.start()
    time.sleep(1)
    poll.stop()
    server.shutdown()
    server.server_close()
    assert 1 <= len(asked) <= 5
