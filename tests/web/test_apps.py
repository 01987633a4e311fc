from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.web.conftest import text_of, wrong_in
from tests.web.test_keys import copied

if TYPE_CHECKING:
    from tests.web.conftest import Browser, Server

PLOTTER = {
    "name": "Plotter",
    "description": "Plots what your sensors measure.",
    "website": "https://plotter.example",
    "redirect_uris": "https://plotter.example/callback\nhttps://plotter.example/other",
    "kind": "web",
    "scopes": "read",
}


def registered(alice: Browser, **fields: str) -> tuple[str, str]:
    page = alice.submit("/account/apps/new", **(PLOTTER | fields))
    assert page.status_code == 200, text_of(page)
    return copied(page, "client-id"), copied(page, "secret")


def token_status(browser: Browser, token: str) -> int:
    headers = {"authorization": f"Bearer {token}"}
    return browser.get("/api/v2/sensors", **headers).status_code


def test_registered_application_is_in_both_lists(server: Server, alice: Browser) -> None:
    assert "No applications yet" in text_of(alice.get("/account/apps"))
    client_id, secret = registered(alice)
    assert "Plotter" in text_of(alice.get("/account/apps"))
    public = server.browser().get("/apps?q=plot")
    assert "Plotter" in text_of(public)
    assert client_id not in public.text
    assert "Nothing found" in text_of(server.browser().get("/apps?q=nothing"))
    assert secret not in alice.get(f"/account/apps/{client_id}").text


def test_public_application_has_no_secret(alice: Browser) -> None:
    answer = alice.submit("/account/apps/new", **(PLOTTER | {"kind": "browser"}))
    assert answer.status_code == 303
    page = alice.get(answer.headers["location"])
    assert "Make a new secret" not in page.text


@pytest.mark.parametrize(
    ("fields", "beside"),
    [
        ({"name": ""}, "Is required."),
        ({"website": "ftp://x"}, "It must be an address that begins with https:// or http://."),
        ({"scopes": "fly"}, "Has unknown scopes: fly."),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(
    alice: Browser, fields: dict[str, str], beside: str
) -> None:
    answer = alice.submit("/account/apps/new", **(PLOTTER | fields))
    assert answer.status_code == 400
    assert beside in wrong_in(answer)
    assert "Plots what your sensors measure." in answer.text


@pytest.mark.parametrize("uri", ["javascript:alert(1)", "https://a.example/#x", "nonsense"])
def test_unsafe_redirect_address_is_refused(alice: Browser, uri: str) -> None:
    answer = alice.submit("/account/apps/new", **(PLOTTER | {"redirect_uris": uri}))
    assert answer.status_code == 400
    assert len(wrong_in(answer)) == 1


def test_settings_are_saved(alice: Browser) -> None:
    client_id, _ = registered(alice)
    path = f"/account/apps/{client_id}"
    changed = PLOTTER | {"action": "save", "name": "Drawer", "access_seconds": "600"}
    assert alice.submit(path, **changed, allow_implicit="yes").status_code == 303
    page = alice.get(path)
    assert 'value="Drawer"' in page.text
    assert 'value="600"' in page.text
    assert "http://testserver/api/oauth/token" in page.text
    bad = alice.submit(path, **(changed | {"access_seconds": "long"}))
    assert wrong_in(bad) == ["Is no whole number of seconds."]


def test_developer_token_works_until_it_is_revoked(server: Server, alice: Browser) -> None:
    client_id, _ = registered(alice)
    path = f"/account/apps/{client_id}"
    token = copied(alice.submit(path, action="developer"), "secret")
    assert token_status(server.browser(), token) == 200
    assert "Plotter" in text_of(alice.get("/account/connected"))
    alice.submit(path, action="developer-end")
    assert token_status(server.browser(), token) == 401


def test_revoked_connection_is_refused_at_the_next_request(server: Server, alice: Browser) -> None:
    assert "Nothing is connected" in text_of(alice.get("/account/connected"))
    client_id, _ = registered(alice)
    token = copied(alice.submit(f"/account/apps/{client_id}", action="developer"), "secret")
    grant = alice.get("/account/connected").text.partition('name="grant" value="')[2].split('"')[0]
    charlie = server.browser()
    charlie.log_in("charlie")
    csrf = charlie.get("/account").text.partition('name="csrf" value="')[2][:64]
    for other in (grant, "9" * 19, "9" * 5000, "-1", "\u00b2", ""):
        assert charlie.post("/account/connected", csrf=csrf, grant=other).status_code == 404
    assert token_status(server.browser(), token) == 200
    assert alice.submit("/account/connected", grant=grant).status_code == 303
    assert token_status(server.browser(), token) == 401


def test_secrets_are_made_anew(alice: Browser) -> None:
    client_id, secret = registered(alice)
    path = f"/account/apps/{client_id}"
    assert copied(alice.submit(path, action="rotate", overlap="0"), "secret") != secret
    alice.submit(path, **PLOTTER, action="save", allow_frob="yes")
    assert len(copied(alice.submit(path, action="signing"), "secret")) == 32


def test_deleting_asks_for_the_name_and_says_what_ends(server: Server, alice: Browser) -> None:
    client_id, _ = registered(alice)
    path = f"/account/apps/{client_id}"
    token = copied(alice.submit(path, action="developer"), "secret")
    assert "1 user let it act for them" in text_of(alice.get(f"{path}/delete"))
    assert alice.submit(f"{path}/delete", name="plotter").status_code == 400
    assert alice.submit(f"{path}/delete", name="Plotter").status_code == 303
    assert alice.get(path).status_code == 404
    assert token_status(server.browser(), token) == 401


def test_application_of_somebody_else_is_not_there(server: Server, alice: Browser) -> None:
    client_id, _ = registered(alice)
    charlie = server.browser()
    charlie.log_in("charlie")
    assert charlie.get(f"/account/apps/{client_id}").status_code == 404
    assert charlie.get(f"/account/apps/{client_id}/delete").status_code == 404


def test_name_is_escaped_everywhere(server: Server, alice: Browser) -> None:
    client_id, _ = registered(alice, name="<script>x</script>")
    for path in ("/apps", "/account/apps", f"/account/apps/{client_id}"):
        assert "<script>x" not in alice.get(path).text
