"""The curl line of every call in the reference runs, and is answered as the reference says."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.system.server_process import ServerProcess
from wotkit.api.openapi import METHODS
from wotkit.api.reference import Schemas, curl, is_endless

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "correct horse battery"
SECONDS = 30
TIMED_OUT = 28
"""What curl ends with when it is told to stop."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data") as found:
        yield found


def calls(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield method, path and description; what is deleted comes last."""
    found = [
        (method, path, methods[method])
        for path, methods in document["paths"].items()
        for method in METHODS
        if method in methods and "x-same-as" not in methods[method]  # said once
    ]
    yield from sorted(found, key=lambda call: call[0] == "delete")


def test_curl_line_of_every_call_is_answered_as_described(
    server: ServerProcess, tmp_path: Path
) -> None:
    server.command("user", "create", "alice", "--admin", "--password-file", "-", stdin=PASSWORD)
    key = server.add_key("alice", "--scope", "all", "--scope", "admin")
    with server.wire() as wire:
        document = wire.get("/api/openapi.json").json()
    schemas = Schemas(document["components"]["schemas"])
    environment = {"PATH": os.environ["PATH"], "WOTKIT": server.url, "KEY": ":".join(key)}
    wrong = []
    count = 0
    for method, path, tree in calls(document):
        line = curl(method, path, tree, schemas).replace("-u alice", f"-u 'alice:{PASSWORD}'")
        ends = "" if not is_endless(tree) else " --max-time 1"
        ended = subprocess.run(
            ["bash", "-c", f"{line}{ends} -sS -o answer -w '%{{http_code}}'"],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        count += 1
        described = ended.stdout in tree["responses"] and ended.stdout < "500"
        if ended.returncode != (TIMED_OUT if ends else 0) or not described or ended.stdout == "400":
            wrong.append((line, ended.stdout, ended.stderr, (tmp_path / "answer").read_text()))
    assert wrong == [], json.dumps(wrong, indent=2)
    assert count > 50
