"""Clients of the npm registry complete their flows against a running server."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.conftest import CALLBACK
from tests.web_user import PASSWORD

if TYPE_CHECKING:
    from tests.clients.conftest import Platform
    from tests.web_user import WebUser

HERE = Path(__file__).parent / "node"
ALL = {"read": 200, "scope": "read", "refreshed": True, "revoked": 401, "machine": 200}


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js, with the packages of ``package.json`` installed."""
    found = shutil.which("node")
    if found is None or shutil.which("npm") is None:
        assert "CI" not in os.environ, "continuous integration needs node and npm"
        pytest.skip("node and npm are not installed")
    with (HERE / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several processes of tests installs
        if not (HERE / "node_modules" / "oauth4webapi").exists():
            command = ("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
            subprocess.run(command, cwd=HERE, check=True, timeout=180)
    return found


def run(node: str, script: str, platform: Platform, alice: WebUser) -> dict[str, Any]:
    """Run a client, and do what its user does."""
    ways = ("--allow", "client-credentials", "--allow", "password")
    app = platform.register(script, *ways)
    given = {"url": platform.url, "app": app, "callback": CALLBACK, "password": PASSWORD}
    command = (node, HERE / f"{script}.mjs", json.dumps(given))
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            if "result" in said:
                found: dict[str, Any] = said["result"]
                return found
            if "authorize" in said:
                answer = alice.decide(said["authorize"])
            else:
                answer = str(alice.enter_device_code(said["user_code"]).status_code)
            process.stdin.write(json.dumps(answer) + "\n")
            process.stdin.flush()
    raise AssertionError(f"{script} ended without a result; what it said is above")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("oauth4webapi", ALL | {"active": True, "device": 200}),
        ("openid-client", ALL | {"active": True, "device": 200}),
        ("simple-oauth2", ALL | {"owner": 200}),
    ],
)
def test_client_completes_its_flows(
    node: str, platform: Platform, alice: WebUser, script: str, expected: dict[str, Any]
) -> None:
    assert run(node, script, platform, alice) == expected
