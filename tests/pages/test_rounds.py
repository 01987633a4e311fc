"""What people do on the pages, in a real browser: ways in, settings, keys, applications."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest
from playwright.sync_api import expect

from tests.access.mailbox import mailbox
from tests.pages.third_party import status
from tests.pages.visiting import DESKTOP, OPTIONS, PHONE, visiting
from tests.system.server_process import PASSWORD, ServerProcess, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.pages.visiting import Visitor

NEW = "a brand new password"
SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])


def run(command: str) -> str:
    """Run a line that a page shows as its reader's shell does."""
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True, timeout=30
    ).stdout


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
            admin.press("Create the administrator")
            admin.sees("Your server is ready.")
            admin.follow("Admin")
            admin.follow("Users")
            expect(admin.page.get_by_role("link", name="root-of-all")).to_have_count(2)
        with visiting(chromium, server.url) as late:
            late.open(link[0])
            late.sees_title("There is nothing here")
            expect(late.field("User name")).to_have_count(0)


@SCRIPT
def test_user_logs_in_on_the_way_and_out(
    chromium: Browser, site: ServerProcess, script: bool
) -> None:
    with visiting(chromium, site.url, java_script_enabled=script) as alice:
        alice.open("/account/keys")
        alice.log_in("alice")
        alice.is_at("/account/keys")
        alice.page.get_by_role("button", name="Log out").click()
        alice.sees("You are logged out.")
        alice.open("/account/keys")
        alice.is_at("/login")


@SCRIPT
def test_user_registers_sets_the_time_zone_and_signs_out_everywhere(
    chromium: Browser, site: ServerProcess, script: bool
) -> None:
    name = f"dora-{'with' if script else 'without'}-script"
    with (
        visiting(chromium, site.url, java_script_enabled=script) as dora,
        visiting(chromium, site.url) as elsewhere,
    ):
        dora.open("/register")
        dora.fill("User name", name)
        dora.fill("Password", PASSWORD)
        dora.press("Register")
        dora.sees("Welcome.")
        dora.follow(name)
        dora.field("Time zone").select_option("Asia/Tokyo")
        dora.press("Save")
        dora.sees("Saved.")
        elsewhere.log_in(name)
        dora.follow("Sessions")
        assert dora.page.inner_text("#main").count("Chrome on Linux") == 2
        assert "JST" in dora.page.inner_text("#main")
        dora.press("Log out everywhere else")
        dora.sees("Signed out everywhere else: 1")
        elsewhere.open("/account")
        elsewhere.is_at("/login")
        dora.follow("Password")
        dora.fill("Present password", PASSWORD)
        dora.fill("New password", NEW)
        dora.press("Change the password")
        dora.sees("Your password is changed.")
        elsewhere.log_in(name, PASSWORD)
        elsewhere.sees("The name or the password is wrong.")
        elsewhere.log_in(name, NEW)
        elsewhere.is_at("/account")


def test_forgotten_password_is_replaced_by_a_link_in_a_mail(
    chromium: Browser, tmp_path: Path
) -> None:
    with mailbox() as mails, ServerProcess(tmp_path / "data", *OPTIONS, *mails.options) as server:
        server.add_user("alice", "--email", "alice@example.org")
        with visiting(chromium, server.url) as alice:
            alice.open("/login")
            alice.follow("Forgotten your password?")
            alice.fill("User name or e-mail address", "alice@example.org")
            alice.press("Send the link")
            alice.sees("a link is on its way")
            wait_until(lambda: mails.mails, 10, "a mail")
            link = re.search(r"/password/\S+", mails.mails[0])
            assert link is not None
            alice.open(link[0])
            alice.fill("New password", NEW)
            alice.press("Set the password")
            alice.sees("Your password is changed.")
            alice.open(link[0])
            expect(alice.field("New password")).to_have_count(0)
        with visiting(chromium, server.url) as again:
            again.log_in("alice", NEW)
            again.sees_title("Hello, alice")


def test_wrong_password_says_so_where_a_screen_reader_begins(visitor: Visitor) -> None:
    visitor.log_in("alice", "wrong")
    visitor.page.locator("#wrong:focus").wait_for()


@SCRIPT
def test_key_is_made_used_with_the_pages_own_curl_line_and_revoked(
    chromium: Browser, site: ServerProcess, script: bool
) -> None:
    with visiting(chromium, site.url, java_script_enabled=script) as alice:
        alice.log_in("alice")
        alice.follow("Keys")
        alice.follow("New key")
        alice.fill("Name", "greenhouse")
        alice.press("Make the key")
        alice.sees("This is the only time the password is shown.")
        copying = alice.page.get_by_role("button", name="Copy")
        expect(copying).to_have_count(5 if script else 0)
        password = alice.text_of("#key-password")
        line = alice.text_of("#curl").replace("SENSOR", "roof")
        command = line.replace("curl ", "curl -sS -w '%{http_code}' ", 1)
        assert run(command) == "201"
        alice.follow("I have kept it")
        alice.sees_title("greenhouse")
        assert password not in alice.page.content()
        alice.page.get_by_text("Revoke this key…").click()
        alice.press("Revoke greenhouse")
        alice.page.wait_for_url("**/account/keys")
        assert run(command).endswith("401")


