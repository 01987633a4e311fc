"""A browser without script, as far as tests need one, and the application behind it."""

from __future__ import annotations

import asyncio
import re
from contextlib import closing
from html import unescape
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from wotkit.app import create_app
from wotkit.auth import passwords
from wotkit.catalog import Catalog, users
from wotkit.catalog.audit import Actor
from wotkit.catalog.users import NewUser
from wotkit.settings import AuthSettings, LogSettings, Settings, StorageSettings, WebSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "correct horse battery"
HERE = Actor("tests", "127.0.0.1")


class Browser:
    """Follows links and fills in forms; keeps its cookies."""

    def __init__(self, app: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        transport = httpx.ASGITransport(app, client=("192.0.2.7", 4711))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://testserver")

    def get(self, path: str, **headers: str) -> httpx.Response:
        answer: httpx.Response = self._loop.run_until_complete(self.http.get(path, headers=headers))
        return answer

    def post(self, path: str, **fields: Any) -> httpx.Response:
        """Send a form as it is given, without looking at the page."""
        answer: httpx.Response = self._loop.run_until_complete(self.http.post(path, data=fields))
        return answer

    def submit(self, path: str, **fields: Any) -> httpx.Response:
        """Open a page and send its form, with the token that is in it."""
        page = self.get(path)
        token = re.search(r'name="csrf" value="(\w+)"', page.text)
        assert token is not None, page.text
        return self.post(path, csrf=token[1], **fields)

    def log_in(self, name: str, password: str = PASSWORD) -> None:
        answer = self.submit("/login", username=name, password=password)
        assert answer.status_code == 303, answer.text


def text_of(answer: httpx.Response) -> str:
    """Return what a page says, without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def wrong_in(answer: httpx.Response) -> list[str]:
    """Return what a page says to be wrong beside its fields."""
    return [unescape(found) for found in re.findall(r'class="wrong"[^>]*>([^<]*)<', answer.text)]


class Server:
    """The application in this process, with Alice, Charlie and an administrator."""

    def __init__(self, folder: Path, **web: Any) -> None:
        self.settings = Settings(
            storage=StorageSettings(data=str(folder)),
            auth=AuthSettings(bcrypt_cost=4, failures_per_account=5),
            log=LogSettings(requests="none"),
            web=WebSettings(**web),
        )
        self.catalog = Catalog(folder, busy_seconds=5)
        self._loop = asyncio.new_event_loop()
        self.app = self._loop.run_until_complete(self._create())

    async def _create(self) -> Any:
        return create_app(self.settings)

    def people(self) -> None:
        for name, role in (("alice", "user"), ("charlie", "user"), ("admin", "admin")):
            hashed = passwords.hash_password(PASSWORD, 4)
            user = NewUser(
                username=name, password_hash=hashed, role=role, time_zone="Europe/Dublin"
            )
            self.catalog.write(users.create, user, HERE)

    def browser(self) -> Browser:
        return Browser(self.app, self._loop)

    def close(self) -> None:
        self.catalog.close()
        self._loop.close()


@pytest.fixture
def server(data: Path) -> Iterator[Server]:
    with closing(Server(data)) as found:
        found.people()
        yield found


@pytest.fixture
def browser(server: Server) -> Browser:
    return server.browser()


@pytest.fixture
def alice(server: Server) -> Browser:
    found = server.browser()
    found.log_in("alice")
    return found
