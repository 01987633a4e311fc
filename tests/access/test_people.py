"""People: passwords, failed logins, sessions and their cookies, links; on a server of their own."""

from __future__ import annotations

import base64
import itertools
import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.access.mailbox import mailbox
from tests.access.parties import DEVICE, OAuthApp, Server, at_once, ended, text_of
from tests.system.server_process import wait_until
from tests.web_user import PASSWORD, WebUser

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.access.mailbox import Mailbox

NEW = "another good password"
LIMITS = (
    *("--set", "auth.failures_per_account=3", "--set", "auth.failures_per_address=8"),
    *("--set", "server.trusted_proxies=127.0.0.1"),
)
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def mails() -> Iterator[Mailbox]:
    with mailbox() as found:
        yield found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, mails: Mailbox) -> Iterator[Server]:
    """A server behind a proxy, which says where each request comes from."""
    data = tmp_path_factory.mktemp("people") / "data"
    with Server(data, *LIMITS, *mails.options) as found:
        found.add_user("alice", "--email", "alice@example.org")
        yield found
        assert "unexpected error" not in found.log


@pytest.fixture
def person(house: Server) -> str:
    """Somebody new, who has failed at nothing yet."""
    name = f"person{next(_numbers)}"
    house.add_user(name, "--email", f"{name}@example.org")
    return name


@pytest.fixture
def somewhere() -> dict[str, str]:
    """Headers of a proxy for an address from which nobody has failed yet."""
    return {"X-Forwarded-For": f"192.0.2.{next(_numbers)}"}


def at_home(house: Server, headers: dict[str, str], name: str = "", password: str = "") -> WebUser:
    user = WebUser(house.url, name, password or PASSWORD)
    user.http.headers.update(headers)
    return user


def log_in(house: Server, headers: dict[str, str], name: str, password: str) -> httpx.Response:
    with at_home(house, headers) as user:
        return user.submit(user.http.get("/login"), username=name, password=password)


def api(house: Server, headers: dict[str, str], name: str, password: str) -> httpx.Response:
    return house.http.get("/api/v2/alerts", headers=headers, auth=(name, password))


def failures(house: Server, target: str) -> list[dict[str, Any]]:
    """Return the failed logins of a name that the audit log has."""
    found: list[dict[str, Any]] = house.json("audit", "list", "--limit", "1000")
    return [row for row in found if row["action"] == "login.fail" and row["target"] == target]


def test_failures_of_an_account_are_limited_from_everywhere_and_over_a_restart(
    house: Server, person: str, somewhere: dict[str, str]
) -> None:
    assert log_in(house, somewhere, person, "wrong").status_code == 401
    assert api(house, somewhere, person, "wrong").status_code == 401
    assert log_in(house, {"X-Forwarded-For": "198.51.100.7"}, person, "wrong").status_code == 401
    house.stop()
    house.start()
    for answer in (
        log_in(house, somewhere, person, PASSWORD),
        log_in(house, {"X-Forwarded-For": "198.51.100.8"}, person, PASSWORD),
        api(house, somewhere, person, PASSWORD),
    ):
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 300
    assert log_in(house, somewhere, "alice", PASSWORD).status_code == 303
    with closing(sqlite3.connect(house.data / "catalog.db", timeout=20)) as catalog, catalog:
        catalog.execute("UPDATE login_failure SET at = at - 300000000")
    assert log_in(house, somewhere, person, PASSWORD).status_code == 303


def test_failures_from_an_address_are_limited_for_every_account(
    house: Server, person: str, somewhere: dict[str, str]
) -> None:
    for number in range(8):
        assert log_in(house, somewhere, f"nobody{number}", "wrong").status_code == 401
    answer = log_in(house, somewhere, person, PASSWORD)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    elsewhere = {"X-Forwarded-For": f"192.0.2.{next(_numbers)}"}
    assert log_in(house, elsewhere, person, PASSWORD).status_code == 303


def test_every_way_to_fail_is_in_the_audit_log(
    house: Server, person: str, somewhere: dict[str, str]
) -> None:
    app = OAuthApp.register(house, "--allow", "password", owner=person)
    form = {"grant_type": "password", "username": person, "password": "wrong"}
    client = {"client_id": app.client_id, "client_secret": str(app.secret)}
    token = "/api/oauth/token"
    log_in(house, somewhere, person, "wrong")
    api(house, somewhere, person, "wrong")
    house.http.post(token, data=form | client, headers=somewhere)
    found = failures(house, person)
    assert len(found) == 3
    assert {row["address"] for row in found} == {somewhere["X-Forwarded-For"]}
    key = house.add_key(person)
    api(house, somewhere, key.key_id, "wrong")
    assert len(failures(house, key.key_id)) == 1
    wrong = client | {"client_secret": "wrong", "token": "x"}
    house.http.post("/api/oauth/revoke", data=wrong, headers=somewhere)
    assert len(failures(house, app.client_id)) == 1
    assert PASSWORD not in str(house.json("audit", "list", "--limit", "1000"))


