"""The example web application in a real browser: two origins, one user who decides."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.examples.conftest import serving
from tests.examples.test_example_app import Plotter
from tests.pages.visiting import visiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.examples.conftest import Server
    from tests.pages.looking import Looking


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Plotter]]:
    """A server with Alice's sensors, and the application running beside it."""
    folder = tmp_path_factory.mktemp("example")
    with serving(folder) as server, Plotter(server, folder) as plotter:
        yield server, plotter


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_user_connects_sees_the_line_and_takes_the_permission_back(
    chromium: Browser, example: tuple[Server, Plotter], looking: Looking, script: bool
) -> None:
    server, plotter = example
    with visiting(chromium, plotter.url, java_script_enabled=script) as alice:
        alice.open("/")
        alice.page.get_by_role("button", name="Connect").click()
        alice.page.wait_for_url(f"{server.url}/login**")
        alice.url = server.url
        alice.log_in("alice")
        alice.sees_title("Allow Plotter to act for you?")
        alice.press("Allow")
        alice.page.wait_for_url(f"{plotter.url}/")
        alice.sees("Connected as alice")
        alice.follow("Greenhouse")
        expect(alice.page.locator("svg path.line")).to_have_count(1)
        if script:
            looking.at(alice, "example-sensor")
        alice.open("/account/connected")
        alice.press("Revoke Plotter")
        alice.sees("Nothing is connected")
        alice.page.goto(f"{plotter.url}/sensor?name=alice.greenhouse1")
        alice.sees_title("You are no longer connected")
        assert alice.page.get_by_role("button", name="Connect again").is_visible()


def test_user_who_denies_is_back_at_the_application_and_may_begin_again(
    chromium: Browser, example: tuple[Server, Plotter]
) -> None:
    server, plotter = example
    with visiting(chromium, plotter.url) as alice:
        alice.open("/")
        alice.page.get_by_role("button", name="Connect").click()
        alice.page.wait_for_url(f"{server.url}/login**")
        alice.url = server.url
        alice.log_in("alice")
        alice.press("Deny")
        alice.sees("You did not allow Plotter")
        alice.page.get_by_role("button", name="Start again").click()
        alice.page.wait_for_url(re.compile(re.escape(f"{server.url}/api/oauth/authorize")))
        alice.sees_title("Allow Plotter to act for you?")
