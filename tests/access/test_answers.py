"""What the application is told: its state, who answers, and tokens where they belong."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes, urlsplit

import pytest

from tests.access.parties import PKCE, OAuthApp, granted, told

if TYPE_CHECKING:
    from tests.access.parties import Server
    from tests.web_user import WebUser

STATES = [
    b"plain",
    b"a b&c=d#e?f/g;h",
    b"%25%zz+",
    "\u00e4\u20ac\U0001f511".encode(),
    b"\x00\x01\x7f\xff\xfe",
    b"\r\nSet-Cookie: x=y",
    b'"><script>alert(1)</script>',
    b"x" * 4000,
]


@pytest.fixture(scope="module")
def implicit(server: Server) -> OAuthApp:
    return OAuthApp.register(server, "--allow", "implicit")


def state_in(location: str) -> bytes:
    """Return the state in the bytes that were sent."""
    parts = urlsplit(location)
    pairs = (parts.fragment or parts.query).split("&")
    (raw,) = [pair.partition("=")[2] for pair in pairs if pair.startswith("state=")]
    return unquote_to_bytes(raw.replace("+", " "))


@pytest.mark.parametrize("state", STATES, ids=range(len(STATES)))
def test_state_comes_back_byte_for_byte_on_success_and_on_error(
    implicit: OAuthApp, bobby: WebUser, state: bytes
) -> None:
    escaped = "".join(f"%{byte:02x}" for byte in state)
    for params, decision in (
        ({}, "allow"),
        ({"response_type": "token"}, "allow"),
        ({"scope": "read"}, "deny"),
        ({"scope": "fly"}, "allow"),
    ):
        address = implicit.asking(state="", **params) + f"&state={escaped}"
        assert state_in(bobby.decide(address, decision)) == state


def test_without_a_state_none_is_made_up(web: OAuthApp, bobby: WebUser) -> None:
    assert told(bobby.decide(web.asking(state=""))).keys() == {"shop", "code", "iss"}


@pytest.mark.parametrize("kind", ["code", "token", "code token"])
def test_issuer_is_named_on_success_and_on_error(
    server: Server, implicit: OAuthApp, bobby: WebUser, kind: str
) -> None:
    for decision in ("deny", "allow"):
        location = bobby.decide(implicit.asking(response_type=kind, scope="write"), decision)
        found = told(location, fragment="token" in kind)
        assert found["iss"] == server.url
        assert ("error" in found) == (decision == "deny")
    metadata = implicit.http.get("/.well-known/oauth-authorization-server").json()
    assert metadata["issuer"] == server.url
    assert metadata["authorization_response_iss_parameter_supported"] is True


@pytest.mark.parametrize("mode", ["", "query", "fragment", "form_post"])
@pytest.mark.parametrize("kind", ["token", "code token", "token code", "code_and_token"])
def test_tokens_are_only_ever_in_the_fragment(
    implicit: OAuthApp, bobby: WebUser, kind: str, mode: str
) -> None:
    location = bobby.decide(implicit.asking(response_type=kind, response_mode=mode, scope="read"))
    assert urlsplit(location).query == "shop=1"
    found = told(location, fragment=True)
    assert "refresh_token" not in found
    assert found["token_type"] == "Bearer"
    assert found["expires_in"] == "43200"
    assert found["scope"] == "read"
    assert implicit.status(found["access_token"]) == 200
    assert ("code" in found) == ("code" in kind)
    if "code" in found:
        assert "refresh_token" in granted(implicit.redeem(found["code"]))


def test_code_may_be_asked_for_in_the_fragment(web: OAuthApp, bobby: WebUser) -> None:
    location = bobby.decide(web.asking(response_mode="fragment"))
    assert urlsplit(location).query == "shop=1"
    granted(web.redeem(told(location, fragment=True)["code"]))


def test_implicit_flow_is_off_unless_it_is_switched_on(
    web: OAuthApp, public: OAuthApp, bobby: WebUser
) -> None:
    for app, params in ((web, {}), (public, PKCE)):
        for kind in ("token", "code token"):
            location = bobby.decide(app.asking(response_type=kind, **params))
            assert told(location, fragment=True)["error"] == "unauthorized_client"


def test_alias_of_an_older_platform_answers_alike(web: OAuthApp, bobby: WebUser) -> None:
    location = bobby.decide(web.asking("/api/oauthv2/authorize"))
    answer = web.call(
        "token",
        path="/api/oauthv2/",
        grant_type="authorization_code",
        code=told(location)["code"],
        redirect_uri="https://app.example/callback?shop=1",
    )
    assert web.status(granted(answer)["access_token"]) == 200