def test_wrong_present_password_and_wrong_device_codes_are_in_the_audit_log(
    house: Server, person: str, somewhere: dict[str, str]
) -> None:
    with at_home(house, somewhere, person) as user:
        page = user.open("/account/password")
        assert user.submit(page, old_password="wrong", password=NEW).status_code == 400
        user.submit(user.open("/device"), user_code="BCDF-GHJK")
    assert len(failures(house, person)) == 1
    rows = house.json("audit", "list", "--action", "device.guess")
    assert [row["actor"] for row in rows] == [person]


def test_wrong_name_and_wrong_password_are_answered_alike(
    house: Server, person: str, somewhere: dict[str, str]
) -> None:
    known, unknown = (log_in(house, somewhere, name, "wrong") for name in (person, "nobody-at-all"))
    assert text_of(known) == text_of(unknown)
    assert known.headers.keys() == unknown.headers.keys()
    first, second = (api(house, somewhere, name, "wrong") for name in (person, "nobody-at-all"))
    assert (first.status_code, second.status_code) == (401, 401)
    assert first.json()["error"]["message"] == second.json()["error"]["message"]


def test_session_cookie_is_hidden_from_script_and_secure_on_https(
    house: Server, person: str, somewhere: dict[str, str]
) -> None:
    for scheme in ("http", "https"):
        headers = somewhere | {"X-Forwarded-Proto": scheme}
        answer = log_in(house, headers, person, PASSWORD)
        if scheme == "https":  # the browser that stands in here keeps such cookies to itself
            with at_home(house, headers) as user:
                page = user.http.get("/login")
                visit = page.headers["set-cookie"]
                assert "; Secure" in visit
                cookie = visit.partition(";")[0]
                user.http.headers["Cookie"] = cookie
                answer = user.submit(page, username=person, password=PASSWORD)
        (cookie,) = [
            each
            for each in answer.headers.get_list("set-cookie")
            if each.startswith("wotkit_session=")
        ]
        flags = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "samesite=lax", "path=/"} <= flags
        assert ("secure" in flags) == (scheme == "https")
        assert not any(flag.startswith("domain") for flag in flags)


def test_session_is_new_at_login_and_ended_at_logout(
    house: Server, person: str, somewhere: dict[str, str]
) -> None:
    with at_home(house, somewhere, person) as user:
        own = {"domain": "127.0.0.1", "path": "/"}
        user.http.cookies.set("wotkit_session", "chosen-by-somebody-else", **own)
        user.open("/account")
        first = user.http.cookies["wotkit_session"]
        assert first != "chosen-by-somebody-else"
        page = user.http.get("/account")
        user.submit(user.http.get("/logout"))
        assert user.submit(page, first_name="X").status_code in {303, 403}
        user.http.cookies.set("wotkit_session", first, **own)
        assert user.http.get("/account").status_code == 303
        user.http.cookies.clear()
        user.open("/account")
        assert user.http.cookies["wotkit_session"] != first


def test_session_never_guards_the_api(
    house: Server, person: str, somewhere: dict[str, str]
) -> None:
    with at_home(house, somewhere, person) as user:
        user.open("/account")
        assert user.http.get("/api/v2/alerts").status_code == 401
        assert user.http.get("/api/v2/keys").status_code == 401
        made = user.http.post("/api/v2/keys", json={"name": "x"})
        assert made.status_code == 401


@pytest.mark.parametrize(("column", "seconds"), [("used", 1_209_600), ("created", 7_776_000)])
def test_session_ends_when_idle_and_in_any_case(
    house: Server, person: str, somewhere: dict[str, str], column: str, seconds: int
) -> None:
    with at_home(house, somewhere, person) as user:
        user.open("/account")
        for part, status in ((seconds - 60, 200), (120, 303)):
            with (
                closing(sqlite3.connect(house.data / "catalog.db", timeout=20)) as catalog,
                catalog,
            ):
                change = f"UPDATE web_session SET {column} = {column} - ?"
                catalog.execute(change, (part * 1_000_000,))
                # the password is older than the session, as it was before
                back = 'UPDATE "user" SET password_changed = password_changed - ?'
                catalog.execute(back, (part * 1_000_000,))
            assert user.http.get("/device").status_code == status
            if column == "used" and status == 200:
                with closing(sqlite3.connect(house.data / "catalog.db")) as catalog, catalog:
                    back = "UPDATE web_session SET used = used - ?"  # looking has touched it
                    catalog.execute(back, ((seconds - 60) * 1_000_000,))


