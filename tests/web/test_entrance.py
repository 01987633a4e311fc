from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.conftest import PASSWORD, Browser, Server, text_of, wrong_in
from wotkit.auth import passwords
from wotkit.catalog import links, users
from wotkit.web.pages.page import local_path

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

PAGES = ["/", "/login", "/forgotten", "/apps"]
PRIVATE = ["/account", "/account/password", "/account/sessions", "/account/keys", "/account/apps"]
NEW = "another good password"


@pytest.mark.parametrize("path", PAGES)
def test_every_page_forbids_framing_foreign_scripts_and_referrers(
    browser: Browser, path: str
) -> None:
    answer = browser.get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", PRIVATE)
def test_private_page_leads_to_the_login_page_and_back(browser: Browser, path: str) -> None:
    answer = browser.get(f"{path}?a=1")
    assert answer.status_code == 303
    page = browser.get(answer.headers["location"])
    assert f'value="{path}?a=1"' in page.text


def test_log_in_leads_on_with_a_new_session_and_log_out_ends_it(browser: Browser) -> None:
    answer = browser.submit("/login", username="alice", password=PASSWORD, next="/account/keys")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account/keys")
    cookie = next(c for c in answer.headers.get_list("set-cookie") if "wotkit_session" in c)
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    kept = browser.http.cookies["wotkit_session"]
    assert browser.get("/account").status_code == 200
    assert browser.submit("/logout").status_code == 303
    browser.http.cookies.set("wotkit_session", kept)
    assert browser.get("/account").status_code == 303


def test_login_form_of_another_tab_says_that_one_is_logged_in(browser: Browser) -> None:
    token = token_of(browser.get("/login"))  # of both tabs
    fields = {"username": "alice", "password": PASSWORD}
    assert browser.post("/login", csrf=token, **fields).status_code == 303
    answer = browser.post("/login", csrf=token, **fields)
    assert answer.status_code == 403
    assert "You are logged in already, as alice" in text_of(answer)


def test_login_form_that_lost_its_cookie_is_shown_again_and_works_then(browser: Browser) -> None:
    token = token_of(browser.get("/login"))
    browser.http.cookies.clear()
    browser.get("/login")  # another tab
    fields = {"username": "alice", "password": PASSWORD, "next": "/account/keys"}
    answer = browser.post("/login", csrf=token, **fields)
    assert answer.status_code == 403
    assert "please try once more" in text_of(answer)
    assert PASSWORD not in answer.text
    answer = browser.post("/login", csrf=token_of(answer), **fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/account/keys")


def test_logging_out_in_a_second_tab_is_no_error(alice: Browser) -> None:
    token = token_of(alice.get("/logout"))
    assert alice.post("/logout", csrf=token).status_code == 303
    answer = alice.post("/logout", csrf=token)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "You are logged out." in alice.get("/").text


def token_of(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="(\w+)"', page.text)
    assert found is not None, page.text
    return found[1]


@pytest.mark.parametrize("name", ["alice", "nobody-here"])
def test_wrong_name_and_wrong_password_get_the_same_answer(browser: Browser, name: str) -> None:
    answer = browser.submit("/login", username=name, password="wrong")
    assert answer.status_code == 401
    assert "The name or the password is wrong." in text_of(answer)
    assert "www-authenticate" not in answer.headers


def test_too_many_failures_answer_429_with_the_wait(browser: Browser) -> None:
    answers = [browser.submit("/login", username="alice", password="wrong") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0


@pytest.mark.parametrize("token", ["", "0" * 64])
@pytest.mark.parametrize("path", ["/login", "/logout", "/account", "/account/keys/new"])
def test_form_without_its_token_is_refused(alice: Browser, path: str, token: str) -> None:
    assert alice.post(path, csrf=token, username="alice").status_code == 403


def test_token_of_another_session_is_refused(server: Server, alice: Browser) -> None:
    charlie = server.browser()
    charlie.log_in("charlie")
    theirs = charlie.get("/account").text.partition('name="csrf" value="')[2][:64]
    assert alice.post("/account", csrf=theirs, first_name="X").status_code == 403


@given(st.text() | st.text(alphabet="/\\.:@a\t\n ", max_size=12))
def test_next_never_leaves_this_server(text: str) -> None:
    path = local_path(text)
    assert path.startswith("/")
    assert not path.startswith("//")
    assert not set(path) & set("\\\t\r\n")


def test_first_link_creates_the_administrator_once(data: Path) -> None:
    with closing(Server(data)) as server:
        secret = passwords.make_secret()
        server.catalog.write(
            lambda: links.make(links.ADMIN, passwords.hash_secret(secret), seconds=60)
        )
        browser = server.browser()
        short = browser.submit(f"/welcome/{secret}", username="boss", password="short")
        assert wrong_in(short) == ["Must have at least 12 characters."]
        done = browser.submit(f"/welcome/{secret}", username="boss", password=PASSWORD)
        assert done.status_code == 303
        assert server.catalog.read(users.get, "boss").role == "admin"
        assert server.browser().get(f"/welcome/{secret}").status_code == 404


@pytest.mark.parametrize(("how", "status"), [("closed", 403), ("invitation", 403), ("open", 200)])
def test_registration_is_as_open_as_the_setting(data: Path, how: Any, status: int) -> None:
    with closing(Server(data, registration=how)) as server:
        server.people()
        assert server.browser().get("/register").status_code == status


def test_invitation_registers_one_person(data: Path) -> None:
    with closing(Server(data, registration="invitation")) as server:
        server.people()
        secret = passwords.make_secret()
        server.catalog.write(
            lambda: links.make(
                links.INVITATION, passwords.hash_secret(secret), seconds=60, email="d@example.org"
            )
        )
        browser = server.browser()
        path = f"/register?invitation={secret}"
        assert "d@example.org" in browser.get(path).text
        done = browser.submit(path, invitation=secret, username="dora", password=PASSWORD)
        assert done.status_code == 303
        assert server.browser().get(path).status_code == 403


def test_taken_name_is_said_beside_the_form(data: Path) -> None:
    with closing(Server(data, registration="open")) as server:
        server.people()
        answer = server.browser().submit("/register", username="alice", password=PASSWORD)
        assert answer.status_code == 400
        assert 'value="alice"' in answer.text
        wrong = re.search(r'id="username-wrong">([^<]+)<', answer.text)
        assert wrong is not None
        assert wrong[1] == "A user or an organization has this name already."


def test_password_link_works_once_and_ends_sessions(server: Server, alice: Browser) -> None:
    secret = passwords.make_secret()
    user = server.catalog.read(users.get, "alice")
    server.catalog.write(
        lambda: links.make(
            links.PASSWORD, passwords.hash_secret(secret), seconds=60, user_id=user.id
        )
    )
    browser = server.browser()
    assert browser.submit(f"/password/{secret}", password=NEW).status_code == 303
    assert browser.get("/account").status_code == 200
    assert alice.get("/account").status_code == 303
    assert server.browser().get(f"/password/{secret}").status_code == 404


def test_unknown_page_is_a_page(browser: Browser) -> None:
    answer = browser.get("/account/nothing")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "There is nothing here" in text_of(answer)


@pytest.mark.parametrize(
    "body", [b"\xff=1", b"a=" + b"x" * 70_000, b"&".join(b"a=1" for _ in range(600))]
)
def test_junk_in_a_form_is_refused_and_no_error(browser: Browser, body: bytes) -> None:
    kind = {"content-type": "application/x-www-form-urlencoded"}
    answer = browser._loop.run_until_complete(
        browser.http.post("/login", content=body, headers=kind)
    )
    assert answer.status_code in {400, 413}
