"""What people do on the pages, in a real browser, from the first run to taking everything back."""

from __future__ import annotations

import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from tests.pages.conftest import OPTIONS, PHONE, visiting
from tests.system.server_process import PASSWORD, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.pages.conftest import Visitor

NEW = "a brand new password"


class Application:
    """A third party's web application: it asks, hears back, and redeems what it got."""

    def __init__(self, server: ServerProcess) -> None:
        self.heard: list[dict[str, list[str]]] = []
        self._server = server
        application = self

        class Callback(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/callback":
                    application.heard.append(parse_qs(parts.query))
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(b"<!doctype html><title>Plotter</title><h1>Back at Plotter</h1>")

            def log_message(self, *_: Any) -> None:
                pass

        self._http = HTTPServer(("127.0.0.1", 0), Callback)
        self.callback = f"http://127.0.0.1:{self._http.server_port}/callback"
        self.made = server.json(
            "app", "create", "--user", "bob-the-builder", "--name", "Plotter",
            "--description", "Plots what your sensors measure.",
            "--website", "https://plotter.example", "--redirect-uri", self.callback,
        )  # fmt: skip

    def serve(self) -> threading.Thread:
        thread = threading.Thread(target=self._http.serve_forever)
        thread.start()
        return thread

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def address(self, **more: str) -> str:
        """Where it sends its user."""
        asked = {
            "response_type": "code",
            "client_id": self.made["client_id"],
            "redirect_uri": self.callback,
            "state": "xyz",
            "scope": "read",
            **more,
        }
        return f"/api/oauth/authorize?{urlencode(asked)}"

    def redeem(self) -> dict[str, Any]:
        fields = {
            "grant_type": "authorization_code",
            "code": self.heard[-1]["code"][0],
            "redirect_uri": self.callback,
        }
        caller = (self.made["client_id"], self.made["client_secret"])
        answer = httpx.post(f"{self._server.url}/api/oauth/token", data=fields, auth=caller)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def plotter(site: ServerProcess) -> Iterator[Application]:
    application = Application(site)
    thread = application.serve()
    yield application
    application.close()
    thread.join(5)
    site.command("app", "delete", application.made["client_id"])


def status(url: str, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{url}/api/v2/sensors", headers=headers).status_code


def test_first_run_makes_the_administrator_by_a_link_that_works_once(
    chromium: Browser, tmp_path: Path
) -> None:
    with ServerProcess(tmp_path / "data", *OPTIONS) as server:
        link = re.search(r"/welcome/\S+", server.said)
        assert link is not None
        with visiting(chromium, server.url) as admin:
            admin.open(link[0])
            admin.fill("User name", "root-of-all")
            admin.fill("Password", PASSWORD)
            admin.page.locator("#main button.primary").click()
            admin.page.get_by_role("link", name="Admin", exact=True).wait_for()
            admin.follow("Admin")
            assert admin.page.get_by_text("root-of-all").count() > 0
        with visiting(chromium, server.url) as late:
            late.open(link[0])
            assert late.page.get_by_label("User name").count() == 0


def test_user_registers_changes_the_password_and_signs_out_everywhere(
    chromium: Browser, visitor: Visitor, site: ServerProcess
) -> None:
    visitor.open("/register")
    visitor.fill("User name", "dora-new")
    visitor.fill("Password", PASSWORD)
    visitor.page.locator("#main button.primary").click()
    visitor.page.get_by_role("link", name="dora-new").wait_for()
    visitor.open("/account")
    visitor.page.get_by_label("Time zone", exact=True).select_option("Asia/Tokyo")
    visitor.page.locator("#main button.primary").click()
    with visiting(chromium, site.url) as elsewhere:
        elsewhere.log_in("dora-new")
        visitor.open("/account/sessions")
        assert "JST" in visitor.page.inner_text("#main")
        visitor.page.get_by_role("button", name=re.compile("everywhere|all other")).first.click()
        elsewhere.open("/account")
        assert elsewhere.at.startswith("/login")
    visitor.open("/account/password")
    if visitor.at.startswith("/login"):
        visitor.log_in("dora-new")
        visitor.open("/account/password")
    fields = visitor.page.locator("#main input[type=password]")
    for index, text in enumerate([PASSWORD, NEW, NEW][: fields.count()]):
        fields.nth(index).fill(text)
    visitor.page.locator("#main button.primary").click()
    with visiting(chromium, site.url) as again:
        again.log_in("dora-new", NEW)
        again.page.get_by_role("link", name="dora-new").wait_for()


def test_wrong_password_says_so_where_a_screen_reader_begins(visitor: Visitor) -> None:
    visitor.open("/login")
    visitor.fill("User name", "alice")
    visitor.fill("Password", "wrong")
    visitor.press("Log in")
    visitor.page.locator("#wrong").wait_for()
    assert visitor.page.evaluate("document.activeElement.id") == "wrong"


def test_key_is_made_used_with_the_pages_own_curl_line_and_revoked(
    alice: Visitor, site: ServerProcess
) -> None:
    alice.follow("Keys")
    alice.page.locator("#main a", has_text=re.compile("key", re.IGNORECASE)).first.click()
    if not alice.at.endswith("/new"):
        alice.open("/account/keys/new")
    alice.fill("Name", "greenhouse")
    alice.press("Make the key")
    alice.sees("This is the only time the password is shown.")
    line = alice.page.locator("#curl").text_content()
    assert line is not None
    command = line.replace("SENSOR", "roof").replace("curl ", "curl -sS -w '%{http_code}' ", 1)
    posted = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True, timeout=30
    )
    assert posted.stdout == "201"
    alice.follow("I have kept it")
    assert alice.heading() == "greenhouse"
    password = re.search(r"-u \w+:(\w+)", line)
    assert password is not None
    assert password[1] not in alice.page.content()
    alice.page.get_by_text("Revoke this key…").click()
    alice.press("Revoke greenhouse")
    alice.page.wait_for_url("**/account/keys*")
    refused = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True, timeout=30
    )
    assert refused.stdout.endswith("401")


