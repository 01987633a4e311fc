"""Several processes on one catalog, with no server between: what works once works once."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.access.parties import CALLBACK, DEVICE
from wotkit.auth import passwords
from wotkit.catalog import Catalog, apps, devices, grants, tokens
from wotkit.catalog.apps import AppChange
from wotkit.catalog.audit import Actor
from wotkit.catalog.models import AccessToken, AuthorizationCode, Grant, RefreshToken, rows

if TYPE_CHECKING:
    from tests.conftest import MakeUser
    from wotkit.catalog.identity import Identity

HERE = Actor("tests", "192.0.2.1")
PROCESSES = 5
AT_ONCE = 10
"""Calls of each process at the same moment: fifty in all."""
ROUNDS = 12
PACE = 0.1
Form = dict[str, str]
Call = tuple[str, Form]


class Client(NamedTuple):
    """A confidential application, and the user who lets it act."""

    catalog: Catalog
    user: Identity
    client_id: str
    secret: str

    def form(self, **fields: str) -> Form:
        return {"client_id": self.client_id, "client_secret": self.secret, **fields}

    def granted(self, kind: str = "password") -> tuple[int, str, str]:
        """Return the id of a new grant with a code and a refresh token."""

        def work() -> tuple[int, str, str]:
            app = apps.by_client_id(self.client_id)
            assert app is not None
            grant = grants.open_grant(self.user.user_id, app.id, kind=kind, scopes="read")
            code = tokens.make()
            about: dict[str, Any] = {"redirect_uri": CALLBACK, "scopes": "read", "challenge": None}
            tokens.keep_code(code, grant, **about, seconds=60)
            return grant.id, code, tokens.issue_refresh(grant, "read", 3600)

        return self.catalog.write(work)

    def redeeming(self, code: str) -> Call:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        return "token", self.form(**form)

    def refreshing(self, token: str) -> Call:
        return "token", self.form(grant_type="refresh_token", refresh_token=token)

    def nothing_works(self, grant_id: int) -> bool:
        """Return whether a grant has ended and nothing hangs off it any more."""

        def work() -> bool:
            ((ended,),) = rows(Grant.select(Grant.ended).where(Grant.id == grant_id))
            left = [
                rows(table.select(table.hash).where(table.grant == grant_id))
                for table in (AuthorizationCode, AccessToken, RefreshToken)
            ]
            return ended is not None and left == [[], [], []]

        return self.catalog.read(work)


@pytest.fixture
def client(catalog: Catalog, make_user: MakeUser) -> Client:
    alice, bobby = make_user("alice"), make_user("bobby")
    secret = passwords.make_secret()
    change = AppChange(name="Plotter", website="https://app.example", redirect_uris=[CALLBACK])
    made = catalog.write(apps.create, alice, "web", change, passwords.hash_secret(secret), HERE)
    return Client(catalog, bobby, made.client_id, secret)


def contend(client: Client, rounds: list[list[list[Call]]]) -> list[list[dict[str, Any]]]:
    """Give each process its calls of each round; return the answers of all, round by round."""
    folder = str(client.catalog.path.parent)
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.access.contender"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in rounds[0]
    ]
    for number, process in enumerate(processes):
        assert process.stdin is not None
        own = [{"after": PACE * place, "calls": each[number]} for place, each in enumerate(rounds)]
        process.stdin.write(json.dumps({"folder": folder, "rounds": own}) + "\n")
        process.stdin.flush()
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return [
        [answer for line in lines for answer in json.loads(line)]
        for lines in zip(*said, strict=True)
    ]


def winners_of(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the answers with tokens, after checking that all others are the refusal there is."""
    lost = [answer for answer in answers if answer["status"] != 200]
    assert {(answer["status"], answer["error"]) for answer in lost} <= {(400, "invalid_grant")}
    return [answer for answer in answers if answer["status"] == 200]


@pytest.mark.parametrize("what", ["code", "refresh token"])
def test_of_fifty_in_five_processes_one_wins_and_then_the_family_ends(
    client: Client, what: str
) -> None:
    grant_id, code, token = client.granted()
    call = client.redeeming(code) if what == "code" else client.refreshing(token)
    (answers,) = contend(client, [[[call] * AT_ONCE] * PROCESSES])
    assert len(answers) == PROCESSES * AT_ONCE
    assert len(winners_of(answers)) == 1
    assert client.nothing_works(grant_id)


def test_device_code_of_fifty_is_exchanged_by_one(client: Client) -> None:
    code = tokens.make()

    def allowed() -> None:
        app = apps.by_client_id(client.client_id)
        assert app is not None
        devices.add(code, "BCDFGHJK", app, "read", 60, 1)
        devices.allow("BCDF-GHJK", client.user, HERE)

    client.catalog.write(allowed)
    call = ("token", client.form(grant_type=DEVICE, device_code=code))
    (answers,) = contend(client, [[[call] * AT_ONCE] * PROCESSES])
    (winner,) = winners_of(answers)
    # who merely asks again has not stolen anything: what was given stays good
    assert client.catalog.read(tokens.facts, winner["access_token"], 1) is not None


@pytest.mark.parametrize("others", [1, 3])
def test_refresh_against_revoke_leaves_nothing_that_works(client: Client, others: int) -> None:
    grant_ids, rounds = [], []
    for number in range(ROUNDS):
        grant_id, _, token = client.granted()
        refresh = [client.refreshing(token)]
        revoke: list[Call] = [("revoke", client.form(token=token))]
        sides = [refresh] * others + [revoke]
        rounds.append(sides if number % 2 else sides[::-1])
        grant_ids.append(grant_id)
    for grant_id, answers in zip(grant_ids, contend(client, rounds), strict=True):
        revoked = [answer for answer in answers if answer["where"] == "revoke"]
        assert [answer["status"] for answer in revoked] == [200]
        assert len(winners_of([a for a in answers if a["where"] == "token"])) <= 1
        assert client.nothing_works(grant_id)


def test_code_and_its_refresh_against_each_other_have_one_winner_each(client: Client) -> None:
    """A code that comes back while its refresh token is exchanged ends that one too."""
    grant_id, code, token = client.granted()
    (first,) = contend(client, [[[client.redeeming(code)]]])
    winner = winners_of(first)[0]
    again = [client.redeeming(code)]
    refresh = [client.refreshing(winner["refresh_token"]), client.refreshing(token)]
    (answers,) = contend(client, [[again, refresh, again]])
    assert len(winners_of(answers)) <= 2
    assert client.nothing_works(grant_id)
