from __future__ import annotations

import base64
import hashlib
import re
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.web.conftest import PASSWORD, text_of
from tests.web.test_apps import registered, token_status
from wotkit.web.pages.authorize import form_targets

if TYPE_CHECKING:
    import httpx

    from tests.web.conftest import Browser, Server

CALLBACK = "https://plotter.example/callback"
OUT_OF_BAND = "urn:ietf:wg:oauth:2.0:oob"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest())[:43].decode()
STRANGE_NAME = "<script>alert(1)</script> & Sons"


def asking(client_id: str, **more: str) -> str:
    query = {"response_type": "code", "client_id": client_id, "redirect_uri": CALLBACK}
    return f"/api/oauth/authorize?{urlencode(query | {'state': 'a b&c'} | more)}"


def decide(browser: Browser, path: str, decision: str, **fields: str) -> httpx.Response:
    """Open the consent page and press one of its buttons."""
    page = browser.get(path)
    sealed = re.search(r'name="query" value="([^"]+)"', page.text)
    token = re.search(r'name="csrf" value="(\w+)"', page.text)
    assert sealed is not None, page.text
    assert token is not None
    sent = {"csrf": token[1], "query": sealed[1], "decision": decision} | fields
    return browser.post(path.partition("?")[0], **sent)


def answered(response: httpx.Response) -> dict[str, str]:
    """Return what a redirect tells the application."""
    assert response.status_code == 303, text_of(response)
    location = response.headers["location"]
    assert location.startswith(f"{CALLBACK}?"), location
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def logged_in(server: Server, name: str) -> Browser:
    found = server.browser()
    found.log_in(name)
    return found


@pytest.fixture
def charlie(server: Server) -> Browser:
    return logged_in(server, "charlie")


def test_allowing_leads_back_with_a_code_that_gives_a_token(
    alice: Browser, charlie: Browser
) -> None:
    client_id, secret = registered(alice)
    answer = answered(decide(charlie, asking(client_id), "allow"))
    assert answer["state"] == "a b&c"
    assert answer["iss"] == "http://testserver"
    token = charlie.post(
        "/api/oauth/token",
        grant_type="authorization_code",
        code=answer["code"],
        redirect_uri=CALLBACK,
        client_id=client_id,
        client_secret=secret,
    ).json()
    assert token["scope"] == "read"
    assert token_status(charlie, token["access_token"]) == 200
    page = text_of(charlie.get("/account/connected"))
    assert "Plotter" in page
    assert "You allowed it in the browser" in page


def test_consent_page_says_who_asks_for_what(alice: Browser, charlie: Browser) -> None:
    client_id, _ = registered(alice)
    page = charlie.get(asking(client_id))
    text = text_of(page)
    assert page.status_code == 200
    for said in ("Allow Plotter", "Plots what your sensors measure.", "alice", "charlie"):
        assert said in text
    assert "See your sensors and their readings" in text
    assert "Post readings" not in text
    assert 'href="https://plotter.example" rel="noreferrer' in page.text
    buttons = re.findall(r'<button name="decision" value="(\w+)">', page.text)
    assert sorted(buttons) == ["allow", "deny"]


def test_consent_page_has_strict_headers_that_let_the_redirect_through(
    alice: Browser, charlie: Browser
) -> None:
    client_id, _ = registered(alice)
    headers = charlie.get(asking(client_id)).headers
    policy = headers["content-security-policy"]
    assert "form-action 'self' https://plotter.example" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy
    assert headers["cache-control"] == "no-store"


def test_denying_tells_the_application(alice: Browser, charlie: Browser) -> None:
    client_id, _ = registered(alice)
    answer = answered(decide(charlie, asking(client_id), "deny"))
    assert answer["error"] == "access_denied"
    assert answer["state"] == "a b&c"
    assert answer["iss"] == "http://testserver"
    assert "Nothing is connected" in text_of(charlie.get("/account/connected"))


def test_confidential_application_is_not_asked_about_twice(
    alice: Browser, charlie: Browser
) -> None:
    client_id, _ = registered(alice)
    decide(charlie, asking(client_id), "allow")
    assert "code" in answered(charlie.get(asking(client_id)))
    assert charlie.get(asking(client_id, prompt="consent")).status_code == 200


def test_public_application_is_always_asked_about(alice: Browser, charlie: Browser) -> None:
    answer = alice.submit(
        "/account/apps/new",
        name="Local",
        website="https://plotter.example",
        kind="browser",
        redirect_uris=CALLBACK,
        scopes="read",
    )
    client_id = answer.headers["location"].rpartition("/")[2].partition("?")[0]
    path = asking(client_id, code_challenge=CHALLENGE, code_challenge_method="S256")
    assert "code" in answered(decide(charlie, path, "allow"))
    assert charlie.get(path).status_code == 200


