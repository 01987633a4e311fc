"""Somebody with a browser, and what they do with it."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.system.server_process import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Response

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
OPTIONS = ("--set", "auth.bcrypt_cost=4", "--set", "web.registration=open")
BAD = 400
FAILED = 500
"""The first status of those that say that something could not be loaded."""
PATIENCE = 20_000
"""Milliseconds after which what does not appear is missing."""


class Visitor:
    """Somebody with a browser, at one server."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.troubles: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", self._hear)
        page.on("response", self._receive)

    def _hear(self, message: ConsoleMessage) -> None:
        # the browser says so of every answer that is not 2xx: see below
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.troubles.append(message.text)

    def _receive(self, answer: Response) -> None:
        """A page may be refused, which tests look at, but not fail; what belongs to one neither."""
        kind = answer.request.resource_type
        refused = answer.status >= BAD and kind in {"stylesheet", "script", "image"}
        if refused or (answer.status == FAILED and kind == "document"):
            self.troubles.append(f"{answer.status} {answer.url}")

    def open(self, path: str) -> None:
        self.page.goto(self.url + path)

    def log_in(self, name: str, password: str = PASSWORD) -> None:
        if not self.page.url.startswith(f"{self.url}/login"):
            self.open("/login")
        self.fill("User name", name)
        self.fill("Password", password)
        self.press("Log in")

    def field(self, label: str) -> Locator:
        return self.page.get_by_label(label, exact=True)

    def fill(self, label: str, text: str) -> None:
        self.field(label).fill(text)

    def press(self, name: str) -> None:
        self.page.locator("#main").get_by_role("button", name=name, exact=True).click()

    def follow(self, name: str) -> None:
        self.page.get_by_role("link", name=name, exact=True).first.click()

    def sees(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for()

    def text_of(self, selector: str) -> str:
        found = self.page.locator(selector).text_content()
        assert found, selector
        return found

    def sees_title(self, text: str) -> None:
        self.page.get_by_role("heading", level=1, name=text).wait_for()

    def is_at(self, path: str) -> None:
        """Wait until the page is there, or below, or has a query."""
        self.page.wait_for_url(re.compile(re.escape(self.url + path)))

    def width(self) -> int:
        """How wide the page is, in CSS pixels, with what one would have to scroll to."""
        return int(self.page.evaluate("document.documentElement.scrollWidth"))


@contextmanager
def visiting(chromium: Browser, url: str, **context: Any) -> Iterator[Visitor]:
    """Give somebody a browser of their own: no cookies, nothing in its memory."""
    given = {"viewport": DESKTOP, "locale": "en-GB", "reduced_motion": "reduce", **context}
    opened = chromium.new_context(**given)
    try:
        visitor = Visitor(opened.new_page(), url)
        yield visitor
        assert visitor.troubles == [], visitor.troubles
    finally:
        opened.close()
