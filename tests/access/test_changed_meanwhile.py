"""A password changes while something is under way that the one of before was good for."""

from __future__ import annotations

import itertools
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from tests.access.parties import OAuthApp, at_once, refused
from tests.access.test_devices import Device
from tests.web_user import FORM, HIDDEN, PASSWORD, WebUser
from wotkit.auth import passwords
from wotkit.catalog import Catalog, users
from wotkit.catalog.audit import Actor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

    from tests.access.parties import Server

NEW = "another good password"
SLOW = passwords.hash_password(PASSWORD, 13)
"""Verified for half a second, so that much can happen meanwhile."""
QUICK = passwords.hash_password(NEW, 4)
UNDER_WAY = 0.3
"""Seconds after which a request has begun and not ended."""
_numbers = itertools.count(1)


@pytest.fixture
def catalog(server: Server) -> Iterator[Catalog]:
    """The server's own, opened by another process."""
    found = Catalog(server.data, busy_seconds=20)
    yield found
    found.close()


@pytest.fixture
def dora(server: Server) -> Iterator[WebUser]:
    name = f"dora{next(_numbers)}"
    server.add_user(name)
    with WebUser(server.url, name) as found:
        yield found


@pytest.fixture
def change(catalog: Catalog, dora: WebUser) -> Callable[[str], None]:
    """Give Dora another password, of which only the hash is told."""

    def change_to(hashed: str) -> None:
        catalog.write(users.set_password, dora.name, hashed, Actor(dora.name, "192.0.2.1"))

    return change_to


def sent_slowly(
    user: WebUser, page: httpx.Response, meanwhile: Callable[[], None], **fields: str
) -> tuple[int, str]:
    """Send a form whose end comes only when something else has happened; the answer's status."""
    (form,) = [each for each in FORM.findall(page.text) if all(f'"{f}"' in each for f in fields)]
    action = re.search(r'action="([^"]+)"', form)
    target = unescape(action[1]) if action else page.url.path
    hidden = {name: unescape(value) for name, value in HIDDEN.findall(form)}
    body = urlencode(hidden | fields).encode()
    session = user.http.cookies["wotkit_session"]
    head = (
        f"POST {target} HTTP/1.1\r\nHost: {page.url.netloc.decode()}\r\nConnection: close\r\n"
        f"Cookie: wotkit_session={session}\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    )
    with socket.create_connection((page.url.host, page.url.port or 80), timeout=20) as wire:
        wire.sendall(head.encode() + body[:-1])
        time.sleep(UNDER_WAY)
        meanwhile()
        wire.sendall(body[-1:])
        answer = b"".join(iter(lambda: wire.recv(65_536), b"")).decode()
    return int(answer.split()[1]), answer.partition("\r\n\r\n")[0]


def test_consent_that_arrives_after_the_password_changed_is_none(
    web: OAuthApp, dora: WebUser, change: Callable[[str], None]
) -> None:
    page = dora.open(web.asking())
    status, head = sent_slowly(dora, page, lambda: change(QUICK), decision="allow")
    assert status == 403
    assert "code=" not in head
    assert web.http.get("/api/v2/grants", auth=(dora.name, NEW)).json() == []


def test_device_allowed_after_the_password_changed_still_waits(
    server: Server, dora: WebUser, change: Callable[[str], None]
) -> None:
    device = Device(OAuthApp.register(server, kind="desktop", redirects=()))
    page = dora.submit(dora.open("/device"), user_code=device.user_code)
    assert sent_slowly(dora, page, lambda: change(QUICK), decision="allow")[0] == 403
    refused(device.ask(), "authorization_pending")


def test_key_asked_for_before_the_password_changed_is_not_made(
    server: Server, dora: WebUser, change: Callable[[str], None]
) -> None:
    page = dora.open("/account/keys/new")
    form = {"name": "back door", "scopes": "all"}
    assert sent_slowly(dora, page, lambda: change(QUICK), **form)[0] == 403
    assert server.http.get("/api/v2/keys", auth=(dora.name, NEW)).json() == []


def test_form_that_comes_slowly_is_taken_where_nothing_has_changed(
    server: Server, dora: WebUser
) -> None:
    page = dora.open("/account/keys/new")
    status, _ = sent_slowly(dora, page, lambda: None, name="slow", scopes="all")
    assert status in {200, 201}
    assert len(server.http.get("/api/v2/keys", auth=(dora.name, PASSWORD)).json()) == 1


def under_way(
    change: Callable[[str], None], *asks: Callable[[], httpx.Response]
) -> list[httpx.Response]:
    """Ask, and change the password while the one of before is being verified."""
    change(SLOW)
    with ThreadPoolExecutor(1) as beside:
        answers = beside.submit(at_once, *asks)
        time.sleep(UNDER_WAY)
        change(QUICK)
        return answers.result()


def test_login_under_way_when_the_password_changes_gives_no_session(
    server: Server, dora: WebUser, change: Callable[[str], None]
) -> None:
    browsers = [WebUser(server.url, dora.name) for _ in range(4)]
    pages = [browser.http.get("/login") for browser in browsers]
    under_way(
        change,
        *[
            lambda b=browser, p=page: b.submit(p, username=b.name, password=PASSWORD)
            for browser, page in zip(browsers, pages, strict=True)
        ],
    )
    for browser in browsers:
        assert browser.http.get("/account").status_code == 303
        browser.http.close()


def test_tokens_for_a_password_that_changes_are_not_given(
    server: Server, dora: WebUser, change: Callable[[str], None]
) -> None:
    app = OAuthApp.register(server, "--allow", "password")
    form = {"grant_type": "password", "username": dora.name, "password": PASSWORD}
    answers = under_way(change, *[lambda: app.call("token", **form)] * 4)
    for answer in answers:
        if answer.status_code == 200:  # it was given before
            assert app.status(answer.json()["access_token"]) == 401
        else:
            refused(answer, "invalid_grant")
    assert server.http.get("/api/v2/grants", auth=(dora.name, NEW)).json() == []


def test_password_of_before_cannot_change_the_one_of_now(
    server: Server, dora: WebUser, change: Callable[[str], None]
) -> None:
    change(SLOW)
    thieves = [WebUser(server.url, dora.name) for _ in range(3)]
    pages = [thief.open("/account/password") for thief in thieves]
    chosen = [f"the choice of thief {number}" for number in range(3)]

    def steal(thief: WebUser, page: httpx.Response, choice: str) -> httpx.Response:
        return thief.submit(page, old_password=PASSWORD, password=choice)

    with ThreadPoolExecutor(1) as beside:
        asks = [
            lambda t=thief, p=page, c=choice: steal(t, p, c)
            for thief, page, choice in zip(thieves, pages, chosen, strict=True)
        ]
        answers = beside.submit(at_once, *asks)
        time.sleep(UNDER_WAY)
        change(QUICK)
        assert {answer.status_code for answer in answers.result()} <= {303, 400}
    ask = server.http.get("/api/v2/alerts", auth=(dora.name, NEW))
    assert ask.status_code == 200
    for thief in thieves:
        assert thief.http.get("/account").status_code == 303
        thief.http.close()
