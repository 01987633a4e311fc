"""The page on which a user decides about a desktop program that came with a frob."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.signed import SigningApp
from tests.web.conftest import PASSWORD, text_of
from tests.web.test_apps import PLOTTER
from tests.web.test_authorize import decide, logged_in
from tests.web.test_keys import copied

if TYPE_CHECKING:
    import httpx

    from tests.web.conftest import Browser, Server

STRANGE_NAME = "<script>alert(1)</script> & Sons"


class Program:
    """A desktop program, registered by Alice on the pages."""

    def __init__(self, alice: Browser, **fields: str) -> None:
        self._browser = alice
        form = {**PLOTTER, "kind": "desktop", "redirect_uris": "", "allow_frob": "on", **fields}
        made = alice.submit("/account/apps/new", **form)
        self.page = made.headers["location"].partition("?")[0]
        shown = alice.submit(self.page, action="signing")
        self.signed = SigningApp(self.page.rpartition("/")[2], copied(shown, "secret"))

    def call(self, method: str, **params: str) -> httpx.Response:
        query = urlencode(self.signed.md5(method, **params))
        return self._browser.get(f"/api/{method}?{query}")

    def frob(self) -> str:
        found: str = self.call("auth.getFrob").json()["auth"]["frob"]
        return found

    def redeem(self, frob: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("auth.getToken", frob=frob).json()
        return found

    def sensors(self, token: str) -> int:
        return self.call("v2/sensors", auth_token=token).status_code


@pytest.fixture
def program(alice: Browser) -> Program:
    return Program(alice)


@pytest.fixture
def charlie(server: Server) -> Browser:
    return logged_in(server, "charlie")


def test_allowed_program_acts_for_the_user_until_it_is_revoked(
    program: Program, charlie: Browser
) -> None:
    frob = program.frob()
    page = charlie.get(program.signed.page(frob))
    shown = text_of(page)
    assert "Allow Plotter to act for you?" in shown
    assert "Post readings to your sensors" in shown
    assert "Create, change and delete" not in shown
    done = decide(charlie, program.signed.page(frob), "allow")
    assert "Go back to the program" in text_of(done)
    assert done.headers["cache-control"] == "no-store"
    auth = program.redeem(frob)["auth"]
    assert auth["permissions"]["doc"] == "write"
    assert auth["user"]["username"] == "charlie"
    assert program.sensors(auth["token"]) == 200
    connected = charlie.get("/account/connected")
    assert "You allowed a desktop program" in text_of(connected)
    grant = re.search(r'name="grant" value="(\d+)"', connected.text)
    assert grant is not None
    charlie.submit("/account/connected", grant=grant[1])
    assert program.sensors(auth["token"]) == 401


def test_denied_program_is_told(program: Program, charlie: Browser) -> None:
    frob = program.frob()
    assert "You denied it" in text_of(decide(charlie, program.signed.page(frob), "deny"))
    assert "the user denied it" in program.redeem(frob)["error"]["developerMessage"]
    assert "Nothing is connected" in text_of(charlie.get("/account/connected"))


def test_buttons_have_equal_weight_and_headers_are_strict(
    program: Program, charlie: Browser
) -> None:
    page = charlie.get(program.signed.page(program.frob()))
    assert sorted(re.findall(r'<button name="decision" value="(\w+)">', page.text)) == [
        "allow",
        "deny",
    ]
    policy = page.headers["content-security-policy"]
    assert "form-action 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("permission", "said", "unsaid"),
    [
        ("none", "Know who you are, and nothing more", "See your sensors"),
        ("read", "See your sensors", "Post readings"),
        ("delete", "Create, change and delete sensors", "Send messages"),
    ],
)
def test_page_says_what_is_asked(
    program: Program, charlie: Browser, permission: str, said: str, unsaid: str
) -> None:
    shown = text_of(charlie.get(program.signed.page(program.frob(), permission)))
    assert said in shown
    assert unsaid not in shown


def test_address_may_be_signed_the_better_way_and_ask_for_nothing(
    program: Program, charlie: Browser
) -> None:
    frob = program.frob()
    path = f"/apps/authorize?{urlencode(program.signed.sha256('', frob=frob))}"
    decide(charlie, path, "allow")
    auth = program.redeem(frob)["auth"]
    assert auth["permissions"]["doc"] == "none"
    assert program.sensors(auth["token"]) == 403


def test_nobody_logs_in_first_and_comes_back(server: Server, program: Program) -> None:
    browser = server.browser()
    path = program.signed.page(program.frob(), "read", note="ü/ &")
    led = browser.get(path)
    assert led.status_code == 303
    onward = parse_qs(urlsplit(led.headers["location"]).query)["next"][0]
    form = {"username": "charlie", "password": PASSWORD, "next": onward}
    back = browser.submit(led.headers["location"], **form)
    assert back.headers["location"] == onward
    assert "Go back to the program" in text_of(decide(browser, onward, "allow"))


def test_decision_is_taken_once(program: Program, charlie: Browser) -> None:
    frob = program.frob()
    path = program.signed.page(frob)
    page = charlie.get(path)
    fields = dict(re.findall(r'name="(query|csrf)" value="([^"]+)"', page.text))
    assert charlie.post("/apps/authorize", **fields, decision="deny").status_code == 200
    for again in (charlie.post("/apps/authorize", **fields, decision="allow"), charlie.get(path)):
        assert again.status_code == 400
        assert "This request is over" in text_of(again)
    assert "the user denied it" in program.redeem(frob)["error"]["developerMessage"]


def test_decision_needs_the_form_of_this_session(program: Program, charlie: Browser) -> None:
    frob = program.frob()
    path = program.signed.page(frob)
    assert decide(charlie, path, "allow", csrf="0" * 64).status_code == 403
    assert decide(charlie, path, "allow", query="Zm9v." + "0" * 64).status_code == 400
    assert decide(charlie, path, "perhaps").status_code == 400
    assert program.redeem(frob)["error"]["code"] == 1306


def test_decision_after_the_session_ended_logs_in_and_asks_again(
    program: Program, charlie: Browser
) -> None:
    page = charlie.get(program.signed.page(program.frob()))
    fields = dict(re.findall(r'name="(query|csrf)" value="([^"]+)"', page.text))
    charlie.http.cookies.clear()
    answer = charlie.post("/apps/authorize", **fields, decision="allow")
    assert answer.status_code == 303
    onward = parse_qs(urlsplit(answer.headers["location"]).query)["next"][0]
    assert onward.startswith("/apps/authorize?api_key=")


def refused(browser: Browser, path: str, said: str) -> None:
    page = browser.get(path)
    assert page.status_code == 400
    assert "location" not in page.headers
    assert said in text_of(page)
    assert 'name="decision"' not in page.text


def test_address_that_was_changed_or_is_not_signed_is_an_error_page(
    server: Server, program: Program, charlie: Browser
) -> None:
    frob = program.frob()
    good = program.signed.page(frob, "read")
    for browser in (charlie, server.browser()):
        refused(browser, good.replace("=read", "=delete"), "signature is wrong")
        refused(browser, f"{good}&perm_blog=write", "signature is wrong")
        refused(browser, good.rpartition("&")[0], "api_sig is missing")
        refused(browser, f"{good}&frob={frob}", "frob is there twice")
        refused(browser, program.signed.page(frob, "fly"), "perm_doc must be one of")
        refused(browser, program.signed.page("unknown"), "This request is over")
        stranger = SigningApp("nobody", "x")
        refused(browser, stranger.page(frob), "no application has this api_key")
    assert program.redeem(frob)["error"]["code"] == 1306


def test_frob_of_another_application_is_an_error_page(
    alice: Browser, program: Program, charlie: Browser
) -> None:
    refused(charlie, Program(alice).signed.page(program.frob()), "This request is over")


def test_switched_off_application_is_an_error_page(
    alice: Browser, program: Program, charlie: Browser
) -> None:
    path = program.signed.page(program.frob())
    page = alice.get(program.page)
    assert 'name="allow_frob"' in page.text
    form = {**PLOTTER, "redirect_uris": "", "action": "save"}
    form.pop("kind")
    assert alice.submit(program.page, **form).status_code == 303
    refused(charlie, path, "has not switched the handshake on")


@pytest.mark.parametrize(
    "query", ["", "%zz", "api_key=%00", "a=1&a=1", "frob=%ff&api_key=ü", "&&="]
)
def test_junk_is_an_error_page(browser: Browser, query: str) -> None:
    page = browser.get(f"/apps/authorize?{query}")
    assert page.status_code == 400
    assert "<h1>" in page.text


def test_names_are_escaped(alice: Browser, charlie: Browser) -> None:
    program = Program(alice, name=STRANGE_NAME)
    path = program.signed.page(program.frob())
    pages = [charlie.get(path), decide(charlie, path, "allow")]
    for page in pages:
        assert "<script>alert" not in page.text
        assert STRANGE_NAME in unescape(page.text)
