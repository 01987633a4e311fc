"""A refresh token is exchanged once; when it comes back, somebody has it who should not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.access.parties import OAuthApp, ended, granted, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.access.parties import Server
    from tests.web_user import WebUser


def test_refresh_token_is_replaced_at_every_use(web: OAuthApp, bobby: WebUser) -> None:
    tokens = web.tokens(bobby)
    seen = {tokens["refresh_token"]}
    for _ in range(3):
        tokens = granted(web.refresh(tokens["refresh_token"]))
        assert web.status(tokens["access_token"]) == 200
        seen.add(tokens["refresh_token"])
    assert len(seen) == 4


def test_used_refresh_token_that_comes_back_ends_the_family(web: OAuthApp, bobby: WebUser) -> None:
    first = web.tokens(bobby)
    second = granted(web.refresh(first["refresh_token"]))
    third = granted(web.refresh(second["refresh_token"]))
    refused(web.refresh(first["refresh_token"]), "invalid_grant")
    for tokens in (first, second, third):
        ended(web, tokens)


def test_grant_that_has_ended_is_asked_for_again(web: OAuthApp, bobby: WebUser) -> None:
    first = web.tokens(bobby, scope="read")
    granted(web.refresh(first["refresh_token"]))
    refused(web.refresh(first["refresh_token"]), "invalid_grant")
    assert bobby.http.get(web.asking(scope="read")).status_code == 200
    assert web.status(web.tokens(bobby, scope="read")["access_token"]) == 200


def test_refresh_narrows_and_never_widens(web: OAuthApp, bobby: WebUser) -> None:
    tokens = web.tokens(bobby, scope="read write")
    narrow = granted(web.refresh(tokens["refresh_token"], scope="read"))
    assert narrow["scope"] == "read"
    for scope in ("read manage", "all", "admin", "control", "fly"):
        refused(web.refresh(narrow["refresh_token"], scope=scope), "invalid_scope")
    whole = granted(web.refresh(narrow["refresh_token"]))
    assert whole["scope"].split() == ["read", "write"]


def test_refresh_token_is_good_for_its_client_only(
    server: Server, web: OAuthApp, bobby: WebUser
) -> None:
    other = OAuthApp.register(server)
    tokens = web.tokens(bobby)
    refused(other.refresh(tokens["refresh_token"]), "invalid_grant")
    granted(web.refresh(tokens["refresh_token"]))


def test_public_application_refreshes_without_a_secret(public: OAuthApp, bobby: WebUser) -> None:
    tokens = public.tokens(bobby)
    again = granted(public.refresh(tokens["refresh_token"]))
    refused(public.refresh(tokens["refresh_token"]), "invalid_grant")
    ended(public, again)


def test_used_refresh_token_is_good_within_the_grace_that_its_owner_set(
    server: Server, alice: WebUser, bobby: WebUser, time_passes: Callable[..., None]
) -> None:
    app = OAuthApp.register(server)
    settings = f"/api/v2/apps/{app.client_id}"
    owner = ("alice", "correct horse battery")
    assert app.http.put(settings, json={"graceSeconds": 60}, auth=owner).status_code == 204
    tokens = app.tokens(bobby)
    twice = [granted(app.refresh(tokens["refresh_token"])) for _ in range(2)]
    assert [app.status(each["access_token"]) for each in twice] == [200, 200]
    time_passes("refresh_token", 61, "used")
    refused(app.refresh(tokens["refresh_token"]), "invalid_grant")
    for each in twice:
        ended(app, each)


def test_refresh_token_ends_with_its_life_and_the_access_token_with_its_own(
    web: OAuthApp, bobby: WebUser, time_passes: Callable[..., None]
) -> None:
    tokens = web.tokens(bobby)
    time_passes("access_token", 43_200)
    assert web.status(tokens["access_token"]) == 401
    assert web.introspect(tokens["access_token"]) == {"active": False}
    again = granted(web.refresh(tokens["refresh_token"]))
    time_passes("refresh_token", 7_776_000)
    refused(web.refresh(again["refresh_token"]), "invalid_grant")


def test_access_token_is_no_refresh_token_and_the_other_way_round(
    web: OAuthApp, bobby: WebUser
) -> None:
    tokens = web.tokens(bobby)
    refused(web.refresh(tokens["access_token"]), "invalid_grant")
    assert web.status(tokens["refresh_token"]) == 401
    assert web.status(tokens["access_token"]) == 200