def test_key_gets_a_new_password_while_the_old_one_stays_good(alice: Visitor) -> None:
    alice.open("/account/keys/new")
    alice.fill("Name", "fleet")
    alice.press("Make the key")
    key_id = alice.page.locator("#key-id").text_content()
    first = alice.page.locator("#key-password").text_content()
    alice.follow("I have kept it")
    alice.press("Make a new password")
    second = alice.page.locator("#key-password").text_content()
    assert first != second
    assert key_id
    for password in (first, second):
        assert password
        answer = httpx.get(f"{alice.url}/api/v2/sensors", auth=(key_id, password))
        assert answer.status_code == 200


def test_application_is_registered_set_up_and_deleted(alice: Visitor) -> None:
    alice.open("/account/apps/new")
    alice.fill("Name", "Weather")
    alice.fill("Website", "https://weather.example")
    alice.page.get_by_label(re.compile("Redirect")).fill("https://weather.example/callback")
    alice.press("Register")
    alice.sees("This is the only time it is shown.")
    secret = alice.page.locator("#secret").text_content()
    assert secret
    alice.follow("I have kept it")
    assert alice.heading() == "Weather"
    assert secret not in alice.page.content()
    alice.press("Make a developer token")
    token = alice.page.locator("#secret").text_content()
    assert token
    assert status(alice.url, token) == 200
    alice.follow("I have kept it")
    alice.press("Revoke it")
    assert status(alice.url, token) == 401
    alice.open("/apps")
    alice.sees("Weather")
    alice.open("/account/apps")
    alice.follow("Weather")
    alice.page.get_by_role("link", name="Delete Weather…").click()
    alice.fill("To be sure, type its name", "Whether")
    alice.press("Delete it")
    alice.page.locator("#wrong").wait_for()
    alice.fill("To be sure, type its name", "Weather")
    alice.press("Delete it")
    alice.page.wait_for_url("**/account/apps*")
    assert alice.page.get_by_role("link", name="Weather", exact=True).count() == 0


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_user_allows_sees_the_application_and_revokes_it_at_once(
    chromium: Browser, site: ServerProcess, plotter: Application, script: bool
) -> None:
    with visiting(chromium, site.url, java_script_enabled=script) as alice:
        alice.open(plotter.address())
        alice.log_in("alice")
        assert alice.heading() == "Allow Plotter to act for you?"
        alice.sees("Plots what your sensors measure.")
        alice.sees("See your sensors and their readings")
        alice.press("Allow")
        alice.sees("Back at Plotter")
        assert plotter.heard[-1]["state"] == ["xyz"]
        assert plotter.heard[-1]["iss"] == [site.url]
        token = plotter.redeem()["access_token"]
        assert status(site.url, token) == 200
        alice.open("/account/connected")
        alice.sees("Plotter")
        alice.press("Revoke Plotter")
        alice.page.wait_for_load_state()
        assert status(site.url, token) == 401


def test_consent_is_not_asked_for_twice_by_an_application_with_a_secret(
    alice: Visitor, plotter: Application
) -> None:
    alice.open(plotter.address())
    alice.press("Allow")
    alice.sees("Back at Plotter")
    alice.open(plotter.address())
    alice.sees("Back at Plotter")
    assert len(plotter.heard) == 2
    alice.open(plotter.address(scope="read write"))
    assert alice.heading() == "Allow Plotter to act for you?"


def test_denial_goes_back_to_the_application(alice: Visitor, plotter: Application) -> None:
    alice.open(plotter.address())
    alice.press("Deny")
    alice.sees("Back at Plotter")
    assert plotter.heard[-1]["error"] == ["access_denied"]
    assert "code" not in plotter.heard[-1]


def test_wrong_callback_is_explained_and_leads_nowhere(
    alice: Visitor, plotter: Application
) -> None:
    alice.open(plotter.address(redirect_uri="https://evil.example/callback"))
    assert alice.at.startswith("/api/oauth/authorize")
    assert "an address it has not registered" in alice.heading()
    alice.page.get_by_text("For whoever makes the application").click()
    alice.page.get_by_text("redirect_uri").first.wait_for()
    assert plotter.heard == []


