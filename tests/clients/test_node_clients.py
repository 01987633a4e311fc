"""Clients of the npm registry complete their flows against a running server."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests import node_packages
from tests.clients.conftest import CALLBACK
from tests.web_user import PASSWORD

if TYPE_CHECKING:
    from tests.clients.conftest import Platform
    from tests.web_user import WebUser

HERE = node_packages.FOLDER
ALL = {"read": 200, "scope": "read", "refreshed": True, "revoked": 401, "machine": 200}


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js, with the packages of ``package.json`` installed."""
    return node_packages.node()


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
