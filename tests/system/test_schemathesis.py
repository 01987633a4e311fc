"""Every answer is one that the OpenAPI document describes, whatever is asked.

Two checks are left out, for a document cannot say what they ask: that everything its types admit
is accepted (a parameter may be well-formed and still make no sense beside another), and that
everything else is refused (null counts as absent, numbers may come as text, as old clients do it).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

LEFT_OUT = "positive_data_acceptance,negative_data_rejection"
PASSWORD = "correct horse battery"


class Server(NamedTuple):
    url: str
    key: str
    log: Path


def wotkit(*arguments: str, data: Path, stdin: str = "") -> str:
    return subprocess.run(
        [sys.executable, "-m", "wotkit.cli", *arguments, "--data", str(data)],
        input=stdin,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that does not slow down who tries wrong passwords on purpose."""
    log = tmp_path / "log"
    limits = ("auth.failures_per_address=1000000", "auth.failures_per_account=1000000")
    sets = [word for limit in (*limits, "auth.bcrypt_cost=4") for word in ("--set", limit)]
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "wotkit.cli", "serve", "--port", "0", *sets),
                *("--data", str(tmp_path)),
            ],
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )
    assert process.stdout is not None
    try:
        match = re.search(r"WoTKit at (\S+),", process.stdout.readline())
        assert match is not None, log.read_text()
        wotkit(
            *("user", "create", "alice", "--admin", "--password-file", "-"),
            data=tmp_path,
            stdin=PASSWORD,
        )
        key = json.loads(
            wotkit(
                *("key", "create", "--user", "alice", "--name", "x", "--json"),
                *("--scope", "all", "--scope", "admin"),
                data=tmp_path,
            )
        )
        yield Server(match[1], f"{key['key_id']}:{key['key_password']}", log)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        process.stdout.close()


def run(server: Server, folder: Path, *arguments: str) -> None:
    command = Path(sys.executable).with_name("schemathesis")
    found = subprocess.run(
        [
            *(str(command), "run", f"{server.url}/api/openapi.json"),
            *("--exclude-checks", LEFT_OUT),
            *("--exclude-path", "/api/v2/stream"),  # its answer never ends; it has its own tests
            *("--continue-on-failure", "--no-color", "--warnings", "off", *arguments),
        ],
        cwd=folder,
        env={**os.environ, "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )
    assert found.returncode == 0, found.stdout[-15_000:] + found.stderr[-2_000:]
    assert "Traceback" not in server.log.read_text()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("known", [True, False], ids=["with a key", "without credentials"])
def test_every_answer_is_described(server: Server, tmp_path: Path, known: bool) -> None:
    """Asked the same each time: what fails here was changed, and the long form looks for more."""
    phases = "examples,coverage,fuzzing" if known else "examples,fuzzing"  # mostly 401
    caller = ["--auth", server.key] if known else []
    run(server, tmp_path, "--phases", phases, "--max-examples", "3", "--seed", "1", *caller)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("known", [True, False], ids=["with a key", "without credentials"])
def test_every_answer_is_described_at_length(server: Server, tmp_path: Path, known: bool) -> None:
    caller = ["--auth", server.key] if known else []
    run(server, tmp_path, "--phases", "examples,coverage,fuzzing", "--max-examples", "100", *caller)
