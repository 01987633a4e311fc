"""A real Chromium at real server processes.

Whatever a page writes to the console as an error, and whatever its security policy stops, fails the
test that saw it. Screenshots go to the folder that ``SCREENSHOTS`` names, otherwise to a
temporary one.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.system.server_process import PASSWORD, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
OPTIONS = ("--set", "auth.bcrypt_cost=4", "--set", "web.registration=open")


class Visitor:
    """Somebody with a browser, at one server."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.troubles: list[str] = []
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", self._hear)

    def _hear(self, message: Any) -> None:
        # the browser itself says so of every answer that is not 2xx, which tests look at
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.troubles.append(message.text)

    def open(self, path: str) -> None:
        self.page.goto(self.url + path)

    def log_in(self, name: str, password: str = PASSWORD) -> None:
        if not self.page.url.startswith(f"{self.url}/login"):
            self.open("/login")
        self.fill("User name", name)
        self.fill("Password", password)
        self.press("Log in")

    def fill(self, label: str, text: str) -> None:
        self.page.get_by_label(label, exact=True).fill(text)

    def press(self, name: str) -> None:
        self.page.locator("#main").get_by_role("button", name=name, exact=True).click()

    def follow(self, name: str) -> None:
        self.page.get_by_role("link", name=name, exact=True).first.click()

    def sees(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for()

    def heading(self) -> str:
        return str(self.page.get_by_role("heading", level=1).inner_text())

    @property
    def at(self) -> str:
        """The path, with its query."""
        return str(self.page.url).removeprefix(self.url)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser, for the tests of a module: its driver keeps an event loop of its own running."""
    program = shutil.which("chromium")
    if program is None:
        assert "CI" not in os.environ, "continuous integration needs chromium"
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@contextmanager
def visiting(chromium: Browser, url: str, **context: Any) -> Iterator[Visitor]:
    """Give somebody a browser of their own: no cookies, nothing in its memory."""
    given = {"viewport": DESKTOP, "locale": "en-GB", **context}
    opened = chromium.new_context(**given)
    try:
        visitor = Visitor(opened.new_page(), url)
        yield visitor
        assert visitor.troubles == []
    finally:
        opened.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with Alice, who is an administrator, Bob, and Alice's sensor ``roof``."""
    with ServerProcess(tmp_path_factory.mktemp("site") / "data", *OPTIONS) as server:
        server.add_user("alice", "--admin")
        server.add_user("bob-the-builder")
        server.command("sensor", "create", "roof", "--user", "alice")
        yield server


@pytest.fixture
def visitor(chromium: Browser, site: ServerProcess) -> Iterator[Visitor]:
    """Somebody who is not logged in."""
    with visiting(chromium, site.url) as found:
        yield found


@pytest.fixture
def alice(visitor: Visitor) -> Visitor:
    """Alice, logged in."""
    visitor.log_in("alice")
    return visitor


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go."""
    wanted = os.environ.get("SCREENSHOTS")
    folder = Path(wanted) if wanted else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
