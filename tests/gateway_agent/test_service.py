"""The agent as a service: the unit, and what it tells a service manager over a real socket."""

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_platform import StandInPlatform
from agent_process import AgentProcess
from click.testing import CliRunner

from gateway_agent.cli import main
from gateway_agent.notify import Notifier
from gateway_agent.service_unit import Service, render_unit

SIM = '[[input]]\ntype = "sim"\nname = "wave"\ninterval = "20ms"\n'

WriteConfig = Callable[..., Path]


class Manager:
    """The socket of a service manager."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    def hears(self, state: str) -> bool:
        """Whether a state has come that begins so."""
        try:
            while True:
                self.heard += self._socket.recv(4096).decode().splitlines()
        except BlockingIOError:
            return any(each.startswith(state) for each in self.heard)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "notify"))
    yield manager
    manager.close()


def test_service_manager_is_told_of_every_state(
    write_config: WriteConfig, platform: StandInPlatform, manager: Manager
) -> None:
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "300000"}
    config = write_config(SIM)
    with AgentProcess(config, environment) as agent:
        agent.wait_until(lambda: manager.hears("READY=1"))
        agent.wait_until(lambda: manager.hears("WATCHDOG=1"))
        agent.wait_until(lambda: manager.hears("STATUS=") and platform.stored)
        assert not manager.hears("RELOADING=1")
        agent.signal(signal.SIGHUP)
        agent.wait_until(lambda: manager.hears("RELOADING=1") and manager.hears("MONOTONIC_USEC="))
        agent.wait_until(lambda: manager.hears("READY=1") and manager.heard.count("READY=1") == 2)
        assert not manager.hears("STOPPING=1")
        assert agent.stop() == 0
    assert manager.hears("STOPPING=1")
    assert manager.heard.index("READY=1") < manager.heard.index("WATCHDOG=1")


def test_watchdog_is_fed_while_a_device_hangs_and_the_platform_is_away(
    write_config: WriteConfig, platform: StandInPlatform, manager: Manager
) -> None:
    platform.misbehave = lambda: "503"
    hung = (
        "import time\n"
        "from gateway_agent.inputs import Input\n"
        "class Hung(Input):\n"
        "    def sensors(self): return []\n"
        "    def read(self): time.sleep(3600)\n"
    )
    config = write_config(SIM + '[[input]]\ntype = "python"\npath = "hung.py"\nclass = "Hung"\n')
    config.with_name("hung.py").write_text(hung)
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "300000"}
    with AgentProcess(config, environment) as agent:
        agent.wait_until(lambda: manager.hears("READY=1") and len(platform.ingests()) > 2)
        fed = manager.heard.count("WATCHDOG=1")
        agent.wait_until(
            lambda: manager.hears("READY=1") and manager.heard.count("WATCHDOG=1") > fed + 3
        )
        assert agent.stop() == 0


def test_abstract_socket_is_understood() -> None:
    manager = Manager(f"\0gateway-agent-test-{os.getpid()}")
    Notifier({"NOTIFY_SOCKET": f"@gateway-agent-test-{os.getpid()}"}).ready("fine")
    assert manager.hears("READY=1")
    assert manager.hears("STATUS=fine")
    manager.close()


def test_manager_that_is_gone_is_no_obstacle(tmp_path: Path) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("fine")
    Notifier({}).stopping()


@pytest.mark.parametrize(
    ("environment", "interval"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 20.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 20.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_watchdog_is_this_process_own(environment: dict[str, str], interval: float | None) -> None:
    assert Notifier(environment).watchdog_interval == interval


def test_unit_is_what_systemd_takes(write_config: WriteConfig, tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("systemd-analyze is not installed")
    config = write_config(SIM)
    result = CliRunner().invoke(main, ["install-service", "--config", str(config), "--print"])
    assert result.exit_code == 0, result.output
    unit = tmp_path / "gateway-agent.service"
    unit.write_text(result.output)
    ran = subprocess.run(
        [verify, "verify", "--man=no", unit], check=False, capture_output=True, text=True
    )
    complaints = [line for line in ran.stderr.splitlines() if "gateway-agent" in line]
    assert complaints == []
    for line in ("Type=notify", "WatchdogSec=60", "MemoryMax=128M", "User=gateway-agent"):
        assert line in result.output.splitlines()


def test_unit_takes_paths_with_spaces_and_specifiers() -> None:
    service = Service(("/opt/my python",), Path("/etc/100%/$HOME.toml"), "u", "g")
    unit = render_unit(service)
    assert 'ExecStart="/opt/my python" run --config "/etc/100%%/$$HOME.toml"' in unit
    assert "ReadWritePaths" not in unit
    assert "SupplementaryGroups" not in unit


def test_install_writes_the_unit_and_gives_the_user_its_files(
    write_config: WriteConfig, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can install a service")
    nobody = pwd.getpwnam("nobody")
    config = write_config(SIM)
    text = config.read_text().replace('"spool.db"', '"spool/spool.db"')
    config.write_text(text)
    config.chmod(0o600)
    units = tmp_path / "units"
    command = ["install-service", "--config", str(config), "--user", "nobody"]
    result = CliRunner().invoke(main, [*command, "--unit-dir", str(units)])
    assert result.exit_code == 0, result.output
    assert "systemctl enable --now gateway-agent" in result.output
    unit = (units / "gateway-agent.service").read_text()
    assert "User=nobody\n" in unit
    assert f"ReadWritePaths={tmp_path}/spool\n" in unit
    key = config.with_name("credentials").stat()
    assert (key.st_uid, stat.S_IMODE(key.st_mode)) == (nobody.pw_uid, 0o600)
    assert (config.stat().st_gid, stat.S_IMODE(config.stat().st_mode)) == (nobody.pw_gid, 0o640)
    assert (tmp_path / "spool").stat().st_uid == nobody.pw_uid


def test_install_needs_root_and_says_so(
    write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    result = CliRunner().invoke(main, ["install-service", "--config", str(write_config(SIM))])
    assert result.exit_code == 1
    assert "only root" in result.output
