"""A server with Alice, her sensor, and applications; for clients that others wrote."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tests.system.server_process import ServerProcess
from tests.web_user import PASSWORD, WebUser
from wotkit.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLBACK = "http://127.0.0.1:5005/callback"


class Platform(ServerProcess):
    """A running server, and the commands beside it."""

    def command(self, *arguments: str, stdin: str | None = None) -> str:
        result = CliRunner().invoke(
            main, [*arguments, "--data", str(self.data)], input=stdin, catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return result.stdout

    def register(self, name: str, *options: str, kind: str = "web") -> dict[str, Any]:
        """Register an application of Alice's."""
        made = self.command(
            *("app", "create", "--user", "alice", "--name", name, "--kind", kind, "--json"),
            *("--website", "https://app.example", "--redirect-uri", CALLBACK, *options),
        )
        found: dict[str, Any] = json.loads(made)
        return found


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    data = tmp_path_factory.mktemp("clients") / "data"
    options = ("--set", "auth.bcrypt_cost=4", "--set", "oauth.device_interval_seconds=1")
    with Platform(data, *options) as server:
        server.command("user", "create", "alice", "--password-file", "-", stdin=PASSWORD)
        server.command("sensor", "create", "greenhouse", "--user", "alice")
        yield server


@pytest.fixture
def alice(platform: Platform) -> Iterator[WebUser]:
    with WebUser(platform.url) as user:
        yield user


@pytest.fixture(autouse=True)
def _plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients talk to a server without TLS, on this machine."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
