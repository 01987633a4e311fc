"""A user with a browser, as far as signing in and deciding about applications goes."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING, Self

import httpx

if TYPE_CHECKING:
    from types import TracebackType

HIDDEN = re.compile(r'<input type="hidden" name="(\w+)"[^>]*? value="([^"]*)"')
FORM = re.compile(r"<form[^>]*>.*?</form>", re.DOTALL)
PASSWORD = "correct horse battery"


class WebUser:
    """Alice, or somebody else, in front of the pages of a server."""

    def __init__(self, url: str, name: str = "alice", password: str = PASSWORD) -> None:
        self.url = url
        self.name = name
        self._password = password
        self.http = httpx.Client(base_url=url, timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.http.close()

    def open(self, address: str) -> httpx.Response:
        """Follow redirects within the server, logging in on the way; stop at others' addresses."""
        answer = self.http.get(address)
        while answer.status_code == 303 and self.left(answer) is None:
            answer = self._follow(answer)
            if answer.status_code == 200 and answer.url.path == "/login":
                answer = self.submit(answer, username=self.name, password=self._password)
        return answer

    def _follow(self, answer: httpx.Response) -> httpx.Response:
        return self.http.get(httpx.URL(self.url).join(answer.headers["location"]))

    def left(self, answer: httpx.Response) -> str | None:
        """Return the address of somebody else's that an answer leads to."""
        location = answer.headers.get("location")
        if location is None or location.startswith(("/", self.url + "/")):
            return None
        return str(location)

    def submit(self, page: httpx.Response, **fields: str) -> httpx.Response:
        """Fill in the form of a page that has these fields, and send it."""
        for form in FORM.findall(page.text):
            if all(f'name="{name}"' in form for name in fields):
                action = re.search(r'action="([^"]+)"', form)
                target = unescape(action[1]) if action else str(page.url)
                hidden = {name: unescape(value) for name, value in HIDDEN.findall(form)}
                address = httpx.URL(self.url).join(target)
                return self.http.post(address, data=hidden | fields)
        raise AssertionError(f"no form with {sorted(fields)} at {page.url}: {page.text}")

    def decide(self, address: str, decision: str = "allow") -> str:
        """Open an application's authorize address and decide; return where that leads to."""
        page = self.open(address)
        found = self.left(page)
        if found is None:
            assert page.status_code == 200, page.text
            page = self.submit(page, decision=decision)
            found = self.left(page)
        assert found is not None, page.text
        assert page.status_code == 303
        return found

    def copied_code(self, address: str, decision: str = "allow") -> str:
        """Decide, where the application has no address, and copy what the page shows."""
        page = self.submit(self.open(address), decision=decision)
        assert page.headers["cache-control"] == "no-store"
        found = re.search(r'id="code" value="([^"]*)"', page.text)
        assert found is not None, page.text
        return unescape(found[1])

    def enter_device_code(self, code: str, decision: str = "allow") -> httpx.Response:
        """Type the code that a device shows, and decide."""
        page = self.submit(self.open("/device"), user_code=code)
        return self.submit(page, decision=decision)