def test_key_gets_a_new_password_while_the_old_one_stays_good(alice: Visitor) -> None:
    alice.open("/account/keys/new")
    alice.fill("Name", "fleet")
    alice.press("Make the key")
    key_id, first = alice.text_of("#key-id"), alice.text_of("#key-password")

    def answers(*passwords: str) -> list[int]:
        address = f"{alice.url}/api/v2/sensors"
        return [httpx.get(address, auth=(key_id, each)).status_code for each in passwords]

    alice.follow("I have kept it")
    alice.press("Make a new password")
    second = alice.text_of("#key-password")
    assert answers(first, second) == [200, 200]
    alice.follow("I have kept it")
    alice.field("The old password").select_option("0")
    alice.press("Make a new password")
    third = alice.text_of("#key-password")
    assert answers(first, second, third) == [401, 401, 200]


@SCRIPT
def test_application_is_registered_set_up_and_deleted(
    chromium: Browser, site: ServerProcess, script: bool
) -> None:
    with visiting(chromium, site.url, java_script_enabled=script) as alice:
        alice.log_in("alice")
        alice.open("/account/apps/new")
        alice.fill("Name", "Rainfall")
        alice.fill("Website", "https://weather.example")
        alice.page.get_by_label("Redirect").fill("https://weather.example/callback")
        alice.press("Register")
        alice.sees("This is the only time it is shown.")
        secret = alice.text_of("#secret")
        alice.follow("I have kept it")
        alice.sees_title("Rainfall")
        assert secret not in alice.page.content()
        alice.page.get_by_label("Description").fill("Compares with the weather.")
        alice.page.get_by_label("Implicit").check()
        alice.press("Save")
        alice.sees("Saved.")
        assert alice.page.get_by_label("Implicit").is_checked()
        alice.press("Make a developer token")
        token = alice.text_of("#secret")
        assert status(alice.url, token) == 200
        alice.follow("I have kept it")
        alice.press("Revoke it")
        alice.sees("The developer token is revoked.")
        assert status(alice.url, token) == 401
        alice.fill("Name", "R" * 100)
        alice.press("Save")
        alice.sees("Saved.")
        for size in (PHONE, DESKTOP):
            alice.page.set_viewport_size(size)
            assert alice.width() == size["width"]
        alice.fill("Name", "Rainfall")
        alice.press("Save")
        alice.sees_title("Rainfall")
        alice.open("/apps")
        alice.sees("Compares with the weather.")
        alice.open("/account/apps")
        alice.follow("Rainfall")
        alice.follow("Delete Rainfall…")
        alice.fill("To be sure, type its name", "Reinfall")
        alice.press("Delete it")
        alice.page.locator("#wrong").wait_for()
        alice.fill("To be sure, type its name", "Rainfall")
        alice.press("Delete it")
        alice.page.wait_for_url("**/account/apps")
        expect(alice.page.get_by_role("link", name="Rainfall", exact=True)).to_have_count(0)


def test_every_way_of_the_bar_is_taken_by_a_finger(chromium: Browser, site: ServerProcess) -> None:
    phone = {"viewport": PHONE, "is_mobile": True, "has_touch": True}
    with visiting(chromium, site.url, **phone) as alice:
        alice.log_in("alice")
        ways = alice.page.get_by_role("navigation", name="Site").get_by_role("link")
        names = ways.all_inner_texts()
        assert len(names) == 7
        for name in names:
            alice.open("/")
            way = ways.get_by_text(name, exact=True)
            box = way.bounding_box()
            assert box is not None
            assert box["height"] >= 36, name
            assert box["x"] + box["width"] <= PHONE["width"], name
            to = way.get_attribute("href")
            way.tap()
            alice.page.wait_for_url(f"**{to}**")
            assert alice.width() <= PHONE["width"], name


def test_form_is_sent_once_however_often_its_button_is_pressed(alice: Visitor) -> None:
    alice.open("/account/keys/new")
    alice.fill("Name", "pressed")
    # counts what would be sent, and lets nothing be: an answer would end the page
    alice.page.evaluate(
        "() => { window.count = 0; window.addEventListener('submit', (event) => {"
        " if (!event.defaultPrevented) window.count += 1; event.preventDefault(); }); }"
    )
    for _ in range(3):
        alice.press("Make the key")
    assert alice.page.evaluate("window.count") == 1
    alice.page.evaluate("window.dispatchEvent(new Event('pageshow'))")  # came back to it
    alice.press("Make the key")
    assert alice.page.evaluate("window.count") == 2
