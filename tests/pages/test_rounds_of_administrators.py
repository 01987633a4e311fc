"""What administrators do on their pages: users, organizations, applications, the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from playwright.sync_api import expect

from tests.pages.third_party import status
from tests.pages.visiting import visiting
from tests.system.server_process import PASSWORD, ServerProcess

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.pages.third_party import Application
    from tests.pages.visiting import Visitor


def test_user_is_made_with_a_link_that_works_once(
    chromium: Browser, alice: Visitor, site: ServerProcess
) -> None:
    alice.open("/admin/users")
    alice.follow("New user")
    alice.fill("User name", "emil-new")
    alice.press("Make the user")
    link = urlsplit(alice.text_of("#link")).path
    with visiting(chromium, site.url) as emil:
        emil.open(link)
        emil.fill("New password", PASSWORD)
        emil.press("Set the password")
        emil.sees("Your password is changed.")
        emil.open(link)
        expect(emil.field("New password")).to_have_count(0)
    with visiting(chromium, site.url) as again:
        again.log_in("emil-new")
        again.sees_title("Hello, emil-new")
    alice.open("/admin/audit?target=emil-new")
    alice.sees("user.create")


def test_user_who_is_disabled_is_out_at_the_next_page(
    chromium: Browser, alice: Visitor, site: ServerProcess
) -> None:
    site.add_user("charlie")
    with visiting(chromium, site.url) as charlie:
        charlie.log_in("charlie")
        alice.open("/admin/users")
        alice.follow("charlie")
        alice.page.get_by_label("Enabled").uncheck()
        alice.press("Save")
        alice.sees("disabled")
        charlie.open("/account")
        charlie.is_at("/login")
        charlie.log_in("charlie")
        charlie.sees("The name or the password is wrong.")


def test_organization_is_made_and_gets_a_member(alice: Visitor) -> None:
    alice.open("/admin/orgs")
    alice.follow("New organization")
    alice.fill("Name", "growers")
    alice.fill("What people call it", "Growers of the valley")
    alice.press("Make the organization")
    alice.sees_title("Growers of the valley")
    alice.fill("User name", "bob-the-builder")
    alice.press("Add")
    bob = alice.page.get_by_role("row", name="bob-the-builder")
    bob.get_by_role("button", name="Make an administrator").click()
    bob.get_by_text("administrator", exact=True).wait_for()
    bob.get_by_role("button", name="Make a plain member").click()
    bob.get_by_text("member", exact=True).wait_for()
    bob.get_by_role("button", name="Remove").click()
    bob.wait_for(state="detached")


def test_application_of_somebody_else_is_deleted_with_its_tokens(
    alice: Visitor, plotter: Application
) -> None:
    alice.open(plotter.address())
    alice.press("Allow")
    alice.sees("Back at Plotter")
    token = plotter.redeem()["access_token"]
    assert status(alice.url, token) == 200
    alice.open("/admin/apps")
    alice.page.get_by_role("row", name=plotter.made["client_id"]).get_by_role(
        "link", name="Delete"
    ).click()
    alice.sees("1 user")
    alice.fill("To be sure, type its name", "Plotter")
    alice.press("Delete it")
    alice.sees("Plotter is deleted")
    assert status(alice.url, token) == 401


def test_audit_log_shows_failed_logins_and_is_exported(
    chromium: Browser, alice: Visitor, site: ServerProcess
) -> None:
    with visiting(chromium, site.url) as stranger:
        stranger.log_in("nobody-we-know", "wrong")
    alice.open("/admin")
    alice.follow("Failed logins")
    alice.sees("login.fail")
    with alice.page.expect_download() as export:
        alice.follow("CSV")
    text = export.value.path().read_text(encoding="utf-8")
    assert "login.fail" in text
