"""A server with Alice and what the examples show of hers."""

from __future__ import annotations

import importlib.util
import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.system.server_process import PASSWORD, ServerProcess
from tests.web_user import WebUser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

ROOT = Path(__file__).parents[2]
OPTIONS = ("--set", "auth.bcrypt_cost=4", "--set", "oauth.device_interval_seconds=1")
HOSTILE = "<script>alert(1)</script>\x1b[2J"


class Server(ServerProcess):
    """A running server, as its user Alice sees it."""

    def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Call the API as Alice, with her password."""
        answer = httpx.request(
            method, f"{self.url}/api/v2/{path}", auth=("alice", PASSWORD), **request
        )
        assert answer.is_success, answer.text
        return answer

    def register(self, name: str, kind: str, **attributes: Any) -> dict[str, Any]:
        """Register an application of Alice's."""
        body = {"name": name, "kind": kind, "website": "https://app.example", **attributes}
        made: dict[str, Any] = self.call("POST", "apps", json=body).json()
        return made

    def grants(self) -> list[dict[str, Any]]:
        """What Alice has allowed."""
        found: list[dict[str, Any]] = self.call("GET", "grants").json()
        return found

    def revoke(self, client_id: str) -> None:
        """Take everything back that Alice has allowed an application."""
        mine = [grant["id"] for grant in self.grants() if grant["clientId"] == client_id]
        assert mine
        for grant in mine:
            self.call("DELETE", f"grants/{grant}")

    def refreshes(self) -> int:
        """How often tokens were asked for, since the first start."""
        return self.log.count("path=/api/oauth/token status=200")


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Server]:
    """Serve Alice's sensors: one with readings, one without, and one with a hostile name."""
    with Server(folder / "data", *OPTIONS, *options) as server:
        server.add_user("alice")
        field = {"name": "temperature", "longName": "Temperature", "type": "NUMBER", "units": "°C"}
        for name, title in (("greenhouse", "Greenhouse"), ("cellar", "Cellar"), ("odd", HOSTILE)):
            body = {"name": name + "1", "longName": title, "description": title, "fields": [field]}
            server.call("POST", "sensors", json=body)
        for value in (19.5, 21, 24.25):
            server.call("POST", "sensors/greenhouse1/data", json={"temperature": value})
            server.call("POST", "sensors/odd1/data", json={"temperature": -value})
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("examples")) as found:
        yield found


@pytest.fixture
def alice(server: Server) -> Iterator[WebUser]:
    with WebUser(server.url) as user:
        yield user


def module(example: str, name: str) -> ModuleType:
    """Load one file of an example by itself."""
    spec = importlib.util.spec_from_file_location(
        f"examples_{name}", ROOT / "scripts" / example / f"{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found  # dataclasses look there
    spec.loader.exec_module(found)
    return found


def read_json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
