"""Where the library that speaks the protocol leaves a door open, or says the wrong thing."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.access.parties import PKCE, VERIFIER, OAuthApp, ended, granted, refused, told

if TYPE_CHECKING:
    from tests.access.parties import Server
    from tests.web_user import WebUser


@pytest.mark.parametrize("kind", ["token", "code token"])
def test_response_mode_cannot_move_a_token_into_the_query(
    server: Server, bobby: WebUser, kind: str
) -> None:
    app = OAuthApp.register(server, "--allow", "implicit")
    location = bobby.decide(app.asking(response_type=kind, response_mode="query"))
    assert "token" not in urlsplit(location).query
    assert app.status(told(location, fragment=True)["access_token"]) == 200


@pytest.mark.parametrize("length", [42, 43, 128, 129])
def test_length_of_the_verifier_is_checked(public: OAuthApp, bobby: WebUser, length: int) -> None:
    verifier = "~" * length
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    answer = public.redeem(public.code(bobby, code_challenge=challenge), code_verifier=verifier)
    if length in {43, 128}:
        granted(answer)
    else:
        refused(answer, "invalid_grant")


@pytest.mark.parametrize("challenge", ["x", "x" * 42, "x" * 44, "x" * 128, "x" * 42 + "="])
def test_length_and_letters_of_the_challenge_are_checked(
    public: OAuthApp, bobby: WebUser, challenge: str
) -> None:
    location = bobby.open(public.asking(code_challenge=challenge)).headers["location"]
    assert told(location)["error"] == "invalid_request"


def test_verifier_where_no_challenge_was_is_refused(web: OAuthApp, bobby: WebUser) -> None:
    """Else whoever injects a code of its own would get by (RFC 9700 section 4.8.2)."""
    refused(web.redeem(web.code(bobby), code_verifier=VERIFIER), "invalid_grant")


def test_grant_type_that_the_library_takes_for_a_code_is_unsupported(
    web: OAuthApp, bobby: WebUser
) -> None:
    code = web.code(bobby)
    refused(web.redeem(code, grant_type="openid"), "unsupported_grant_type")
    granted(web.redeem(code))


def test_unknown_client_of_a_device_is_an_invalid_client(web: OAuthApp) -> None:
    for client_id in ("nobody", "", "\u00e4"):
        answer = web.http.post("/api/oauth/device_authorization", data={"client_id": client_id})
        refused(answer, "invalid_client", 401)
        assert answer.headers["www-authenticate"].startswith("Basic ")


def test_device_endpoint_takes_the_client_from_basic_alone(web: OAuthApp) -> None:
    assert web.secret is not None
    basic = (web.client_id, web.secret)
    answer = web.http.post("/api/oauth/device_authorization", data={"scope": "read"}, auth=basic)
    assert answer.status_code == 200, answer.text
    assert answer.json()["verification_uri"] == f"{web.server.url}/device"


def test_challenge_of_the_token_endpoint_is_basic(web: OAuthApp) -> None:
    answer = web.call("token", grant_type="client_credentials", client_secret="wrong")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert "Bearer" not in answer.headers["www-authenticate"]


def test_end_of_the_family_is_kept_although_the_answer_is_a_refusal(
    web: OAuthApp, bobby: WebUser
) -> None:
    code = web.code(bobby)
    tokens = granted(web.redeem(code))
    refused(web.redeem(code), "invalid_grant")
    web.server.stop()
    web.server.start()
    ended(web, tokens)


def test_what_the_library_raises_is_a_refusal_and_no_fault(
    server: Server, web: OAuthApp, bobby: WebUser
) -> None:
    for query in ("%zz", "client_id=%zz", "a=%", "client_id=%E0%A4%A", "\u00e4=\u00e4"):
        page = bobby.http.get(f"/api/oauth/authorize?{query}")
        assert page.status_code == 400
        assert page.headers["content-type"].startswith("text/html")
        answer = server.http.post(
            "/api/oauth/token",
            content=query.encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert answer.status_code in {400, 401}
        assert "error" in answer.json()


def test_api_takes_tokens_of_its_own_and_no_codes(web: OAuthApp, bobby: WebUser) -> None:
    code = web.code(bobby, **PKCE)
    assert web.status(code) == 401
    tokens = granted(web.redeem(code, code_verifier=VERIFIER))
    assert web.status(tokens["access_token"]) == 200
    assert web.status(hashlib.sha256(tokens["access_token"].encode()).hexdigest()) == 401
