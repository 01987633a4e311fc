"""Addresses, codes, PKCE, state and what browsers are told: as a strict client sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from tests.oauth.conftest import CALLBACK, DEVICE, LOOPBACK, OOB, told

if TYPE_CHECKING:
    from tests.oauth.conftest import App, Platform
    from tests.web_user import WebUser

WRONG_ADDRESSES = [
    "https://app.example/Callback", "https://app.example/callback/", "https://app.example/callback?",
    "https://app.example/callback?a=1", "https://app.example/callback#f", "http://app.example/callback",
    "https://app.example:8443/callback", "https://app.example/x/../callback",
    "https://app.example/callback/../callback", "https://user@app.example/callback",
    "https://app.example@evil.example/callback", "https://app.example.evil.example/callback",
    "https://app.example/callback%2f", "//app.example/callback", "javascript:alert(1)",
    "https://[::1/callback", "https://APP.example/callback", " https://app.example/callback", OOB,
    "http://127.0.0.1/callback",
]  # fmt: skip


@pytest.mark.parametrize("address", WRONG_ADDRESSES)
def test_other_address_is_an_error_page_and_never_a_redirect(
    alice: WebUser, web: App, address: str
) -> None:
    page = alice.open(web.asking(redirect_uri=address))
    assert page.status_code == 400
    assert "location" not in page.headers


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:5555/callback", "http://127.0.0.1/callback", "http://127.0.0.1:1/callback"],
)
def test_loopback_address_varies_its_port(alice: WebUser, desktop: App, address: str) -> None:
    assert alice.decide(desktop.asking(redirect_uri=address)).startswith(f"{address}?code=")


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:5555/Callback", "http://127.0.0.1:5555/callback?x", "http://localhost/callback",
        "http://127.0.0.2:5555/callback", "https://127.0.0.1:5555/callback",
        "http://127.0.0.1:70000/callback", "http://127.0.0.1:x/callback",
        "http://user@127.0.0.1:5555/callback", "http://127.0.0.1.evil.example/callback",
    ],
)  # fmt: skip
def test_nothing_but_the_port_varies(alice: WebUser, desktop: App, address: str) -> None:
    page = alice.open(desktop.asking(redirect_uri=address))
    assert page.status_code == 400
    assert "location" not in page.headers


@pytest.mark.parametrize("client_id", ["", "nobody", "0" * 32, "ü", "a" * 5000])
def test_unknown_client_is_an_error_page(alice: WebUser, web: App, client_id: str) -> None:
    page = alice.open(web.asking(client_id=client_id))
    assert page.status_code == 400
    assert "location" not in page.headers


def test_code_works_once_and_its_return_ends_all_tokens_of_the_grant(
    platform: Platform, alice: WebUser, web: App
) -> None:
    code = web.code(alice)
    tokens = web.redeem(code).json()
    assert platform.allows(tokens["access_token"]) == 200
    again = web.redeem(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert platform.allows(tokens["access_token"]) == 401
    assert web.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_code_is_bound_to_client_and_address(alice: WebUser, web: App, other: App) -> None:
    refused = other.redeem(web.code(alice), redirect_uri=CALLBACK)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    for address in ("https://app.example/other", None):
        refused = web.redeem(web.code(alice), redirect_uri=address)
        assert refused.status_code == 400
        assert refused.json()["error"] in {"invalid_grant", "invalid_request"}


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge_method": "S512"},
        {"code_challenge": "short"},
        {"code_challenge": "a" * 129},
        {"code_challenge": "ä" * 43},
    ],
)
def test_public_client_without_a_good_challenge_is_sent_back_with_an_error(
    alice: WebUser, desktop: App, changes: dict[str, str | None]
) -> None:
    answer = alice.open(desktop.asking(**changes))
    back = alice.left(answer)
    assert back is not None
    assert back.startswith(LOOPBACK)
    assert told(back)["error"] == "invalid_request"
    assert told(back)["state"] == "s"


@pytest.mark.parametrize("verifier", [None, "", "wrong" * 12, "short", "a" * 129, "ä" * 50])
def test_wrong_verifier_is_refused(alice: WebUser, desktop: App, verifier: str | None) -> None:
    answer = desktop.redeem(desktop.code(alice), code_verifier=verifier)
    assert answer.status_code == 400
    assert answer.json()["error"] in {"invalid_grant", "invalid_request"}


def test_verifier_that_nobody_asked_for_is_refused(alice: WebUser, web: App) -> None:
    answer = web.redeem(web.code(alice), code_verifier="v" * 50)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "state", ["", "a b+c", "%2F%zz", "ü☃𝄞", "<script>", "a&b=c;d", "'\"\\", "x" * 2000]
)
def test_state_comes_back_byte_for_byte_with_the_issuer(
    platform: Platform, alice: WebUser, web: App, state: str
) -> None:
    for decision in ("allow", "deny"):
        asked = web.asking(state=state, scope="read" if decision == "allow" else "read write")
        said = told(alice.decide(asked, decision))
        assert said.get("state", "") == state
        assert said["iss"] == platform.url
        assert ("code" in said) == (decision == "allow")


@pytest.mark.parametrize("kind", ["token", "code token", "token code", "code_and_token"])
@pytest.mark.parametrize("mode", [None, "query", "fragment", "form_post"])
def test_tokens_are_in_the_fragment_only_and_nothing_refreshes(
    alice: WebUser, web: App, kind: str, mode: str | None
) -> None:
    address = alice.decide(web.asking(response_type=kind, response_mode=mode))
    parts = urlsplit(address)
    assert parts.query == ""
    said = told(address)
    assert said["access_token"]
    assert "refresh_token" not in said
    assert ("code" in said) == (kind != "token")
    assert said["state"] == "s"


def test_implicit_flow_that_is_off_is_refused_in_the_fragment(alice: WebUser, other: App) -> None:
    address = alice.left(alice.open(other.asking(response_type="token")))
    assert address is not None
    assert told(address)["error"] in {"unauthorized_client", "unsupported_response_type"}
    assert "access_token" not in address


def test_code_is_shown_to_be_copied_and_not_kept_by_caches(
    platform: Platform, alice: WebUser
) -> None:
    app = platform.register("Copy", kind="desktop", redirect_uri=OOB)
    code = alice.copied_code(app.asking())
    assert app.redeem(code).status_code == 200
    denied = alice.copied_code(app.asking(), "deny")
    assert denied == "access_denied"


def test_pages_forbid_frames_referrers_and_foreign_scripts(
    platform: Platform, alice: WebUser, web: App
) -> None:
    for path in ("/login", web.asking(scope="read manage"), "/device", "/account"):
        page = alice.open(path)
        policy = page.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "'unsafe-inline'" not in policy
        assert page.headers["referrer-policy"] == "no-referrer"
        assert "no-store" in page.headers["cache-control"]
        assert "<script>" not in page.text


def test_form_without_its_token_changes_nothing(platform: Platform, alice: WebUser) -> None:
    before = alice.open("/account/keys").text.count("greenhouse-gw")
    for token in ("", "0" * 64, "ü"):
        answer = alice.http.post("/account/keys/new", data={"name": "greenhouse-gw", "csrf": token})
        assert answer.status_code in {400, 403}
    assert alice.open("/account/keys").text.count("greenhouse-gw") == before
    fresh = httpx.post(f"{platform.url}/login", data={"username": "alice", "password": "x"})
    assert fresh.status_code in {400, 403}


@pytest.mark.parametrize(
    "onward", ["https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil", "evil:x"]
)
def test_login_leads_to_paths_of_this_server_only(platform: Platform, onward: str) -> None:
    from tests.web_user import PASSWORD, WebUser

    with WebUser(platform.url) as user:
        page = user.http.get("/login", params={"next": onward})
        answer = user.submit(page, username="alice", password=PASSWORD, next=onward)
        assert answer.status_code == 303
        assert answer.headers["location"] == "/"


def test_names_of_applications_are_escaped(platform: Platform, alice: WebUser) -> None:
    app = platform.register("<script>alert(1)</script>")
    page = alice.open(app.asking())
    assert "<script>alert(1)" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text


@pytest.mark.parametrize(
    "query",
    [
        "", "response_type=code", "client_id=%zz&response_type=code", "client_id=%ff%fe",
        "response_type=code&response_type=token&client_id=x", "redirect_uri=http://[::1",
        "client_id=a&client_id=b", "scope=%00&client_id=x&response_type=code", "=&&&==", "%",
    ],
)  # fmt: skip
def test_junk_at_the_authorize_page_is_an_error_page(alice: WebUser, query: str) -> None:
    for path in ("/api/oauth/authorize", "/api/oauthv2/authorize"):
        page = alice.open(f"{path}?{query}")
        assert page.status_code == 400
        assert page.headers["content-type"].startswith("text/html")


def test_older_platforms_addresses_lead_to_the_same(alice: WebUser, web: App) -> None:
    address = web.asking().replace("/api/oauth/", "/api/oauthv2/")
    code = told(alice.decide(address))["code"]
    fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    answer = httpx.post(f"{web.url}/api/oauthv2/token", data=fields, auth=web.credentials)
    assert answer.status_code == 200


def test_consent_is_remembered_for_a_secret_and_always_asked_of_a_public_client(
    alice: WebUser, platform: Platform, desktop: App
) -> None:
    app = platform.register("Remembered")
    alice.decide(app.asking(scope="read"))
    assert alice.left(alice.open(app.asking(scope="read"))) is not None
    assert alice.left(alice.open(app.asking(scope="read write"))) is None
    alice.decide(desktop.asking())
    assert alice.left(alice.open(desktop.asking())) is None


def test_device_confirms_even_when_the_address_has_the_code(
    alice: WebUser, desktop: App, platform: Platform
) -> None:
    asked = desktop.call("device_authorization", scope="read")
    assert asked.headers["cache-control"] == "no-store"
    page = alice.open(asked.json()["verification_uri_complete"].removeprefix(platform.url))
    assert page.status_code == 200
    pending = desktop.call(grant_type=DEVICE, device_code=asked.json()["device_code"])
    assert pending.json()["error"] == "authorization_pending"
