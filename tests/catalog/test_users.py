from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from wotkit.catalog import Catalog, accounts, orgs, users
from wotkit.catalog.audit import Actor
from wotkit.catalog.models import Account, Audit, User, rows
from wotkit.catalog.users import NewUser, UserChange
from wotkit.errors import AlreadyExists, InvalidObject, NotFound

if TYPE_CHECKING:
    from wotkit.catalog.engine import ChangeWatch

TESTS = Actor("tests", "127.0.0.1")


def add(catalog: Catalog, name: str, **attributes: Any) -> int:
    return catalog.write(
        users.create, NewUser(username=name, password_hash="x", **attributes), TESTS
    )


def audited(catalog: Catalog) -> list[tuple[Any, ...]]:
    query = Audit.select(Audit.actor, Audit.action, Audit.target).order_by(Audit.id)
    return catalog.read(lambda: rows(query))


def test_user_is_listed_with_everything_but_the_password(catalog: Catalog) -> None:
    user_id = add(
        catalog,
        "alice",
        email="alice@example.org",
        first_name="Alice",
        last_name="Smith",
        time_zone="Europe/Dublin",
        role="admin",
    )
    (row,) = catalog.read(users.list_all)
    assert row == catalog.read(users.get, "alice")
    assert (row.id, row.username, row.email, row.role) == (
        user_id,
        "alice",
        "alice@example.org",
        "admin",
    )
    assert (row.first_name, row.last_name, row.time_zone) == ("Alice", "Smith", "Europe/Dublin")
    assert row.enabled is True
    assert row.created > 0
    assert not [name for name in row.__struct_fields__ if "password" in name]


def test_users_are_listed_oldest_first(catalog: Catalog) -> None:
    for name in ("charlie", "alice", "bobby"):
        add(catalog, name)
    assert [row.username for row in catalog.read(users.list_all)] == ["charlie", "alice", "bobby"]


@pytest.mark.parametrize(
    "name",
    ["", "abc", "Alice", "al ice", "alice\n", "älice", "a" * 51, "alice.b", "../alice", "al\0ice"],
)
def test_invalid_username_is_refused(catalog: Catalog, name: str) -> None:
    with pytest.raises(InvalidObject) as caught:
        add(catalog, name)
    assert list(caught.value.more) == ["username"]
    assert caught.value.more["username"].startswith("is invalid")
    assert catalog.read(lambda: Account.select().count()) == 0


def test_username_that_looks_like_a_key_id_is_refused(catalog: Catalog) -> None:
    """Its password could never be told from a key's."""
    with pytest.raises(InvalidObject):
        add(catalog, "0123456789abcdef")
    add(catalog, "0123456789abcdeg")
    add(catalog, "0123456789abcde")


def test_all_invalid_attributes_are_told_at_once(catalog: Catalog) -> None:
    with pytest.raises(InvalidObject) as caught:
        add(catalog, "a", email="no address", time_zone="Mars/Olympus", role="king")
    assert set(caught.value.more) == {"username", "email", "timeZone", "role"}
    assert len(caught.value.developer) == 4


@pytest.mark.parametrize(
    "email", ["a@b@c", "@", "a@", "a b@c", "a@b\nBcc: c@d", "a\0@b", "a@b\x7f"]
)
def test_invalid_email_is_refused(catalog: Catalog, email: str) -> None:
    with pytest.raises(InvalidObject) as caught:
        add(catalog, "alice", email=email)
    assert list(caught.value.more) == ["email"]


@pytest.mark.parametrize("attribute", ["first_name", "last_name", "email"])
def test_name_of_any_length_is_no_name(catalog: Catalog, attribute: str) -> None:
    longest = "a@" + "b" * 253
    add(catalog, "alice", **{attribute: longest})
    with pytest.raises(InvalidObject) as caught:
        add(catalog, "bobby", **{attribute: longest + "b"})
    assert list(caught.value.more) == [attribute]
    with pytest.raises(InvalidObject) as caught:
        catalog.write(users.change, "alice", UserChange(**{attribute: longest + "b"}), TESTS)
    assert list(caught.value.more) == [attribute]


def test_name_is_taken_once_among_users_and_organizations(catalog: Catalog) -> None:
    add(catalog, "alice")
    catalog.write(orgs.create, "garden", "The garden", TESTS)
    for name in ("alice", "garden"):
        with pytest.raises(AlreadyExists, match="already exists") as caught:
            add(catalog, name)
        assert caught.value.more == {"name": "already taken"}
    with pytest.raises(AlreadyExists):
        catalog.write(accounts.create, "alice", "org")
    assert [row.username for row in catalog.read(users.list_all)] == ["alice"]
    assert add(catalog, "bobby") == 3, "a refused name uses no id up"


def test_unknown_user_is_not_found(catalog: Catalog) -> None:
    add(catalog, "alice")
    for name in ("nobody", "ALICE", "alice ", "", "alice' OR '1'='1", "%"):
        with pytest.raises(NotFound) as caught:
            catalog.read(users.get, name)
        assert caught.value.developer == (name,)
        with pytest.raises(NotFound):
            catalog.write(users.set_password, name, "y", TESTS)
        with pytest.raises(NotFound):
            catalog.write(users.set_enabled, name, False, TESTS)


def test_password_of_one_user_changes_and_of_no_other(catalog: Catalog) -> None:
    add(catalog, "alice")
    add(catalog, "bobby")

    def hashes() -> dict[str, tuple[str, int]]:
        query = User.select(Account.name, User.password_hash, User.password_changed).join(Account)
        return {name: (hashed, changed) for name, hashed, changed in rows(query)}

    before = catalog.read(hashes)
    catalog.write(users.set_password, "alice", "y", TESTS)
    after = catalog.read(hashes)
    assert after["alice"][0] == "y"
    assert after["alice"][1] >= before["alice"][1]
    assert after["bobby"] == before["bobby"]


def test_rehash_loses_against_a_password_that_changed_meanwhile(catalog: Catalog) -> None:
    user_id = add(catalog, "alice")
    catalog.write(users.rehash, user_id, "x", "x at a higher cost")

    def stored() -> str:
        return str(User.get_by_id(user_id).password_hash)

    assert catalog.read(stored) == "x at a higher cost"
    catalog.write(users.set_password, "alice", "new", TESTS)
    catalog.write(users.rehash, user_id, "x at a higher cost", "old again")
    assert catalog.read(stored) == "new"


def test_account_is_disabled_and_enabled(catalog: Catalog) -> None:
    add(catalog, "alice")
    add(catalog, "bobby")
    catalog.write(users.set_enabled, "alice", False, TESTS)
    assert [row.enabled for row in catalog.read(users.list_all)] == [False, True]
    catalog.write(users.set_enabled, "alice", True, TESTS)
    assert [row.enabled for row in catalog.read(users.list_all)] == [True, True]


def test_every_change_is_audited_and_counted(catalog: Catalog) -> None:
    watch: ChangeWatch = catalog.watch()
    changes: list[Any] = [
        lambda: add(catalog, "alice"),
        lambda: catalog.write(users.set_password, "alice", "y", TESTS),
        lambda: catalog.write(users.set_enabled, "alice", False, TESTS),
        lambda: catalog.write(users.set_enabled, "alice", True, TESTS),
    ]
    for change in changes:
        before = watch.revision()
        change()
        assert watch.revision() > before
    watch.close()
    actions = ["user.create", "user.password", "user.disable", "user.enable"]
    assert audited(catalog) == [("tests", action, "alice") for action in actions]
    assert "y" not in str(catalog.read(lambda: rows(Audit.select(Audit.details))))
