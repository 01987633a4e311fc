"""Everybody at once: one code, one refresh token, refresh against revoke; never two winners."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.oauth.conftest import CALLBACK

if TYPE_CHECKING:
    from tests.oauth.conftest import App, Platform
    from tests.web_user import WebUser

AT_ONCE = 50
ROUNDS = 10
PROCESSES = 4


async def all_at_once(requests: list[tuple[str, dict[str, str]]], app: App) -> list[httpx.Response]:
    """Send every request on a connection of its own, all at the same time."""
    assert app.credentials is not None
    limits = httpx.Limits(max_connections=len(requests))
    async with httpx.AsyncClient(
        base_url=f"{app.url}/api/oauth", auth=app.credentials, timeout=60, limits=limits
    ) as client:
        return await asyncio.gather(
            *(client.post(f"/{path}", data=form) for path, form in requests)
        )


def code_form(code: str) -> dict[str, str]:
    return {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}


def refresh_form(token: str) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": token}


def check_losers(answers: list[httpx.Response]) -> list[dict[str, Any]]:
    """Check that all but the winners are told the same, and return what the winners got."""
    for answer in answers:
        if answer.status_code != 200:
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    return [answer.json() for answer in answers if answer.status_code == 200]


def test_code_redeemed_by_many_at_once_has_one_winner_at_most(
    platform: Platform, alice: WebUser, web: App
) -> None:
    code = web.code(alice)
    answers = asyncio.run(all_at_once([("token", code_form(code))] * AT_ONCE, web))
    winners = check_losers(answers)
    assert len(winners) == 1
    # the replays that came after it have ended the grant
    assert platform.allows(winners[0]["access_token"]) == 401
    assert web.refresh(winners[0]["refresh_token"]).json()["error"] == "invalid_grant"


def test_refresh_token_used_by_many_at_once_has_one_winner_at_most(
    platform: Platform, alice: WebUser, web: App
) -> None:
    token = web.tokens(alice)["refresh_token"]
    answers = asyncio.run(all_at_once([("token", refresh_form(token))] * AT_ONCE, web))
    winners = check_losers(answers)
    assert len(winners) == 1
    assert platform.allows(winners[0]["access_token"]) == 401


def test_revoked_at_the_moment_of_a_refresh_leaves_nothing_that_works(
    platform: Platform, alice: WebUser, web: App
) -> None:
    outcomes = Counter[int]()
    for number in range(ROUNDS):
        tokens = web.tokens(alice)
        requests = [
            ("token", refresh_form(tokens["refresh_token"])),
            ("revoke", {"token": tokens["refresh_token"]}),
        ]
        answers = asyncio.run(all_at_once(requests[:: 1 if number % 2 else -1], web))
        by_path = {answer.request.url.path.rpartition("/")[2]: answer for answer in answers}
        assert by_path["revoke"].status_code == 200
        refreshed = by_path["token"]
        outcomes[refreshed.status_code] += 1
        assert refreshed.status_code in {200, 400}
        for found in (tokens, refreshed.json()):
            if "access_token" in found:
                assert platform.allows(found["access_token"]) == 401
                assert web.refresh(found["refresh_token"]).json()["error"] == "invalid_grant"
    assert sum(outcomes.values()) == ROUNDS


def test_many_users_at_once_do_not_disturb_each_other(alice: WebUser, web: App) -> None:
    codes = [web.code(alice, scope="read") for _ in range(10)]
    answers = asyncio.run(all_at_once([("token", code_form(code)) for code in codes], web))
    assert [answer.status_code for answer in answers] == [200] * len(codes)


@pytest.mark.parametrize("what", ["code", "refresh"])
def test_processes_on_one_catalog_have_one_winner(
    platform: Platform, alice: WebUser, web: App, what: str
) -> None:
    secret = web.code(alice) if what == "code" else web.tokens(alice)["refresh_token"]
    command = [
        *(sys.executable, "-m", "tests.oauth.redeemer", str(platform.data), web.client_id),
        *(str(web.secret), what, secret, CALLBACK),
    ]
    with ThreadPoolExecutor(PROCESSES) as pool:
        done = list(
            pool.map(
                lambda _: subprocess.run(
                    command, capture_output=True, text=True, check=False, timeout=60
                ),
                range(PROCESSES),
            )
        )
    for process in done:
        assert process.returncode == 0, process.stderr
    said = Counter(word for process in done for word in process.stdout.split())
    assert said["200"] == 1, said
    assert said["400"] == PROCESSES * 5 - 1, said
