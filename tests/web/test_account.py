from __future__ import annotations

from typing import TYPE_CHECKING

from tests.web.conftest import PASSWORD, text_of, wrong_in
from wotkit.catalog import keys, users

if TYPE_CHECKING:
    from tests.web.conftest import Browser, Server

NEW = "another good password"


def test_profile_is_saved_and_told(alice: Browser, server: Server) -> None:
    done = alice.submit(
        "/account", first_name="Alice", email="alice@example.org", time_zone="Asia/Tokyo"
    )
    assert done.status_code == 303
    page = alice.get("/account")
    assert "Saved." in page.text
    assert "Saved." not in alice.get("/account").text
    user = server.catalog.read(users.get, "alice")
    assert (user.first_name, user.time_zone) == ("Alice", "Asia/Tokyo")


def test_wrong_address_is_said_beside_the_field_and_kept(alice: Browser) -> None:
    answer = alice.submit("/account", email="nonsense", time_zone="UTC")
    assert answer.status_code == 400
    assert wrong_in(answer) == ["It is not an e-mail address."]
    assert 'value="nonsense"' in answer.text
    assert 'aria-describedby="email-wrong"' in answer.text


def test_changed_password_ends_other_sessions_and_keys_when_asked(
    server: Server, alice: Browser
) -> None:
    other = server.browser()
    other.log_in("alice")
    alice.submit("/account/keys/new", name="gateway", scopes="all")
    user = server.catalog.read(users.get, "alice")
    done = alice.submit("/account/password", old_password=PASSWORD, password=NEW, revoke_keys="yes")
    assert done.status_code == 303
    assert alice.get("/account").status_code == 200
    assert other.get("/account").status_code == 303
    assert server.catalog.read(keys.list_for, user.id) == []


def test_wrong_present_password_changes_nothing(alice: Browser, server: Server) -> None:
    answer = alice.submit("/account/password", old_password="wrong", password=NEW)
    assert wrong_in(answer) == ["This is not your present password."]
    server.browser().log_in("alice")


def test_other_sessions_are_listed_and_end_when_asked(server: Server, alice: Browser) -> None:
    other = server.browser()
    other.log_in("alice")
    assert text_of(alice.get("/account/sessions")).count("192.0.2.7") >= 2
    alice.submit("/account/sessions")
    assert other.get("/account").status_code == 303
    assert alice.get("/account").status_code == 200


def test_session_of_a_disabled_user_ends_at_once(server: Server, alice: Browser) -> None:
    from tests.web.conftest import HERE

    server.catalog.write(users.set_enabled, "alice", False, HERE)
    assert alice.get("/account").status_code == 303


def test_home_page_counts_what_the_user_has(alice: Browser) -> None:
    alice.submit("/account/keys/new", name="gateway", scopes="all")
    said = text_of(alice.get("/"))
    assert "Hello, alice" in said
    assert "Keys 1 Gateways" in said
    assert "Sensors 0 None yet" in said
