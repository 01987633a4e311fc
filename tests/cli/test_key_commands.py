from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from wotkit import times
from wotkit.auth import credentials
from wotkit.catalog import Catalog, models

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Wotkit
    from wotkit.catalog.identity import Identity


def in_catalog(data: Path, work: Callable[..., Any], *args: Any) -> Any:
    catalog = Catalog(data)
    try:
        return catalog.write(work, *args)
    finally:
        catalog.close()


def identity(data: Path, key: dict[str, Any]) -> Identity | None:
    """Who a server on this folder would take the key for."""
    return in_catalog(data, credentials.of_key, key["key_id"], key["key_password"])


@pytest.fixture
def alice(wotkit: Wotkit) -> Wotkit:
    wotkit.user("alice")
    return wotkit


def add_sensor(data: Path, name: str, owner: str) -> int:
    def work() -> int:
        account = models.Account.get(models.Account.name == owner)
        models.Sensor.insert(
            id=7, owner=account, name=name, long_name=name, description="", created=0
        ).execute()
        return 7

    return int(in_catalog(data, work))


def test_created_key_acts_for_its_user(alice: Wotkit) -> None:
    key = alice.json("key", "create", "--user", "alice", "--name", "gateway")
    found = identity(alice.data, key)
    assert found is not None
    assert found.username == "alice"
    assert found.scopes == {"read", "write", "manage", "control"}
    assert (key["name"], key["scopes"], key["expires"]) == ("gateway", ["all"], None)


def test_key_may_be_limited_in_scope_sensors_and_time(alice: Wotkit) -> None:
    sensor_id = add_sensor(alice.data, "roof", "alice")
    before = times.now()
    key = alice.json(
        *("key", "create", "--user", "alice", "--name", "roof", "--scope", "write"),
        *("--scope", "read", "--sensor", "roof", "--expires", "2d"),
    )
    found = identity(alice.data, key)
    assert found is not None
    assert found.scopes == {"read", "write"}
    assert found.sensors == {sensor_id}
    assert found.expires is not None
    two_days = 2 * 86_400 * times.MICROSECONDS
    assert before + two_days <= found.expires <= times.now() + two_days
    assert key["sensors"] == ["alice.roof"]


def test_expiry_is_also_a_time(alice: Wotkit) -> None:
    key = alice.json(
        "key", "create", "--user", "alice", "--name", "gw", "--expires", "2099-01-31T18:00:00+01:00"
    )
    assert key["expires"] == "2099-01-31T17:00:00.000Z"


@pytest.mark.parametrize("when", ["soon", "31.1.2099", "10", "2000-01-01"])
def test_expiry_that_is_no_time_to_come_is_refused(alice: Wotkit, when: str) -> None:
    command = ("key", "create", "--user", "alice", "--name", "gw", "--expires", when)
    result = alice.run(*command)
    assert result.exit_code in {1, 2}
    assert "expires" in result.stderr or "ISO 8601" in result.stderr
    assert alice.json("key", "list") == []


def test_admin_scope_is_for_admins(alice: Wotkit) -> None:
    said = alice.refused("key", "create", "--user", "alice", "--name", "x", "--scope", "admin")
    assert "administrators only" in said


def test_unknown_sensor_makes_no_key(alice: Wotkit) -> None:
    said = alice.refused("key", "create", "--user", "alice", "--name", "x", "--sensor", "cellar")
    assert "cellar" in said
    assert alice.json("key", "list") == []


def test_key_of_unknown_user_is_refused(alice: Wotkit) -> None:
    assert "charlie" in alice.refused("key", "create", "--user", "charlie", "--name", "x")


def test_key_of_disabled_user_is_refused(alice: Wotkit) -> None:
    alice.ok("user", "disable", "alice")
    said = alice.refused("key", "create", "--user", "alice", "--name", "x")
    assert "disabled" in said


def test_text_shows_the_password_once(alice: Wotkit) -> None:
    result = alice.run("key", "create", "--user", "alice", "--name", "gateway")
    lines = dict(line.split(maxsplit=2)[1:] for line in result.stdout.splitlines()[:2])
    key = {"key_id": lines["id"], "key_password": lines["password"]}
    assert identity(alice.data, key) is not None
    assert "note it now" in result.stderr
    assert key["key_password"] not in alice.ok("key", "list")
    assert key["key_password"] not in alice.ok("key", "list", "--json")


def test_list_is_of_one_user_or_of_all(alice: Wotkit) -> None:
    alice.user("bobby")
    alice.ok("key", "create", "--user", "alice", "--name", "one")
    alice.ok("key", "create", "--user", "bobby", "--name", "two")
    assert [row["name"] for row in alice.json("key", "list")] == ["one", "two"]
    assert [row["name"] for row in alice.json("key", "list", "--user", "bobby")] == ["two"]
    assert "bobby" in alice.ok("key", "list")
    assert "charlie" in alice.refused("key", "list", "--user", "charlie")


def test_rotated_key_has_two_passwords_for_a_while(alice: Wotkit) -> None:
    old = alice.json("key", "create", "--user", "alice", "--name", "gateway")
    new = alice.json("key", "rotate", old["key_id"])
    assert new["key_id"] == old["key_id"]
    assert new["key_password"] != old["key_password"]
    assert identity(alice.data, old) is not None
    assert identity(alice.data, new) is not None
    assert new["old_password_until"] is not None


def test_rotation_without_overlap_ends_the_old_password(alice: Wotkit) -> None:
    old = alice.json("key", "create", "--user", "alice", "--name", "gateway")
    new = alice.json("key", "rotate", old["key_id"], "--overlap-hours", "0")
    assert identity(alice.data, old) is None
    assert identity(alice.data, new) is not None


@pytest.mark.parametrize("hours", ["nan", "inf", "-1", "8761", "1e300"])
def test_overlap_that_is_no_time_is_refused(alice: Wotkit, hours: str) -> None:
    key = alice.json("key", "create", "--user", "alice", "--name", "gateway")
    said = alice.run("key", "rotate", key["key_id"], "--overlap-hours", hours)
    assert (said.exit_code, "--overlap-hours" in said.output) == (2, True)
    assert identity(alice.data, key) is not None


@pytest.mark.parametrize(
    "command",
    [
        ("key", "create", "--user", "alice", "--name", "a\udcff"),
        ("key", "list", "--user", "a\udcff"),
        ("app", "show", "a\udcff"),
        ("grant", "list", "--user", "a\udcff"),
        ("token", "developer", "a\udcff"),
        ("audit", "list", "--actor", "a\udcff"),
    ],
)
def test_argument_that_is_not_utf_8_is_refused(alice: Wotkit, command: tuple[str, ...]) -> None:
    assert "an argument is not UTF-8" in alice.refused(*command)


def test_revoked_key_is_nobody(alice: Wotkit) -> None:
    key = alice.json("key", "create", "--user", "alice", "--name", "gateway")
    alice.ok("key", "revoke", key["key_id"])
    assert identity(alice.data, key) is None
    assert key["key_id"] in alice.refused("key", "revoke", key["key_id"])


def test_key_of_disabled_user_can_be_revoked(alice: Wotkit) -> None:
    key = alice.json("key", "create", "--user", "alice", "--name", "gateway")
    alice.ok("user", "disable", "alice")
    alice.ok("key", "revoke", key["key_id"])
    assert alice.json("key", "list") == []


def test_control_characters_in_a_name_do_not_reach_the_terminal(alice: Wotkit) -> None:
    alice.ok("key", "create", "--user", "alice", "--name", "gate\x1b[2Jway")
    assert "\x1b" not in alice.ok("key", "list")
