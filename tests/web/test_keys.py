from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

import pytest

from gateway_agent.config import load_config
from tests.web.conftest import text_of, wrong_in

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from tests.web.conftest import Browser, Server


def copied(page: httpx.Response, name: str) -> str:
    """Return the text that a page offers to copy."""
    found = re.search(rf'<pre id="{name}"[^>]*>(.*?)</pre>', page.text, re.DOTALL)
    assert found is not None, page.text
    return unescape(found[1])


def made(alice: Browser, **fields: str) -> tuple[str, str]:
    page = alice.submit("/account/keys/new", **({"name": "gateway", "scopes": "all"} | fields))
    assert page.status_code == 200, page.text
    return copied(page, "key-id"), copied(page, "key-password")


def status_with(browser: Browser, key: tuple[str, str]) -> int:
    answer = browser._loop.run_until_complete(browser.http.get("/api/v2/alerts", auth=key))
    return int(answer.status_code)


def test_empty_list_says_what_keys_are_for(alice: Browser) -> None:
    assert "No keys yet" in text_of(alice.get("/account/keys"))


def test_new_key_works_and_its_password_is_shown_once(server: Server, alice: Browser) -> None:
    key = made(alice)
    assert status_with(server.browser(), key) == 200
    assert key[1] not in alice.get(f"/account/keys/{key[0]}").text
    assert key[0] in alice.get("/account/keys").text


@pytest.mark.parametrize("name", ['green "house"', "1st floor", "\u00e4\u00f6", "x" * 200])
def test_agent_configuration_is_one_that_the_agent_takes(
    alice: Browser, tmp_path: Path, name: str
) -> None:
    page = alice.submit("/account/keys/new", name=name, scopes="write")
    file = tmp_path / "agent.toml"
    file.write_text(copied(page, "agent"))
    assert load_config(file).platform.http == "http://testserver/api"


def test_rotated_key_keeps_its_old_password_for_the_overlap(server: Server, alice: Browser) -> None:
    key = made(alice)
    page = alice.submit(f"/account/keys/{key[0]}", action="rotate", overlap="24")
    new = copied(page, "key-password")
    assert new != key[1]
    assert status_with(server.browser(), key) == 200
    assert status_with(server.browser(), (key[0], new)) == 200
    alice.submit(f"/account/keys/{key[0]}", action="rotate", overlap="0")
    assert status_with(server.browser(), (key[0], new)) == 401


def test_revoked_key_is_refused_at_the_next_request(server: Server, alice: Browser) -> None:
    key = made(alice)
    assert status_with(server.browser(), key) == 200
    assert alice.submit(f"/account/keys/{key[0]}", action="revoke").status_code == 303
    assert status_with(server.browser(), key) == 401


def test_key_of_somebody_else_is_not_there(server: Server, alice: Browser) -> None:
    key = made(alice)
    charlie = server.browser()
    charlie.log_in("charlie")
    assert charlie.get(f"/account/keys/{key[0]}").status_code == 404


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": ""}, "Is required."),
        ({"name": "n" * 256}, "It has more than 255 characters."),
        ({"scopes": "fly"}, "Has unknown scopes: fly."),
        ({"scopes": "admin"}, "May have admin for administrators only."),
        ({"expires": "soon"}, "Is no time; use the form 2027-01-31T12:00."),
        ({"expires": "2001-01-01T00:00"}, "Lies in the past."),
        ({"sensors": "nothing"}, "There is no sensor nothing that you can see."),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(
    alice: Browser, fields: dict[str, str], wrong: str
) -> None:
    given = {"name": "gateway", "scopes": "all"} | fields
    answer = alice.submit("/account/keys/new", **given)
    assert answer.status_code == 400
    assert wrong_in(answer) == [wrong]
    assert "No keys yet" in text_of(alice.get("/account/keys"))


def test_expiry_is_in_the_time_zone_of_the_user(alice: Browser) -> None:
    key, _ = made(alice, expires="2030-07-01T12:00")
    assert "1 Jul 2030, 12:00 IST" in text_of(alice.get(f"/account/keys/{key}"))


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Chicago"])
def test_key_that_ends_with_the_calendar_is_shown_in_every_zone(alice: Browser, zone: str) -> None:
    assert alice.submit("/account", time_zone="UTC").status_code == 303
    key, _ = made(alice, expires="9999-12-31T23:59")
    assert alice.submit("/account", time_zone=zone).status_code == 303
    for page in ("/account/keys", f"/account/keys/{key}"):
        assert "31 Dec 9999" in text_of(alice.get(page))


def test_expiry_that_is_beyond_the_calendar_elsewhere_is_refused(alice: Browser) -> None:
    assert alice.submit("/account", time_zone="America/Chicago").status_code == 303
    fields = {"name": "gateway", "scopes": "all", "expires": "9999-12-31T23:59"}
    answer = alice.submit("/account/keys/new", **fields)
    assert answer.status_code == 400
    assert wrong_in(answer) == ["Is no time; use the form 2027-01-31T12:00."]


def test_name_is_escaped(alice: Browser) -> None:
    made(alice, name="<script>alert(1)</script>")
    assert "<script>alert" not in alice.get("/account/keys").text
