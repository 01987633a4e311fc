"""Everybody at the same moment, over HTTP: one winner at most, and nothing left that works."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.access.parties import DEVICE, OAuthApp, at_once, ended, granted, refused
from tests.web_user import PASSWORD, WebUser

if TYPE_CHECKING:
    import httpx

    from tests.access.parties import Server

FIFTY = 50
ROUNDS = 8


def winners_of(answers: list[httpx.Response]) -> list[dict[str, Any]]:
    for answer in answers:
        if answer.status_code != 200:
            refused(answer, "invalid_grant")
    return [granted(answer) for answer in answers if answer.status_code == 200]


@pytest.mark.parametrize("many", [6, FIFTY])
@pytest.mark.parametrize("kind", ["web", "public"])
def test_code_has_one_winner_whose_tokens_end_with_the_replays(
    web: OAuthApp, public: OAuthApp, bobby: WebUser, kind: str, many: int
) -> None:
    app = web if kind == "web" else public
    code = app.code(bobby)
    (winner,) = winners_of(at_once(*[lambda: app.redeem(code)] * many))
    ended(app, winner)


@pytest.mark.parametrize("kind", ["web", "public"])
def test_refresh_token_has_one_winner_whose_tokens_end_with_the_replays(
    web: OAuthApp, public: OAuthApp, bobby: WebUser, kind: str
) -> None:
    app = web if kind == "web" else public
    tokens = app.tokens(bobby)
    (winner,) = winners_of(at_once(*[lambda: app.refresh(tokens["refresh_token"])] * FIFTY))
    ended(app, winner)
    ended(app, tokens)


def test_refresh_tokens_of_different_grants_do_not_disturb_each_other(
    server: Server, web: OAuthApp, bobby: WebUser
) -> None:
    asked = ["read", "write", "manage", "control", "read write", "read manage", "all"]
    found = [web.tokens(bobby, scope=scope) for scope in asked]
    fresh = at_once(*[lambda t=t: web.refresh(t["refresh_token"]) for t in found])
    assert len(winners_of(fresh)) == len(asked)


def test_device_code_is_exchanged_by_one(server: Server, bobby: WebUser) -> None:
    app = OAuthApp.register(server, kind="desktop", redirects=())
    begun = app.call("device_authorization", scope="read").json()
    bobby.enter_device_code(begun["user_code"])
    form = {"grant_type": DEVICE, "device_code": begun["device_code"]}
    (winner,) = winners_of(at_once(*[lambda: app.call("token", **form)] * FIFTY))
    assert app.status(winner["access_token"]) == 200


def test_refresh_against_revoke_by_the_application_leaves_nothing(
    web: OAuthApp, bobby: WebUser
) -> None:
    for _ in range(ROUNDS):
        tokens = web.tokens(bobby)
        secret = tokens["refresh_token"]
        revoked, *answers = at_once(
            lambda secret=secret: web.call("revoke", token=secret),
            *[lambda secret=secret: web.refresh(secret)] * 2,
        )
        assert (revoked.status_code, revoked.json()) == (200, {})
        for each in [*winners_of(answers), tokens]:
            ended(web, each)


def test_refresh_against_the_user_who_revokes_leaves_nothing(
    server: Server, web: OAuthApp, bobby: WebUser
) -> None:
    owner = ("bobby", PASSWORD)
    for _ in range(ROUNDS):
        tokens = web.tokens(bobby, scope="write")
        listed = server.http.get("/api/v2/grants", auth=owner).json()
        (grant,) = [
            each["id"]
            for each in listed
            if each["clientId"] == web.client_id and each["scopes"] == ["write"]
        ]
        revoked, *answers = at_once(
            lambda grant=grant: server.http.delete(f"/api/v2/grants/{grant}", auth=owner),
            *[lambda secret=tokens["refresh_token"]: web.refresh(secret)] * 2,
        )
        assert revoked.status_code in {204, 404}  # a lost race of the two ended it before
        for each in [*winners_of(answers), tokens]:
            ended(web, each)


def test_refresh_against_a_changed_password_leaves_nothing(server: Server, web: OAuthApp) -> None:
    server.add_user("dorothy")
    old, new = PASSWORD, "another good password"
    for _ in range(4):
        with WebUser(server.url, "dorothy", old) as dorothy:
            tokens = web.tokens(dorothy)
            page = dorothy.open("/account/password")
            changed, *answers = at_once(
                partial(dorothy.submit, page, old_password=old, password=new),
                *[lambda secret=tokens["refresh_token"]: web.refresh(secret)] * 2,
            )
        assert changed.status_code == 303
        for each in [*winners_of(answers), tokens]:
            ended(web, each)
        old, new = new, old


def test_link_for_a_password_works_for_one(server: Server) -> None:
    server.add_user("forgetful")
    link = server.command("user", "link", "forgetful", "--url", server.url).split()[-1]
    browsers = [WebUser(server.url) for _ in range(8)]
    pages = [browser.http.get(link) for browser in browsers]
    chosen = [f"a good password {number}" for number in range(len(browsers))]
    answers = at_once(
        *[
            lambda b=browser, p=page, c=choice: b.submit(p, password=c)
            for browser, page, choice in zip(browsers, pages, chosen, strict=True)
        ]
    )
    assert sorted(answer.status_code for answer in answers) == [303] + [404] * 7
    won = next(place for place, answer in enumerate(answers) if answer.status_code == 303)
    ask = server.http.get("/api/v2/alerts", auth=("forgetful", chosen[won]))
    assert ask.status_code == 200
    for browser in browsers:
        browser.http.close()