@pytest.mark.parametrize("ticked", [False, True])
def test_changed_password_ends_sessions_grants_and_links_and_keys_if_ticked(
    house: Server, person: str, somewhere: dict[str, str], ticked: bool
) -> None:
    app = OAuthApp.register(house)
    key = house.add_key(person)
    link = house.command("user", "link", person, "--url", house.url).split()[-1]
    with at_home(house, somewhere, person) as user, at_home(house, somewhere, person) as other:
        other.open("/account")
        tokens = app.tokens(user)
        more = {"revoke_keys": "yes"} if ticked else {}
        page = user.open("/account/password")
        user.submit(page, old_password=PASSWORD, password=NEW, **more)
        assert user.http.get("/account").status_code == 200
        assert other.http.get("/account").status_code == 303
    ended(app, tokens)
    assert api(house, somewhere, *key).status_code == (401 if ticked else 200)
    assert house.http.get(link).status_code == 404
    assert api(house, somewhere, person, PASSWORD).status_code == 401
    assert api(house, somewhere, person, NEW).status_code == 200


def test_password_changed_by_command_ends_sessions_and_grants_and_keeps_keys(
    house: Server, person: str, somewhere: dict[str, str]
) -> None:
    app, key = OAuthApp.register(house), house.add_key(person)
    with at_home(house, somewhere, person) as user:
        tokens = app.tokens(user)
        house.command("user", "password", person, "--password-file", "-", stdin=NEW + "\n")
        assert user.http.get("/account").status_code == 303
    ended(app, tokens)
    assert api(house, somewhere, *key).status_code == 200


def test_password_of_any_length_counts_to_its_end(
    house: Server, person: str, somewhere: dict[str, str]
) -> None:
    long = "a" * 72 + "the end of it"
    with at_home(house, somewhere, person) as user:
        page = user.open("/account/password")
        for short in ("elevenchars", "password1234", "a" * 12):
            answer = user.submit(page, old_password=PASSWORD, password=short)
            if answer.status_code == 303:
                assert short == "a" * 12, short  # uncommon, if not clever
                house.command(
                    *("user", "password", person, "--password-file", "-"), stdin=PASSWORD + "\n"
                )
                page = user.open("/account/password")
        user.submit(page, old_password=PASSWORD, password=long)
    assert api(house, somewhere, person, long).status_code == 200
    assert api(house, somewhere, person, "a" * 72 + "another end").status_code == 401
    assert api(house, somewhere, person, "a" * 72).status_code == 401


def test_disabled_user_ends_sessions_and_tokens_at_the_next_request(
    house: Server, person: str, somewhere: dict[str, str]
) -> None:
    app = OAuthApp.register(house)
    with at_home(house, somewhere, person) as user:
        tokens = app.tokens(user)
        assert app.status(tokens["access_token"]) == 200
        house.command("user", "disable", person)
        assert user.http.get("/account").status_code == 303
        assert app.introspect(tokens["access_token"]) == {"active": False}
        ended(app, tokens)
    assert log_in(house, somewhere, person, PASSWORD).status_code == 401


def test_forgotten_password_comes_by_mail_and_tells_nobody_who_is_here(
    house: Server, person: str, somewhere: dict[str, str], mails: Mailbox
) -> None:
    said = []
    for name in (person, "nobody-at-all"):
        with at_home(house, somewhere) as user:
            answer = user.submit(user.http.get("/forgotten"), username=name)
            assert answer.status_code == 303
            said.append(text_of(user.http.get("/login")))
    assert said[0] == said[1]
    wait_until(lambda: any(person in mail for mail in mails.mails), 10, "a mail")
    (mail,) = [mail for mail in mails.mails if person in mail]
    (link,) = re.findall(r"http\S+/password/\S+", mail)
    assert link.startswith(f"{house.url}/password/")
    rows = house.json("audit", "list", "--action", "user.forgotten")
    assert [(row["target"], row["address"]) for row in rows] == [
        (person, somewhere["X-Forwarded-For"])
    ]
    with at_home(house, somewhere) as user:
        assert user.submit(user.http.get(link), password=NEW).status_code == 303
        assert user.http.get(link).status_code == 404
    assert api(house, somewhere, person, NEW).status_code == 200