def test_code_is_shown_to_be_copied(chromium: Browser, site: ServerProcess) -> None:
    made = site.json(
        "app", "create", "--user", "alice", "--name", "Desk", "--website", "https://desk.example",
        "--kind", "desktop", "--redirect-uri", "urn:ietf:wg:oauth:2.0:oob",
    )  # fmt: skip
    query = {
        "response_type": "code",
        "client_id": made["client_id"],
        "redirect_uri": "urn:ietf:wg:oauth:2.0:oob",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
    allowed = ["clipboard-read", "clipboard-write"]
    with visiting(chromium, site.url, permissions=allowed) as alice:
        alice.log_in("alice")
        alice.open(f"/api/oauth/authorize?{urlencode(query)}")
        alice.press("Allow")
        button = alice.page.locator("button[data-copy]").first
        button.click()
        alice.sees("Copied")
        source = alice.page.locator(f"#{button.get_attribute('data-copy')}")
        code = source.evaluate("field => field.value ?? field.textContent")
        assert len(code) >= 32
        assert alice.page.evaluate("navigator.clipboard.readText()") == code
    site.command("app", "delete", made["client_id"])


@pytest.mark.parametrize("decision", ["Allow", "Deny"])
def test_device_is_connected_by_its_code(
    alice: Visitor, site: ServerProcess, decision: str
) -> None:
    made = site.json(
        "app", "create", "--user", "alice", "--name", "Thermostat", "--kind", "desktop",
        "--website", "https://example.org",
    )  # fmt: skip
    asked = httpx.post(
        f"{site.url}/api/oauth/device_authorization",
        data={"client_id": made["client_id"], "scope": "read"},
    ).json()
    alice.open("/device")
    alice.fill("Code", asked["user_code"].lower().replace("-", " "))
    alice.press("Continue")
    alice.sees("Thermostat")
    alice.press(decision)
    alice.page.wait_for_load_state()
    answer = httpx.post(
        f"{site.url}/api/oauth/token",
        data={
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "device_code": asked["device_code"],
            "client_id": made["client_id"],
        },
    )
    if decision == "Allow":
        assert status(site.url, answer.json()["access_token"]) == 200
    else:
        assert answer.json()["error"] == "access_denied"
    site.command("app", "delete", made["client_id"])


def test_wrong_device_code_is_told_beside_the_field(alice: Visitor) -> None:
    alice.open("/device")
    alice.fill("Code", "BBBB-BBBB")
    alice.press("Continue")
    alice.page.locator("#wrong").wait_for()
    assert alice.page.get_by_label("Code", exact=True).input_value() == "BBBB-BBBB"


def test_administrator_makes_a_user_whose_password_link_works_once(
    chromium: Browser, alice: Visitor, site: ServerProcess
) -> None:
    alice.open("/admin/users/new")
    alice.fill("User name", "emil-new")
    alice.page.locator("#main button.primary").click()
    alice.page.wait_for_load_state()
    link = re.search(r"/password/[\w-]+", alice.page.content())
    assert link is not None, alice.page.inner_text("#main")
    with visiting(chromium, site.url) as emil:
        emil.open(link[0])
        fields = emil.page.locator("#main input[type=password]")
        for index in range(fields.count()):
            fields.nth(index).fill(NEW)
        emil.page.locator("#main button.primary").click()
        emil.page.wait_for_load_state()
        emil.open(link[0])
        assert emil.page.locator("#main input[type=password]").count() == 0
    with visiting(chromium, site.url) as again:
        again.log_in("emil-new", NEW)
        again.page.get_by_role("link", name="emil-new").wait_for()
    alice.open("/admin/audit")
    alice.sees("emil-new")


def test_keyboard_alone_logs_in_and_allows(visitor: Visitor, plotter: Application) -> None:
    keyboard = visitor.page.keyboard
    visitor.open(plotter.address())
    visitor.page.get_by_label("User name", exact=True).focus()
    keyboard.type("alice")
    keyboard.press("Tab")
    keyboard.type(PASSWORD)
    keyboard.press("Enter")
    visitor.sees("Allow Plotter to act for you?")
    for _ in range(40):
        keyboard.press("Tab")
        focused = visitor.page.evaluate(
            "[document.activeElement.textContent.trim(),"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        if focused[0] == "Allow":
            break
    assert focused == ["Allow", "solid"]
    keyboard.press("Enter")
    visitor.sees("Back at Plotter")


def test_consent_fits_a_phone_with_both_answers_in_sight(
    chromium: Browser, site: ServerProcess, plotter: Application
) -> None:
    context = {"viewport": PHONE, "is_mobile": True, "has_touch": True}
    with visiting(chromium, site.url, **context) as alice:
        alice.open(plotter.address())
        alice.log_in("alice")
        width = alice.page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"]
        boxes = [
            alice.page.get_by_role("button", name=name, exact=True).bounding_box()
            for name in ("Deny", "Allow")
        ]
        assert boxes[0] is not None
        assert boxes[1] is not None
        assert boxes[0]["width"] == pytest.approx(boxes[1]["width"], abs=1)
        assert min(box["height"] for box in boxes if box) >= 40
        alice.press("Allow")
        alice.sees("Back at Plotter")
