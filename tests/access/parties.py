"""Who takes part: an application at its end of the wire, and what it reads in answers."""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

from tests.system.server_process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.web_user import WebUser

CALLBACK = "https://app.example/callback?shop=1"
OUT_OF_BAND = "urn:ietf:wg:oauth:2.0:oob"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
ENDPOINTS = ("token", "revoke", "introspect", "device_authorization")
VERIFIER = "a-verifier.of_forty-three~characters-at-least"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest())[:43].decode()
PKCE = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
SENSORS = "/api/v2/alerts"
"""Needs the scope ``read`` and a caller: what tells whether a token works."""


def told(location: str | None, *, fragment: bool = False) -> dict[str, str]:
    """Return what an application is told by the address it is called back at."""
    assert location is not None
    parts = urlsplit(location)
    return dict(parse_qsl(parts.fragment if fragment else parts.query, keep_blank_values=True))


def refused(answer: httpx.Response, error: str, status: int = 400) -> None:
    """Check that this is a refusal of the standard's shape which nobody keeps."""
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert "access_token" not in answer.text


def granted(answer: httpx.Response) -> dict[str, Any]:
    """Check that this is an answer with tokens which nobody keeps, and return it."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    assert found["token_type"] == "Bearer"
    return found


def at_once(*asks: Callable[[], httpx.Response]) -> list[httpx.Response]:
    """Ask all of it at the same moment, each from a thread of its own."""
    barrier = threading.Barrier(len(asks))

    def ask(one: Callable[[], httpx.Response]) -> httpx.Response:
        barrier.wait(20)
        return one()

    with ThreadPoolExecutor(len(asks)) as threads:
        return list(threads.map(ask, asks))


def text_of(answer: httpx.Response) -> str:
    """Return what a page says, without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def copied(page: httpx.Response, name: str) -> str:
    """Return the text that a page offers to copy."""
    found = re.search(rf'<pre id="{name}"[^>]*>(.*?)</pre>', page.text, re.DOTALL)
    assert found is not None, page.text
    return unescape(found[1])


class Server(ServerProcess):
    """A server, with the connections that everybody but browsers shares."""

    def __enter__(self) -> Self:
        super().__enter__()
        self.http = httpx.Client(base_url=self.url, timeout=30)
        return self

    def __exit__(self, *exception: object) -> None:
        self.http.close()
        super().__exit__(*exception)


class OAuthApp:
    """An application, which knows its client id and, where it has one, its secret."""

    def __init__(self, server: Server, client_id: str, secret: str | None) -> None:
        self.server = server
        self.client_id = client_id
        self.secret = secret
        self.http = server.http

    @classmethod
    def register(
        cls,
        server: Server,
        *options: str,
        kind: str = "web",
        redirects: tuple[str, ...] = (CALLBACK,),
        owner: str = "alice",
    ) -> Self:
        """Have the owner register an application."""
        addresses = [word for uri in redirects for word in ("--redirect-uri", uri)]
        made = server.json(
            *("app", "create", "--user", owner, "--name", f"{kind} plotter", "--kind", kind),
            *("--website", "https://app.example", *addresses, *options),
        )
        return cls(server, made["client_id"], made["client_secret"])

    def asking(self, path: str = "/api/oauth/authorize", **params: str) -> str:
        """Return the address it sends a browser to; a public one brings its challenge."""
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": CALLBACK,
            "state": "s t",
            **(PKCE if self.secret is None else {}),
            **params,
        }
        return f"{path}?{urlencode({name: value for name, value in query.items() if value})}"

    def code(self, user: WebUser, **params: str) -> str:
        """Return the code that a user's consent gave."""
        return told(user.decide(self.asking(**params)))["code"]

    def call(self, where: str, *, path: str = "/api/oauth/", **form: str) -> httpx.Response:
        """Post a form as this client: with the secret in it, where there is one."""
        client = {"client_id": self.client_id}
        if self.secret is not None:
            client["client_secret"] = self.secret
        return self.http.post(f"{path}{where}", data=client | form)

    def redeem(self, code: str, **form: str) -> httpx.Response:
        wanted = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        if self.secret is None:
            wanted["code_verifier"] = VERIFIER
        return self.call("token", **wanted | form)

    def tokens(self, user: WebUser, **params: str) -> dict[str, Any]:
        """Return the tokens that a user's consent led to."""
        return granted(self.redeem(self.code(user, **params)))

    def refresh(self, token: str, **form: str) -> httpx.Response:
        return self.call("token", grant_type="refresh_token", refresh_token=token, **form)

    def introspect(self, token: str) -> dict[str, Any]:
        answer = self.call("introspect", token=token)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def status(self, token: str) -> int:
        """Return how the API answers a token."""
        answer = self.http.get(SENSORS, headers={"Authorization": f"Bearer {token}"})
        return int(answer.status_code)


def ended(app: OAuthApp, tokens: dict[str, Any]) -> None:
    """Check that neither of a pair of tokens works any more."""
    assert app.status(tokens["access_token"]) == 401
    if "refresh_token" in tokens:
        refused(app.refresh(tokens["refresh_token"]), "invalid_grant")