def test_address_of_a_forgotten_password_is_found_in_any_case(
    house: Server, somewhere: dict[str, str], mails: Mailbox
) -> None:
    name = f"person{next(_numbers)}"
    house.add_user(name, "--email", f"{name.title()}@Example.org")
    for typed in (f"{name}@example.org", f"{name.title()}@Example.org"):
        mails.mails.clear()
        with at_home(house, somewhere) as user:
            user.submit(user.http.get("/forgotten"), username=typed)
        wait_until(lambda: any(name in mail for mail in mails.mails), 10, "a mail")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1:1", "10.0.0.1"])
def test_mail_never_leads_to_an_address_that_a_stranger_named(
    house: Server, person: str, somewhere: dict[str, str], mails: Mailbox, host: str
) -> None:
    before = len(mails.mails)
    with at_home(house, somewhere) as stranger:
        page = stranger.http.get("/forgotten")
        stranger.http.headers["Host"] = host.format(port=house.port)
        answer = stranger.submit(page, username=person)
        assert answer.status_code == 403
        assert "sends no e-mail" in text_of(answer)
        assert "sends no links" in text_of(stranger.http.get("/forgotten"))
    assert house.json("audit", "list", "--action", "user.forgotten", "--target", person) == []
    assert len(mails.mails) == before


def test_asking_for_links_is_limited(house: Server, person: str, somewhere: dict[str, str]) -> None:
    with at_home(house, somewhere) as user:
        page = user.http.get("/forgotten")
        answers = [user.submit(page, username="nobody-at-all") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [303, 303, 303, 429]
    assert int(answers[-1].headers["retry-after"]) > 0
    with at_home(house, {"X-Forwarded-For": f"192.0.2.{next(_numbers)}"}) as user:
        page = user.http.get("/forgotten")
        many = at_once(*[lambda: user.submit(page, username="nobody-at-all")] * 12)
    assert sorted(answer.status_code for answer in many) == [303] * 3 + [429] * 9
    # that is no failed login: it locks nobody out
    assert log_in(house, somewhere, person, PASSWORD).status_code == 303


def test_clients_that_fail_are_limited_by_address_and_good_ones_go_on(
    house: Server, somewhere: dict[str, str]
) -> None:
    app = OAuthApp.register(house)
    form = {"client_id": app.client_id, "client_secret": "wrong", "token": "x"}
    wrong = base64.b64encode(b"nobody:x").decode()
    for number in range(8):
        header = somewhere | ({"Authorization": f"Basic {wrong}"} if number % 2 else {})
        data = {"token": "x"} if number % 2 else form
        answer = house.http.post("/api/oauth/revoke", data=data, headers=header)
        assert answer.status_code == 401
    answer = house.http.post("/api/oauth/revoke", data=form, headers=somewhere)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["error"] == "temporarily_unavailable"
    good = form | {"client_secret": str(app.secret)}
    assert house.http.post("/api/oauth/revoke", data=good, headers=somewhere).status_code == 200


def test_guessed_passwords_of_the_password_grant_are_limited(
    house: Server, person: str, somewhere: dict[str, str]
) -> None:
    app = OAuthApp.register(house, "--allow", "password")
    client = {"client_id": app.client_id, "client_secret": str(app.secret)}
    form = {"grant_type": "password", "username": person, "password": "wrong"} | client
    tried = [house.http.post("/api/oauth/token", data=form, headers=somewhere) for _ in range(4)]
    assert [answer.status_code for answer in tried] == [400, 400, 400, 429]
    assert int(tried[-1].headers["retry-after"]) > 0
    form["password"] = PASSWORD
    assert house.http.post("/api/oauth/token", data=form, headers=somewhere).status_code == 429


def test_device_of_somebody_who_was_disabled_gets_nothing(
    house: Server, person: str, somewhere: dict[str, str]
) -> None:
    app = OAuthApp.register(house, kind="desktop", redirects=())
    begun = app.call("device_authorization").json()
    with at_home(house, somewhere, person) as user:
        user.enter_device_code(begun["user_code"])
    house.command("user", "disable", person)
    answer = app.call("token", grant_type=DEVICE, device_code=begun["device_code"])
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
