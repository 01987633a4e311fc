"""The real agent, which delivers over HTTP, as the real server sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.gateway_agent.agent_process import AgentProcess
from tests.system.server_process import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.server_process import Key, ServerProcess

CONFIG = """
[gateway]
id = "greenhouse-1"
[platform]
http = "{url}/api"
credentials_file = "credentials"
report_interval = "400ms"
[spool]
path = "spool.db"
commit_interval = "50ms"
[[input]]
type = "sim"
name = "counter"
mode = "counter"
interval = "100ms"
[[input]]
type = "command"
name = "broken"
command = ["false"]
interval = "100ms"
[[input.point]]
sensor = "broken"
key = "value"
"""


@pytest.fixture
def key(server: ServerProcess) -> Key:
    return server.add_key("alice")


def seen(server: ServerProcess, key: Key) -> dict[str, Any]:
    with server.wire(key) as wire:
        answer = wire.get("/api/v2/gateways/greenhouse-1")
    found: dict[str, Any] = answer.json() if answer.status == 200 else {"status": "unknown"}
    return found


def states(gateway: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["state"] for one in gateway.get("inputs", [])}


def is_so(server: ServerProcess, key: Key, status: str) -> None:
    wait_until(lambda: seen(server, key)["status"] == status, 15, status)


def test_agent_is_seen_while_it_runs_and_missed_when_it_is_killed(
    server: ServerProcess, key: Key, tmp_path: Path
) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(CONFIG.format(url=server.url))
    (tmp_path / "credentials").write_text(":".join(key) + "\n")
    (tmp_path / "credentials").chmod(0o600)
    with AgentProcess(config) as agent:
        working = {"counter": "ok", "broken": "failing"}
        wait_until(lambda: states(seen(server, key)) == working, 20, "told of its inputs")
        gateway = seen(server, key)
        assert gateway["status"] == "online"
        assert gateway["key"] == key.key_id
        assert gateway["errors"][0]["message"].startswith("input broken: ")
        assert gateway["spool"]["bytes"] > 0
        agent.kill()
    is_so(server, key, "offline")  # by its silence
    with AgentProcess(config) as agent:
        is_so(server, key, "online")
        last = seen(server, key)["lastSeen"]
        assert agent.stop() == 0
    stopped = seen(server, key)
    assert stopped["status"] == "offline"  # by its word
    assert stopped["lastSeen"] >= last
