"""What applications call: refresh, revoke, introspect, device, wrong clients, junk."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.oauth.conftest import DEVICE, App, told
from tests.web_user import PASSWORD

if TYPE_CHECKING:
    from tests.oauth.conftest import Platform
    from tests.web_user import WebUser


def test_refresh_token_is_replaced_and_its_return_ends_the_family(
    platform: Platform, alice: WebUser, web: App
) -> None:
    first = web.tokens(alice)
    second = web.refresh(first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert platform.allows(second["access_token"]) == 200
    reused = web.refresh(first["refresh_token"])
    assert (reused.status_code, reused.json()["error"]) == (400, "invalid_grant")
    assert web.refresh(second["refresh_token"]).json()["error"] == "invalid_grant"
    assert platform.allows(second["access_token"]) == 401


def test_refreshing_widens_nothing(alice: WebUser, web: App) -> None:
    tokens = web.tokens(alice, scope="read")
    assert tokens["scope"] == "read"
    wider = web.refresh(tokens["refresh_token"], scope="read write")
    assert (wider.status_code, wider.json()["error"]) == (400, "invalid_scope")


def test_refresh_token_is_bound_to_its_client(alice: WebUser, web: App, other: App) -> None:
    tokens = web.tokens(alice)
    assert other.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_refresh_tokens_of_public_clients_rotate_too(alice: WebUser, desktop: App) -> None:
    first = desktop.tokens(alice)
    assert desktop.refresh(first["refresh_token"]).status_code == 200
    assert desktop.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"


def basic(name: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


def wrong_clients(web: App) -> dict[str, dict[str, Any]]:
    assert web.secret is not None
    form = {"grant_type": "client_credentials"}
    own = {"client_id": web.client_id, "client_secret": web.secret}
    return {
        "wrong secret": {"data": form, "headers": basic(web.client_id, "wrong")},
        "unknown client": {"data": form, "headers": basic("nobody", "wrong")},
        "no secret": {"data": form | {"client_id": web.client_id}},
        "nobody": {"data": form},
        "secret in the address": {"data": form, "params": own},
        "two methods": {"data": form | own, "headers": basic(web.client_id, web.secret)},
        "broken Basic": {"data": form, "headers": {"Authorization": "Basic ???"}},
        "other scheme": {"data": form, "headers": {"Authorization": "Digest x"}},
    }


@pytest.mark.parametrize("case", wrong_clients(App("", {"client_id": "", "client_secret": ""}, "")))
def test_client_that_does_not_authenticate_well_is_refused(web: App, case: str) -> None:
    answer = httpx.post(f"{web.url}/api/oauth/token", **wrong_clients(web)[case])
    if case in {"two methods", "secret in the address"}:
        assert answer.status_code in {400, 401}
        assert answer.json()["error"] in {"invalid_request", "invalid_client"}
    else:
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Basic ")
    assert "no-store" in answer.headers["cache-control"]


def test_secret_in_the_form_is_taken_alone(web: App) -> None:
    form = {"client_id": web.client_id, "client_secret": str(web.secret)}
    answer = httpx.post(
        f"{web.url}/api/oauth/token", data=form | {"grant_type": "client_credentials"}
    )
    assert answer.status_code == 200
    assert "refresh_token" not in answer.json()


def test_tokens_and_errors_are_not_kept_by_caches(alice: WebUser, web: App) -> None:
    good = web.redeem(web.code(alice))
    bad = web.redeem("nothing")
    for answer in (good, bad):
        assert "no-store" in answer.headers["cache-control"]
    told_of = web.call("introspect", token=good.json()["access_token"])
    assert "no-store" in told_of.headers["cache-control"]


def test_token_lives_as_told_and_says_its_scope(alice: WebUser, web: App) -> None:
    tokens = web.tokens(alice, scope="write read")
    assert tokens["token_type"].lower() == "bearer"
    assert tokens["expires_in"] == 43_200
    assert set(tokens["scope"].split()) == {"read", "write"}


def test_no_scope_asked_for_gives_the_registered_ones(
    platform: Platform, alice: WebUser, web: App
) -> None:
    assert web.tokens(alice)["scope"] == "all"
    narrow = platform.register("Narrow", "--scope", "read")
    assert narrow.tokens(alice)["scope"] == "read"


def test_password_and_own_account_only_where_switched_on(
    platform: Platform, web: App, other: App
) -> None:
    password = {"grant_type": "password", "username": "alice", "password": PASSWORD}
    assert platform.allows(web.call(**password).json()["access_token"]) == 200
    assert web.call(**(password | {"password": "wrong"})).json()["error"] == "invalid_grant"
    machine = {"grant_type": "client_credentials"}
    assert platform.allows(web.call(**machine).json()["access_token"]) == 200
    for form in (password, machine):
        assert other.call(**form).json()["error"] == "unauthorized_client"


def test_revoking_is_empty_idempotent_and_at_once(
    platform: Platform, alice: WebUser, web: App, other: App
) -> None:
    tokens = web.tokens(alice)
    for token in ("unknown", tokens["access_token"]):
        assert other.call("revoke", token=token).status_code == 200
    assert platform.allows(tokens["access_token"]) == 200
    revoked = web.call("revoke", token=tokens["access_token"])
    assert (revoked.status_code, revoked.json()) == (200, {})
    assert platform.allows(tokens["access_token"]) == 401
    assert web.call("revoke", token=tokens["access_token"]).status_code == 200
    again = web.refresh(tokens["refresh_token"]).json()
    assert web.call("revoke", token=again["refresh_token"]).status_code == 200
    assert platform.allows(again["access_token"]) == 401


def test_introspection_is_for_confidential_clients_and_their_own_tokens(
    alice: WebUser, web: App, other: App, desktop: App
) -> None:
    tokens = web.tokens(alice, scope="read")
    active = web.call("introspect", token=tokens["access_token"]).json()
    assert active["active"] is True
    assert (active["scope"], active["username"]) == ("read", "alice")
    assert active["client_id"] == web.client_id
    for token in (tokens["access_token"], "unknown", ""):
        answer = other.call("introspect", token=token)
        if token:
            assert answer.json() == {"active": False}
    refused = desktop.call("introspect", token=tokens["access_token"])
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_device_waits_slows_down_and_gets_its_tokens_once(
    platform: Platform, alice: WebUser, desktop: App, decision: str
) -> None:
    asked = desktop.call("device_authorization", scope="read").json()
    poll = {"grant_type": DEVICE, "device_code": asked["device_code"]}
    assert desktop.call(**poll).json()["error"] == "authorization_pending"
    assert desktop.call(**poll).json()["error"] == "slow_down"
    code = asked["user_code"].lower().replace("-", "")
    assert alice.enter_device_code(code, decision).status_code == 200
    time.sleep(asked["interval"] + 6)
    answer = desktop.call(**poll)
    if decision == "deny":
        assert answer.json()["error"] == "access_denied"
        return
    assert platform.allows(answer.json()["access_token"]) == 200
    assert "no-store" in answer.headers["cache-control"]
    assert desktop.call(**poll).status_code == 400


def test_device_of_an_unknown_client_is_an_invalid_client(web: App) -> None:
    answer = httpx.post(f"{web.url}/api/oauth/device_authorization", data={"client_id": "nobody"})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_device_endpoint_takes_its_client_from_basic_alone(web: App) -> None:
    answer = web.call("device_authorization", scope="read")
    assert answer.status_code == 200, answer.text


JUNK: dict[str, dict[str, Any]] = {
    "empty": {},
    "JSON": {"json": {"grant_type": "authorization_code"}},
    "odd bytes": {"content": b"\xff\xfe\x00=\xff", "headers": {}},
    "percent": {"content": b"grant_type=%zz&code=%", "headers": {}},
    "doubled": {"content": b"grant_type=password&grant_type=refresh_token", "headers": {}},
    "odd Unicode": {"data": {"grant_type": "\ud7ff\u0000☃", "code": "𝄞"}},
    "broken Basic": {"data": {"grant_type": "x"}, "headers": {"Authorization": "Basic ÿ".encode()}},
    "no colon": {"data": {"grant_type": "x"}, "headers": {"Authorization": "Basic YQ=="}},
    "long": {"data": {"grant_type": "a" * 100_000}},
}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize("path", ["token", "revoke", "introspect", "device_authorization"])
@pytest.mark.parametrize("case", JUNK)
def test_junk_is_refused_in_the_shape_of_the_standard(
    platform: Platform, path: str, case: str
) -> None:
    given = dict(JUNK[case])
    if "content" in given:
        given["headers"] = FORM
    answer = httpx.post(f"{platform.url}/api/oauth/{path}", **given)
    assert 400 <= answer.status_code < 500
    assert "error" in answer.json()


@pytest.mark.parametrize("where", ["Bearer", "OAuth", "access_token", "oauth_token", "form"])
def test_token_is_presented_in_one_way(
    platform: Platform, alice: WebUser, web: App, where: str
) -> None:
    token = web.tokens(alice)["access_token"]
    url = f"{platform.url}/api/v1/sensors/alice.roof/data"
    if where in {"Bearer", "OAuth"}:
        answer = httpx.post(url, json={"value": 1}, headers={"Authorization": f"{where} {token}"})
    elif where == "form":
        answer = httpx.post(url, data={"value": "1", "access_token": token})
    else:
        answer = httpx.post(url, json={"value": 1}, params={where: token})
    assert answer.status_code == 201, answer.text
    twice = httpx.get(
        url, params={"access_token": token}, headers={"Authorization": f"Bearer {token}"}
    )
    assert twice.status_code == 400


def test_scope_that_is_missing_is_named(platform: Platform, alice: WebUser, web: App) -> None:
    token = web.tokens(alice, scope="read")["access_token"]
    answer = httpx.post(
        f"{platform.url}/api/v1/sensors/alice.roof/data",
        json={"value": 1},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert answer.json()["error"]["status"] == 403


def test_admin_is_not_for_who_is_none(alice: WebUser, web: App) -> None:
    back = alice.left(alice.open(web.asking(scope="admin")))
    if back is not None:
        assert told(back)["error"] == "invalid_scope"
    else:
        assert "admin" not in web.tokens(alice, scope="admin")["scope"]
