"""A code works once, soon, and for the very client that began with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.access.parties import (
    CHALLENGE,
    PKCE,
    VERIFIER,
    OAuthApp,
    ended,
    granted,
    refused,
    told,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.access.parties import Server
    from tests.web_user import WebUser


def test_code_gives_tokens_once_and_its_return_ends_them(web: OAuthApp, bobby: WebUser) -> None:
    code = web.code(bobby, scope="read")
    tokens = granted(web.redeem(code))
    assert tokens["scope"] == "read"
    assert tokens["expires_in"] == 43_200
    assert web.status(tokens["access_token"]) == 200
    renewed = granted(web.refresh(tokens["refresh_token"]))
    refused(web.redeem(code), "invalid_grant")
    ended(web, tokens)
    ended(web, renewed)


def test_code_lives_for_a_minute(
    web: OAuthApp, bobby: WebUser, time_passes: Callable[..., None]
) -> None:
    young, old = web.code(bobby), web.code(bobby)
    time_passes("authorization_code", 35)
    granted(web.redeem(young))
    time_passes("authorization_code", 25)
    refused(web.redeem(old), "invalid_grant")


def test_code_is_good_for_its_client_only(server: Server, web: OAuthApp, bobby: WebUser) -> None:
    other = OAuthApp.register(server)
    code = web.code(bobby)
    refused(other.redeem(code), "invalid_grant")
    # whoever has found a code that is not its own can neither use it nor spoil it
    granted(web.redeem(code))


@pytest.mark.parametrize("uri", ["", "https://app.example/callback", "https://evil.example/", "x"])
def test_code_is_bound_to_the_address_it_was_sent_to(
    web: OAuthApp, bobby: WebUser, uri: str
) -> None:
    code = web.code(bobby)
    refused(web.redeem(code, redirect_uri=uri), "invalid_grant")
    granted(web.redeem(code))


@pytest.mark.parametrize(
    "params",
    [
        {"code_challenge": "", "code_challenge_method": ""},
        {"code_challenge": CHALLENGE, "code_challenge_method": ""},
        {"code_challenge": CHALLENGE, "code_challenge_method": "plain"},
        {"code_challenge": CHALLENGE, "code_challenge_method": "s256"},
        {"code_challenge": "", "code_challenge_method": "S256"},
        {"code_challenge": CHALLENGE[:-1], "code_challenge_method": "S256"},
        {"code_challenge": CHALLENGE + "A", "code_challenge_method": "S256"},
        {"code_challenge": CHALLENGE[:-1] + "=", "code_challenge_method": "S256"},
    ],
)
def test_public_application_needs_a_challenge_of_the_one_good_method(
    public: OAuthApp, bobby: WebUser, params: dict[str, str]
) -> None:
    location = bobby.open(public.asking(**params)).headers["location"]
    assert told(location)["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("verifier", "error"),
    [
        ("", "invalid_request"),
        ("w" * 43, "invalid_grant"),
        (VERIFIER + "x", "invalid_grant"),
        (VERIFIER[:42], "invalid_grant"),
        (VERIFIER * 3, "invalid_grant"),
        (CHALLENGE, "invalid_grant"),
        ("\u00e4" * 43, "invalid_grant"),
    ],
)
def test_wrong_verifier_is_refused(
    public: OAuthApp, bobby: WebUser, verifier: str, error: str
) -> None:
    code = public.code(bobby)
    refused(public.redeem(code, code_verifier=verifier), error)
    granted(public.redeem(code))


@pytest.mark.parametrize("length", [42, 129])
def test_verifier_of_a_length_that_the_standard_forbids_is_refused(
    server: Server, public: OAuthApp, bobby: WebUser, length: int
) -> None:
    """Although it is the very one of which the challenge was made."""
    import base64
    import hashlib

    verifier = "v" * length
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    code = public.code(bobby, code_challenge=challenge)
    refused(public.redeem(code, code_verifier=verifier), "invalid_grant")


def test_challenge_of_a_confidential_application_binds_too(web: OAuthApp, bobby: WebUser) -> None:
    code = web.code(bobby, **PKCE)
    refused(web.redeem(code), "invalid_request")
    refused(web.redeem(code, code_verifier="w" * 43), "invalid_grant")
    granted(web.redeem(code, code_verifier=VERIFIER))


def test_verifier_where_no_challenge_was_is_refused(web: OAuthApp, bobby: WebUser) -> None:
    code = web.code(bobby)
    refused(web.redeem(code, code_verifier=VERIFIER), "invalid_grant")
    granted(web.redeem(code))


def test_plain_challenge_is_refused_to_a_confidential_application_as_well(
    web: OAuthApp, bobby: WebUser
) -> None:
    for params in (
        {"code_challenge": VERIFIER},
        {"code_challenge": VERIFIER, "code_challenge_method": "plain"},
        {"code_challenge": CHALLENGE},
    ):
        location = bobby.http.get(web.asking(**params)).headers["location"]
        assert told(location)["error"] == "invalid_request", params
