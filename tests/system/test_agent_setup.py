"""Setting an agent up against the real server, at a real terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Self

import pytest

from gateway_agent.config import load_config
from tests.gateway_agent.agent_process import AgentProcess

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.server_process import Key, ServerProcess


class Terminal:
    """A program at a terminal of its own, and a person before it."""

    def __init__(self, *command: str) -> None:
        self._own, other = pty.openpty()
        self.process = subprocess.Popen(
            command,
            stdin=other,
            stdout=other,
            stderr=other,
            preexec_fn=lambda: os.login_tty(other),  # noqa: PLW1509 - one system call, no lock
        )
        os.close(other)
        self.seen = ""
        self._answered = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.wait(10)
        os.close(self._own)

    def answer(self, question: str, text: str) -> None:
        """Wait for a question that was not answered yet, and type a line."""
        deadline = time.monotonic() + 20
        while question not in self.seen[self._answered :]:
            assert time.monotonic() < deadline, self.seen
            self._look(0.2)
        self._answered = len(self.seen)
        os.write(self._own, (text + "\n").encode())

    def end(self) -> int:
        """Read on until the program ends; its exit code."""
        deadline = time.monotonic() + 20
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.seen
            self._look(0.1)
        while self._look(0):
            pass
        return self.process.returncode

    def _look(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._own], [], [], seconds)
        if not ready:
            return False
        try:
            self.seen += os.read(self._own, 4096).decode()
        except OSError:  # the other side is closed
            return False
        return True


@pytest.fixture
def key(shared_server: ServerProcess) -> Key:
    return shared_server.add_key("alice")


def init(config: Path, root: Path) -> Terminal:
    root.mkdir()
    command = (sys.executable, "-m", "gateway_agent", "init", "--config", str(config))
    return Terminal(*command, "--root", str(root))


def test_conversation_ends_with_an_agent_whose_readings_arrive(
    shared_server: ServerProcess, key: Key, tmp_path: Path
) -> None:
    config = tmp_path / "agent.toml"
    with init(config, tmp_path / "machine") as terminal:
        terminal.answer("Address of the platform", f"127.0.0.1:{shared_server.port}")
        terminal.answer("Address of the platform", shared_server.url)
        terminal.answer("Key id", key.key_id)
        terminal.answer("Key password", "not this one")
        terminal.answer("Key id", key.key_id)
        terminal.answer("Key password", key.key_password)
        terminal.answer("Name of this gateway", "attic-1")
        terminal.answer("Read it?", "y")
        assert terminal.end() == 0, terminal.seen
    assert f"Type http://127.0.0.1:{shared_server.port} if it has no TLS" in terminal.seen
    assert "id or password is wrong" in terminal.seen
    assert key.key_password not in terminal.seen
    assert load_config(config).platform.http == f"{shared_server.url}/api"

    def has_arrived() -> bool:
        with shared_server.wire(key) as wire:
            return wire.get("/api/v2/sensors/alice.attic-1-system").status == 200

    with AgentProcess(config) as agent:
        agent.wait_until(has_arrived)
        assert agent.stop() == 0


def test_existing_configuration_is_replaced_only_after_a_yes(
    shared_server: ServerProcess, key: Key, tmp_path: Path
) -> None:
    config = tmp_path / "agent.toml"
    config.write_text("# mine\n")
    for number, (reply, code) in enumerate((("n", 1), ("y", 0))):
        with init(config, tmp_path / f"machine-{number}") as terminal:
            terminal.answer("Address of the platform", f"{shared_server.url}/api")
            terminal.answer("Key id", key.key_id)
            terminal.answer("Key password", key.key_password)
            terminal.answer("Name of this gateway", "attic-1")
            terminal.answer("Read it?", "y")
            terminal.answer("exists. Replace it?", reply)
            assert terminal.end() == code, terminal.seen
        assert (config.read_text() == "# mine\n") == (reply == "n")


@pytest.mark.parametrize(
    ("scopes", "code", "said"),
    [
        (("write", "manage", "read"), 0, "takes the key"),
        (("write",), 0, "The key lacks the scope read and manage"),
        (("read", "manage"), 1, "give it the scope write"),
    ],
)
def test_scopes_that_are_missing_are_named(
    shared_server: ServerProcess, tmp_path: Path, scopes: tuple[str, ...], code: int, said: str
) -> None:
    options = [part for scope in scopes for part in ("--scope", scope)]
    key, owners = shared_server.add_key("alice", *options), shared_server.add_key("alice")

    def sensors() -> int:
        with shared_server.wire(owners) as wire:
            return len(wire.get("/api/v2/sensors").json())

    before = sensors()
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "gateway_agent", "init", "--yes"),
            *("--config", str(tmp_path / "agent.toml"), "--url", f"{shared_server.url}/api"),
            *("--key-file", "-"),
        ],
        input=":".join(key),
        text=True,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert ran.returncode == code, ran.stderr
    assert said in ran.stdout + ran.stderr
    assert sensors() == before, "trying a key makes nothing"


def agent(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway_agent", *arguments],
        input=stdin,
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )


def test_simulated_readings_are_stored_and_leave_the_real_sensors_alone(
    shared_server: ServerProcess, key: Key, tmp_path: Path
) -> None:
    config = tmp_path / "agent.toml"
    made = agent(
        *("init", "--yes", "--offline", "--config", str(config), "--id", "cellar-1"),
        *("--url", f"{shared_server.url}/api", "--key-file", "-"),
        stdin=":".join(key),
    )
    assert made.returncode == 0, made.stderr
    written = config.read_text(encoding="utf-8").partition("[[input]]")[0]
    config.write_text(
        f'{written}[[input]]\ntype = "modbus"\nname = "boiler"\nurl = "tcp://192.0.2.1:502"\n'
        'interval = "1s"\n[[input.point]]\nregister = 100\nfield = "flow"\nunits = "°C"\n',
        encoding="utf-8",
    )
    ran = agent("simulate", "--config", str(config), "--for", "3s")
    assert ran.returncode == 0, ran.stderr
    with shared_server.wire(key) as wire:
        sensor = wire.get("/api/v2/sensors/cellar-1-boiler-simulated").json()
        readings = wire.readings("alice.cellar-1-boiler-simulated")
        assert wire.get("/api/v2/sensors/cellar-1-boiler").status == 404
    assert sensor["longName"].endswith("(simulated)")
    assert sensor["description"].startswith("Simulated readings, nothing is measured.")
    assert len(readings) >= 3
    assert all(15 <= reading["flow"] <= 25 for reading in readings)


def test_from_the_first_question_to_the_first_reading_takes_no_two_minutes(
    shared_server: ServerProcess, key: Key, tmp_path: Path
) -> None:
    began = time.monotonic()
    config = str(tmp_path / "agent.toml")
    made = agent(
        *("init", "--yes", "--config", config, "--id", "roof-1"),
        *("--url", f"{shared_server.url}/api", "--key-file", "-"),
        stdin=":".join(key),
    )
    assert made.returncode == 0, made.stderr
    checked = agent("check", "--probe", "--config", config)
    assert checked.returncode == 0, checked.stdout + checked.stderr

    def has_arrived() -> bool:
        with shared_server.wire(key) as wire:
            answer = wire.get("/api/sensors/roof-1-system/data")
            return answer.status == 200 and bool(answer.json())

    with AgentProcess(tmp_path / "agent.toml") as process:
        process.wait_until(has_arrived)
        took = time.monotonic() - began
        assert process.stop() == 0
    print(f"{took:.1f} s without the typing")
    assert took < 60


def test_check_names_the_scope_that_actuators_need(
    shared_server: ServerProcess, tmp_path: Path
) -> None:
    config = tmp_path / "agent.toml"
    for scopes, code in (((), 0), (("--scope", "write"), 1)):
        key = shared_server.add_key("alice", *scopes)
        (tmp_path / "credentials").write_text(":".join(key))
        (tmp_path / "credentials").chmod(0o600)
        config.write_text(
            f'[gateway]\nid = "shed-1"\n[platform]\nhttp = "{shared_server.url}/api"\n'
            'credentials_file = "credentials"\nauto_create = false\n[spool]\npath = "spool.db"\n'
            '[[input]]\ntype = "sim"\n[[actuator]]\ntype = "command"\nsensor = "pump"\n'
            'command = ["true"]\n',
            encoding="utf-8",
        )
        checked = agent("check", "--config", str(config))
        assert checked.returncode == code, checked.stderr
        assert "inputs sim, actuators pump" in checked.stdout
        said = "actuators need a key with the scope control" in checked.stderr
        assert said == bool(code)