def test_nobody_logs_in_first_and_comes_back_to_the_whole_request(
    server: Server, alice: Browser
) -> None:
    client_id, _ = registered(alice)
    browser = server.browser()
    path = asking(client_id, state="\\ü/\x7f&=")
    led = browser.get(path)
    assert led.status_code == 303
    onward = parse_qs(urlsplit(led.headers["location"]).query)["next"][0]
    login = browser.get(led.headers["location"])
    kept = re.search(r'name="next" value="([^"]*)"', login.text)
    assert kept is not None
    assert unescape(kept[1]) == onward
    assert (
        browser.submit(
            led.headers["location"], username="charlie", password=PASSWORD, next=onward
        ).headers["location"]
        == onward
    )
    assert answered(decide(browser, onward, "allow"))["state"] == "\\ü/\x7f&="


def test_login_form_may_lead_on_to_an_application_that_was_allowed_before(
    server: Server, alice: Browser, charlie: Browser
) -> None:
    client_id, _ = registered(alice)
    decide(charlie, asking(client_id), "allow")
    browser = server.browser()
    login = browser.get(browser.get(asking(client_id)).headers["location"])
    assert "form-action 'self' https://plotter.example" in login.headers["content-security-policy"]
    strange = browser.get(f"/login?{urlencode({'next': asking('nobody')})}")
    assert "form-action 'self';" in strange.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"client_id": "unknown"}, "not known here"),
        ({"redirect_uri": "https://evil.example/callback"}, "has not registered"),
        ({"redirect_uri": "https://plotter.example/callback/../x"}, "has not registered"),
    ],
)
def test_bad_client_or_address_is_an_error_page(
    server: Server, alice: Browser, more: dict[str, str], said: str
) -> None:
    client_id, _ = registered(alice)
    for browser in (alice, server.browser()):
        page = browser.get(asking(**({"client_id": client_id} | more)))
        assert page.status_code == 400
        assert "location" not in page.headers
        assert said in text_of(page)
        assert "<details" in page.text


@pytest.mark.parametrize("query", ["", "%zz", "client_id=%00", "a=1&a=1", "state=%ff&client_id=ü"])
def test_junk_is_an_error_page(browser: Browser, query: str) -> None:
    page = browser.get(f"/api/oauthv2/authorize?{query}")
    assert page.status_code == 400
    assert "<h1>" in page.text


def test_unknown_scope_is_told_to_the_application(alice: Browser) -> None:
    client_id, _ = registered(alice)
    assert answered(alice.get(asking(client_id, scope="fly")))["error"] == "invalid_scope"


def test_decision_needs_the_form_of_this_session(alice: Browser, charlie: Browser) -> None:
    client_id, _ = registered(alice)
    path = asking(client_id)
    assert decide(charlie, path, "allow", csrf="0" * 64).status_code == 403
    assert decide(charlie, path, "allow", query="Y2xpZW50X2lkPXg." + "0" * 64).status_code == 400
    assert decide(charlie, path, "perhaps").status_code == 400
    assert "Nothing is connected" in text_of(charlie.get("/account/connected"))


def test_decision_after_the_session_ended_logs_in_and_asks_again(
    alice: Browser, charlie: Browser
) -> None:
    client_id, _ = registered(alice)
    path = asking(client_id)
    page = charlie.get(path)
    fields = dict(re.findall(r'name="(query|csrf)" value="([^"]+)"', page.text))
    charlie.http.cookies.clear()
    answer = charlie.post("/api/oauth/authorize", **fields, decision="allow")
    assert answer.status_code == 303
    assert parse_qs(urlsplit(answer.headers["location"]).query)["next"][0].startswith(
        "/api/oauth/authorize?response_type=code&client_id="
    )


def test_names_are_escaped(alice: Browser, charlie: Browser) -> None:
    client_id, _ = registered(alice, name=STRANGE_NAME)
    page = charlie.get(asking(client_id))
    assert "<script>alert" not in page.text
    assert STRANGE_NAME in unescape(page.text)


@pytest.mark.parametrize(
    ("decision", "shown"), [("allow", r"[A-Za-z0-9_-]{20,}"), ("deny", "access_denied")]
)
def test_out_of_band_answer_is_shown_to_be_copied(
    alice: Browser, charlie: Browser, decision: str, shown: str
) -> None:
    client_id, _ = registered(alice, redirect_uris=OUT_OF_BAND)
    page = decide(charlie, asking(client_id, redirect_uri=OUT_OF_BAND), decision)
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert re.search(rf'<input type="text" id="code" value="{shown}" readonly', page.text)


@pytest.mark.parametrize(
    ("uri", "sources"),
    [
        ("https://a.example:8443/x?y=1", ("https://a.example:8443", "https:")),
        ("http://localhost:3000/cb", ("http://localhost:3000", "https:")),
        ("http://127.0.0.1:49152/cb", ("http://127.0.0.1:*",)),
        ("http://[::1]:49152/cb", ("http:",)),
        ("com.example.app:/cb", ("com.example.app:",)),
        ("https://a.example;script-src/x", ("https:",)),
        (OUT_OF_BAND, ()),
    ],
)
def test_form_may_lead_only_where_the_answer_goes(uri: str, sources: tuple[str, ...]) -> None:
    assert form_targets(uri) == sources
