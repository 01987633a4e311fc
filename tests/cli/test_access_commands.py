from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from wotkit.auth import credentials, sealing
from wotkit.catalog import Catalog, apps

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Wotkit
    from wotkit.catalog.identity import Identity

CREATE = ("app", "create", "--user", "alice", "--name", "Plotter", "--website", "https://a.example")


@pytest.fixture
def alice(wotkit: Wotkit) -> Wotkit:
    wotkit.user("alice")
    return wotkit


@pytest.fixture
def plotter(alice: Wotkit) -> dict[str, Any]:
    found: dict[str, Any] = alice.json(*CREATE, "--redirect-uri", "https://a.example/back")
    return found


def identity(data: Path, token: str) -> Identity | None:
    catalog = Catalog(data)
    try:
        return catalog.read(credentials.of_token, token)
    finally:
        catalog.close()


def test_created_application_has_id_and_secret(plotter: dict[str, Any], alice: Wotkit) -> None:
    assert len(plotter["client_id"]) == 32
    assert len(plotter["client_secret"]) == 32
    assert plotter["redirect_uris"] == ["https://a.example/back"]
    (listed,) = alice.json("app", "list", "--user", "alice")
    assert listed["client_id"] == plotter["client_id"]
    assert plotter["client_secret"] not in alice.ok("app", "show", plotter["client_id"])


def test_public_application_has_no_secret(alice: Wotkit) -> None:
    assert alice.json(*CREATE, "--kind", "desktop")["client_secret"] is None


def test_switches_are_off_but_where_asked_for(alice: Wotkit) -> None:
    made = alice.json(*CREATE, "--allow", "password")
    assert made["allow_password"] is True
    assert made["allow_implicit"] is False


def test_bad_redirect_is_refused(alice: Wotkit) -> None:
    assert "redirectUris" in alice.refused(*CREATE, "--redirect-uri", "javascript:alert(1)")
    assert alice.json("app", "list") == []


def test_rotated_secret_is_another(plotter: dict[str, Any], alice: Wotkit) -> None:
    made = alice.json("app", "rotate", plotter["client_id"])
    assert made["client_secret"] != plotter["client_secret"]
    assert made["old_secret_until"] is not None


def test_signing_secret_is_printed_once_and_sealed(plotter: dict[str, Any], alice: Wotkit) -> None:
    client_id = plotter["client_id"]
    made = alice.json("app", "signing-secret", client_id)
    assert made["client_id"] == client_id
    assert made["signing_secret"] not in alice.ok("app", "show", client_id, "--json")
    key = (alice.data / "secret.key").read_text().strip()
    with closing(Catalog(alice.data)) as catalog:
        stored = catalog.read(lambda: apps.by_client_id(client_id))
    assert stored is not None
    assert stored.signing_secret is not None
    opened = sealing.open_sealed(stored.signing_secret, key, about=client_id)
    assert opened == made["signing_secret"]
    other = alice.ok("app", "signing-secret", client_id)
    assert re.fullmatch(r"signing secret  \w{32}\n", other)
    assert "nobody" in alice.refused("app", "signing-secret", "nobody")


def test_developer_token_acts_for_the_owner_until_its_grant_is_revoked(
    plotter: dict[str, Any], alice: Wotkit
) -> None:
    made = alice.json("token", "developer", plotter["client_id"], "--scope", "read")
    found = identity(alice.data, made["access_token"])
    assert found is not None
    assert (found.username, found.scopes) == ("alice", {"read"})
    (listed,) = alice.json("grant", "list", "--user", "alice")
    assert listed["kind"] == "developer"
    assert "Plotter can no longer act for alice" in alice.ok("grant", "revoke", str(listed["id"]))
    assert identity(alice.data, made["access_token"]) is None
    assert "17" in alice.refused("grant", "revoke", "17")


@pytest.mark.parametrize("days", ["nan", "inf", "0", "3651", "1e300"])
def test_life_of_a_developer_token_that_is_no_time_is_refused(
    plotter: dict[str, Any], alice: Wotkit, days: str
) -> None:
    said = alice.run("token", "developer", plotter["client_id"], "--days", days)
    assert (said.exit_code, "--days" in said.output) == (2, True)
    assert alice.json("grant", "list", "--user", "alice") == []


def test_deleting_an_application_ends_its_tokens(plotter: dict[str, Any], alice: Wotkit) -> None:
    made = alice.json("token", "developer", plotter["client_id"])
    assert "1 grants of 1 users" in alice.ok("app", "delete", plotter["client_id"])
    assert identity(alice.data, made["access_token"]) is None
    assert plotter["client_id"] in alice.refused("app", "show", plotter["client_id"])
