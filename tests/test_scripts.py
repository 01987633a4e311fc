"""The scripts of the checkout: how they find Python and refuse, and a whole start from a clone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
SCRIPTS = (
    *("scripts/serve", "scripts/test", "scripts/check", "scripts/docs"),
    *("scripts/bench/ingest", "scripts/bench/alerts", "scripts/bench/live", ".ci/run"),
    "scripts/bench/mqtt",
    *("scripts/bench/query", "scripts/bench/sensors", "scripts/sensors"),
    "scripts/fuzz/mqtt-codec",
)
NEEDED = ("bash", "cat", "cmp", "dirname", "env", "flock", "grep", "id", "mkdir", "rm", "uname")
"""Programs that every Debian has."""


@pytest.mark.parametrize("script", [*SCRIPTS, "scripts/lib/environment.sh"])
def test_script_is_well_formed(script: str) -> None:
    subprocess.run(["bash", "-n", ROOT / script], check=True)


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_can_be_run_and_stops_at_the_first_error(script: str) -> None:
    path = ROOT / script
    assert os.access(path, os.X_OK)
    assert "set -euo pipefail" in path.read_text(encoding="utf-8")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The scripts and the project file alone, without an environment."""
    folder = tmp_path / "a checkout"
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A PATH with what every Debian has, but neither Python nor apt-get."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in NEEDED:
        found = shutil.which(program)
        assert found is not None
        (folder / program).symlink_to(found)
    return folder


def serve(checkout: Path, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [shutil.which("bash") or "bash", checkout / "scripts" / "serve"],
        env={"PATH": str(path), "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def fake_python(path: Path, name: str, script: str) -> None:
    (path / name).write_text(f"#!/usr/bin/env bash\n{script}\n", encoding="utf-8")
    (path / name).chmod(0o755)


def test_without_python_it_says_which_package_has_it(checkout: Path, path: Path) -> None:
    result = serve(checkout, path)
    assert result.returncode == 1
    assert "apt-get install python3 python3-venv" in result.stderr
    assert result.stdout == ""


def test_old_python_is_none(checkout: Path, path: Path) -> None:
    fake_python(path, "python3", "exit 1")
    result = serve(checkout, path)
    assert "needs Python 3.11" in result.stderr


def test_without_the_venv_module_it_says_which_package_has_it(checkout: Path, path: Path) -> None:
    fake_python(
        path,
        "python3",
        "case $2 in *ensurepip*) exit 1;; *print*) echo python3.12-venv;; *) exit 0;; esac",
    )
    result = serve(checkout, path)
    assert result.returncode == 1
    assert "apt-get install python3.12-venv" in result.stderr


def test_newer_python_is_taken_where_python3_is_old(checkout: Path, path: Path) -> None:
    fake_python(path, "python3", "exit 1")
    fake_python(path, "python3.12", "case $2 in *ensurepip*) exit 1;; *) exit 0;; esac")
    assert f"{path}/python3.12 cannot make virtual environments" in serve(checkout, path).stderr


def test_environment_that_is_in_step_is_not_installed_again(checkout: Path, path: Path) -> None:
    made_up_environment(checkout)
    result = serve(checkout, path)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"serve --data {checkout}/wotkit-data\n"
    assert result.stderr == ""


def test_changed_project_file_is_installed(checkout: Path, path: Path) -> None:
    made_up_environment(checkout)
    with (checkout / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    result = serve(checkout, path)
    assert "Installing" in result.stderr
    assert f"-m pip install --quiet --disable-pip-version-check --editable {checkout}[" in (
        result.stdout
    )
    assert "Installing" not in serve(checkout, path).stderr


def made_up_environment(checkout: Path) -> None:
    """An environment whose programs print their arguments, as an installation leaves it."""
    folder = checkout / ".venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "activate").write_text(f"VIRTUAL_ENV={folder}", encoding="utf-8")
    fake_python(folder / "bin", "python", '[ "$1" = -c ] || echo "$@"')
    fake_python(folder / "bin", "wotkit", 'echo "$@"')
    project = (checkout / "pyproject.toml").read_text(encoding="utf-8")
    stamp = f"server,gateway\n{checkout}\n{project}"
    (folder / "installed-server,gateway").write_text(stamp, encoding="utf-8")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    return folder


class Server:
    """``scripts/serve --demo`` of a clone, with an empty home and environment."""

    def __init__(self, clone: Path, home: Path) -> None:
        self.process = subprocess.Popen(
            [clone / "scripts" / "serve", "--demo", "--port", "0"],
            env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
            cwd="/",
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.said = ""

    def address(self) -> str:
        """Wait until it says where it listens."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            found = re.match(r"WoTKit at (http\S+),", line)
            if found:
                return found[1]
        pytest.fail(f"it ended: {self.said}")

    def stop(self) -> int:
        """Press Ctrl-C."""
        os.killpg(self.process.pid, signal.SIGINT)
        assert self.process.stdout is not None
        self.said += self.process.stdout.read()
        return self.process.wait(timeout=15)


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    started: list[Server] = []
    yield started
    for server in started:
        if server.process.poll() is None:
            os.killpg(server.process.pid, signal.SIGKILL)
            server.process.wait()
        assert server.process.stdout is not None
        server.process.stdout.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_demo_starts_from_a_fresh_clone(clone: Path, tmp_path: Path, servers: list[Server]) -> None:
    servers.append(Server(clone, tmp_path / "home"))
    with urlopen(f"{servers[0].address()}/api/sensors") as answer:
        assert b"seattle-temperature" in answer.read()
    assert servers[0].stop() == 0
    started = time.monotonic()
    servers.append(Server(clone, tmp_path / "home"))
    address = servers[1].address()
    assert time.monotonic() - started < 3
    with urlopen(f"{address}/api/sensors/demo.seattle-temperature/data?beforeE=1") as answer:
        assert b'"value"' in answer.read()
    assert servers[1].stop() == 0
    printed = [
        re.findall(r"^  (?:password|key id|key password) +(\S+)$", server.said, re.MULTILINE)
        for server in servers
    ]
    assert printed[0] == printed[1]
    assert len(printed[0]) == 3
