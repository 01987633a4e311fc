"""Pages that are seen once, between others: they too are accessible, and fit a phone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx

from tests.pages.third_party import OOB, desktop_address, device_asks
from tests.pages.visiting import visiting
from tests.signed import SigningApp
from tests.system.server_process import PASSWORD, ServerProcess

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.pages.looking import Looking
    from tests.pages.visiting import Visitor

MAIL = ("--set", "mail.host=127.0.0.1", "--set", "auth.bcrypt_cost=4")
WEBSITE = ("--website", "https://plotter.example")


def test_pages_of_the_first_run_are_accessible_and_fit(
    chromium: Browser, looking: Looking, tmp_path: Path
) -> None:
    with ServerProcess(tmp_path / "data", *MAIL) as server:
        link = re.search(r"/welcome/\S+", server.said)
        assert link is not None
        with visiting(chromium, server.url) as admin:
            admin.open("/")
            looking.at(admin, "first-home")
            admin.open(link[0])
            looking.at(admin, "first-run")
            admin.fill("Password", "short")
            admin.press("Create the administrator")
            admin.page.locator("#wrong").wait_for()
            looking.at(admin, "first-run-wrong")
            admin.fill("Password", PASSWORD)
            admin.press("Create the administrator")
            admin.sees("Your server is ready.")
            looking.at(admin, "first-ready")
        with visiting(chromium, server.url) as late:
            late.open(link[0])
            looking.at(late, "first-run-over")
            late.open("/register")
            looking.at(late, "register-closed")
            late.open("/forgotten")
            looking.at(late, "forgotten-by-mail")


def test_pages_of_ways_in_are_accessible_and_fit(
    chromium: Browser, looking: Looking, visitor: Visitor, site: ServerProcess
) -> None:
    visitor.log_in("alice", "wrong")
    looking.at(visitor, "login-wrong")
    visitor.open("/register")
    visitor.fill("User name", "alice")
    visitor.fill("Password", PASSWORD)
    visitor.press("Register")
    looking.at(visitor, "register-wrong")
    link = re.search(r"/password/\S+", site.command("user", "link", "bob-the-builder"))
    assert link is not None
    visitor.open(link[0])
    looking.at(visitor, "new-password")
    visitor.fill("New password", PASSWORD)
    visitor.press("Set the password")
    visitor.sees("Your password is changed.")
    visitor.open("/admin")
    visitor.sees_title("That is not allowed")
    looking.at(visitor, "admin-refused")
    visitor.open("/account")
    visitor.page.context.clear_cookies()
    visitor.press("Save")
    visitor.page.wait_for_url("**/login*")
    looking.at(visitor, "login-again")


def test_pages_with_secrets_are_accessible_and_fit(alice: Visitor, looking: Looking) -> None:
    alice.open("/account/keys/new")
    alice.fill("Name", "greenhouse")
    alice.page.get_by_label("Only these sensors").fill("nothing-of-this-name")
    alice.press("Make the key")
    alice.page.locator("#wrong").wait_for()
    looking.at(alice, "key-wrong")
    alice.page.get_by_label("Only these sensors").fill("roof")
    alice.press("Make the key")
    looking.at(alice, "key-password")
    alice.follow("I have kept it")
    alice.press("Make a new password")
    looking.at(alice, "key-rotated")
    alice.open("/account/apps/new")
    alice.fill("Name", "Weather")
    alice.fill("Website", "https://weather.example")
    alice.page.get_by_label(re.compile("Redirect")).fill("http://weather.example/#fragment")
    alice.press("Register")
    alice.page.locator("#wrong").wait_for()
    looking.at(alice, "app-wrong")
    alice.page.get_by_label(re.compile("Redirect")).fill("https://weather.example/callback")
    alice.press("Register")
    looking.at(alice, "app-secret")
    alice.follow("I have kept it")
    alice.press("Make a developer token")
    looking.at(alice, "app-developer-token")
    alice.follow("I have kept it")
    alice.press("Make a new secret")
    looking.at(alice, "app-secret-rotated")
    alice.follow("I have kept it")
    alice.follow("Delete Weather…")
    alice.fill("To be sure, type its name", "Whether")
    alice.press("Delete it")
    looking.at(alice, "app-delete-wrong")


def test_pages_of_codes_are_accessible_and_fit(
    alice: Visitor, looking: Looking, site: ServerProcess
) -> None:
    made = site.json(
        "app", "create", "--user", "alice", "--name", "Desk", *WEBSITE,
        "--kind", "desktop", "--redirect-uri", OOB,
    )  # fmt: skip
    for decision in ("Allow", "Deny"):
        alice.open(desktop_address(made["client_id"]))
        alice.press(decision)
        alice.page.locator("#code").wait_for()
        looking.at(alice, f"code-shown-{decision}")
        alice.open("/device")
        alice.fill("Code", device_asks(site.url, made["client_id"])["user_code"])
        alice.press("Continue")
        alice.sees("Does your device show this code?")
        looking.at(alice, "device-asked")
        alice.press(decision)
        alice.sees("You can take that back" if decision == "Allow" else "You denied it")
        looking.at(alice, f"device-{decision}")
    alice.open("/device")
    alice.fill("Code", "BBBB-BBBB")
    alice.press("Continue")
    alice.page.locator("#wrong").wait_for()
    looking.at(alice, "device-wrong")
    alice.open("/account/connected")
    looking.at(alice, "connected-several")


def test_pages_of_the_older_handshake_are_accessible_and_fit(
    alice: Visitor, looking: Looking, site: ServerProcess
) -> None:
    made = site.json(
        "app", "create", "--user", "bob-the-builder", "--name", "Loader", *WEBSITE,
        "--kind", "desktop", "--allow", "frob",
    )  # fmt: skip
    secret = site.json("app", "signing-secret", made["client_id"])["signing_secret"]
    program = SigningApp(made["client_id"], secret)
    for decision in ("Allow", "Deny"):
        asked = program.md5("auth.getFrob")
        frob = httpx.get(f"{site.url}/api/auth.getFrob", params=asked).json()["auth"]["frob"]
        alice.open(program.page(frob))
        alice.sees("Did you start this program yourself")
        looking.at(alice, "frob-asked")
        alice.press(decision)
        alice.sees("You can close this page" if decision == "Deny" else "Go back to the program")
        looking.at(alice, f"frob-{decision}")
    alice.open(program.page(frob))
    looking.at(alice, "frob-over")


def test_pages_of_administrators_between_are_accessible_and_fit(
    alice: Visitor, looking: Looking
) -> None:
    alice.open("/admin/users/new")
    alice.fill("User name", "bob-the-builder")
    alice.press("Make the user")
    alice.page.locator("#wrong").wait_for()
    looking.at(alice, "admin-user-wrong")
    alice.fill("User name", "emil-the-late")
    alice.press("Make the user")
    alice.page.locator("#link").wait_for()
    looking.at(alice, "admin-user-link")
    alice.open("/admin/orgs/new")
    alice.fill("Name", "x")
    alice.fill("What people call it", "Too short a name")
    alice.press("Make the organization")
    alice.page.locator("#wrong").wait_for()
    looking.at(alice, "admin-org-wrong")
