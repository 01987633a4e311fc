"""A real server with Alice and applications of Bob's, seen from outside over HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from click.testing import CliRunner

from tests.system.server_process import ServerProcess
from tests.web_user import PASSWORD, WebUser
from wotkit.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLBACK = "https://app.example/callback"
LOOPBACK = "http://127.0.0.1/callback"
OOB = "urn:ietf:wg:oauth:2.0:oob"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
OPTIONS = (
    *("--set", "auth.bcrypt_cost=4", "--set", "auth.failures_per_address=100000"),
    *("--set", "oauth.device_interval_seconds=1"),
)
SWITCHES = ("--allow", "password", "--allow", "implicit", "--allow", "client-credentials")


class App:
    """An application, as its developer has it."""

    def __init__(self, url: str, made: dict[str, Any], redirect_uri: str) -> None:
        self.url = url
        self.client_id: str = made["client_id"]
        self.secret: str | None = made.get("client_secret")
        self.redirect_uri = redirect_uri
        self.verifier = secrets.token_urlsafe(48)

    @property
    def credentials(self) -> tuple[str, str] | None:
        return None if self.secret is None else (self.client_id, self.secret)

    def asking(self, **changes: str | None) -> str:
        """The address it sends its user to; None leaves a parameter out."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        asked: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "state": "s",
        }
        if self.secret is None:
            challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            asked |= {"code_challenge": challenge, "code_challenge_method": "S256"}
        asked |= changes
        query = {name: value for name, value in asked.items() if value is not None}
        return f"/api/oauth/authorize?{urlencode(query)}"

    def code(self, user: WebUser, **changes: str | None) -> str:
        """Have the user allow, and return the code."""
        return told(user.decide(self.asking(**changes)))["code"]

    def call(self, path: str = "token", **fields: str | None) -> httpx.Response:
        """Post a form to an endpoint as this application; None leaves a field out."""
        form = {name: value for name, value in fields.items() if value is not None}
        if self.secret is None:
            form = {"client_id": self.client_id} | form
        return httpx.post(
            f"{self.url}/api/oauth/{path}", data=form, auth=self.credentials, timeout=30
        )

    def redeem(self, code: str, **changes: str | None) -> httpx.Response:
        fields: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
        }
        if self.secret is None:
            fields["code_verifier"] = self.verifier
        return self.call(**(fields | changes))

    def refresh(self, token: str, **changes: str | None) -> httpx.Response:
        return self.call(**({"grant_type": "refresh_token", "refresh_token": token} | changes))

    def tokens(self, user: WebUser, **changes: str | None) -> dict[str, Any]:
        """Do the whole round."""
        answer = self.redeem(self.code(user, **changes))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


def told(address: str) -> dict[str, str]:
    """Return what a redirect says, in query or fragment, each once."""
    parts = urlsplit(address)
    said = parse_qs(parts.query or parts.fragment, keep_blank_values=True)
    assert all(len(values) == 1 for values in said.values())
    return {name: values[0] for name, values in said.items()}


class Platform(ServerProcess):
    """A running server, and the commands beside it."""

    def register(
        self, name: str, *options: str, kind: str = "web", redirect_uri: str = CALLBACK
    ) -> App:
        made = self.json(
            *("app", "create", "--user", "bob1", "--name", name, "--kind", kind),
            *("--website", "https://app.example", "--redirect-uri", redirect_uri, *options),
        )
        return App(self.url, made, redirect_uri)

    def command(self, *arguments: str, stdin: str = "") -> str:
        result = CliRunner().invoke(
            main, [*arguments, "--data", str(self.data)], input=stdin, catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.command(*arguments, "--json"))

    def allows(self, token: str) -> int:
        """The status of an API call with a token."""
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.get(f"{self.url}/api/v2/sensors", headers=headers, timeout=30).status_code


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with Platform(tmp_path_factory.mktemp("access") / "data", *OPTIONS) as server:
        for name in ("alice", "bob1"):
            server.command("user", "create", name, "--password-file", "-", stdin=PASSWORD)
        server.command("sensor", "create", "roof", "--user", "alice")
        yield server


@pytest.fixture(scope="module")
def alice(platform: Platform) -> Iterator[WebUser]:
    with WebUser(platform.url) as user:
        yield user


@pytest.fixture(scope="module")
def web(platform: Platform) -> App:
    """A confidential application, with everything switched on."""
    return platform.register("Web", *SWITCHES)


@pytest.fixture(scope="module")
def other(platform: Platform) -> App:
    """Another confidential application."""
    return platform.register("Other")


@pytest.fixture(scope="module")
def desktop(platform: Platform) -> App:
    """A public application with a loopback address."""
    return platform.register("Desktop", kind="desktop", redirect_uri=LOOPBACK)
