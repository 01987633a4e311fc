"""``wotkit serve --demo``: the commands that it prints work as they are printed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.system.server_process import STOP_SECONDS, ServerProcess, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 30


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("demo") / "data", "--demo") as found:
        yield found


def printed(demo: ServerProcess, name: str) -> str:
    found = re.search(rf"^  {name} +(\S+)$", demo.said, re.MULTILINE)
    assert found, demo.said
    return found[1]


def commands(demo: ServerProcess) -> list[str]:
    """Return the three lines to paste: what stands below a line that says what it does."""
    found = re.findall(r"^[A-Z][^\n]*:\n  (\S[^\n]* [^\n]*)$", demo.said, re.MULTILINE)
    assert len(found) == 3, demo.said
    return found


def paste(command: str, home: Path) -> str:
    """Run a command as in a new terminal, where the server was started; return what it printed."""
    ended = subprocess.run(
        ["bash", "-c", command],
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        cwd=Path.cwd(),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_printed_commands_post_and_read_back(demo: ServerProcess, tmp_path: Path) -> None:
    post, read, _ = commands(demo)
    answer = paste(post, tmp_path)
    assert re.match(r"HTTP/1\.1 201 ", answer), answer
    readings = json.loads(paste(read, tmp_path))
    assert readings[-1]["temperature"] == 21.5
    assert readings[-1]["humidity"] == 48


def test_printed_command_sends_this_machines_readings(demo: ServerProcess, tmp_path: Path) -> None:
    _, _, agent = commands(demo)
    key = (printed(demo, "key id"), printed(demo, "key password"))
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", agent],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            cwd=Path.cwd(),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    def arrived() -> bool:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        with demo.wire(key) as wire:
            sensors = wire.get("/api/sensors?scope=contributed&text=system").json()
            return any(sensor.get("lastUpdate") for sensor in sensors)

    try:
        wait_until(arrived, SECONDS, "readings of this machine")
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(STOP_SECONDS)


def test_printed_user_key_and_addresses_are_good(demo: ServerProcess, tmp_path: Path) -> None:
    assert printed(demo, "address") == demo.url
    for caller in (
        (printed(demo, "user"), printed(demo, "password")),
        (printed(demo, "key id"), printed(demo, "key password")),
    ):
        with demo.wire(caller) as wire:
            assert wire.get("/api/sensors").status == 200
            for path in re.findall(rf"^  {demo.url}(/api/sensors/\S+)$", demo.said, re.MULTILINE):
                assert len(wire.get(path).json()) == 24


def test_second_start_keeps_the_demo_and_what_was_sent(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", "--demo") as demo:
        paste(commands(demo)[0], tmp_path)
        first = (demo.started_in, printed(demo, "key id"), printed(demo, "key password"))
        assert demo.stop(signal.SIGINT, group=True) == 0
        demo.start()
        second = (demo.started_in, printed(demo, "key id"), printed(demo, "key password"))
        print(f"started in {first[0]:.2f} s, again in {second[0]:.2f} s")
        assert first[1:] == second[1:]
        assert second[0] < 15
        assert json.loads(paste(commands(demo)[1], tmp_path))[-1]["temperature"] == 21.5
