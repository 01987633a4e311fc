"""How applications show who they are, and what they may learn of tokens."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from tests.access.parties import (
    DEVICE,
    ENDPOINTS,
    OUT_OF_BAND,
    OAuthApp,
    ended,
    granted,
    refused,
)

if TYPE_CHECKING:
    import httpx

    from tests.access.parties import Server
    from tests.web_user import WebUser

FORM = {"grant_type": "client_credentials", "token": "x"}
"""Makes sense to each of the endpoints."""


def challenged(answer: httpx.Response) -> None:
    refused(answer, "invalid_client", 401)
    assert answer.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize("where", ENDPOINTS)
@pytest.mark.parametrize("secret", ["wrong", "", "0" * 64])
def test_confidential_client_with_a_wrong_secret_or_none_is_challenged(
    web: OAuthApp, where: str, secret: str
) -> None:
    challenged(web.call(where, **FORM, client_secret=secret))
    basic = web.http.post(f"/api/oauth/{where}", data=FORM, auth=(web.client_id, secret))
    challenged(basic)


@pytest.mark.parametrize("where", ENDPOINTS)
@pytest.mark.parametrize("client_id", ["nobody", "", "0" * 32])
def test_client_that_is_not_known_is_challenged(web: OAuthApp, where: str, client_id: str) -> None:
    challenged(web.call(where, **FORM, client_id=client_id))


@pytest.mark.parametrize("where", ENDPOINTS)
@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic %%%",
        "Basic x",
        "Basic " + base64.b64encode(b"no-colon").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
        "Basic " + base64.b64encode(b":secret").decode(),
        "Bearer x",
        "Digest x",
    ],
)
def test_broken_authorization_header_is_challenged(web: OAuthApp, where: str, header: str) -> None:
    headers = {"Authorization": header}
    challenged(web.http.post(f"/api/oauth/{where}", data=FORM, headers=headers))


@pytest.mark.parametrize("where", ENDPOINTS)
@pytest.mark.parametrize("other", ["right", "wrong", "empty"])
def test_two_ways_to_authenticate_at_once_are_refused(
    web: OAuthApp, where: str, other: str
) -> None:
    assert web.secret is not None
    basic = {"right": web.secret, "wrong": "wrong", "empty": ""}[other]
    answer = web.http.post(
        f"/api/oauth/{where}",
        data=FORM | {"client_secret": web.secret},
        auth=(web.client_id, basic),
    )
    refused(answer, "invalid_request")


def test_two_client_ids_are_refused(web: OAuthApp, public: OAuthApp) -> None:
    assert web.secret is not None
    data = FORM | {"client_id": public.client_id}
    answer = web.http.post("/api/oauth/token", data=data, auth=(web.client_id, web.secret))
    assert answer.status_code in {400, 401}
    assert answer.json()["error"] in {"invalid_request", "invalid_client"}


@pytest.mark.parametrize("where", ENDPOINTS)
def test_secret_in_the_address_is_refused(web: OAuthApp, where: str) -> None:
    assert web.secret is not None
    query = {"client_id": web.client_id, "client_secret": web.secret}
    refused(web.http.post(f"/api/oauth/{where}", params=query, data=FORM), "invalid_request")
    both = FORM | {"client_id": web.client_id, "client_secret": web.secret}
    answer = web.http.post(f"/api/oauth/{where}", params={"client_secret": web.secret}, data=both)
    refused(answer, "invalid_request")
    assert web.http.get(f"/api/oauth/{where}", params=query | FORM).status_code == 405


def test_public_client_that_shows_a_secret_is_refused(public: OAuthApp, bobby: WebUser) -> None:
    code = public.code(bobby)
    challenged(public.redeem(code, client_secret="guessed"))
    granted(public.redeem(code))


def test_confidential_client_cannot_redeem_without_its_secret(
    web: OAuthApp, bobby: WebUser
) -> None:
    code = web.code(bobby)
    challenged(web.redeem(code, client_secret=""))
    tokens = granted(web.redeem(code))
    challenged(web.refresh(tokens["refresh_token"], client_secret=""))
    challenged(web.call("revoke", token=tokens["refresh_token"], client_secret=""))
    assert web.status(tokens["access_token"]) == 200


@pytest.mark.parametrize("where", ENDPOINTS)
def test_answer_and_refusal_are_kept_by_nobody(web: OAuthApp, where: str) -> None:
    for answer in (web.call(where, **FORM), web.call(where), web.http.post(f"/api/oauth/{where}")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["pragma"] == "no-cache"


def test_out_of_band_page_is_kept_by_nobody(server: Server, bobby: WebUser) -> None:
    app = OAuthApp.register(server, kind="desktop", redirects=(OUT_OF_BAND,))
    address = app.asking(redirect_uri=OUT_OF_BAND)
    code = bobby.copied_code(address)  # which checks that it is not to be stored
    granted(app.redeem(code, redirect_uri=OUT_OF_BAND))
    assert bobby.copied_code(address, "deny") == "access_denied"


def test_revocation_answers_an_empty_object_for_known_and_unknown_tokens(
    web: OAuthApp, bobby: WebUser
) -> None:
    tokens = web.tokens(bobby)
    for token in (tokens["access_token"], "unknown", "\u00e4\x00", tokens["access_token"]):
        answer = web.call("revoke", token=token)
        assert (answer.status_code, answer.json()) == (200, {})
    assert web.status(tokens["access_token"]) == 401
    granted(web.refresh(tokens["refresh_token"]))


@pytest.mark.parametrize("hint", ["", "access_token", "refresh_token", "frob"])
def test_revoked_refresh_token_ends_all_that_was_granted_whatever_the_hint(
    web: OAuthApp, bobby: WebUser, hint: str
) -> None:
    tokens = web.tokens(bobby)
    assert web.call("revoke", token=tokens["refresh_token"], token_type_hint=hint).json() == {}
    ended(web, tokens)


def test_token_of_another_application_is_neither_told_of_nor_revoked(
    server: Server, web: OAuthApp, bobby: WebUser
) -> None:
    other = OAuthApp.register(server)
    tokens = web.tokens(bobby)
    for token in (tokens["access_token"], tokens["refresh_token"], "unknown", ""):
        if token:
            assert other.introspect(token) == {"active": False}
            assert other.call("revoke", token=token).json() == {}
    assert web.status(tokens["access_token"]) == 200
    granted(web.refresh(tokens["refresh_token"]))


def test_introspection_says_for_whom_and_how_long_a_token_is_good(
    server: Server, web: OAuthApp, bobby: WebUser
) -> None:
    tokens = web.tokens(bobby, scope="read write")
    found = web.introspect(tokens["access_token"])
    assert found["active"] is True
    assert (found["username"], found["client_id"]) == ("bobby", web.client_id)
    assert (found["scope"], found["token_type"]) == ("read write", "Bearer")
    assert found["exp"] - found["iat"] == 43_200
    assert found["iss"] == server.url
    assert web.introspect(tokens["refresh_token"])["active"] is True
    granted(web.refresh(tokens["refresh_token"]))
    assert web.introspect(tokens["refresh_token"]) == {"active": False}


def test_introspection_is_for_confidential_clients(public: OAuthApp, bobby: WebUser) -> None:
    token = public.tokens(bobby)["access_token"]
    challenged(public.call("introspect", token=token))
    challenged(public.http.post("/api/oauth/introspect", data={"token": token}))


def test_machine_acts_for_the_owner_where_it_is_switched_on(server: Server, web: OAuthApp) -> None:
    refused(web.call("token", grant_type="client_credentials"), "unauthorized_client")
    machine = OAuthApp.register(server, "--allow", "client-credentials")
    tokens = granted(machine.call("token", grant_type="client_credentials", scope="read"))
    assert "refresh_token" not in tokens
    assert tokens["scope"] == "read"
    assert machine.introspect(tokens["access_token"])["username"] == "alice"
    refused(machine.call("token", grant_type="client_credentials", scope="admin"), "invalid_scope")
    challenged(machine.call("token", grant_type="client_credentials", client_secret=""))


def test_password_is_taken_where_it_is_switched_on(server: Server, web: OAuthApp) -> None:
    form = {"grant_type": "password", "username": "bobby", "password": "correct horse battery"}
    refused(web.call("token", **form), "unauthorized_client")
    trusted = OAuthApp.register(server, "--allow", "password")
    assert trusted.status(granted(trusted.call("token", **form))["access_token"]) == 200
    refused(trusted.call("token", **form | {"password": "wrong"}), "invalid_grant")
    refused(trusted.call("token", **form | {"username": "nobody"}), "invalid_grant")
    challenged(trusted.call("token", **form, client_secret="wrong"))


@pytest.mark.parametrize("kind", ["", "fly", "refresh", DEVICE, "refresh_token", "password"])
def test_incomplete_or_unknown_grant_is_refused(web: OAuthApp, kind: str) -> None:
    answer = web.call("token", grant_type=kind)
    assert answer.status_code == 400
    assert answer.json()["error"] in {
        "invalid_request",
        "unsupported_grant_type",
        "unauthorized_client",
    }


def test_secret_of_before_is_good_until_the_overlap_ends(server: Server) -> None:
    app = OAuthApp.register(server, "--allow", "client-credentials")
    old, owner = app.secret, ("alice", "correct horse battery")
    rotate = f"/api/v2/apps/{app.client_id}/rotate"
    new = app.http.post(rotate, auth=owner).json()["clientSecret"]
    form = {"grant_type": "client_credentials"}
    for secret in (old, new):
        granted(app.call("token", **form, client_secret=secret))
    newest = app.http.post(rotate, json={"overlapHours": 0}, auth=owner).json()["clientSecret"]
    for secret in (old, new):
        challenged(app.call("token", **form, client_secret=secret))
    granted(app.call("token", **form, client_secret=newest))
