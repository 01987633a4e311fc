"""Applications ask, users decide: consent, codes to copy, devices, and taking it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.pages.third_party import OOB, desktop_address, device_asks, status
from tests.pages.visiting import DESKTOP, PHONE, visiting
from tests.system.server_process import PASSWORD, ServerProcess

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.pages.third_party import Application
    from tests.pages.visiting import Visitor

FOCUS = """(() => {
    const focused = document.activeElement, style = getComputedStyle(focused);
    const box = focused.getBoundingClientRect();
    const name = focused.labels?.length ? focused.labels[0].textContent : focused.textContent;
    return [name.trim(), style.outlineStyle, style.outlineWidth, box.top, box.bottom];
})()"""
"""What has the focus, how that is shown, and where."""


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_user_allows_sees_the_application_and_revokes_it_at_once(
    chromium: Browser, site: ServerProcess, plotter: Application, script: bool
) -> None:
    with visiting(chromium, site.url, java_script_enabled=script) as alice:
        alice.open(plotter.address())
        alice.log_in("alice")
        alice.sees_title("Allow Plotter to act for you?")
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
        alice.sees("Plotter can no longer act for you.")
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
    alice.sees_title("Allow Plotter to act for you?")


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
    alice.is_at("/api/oauth/authorize")
    alice.sees_title("an address it has not registered")
    alice.page.get_by_text("For whoever makes the application").click()
    alice.page.get_by_text("redirect_uri").first.wait_for()
    assert plotter.heard == []


def test_code_is_shown_to_be_copied(chromium: Browser, site: ServerProcess) -> None:
    made = site.json(
        "app", "create", "--user", "alice", "--name", "Desk", "--website", "https://desk.example",
        "--kind", "desktop", "--redirect-uri", OOB,
    )  # fmt: skip
    allowed = ["clipboard-read", "clipboard-write"]
    with visiting(chromium, site.url, permissions=allowed) as alice:
        alice.log_in("alice")
        alice.open(desktop_address(made["client_id"]))
        alice.press("Allow")
        alice.press("Copy")
        alice.sees("Copied")
        code = alice.page.locator("#code").input_value()
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
    asked = device_asks(site.url, made["client_id"])
    alice.open("/device")
    alice.fill("Code", asked["user_code"].lower().replace("-", " "))
    alice.press("Continue")
    alice.sees("Thermostat")
    alice.press(decision)
    alice.sees_title("Your device is connected" if decision == "Allow" else "You denied it")
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


def tab_to(visitor: Visitor, name: str) -> list[str]:
    """Press Tab until something is reached; return what was passed, all of it visibly in focus."""
    passed: list[str] = []
    while name not in passed:
        assert len(passed) < 30, passed
        visitor.page.keyboard.press("Tab")
        found, style, width, top, bottom = visitor.page.evaluate(FOCUS)
        assert (style, width) == ("solid", "2px"), f"{found} is in focus and does not show it"
        assert top >= 0, found
        assert bottom <= DESKTOP["height"], found
        passed.append(found)
    return passed


def test_keyboard_alone_logs_in_and_allows(visitor: Visitor, plotter: Application) -> None:
    keyboard = visitor.page.keyboard
    visitor.open(plotter.address())
    assert tab_to(visitor, "User name")[0] == "Skip to the page"
    keyboard.type("alice")
    assert tab_to(visitor, "Password") == ["Password"]
    keyboard.type(PASSWORD)
    assert tab_to(visitor, "Log in") == ["Log in"]
    keyboard.press("Enter")
    visitor.sees("Allow Plotter to act for you?")
    assert tab_to(visitor, "Skip to the page") == ["Skip to the page"]
    keyboard.press("Enter")
    passed = tab_to(visitor, "Allow")
    assert passed[0] == "https://plotter.example"
    assert passed[-2:] == ["Deny", "Allow"]
    keyboard.press("Enter")
    visitor.sees("Back at Plotter")
    assert "code" in plotter.heard[-1]


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
