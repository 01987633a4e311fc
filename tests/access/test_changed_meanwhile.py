"""A password changes while something is under way that the one of before was good for."""

from __future__ import annotations

import base64
import itertools
import json
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
from wotkit.catalog.users import UserChange

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
    headers = {
        "Cookie": f"wotkit_session={session}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    return slowly(f"POST {target}", page.url, headers, body, meanwhile)


def slowly(
    what: str, url: httpx.URL, headers: dict[str, str], body: bytes, meanwhile: Callable[[], None]
) -> tuple[int, str]:
    """Send a request whose end comes only when something else has happened."""
    host = {"Host": url.netloc.decode(), "Connection": "close", "Content-Length": str(len(body))}
    lines = [f"{what} HTTP/1.1", *(f"{name}: {text}" for name, text in (host | headers).items())]
    with socket.create_connection((url.host, url.port or 80), timeout=20) as wire:
        wire.sendall("\r\n".join([*lines, "", ""]).encode() + body[:-1])
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


def as_json(name: str, password: str) -> dict[str, str]:
    basic = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"Authorization": f"Basic {basic}", "Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("keys", {"name": "back door"}),
        ("apps", {"name": "back door", "website": "https://app.example", "kind": "web"}),
    ],
)
def test_what_the_api_is_asked_for_before_the_password_changed_is_not_made(
    server: Server, dora: WebUser, change: Callable[[str], None], path: str, body: dict[str, str]
) -> None:
    text, headers = json.dumps(body).encode(), as_json(dora.name, PASSWORD)
    status, head = slowly(
        f"POST /api/v2/{path}", server.http.base_url, headers, text, lambda: change(QUICK)
    )
    assert status == 401
    assert "WWW-Authenticate: Basic" in head.replace("www-authenticate", "WWW-Authenticate")
    mine = {"mine": "true"} if path == "apps" else {}
    found = server.http.get(f"/api/v2/{path}", auth=(dora.name, NEW), params=mine)
    assert "back door" not in found.text
    status, _ = slowly(
        f"POST /api/v2/{path}",
        server.http.base_url,
        as_json(dora.name, NEW),
        text,
        lambda: None,
    )
    assert status == 201


@pytest.fixture
def ruler(catalog: Catalog, dora: WebUser) -> Callable[[str], None]:
    """Dora is an administrator; give her another role."""

    def become(role: str) -> None:
        catalog.write(users.change, dora.name, UserChange(role=role), Actor("admin", "192.0.2.1"))

    become("admin")
    return become


def test_administrator_who_is_none_any_more_cannot_end_what_was_begun(
    catalog: Catalog, server: Server, dora: WebUser, ruler: Callable[[str], None]
) -> None:
    page = dora.open(f"/admin/users/{dora.name}")
    form = {"role": "admin", "time_zone": "UTC", "enabled": "1", "action": "change"}
    assert sent_slowly(dora, page, lambda: ruler("user"), **form)[0] == 403
    assert catalog.read(users.get, dora.name).role == "user"
    ruler("admin")
    body = b'{"firstname": "Theodora"}'
    status, _ = slowly(
        f"PUT /api/v1/users/{dora.name}",
        server.http.base_url,
        as_json(dora.name, PASSWORD),
        body,
        lambda: ruler("user"),
    )
    assert status == 403
    assert catalog.read(users.get, dora.name).first_name == ""


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
        assert {answer.status_code for answer in answers.result()} <= {303, 400, 403}
    ask = server.http.get("/api/v2/alerts", auth=(dora.name, NEW))
    assert ask.status_code == 200
    for thief in thieves:
        assert thief.http.get("/account").status_code == 303
        thief.http.close()
