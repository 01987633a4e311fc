from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from wotkit import times
from wotkit.catalog import Catalog, accounts, keys, users
from wotkit.catalog.audit import Actor
from wotkit.catalog.identity import (
    ANONYMOUS,
    EVERYDAY,
    Identity,
    expand,
    visible,
    writable,
)
from wotkit.catalog.keys import KeyChange, KeyRow
from wotkit.catalog.models import Account, Audit, Key, KeySensor, KeyUse, Sensor, rows
from wotkit.errors import MissingScope, NotFound, Unauthenticated, ValidationFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wotkit.catalog.engine import ChangeWatch

TESTS = Actor("tests", "127.0.0.1")


@pytest.fixture
def alice(make_user: Any) -> Identity:
    return make_user("alice", team="garden")


@pytest.fixture
def bob(make_user: Any, alice: Identity) -> Identity:
    return make_user("bobby", team="garden")


@pytest.fixture
def charlie(make_user: Any) -> Identity:
    return make_user("charlie")


@pytest.fixture
def sensors(catalog: Catalog, alice: Identity) -> dict[str, int]:
    """Alice's private lamp and public clock, and her team's private gate."""

    def work() -> dict[str, int]:
        garden = Account.get(Account.name == "garden").id
        wanted = [
            ("lamp", alice.user_id, "PRIVATE"),
            ("clock", alice.user_id, "PUBLIC"),
            ("gate", garden, "PRIVATE"),
        ]
        found = {}
        for name, owner, visibility in wanted:
            found[name] = accounts.next_id("sensor")
            Sensor.insert(
                id=found[name],
                owner=owner,
                name=name,
                long_name=name,
                description="",
                visibility=visibility,
                created=0,
            ).execute()
        return found

    return catalog.write(work)


@pytest.fixture
def watch(catalog: Catalog) -> Iterator[ChangeWatch]:
    found = catalog.watch()
    yield found
    found.close()


@pytest.fixture
def make(catalog: Catalog) -> Callable[..., KeyRow]:
    def make(identity: Identity, **attributes: Any) -> KeyRow:
        change = KeyChange(**{"name": "gateway", **attributes})
        return catalog.write(keys.create, identity, change, "a" * 64, TESTS)

    return make


def test_key_has_the_everyday_scopes_unless_others_are_named(
    alice: Identity, make: Callable[..., KeyRow]
) -> None:
    key = make(alice, description="in the shed")
    assert re.fullmatch(r"[0-9a-f]{16}", key.id)
    assert (key.owner, key.name, key.description) == ("alice", "gateway", "in the shed")
    assert (key.scopes, key.sensors, key.expires) == (("all",), None, None)
    assert (key.last_used, key.last_address, key.old_password_until) == (None, None, None)
    assert make(alice, scopes=["write", "read", "write"]).scopes == ("read", "write")


@pytest.mark.parametrize(
    ("attributes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": " \t"}, "name"),
        ({"name": "n" * 256}, "name"),
        ({"description": "d" * 4001}, "description"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes"),
        ({"scopes": ["READ"]}, "scopes"),
        ({"scopes": ["admin"]}, "scopes"),
        ({"expires": 1}, "expires"),
    ],
)
def test_invalid_attribute_is_refused_on_creation_and_on_change(
    catalog: Catalog,
    alice: Identity,
    make: Callable[..., KeyRow],
    attributes: dict[str, Any],
    field: str,
) -> None:
    with pytest.raises(ValidationFailed) as caught:
        make(alice, **attributes)
    assert list(caught.value.more) == [field]
    assert catalog.read(keys.list_all) == []
    key = make(alice)
    with pytest.raises(ValidationFailed) as caught:
        catalog.write(keys.update, alice, key.id, KeyChange(**attributes), TESTS)
    assert list(caught.value.more) == [field]
    assert catalog.read(keys.get, alice, key.id) == key


def test_admin_scope_is_for_administrators(make_user: Any, make: Callable[..., KeyRow]) -> None:
    assert make(make_user("root", admin=True), scopes=["admin", "all"]).scopes == ("admin", "all")


def test_key_is_hidden_from_everyone_but_its_owner(
    catalog: Catalog, alice: Identity, bob: Identity, charlie: Identity, make: Any
) -> None:
    key = make(alice)
    attempts: list[Callable[[Identity], Any]] = [
        lambda who: catalog.read(keys.get, who, key.id),
        lambda who: catalog.write(keys.update, who, key.id, KeyChange(name="mine"), TESTS),
        lambda who: catalog.write(
            keys.rotate, who, key.id, "b" * 64, overlap_seconds=0, actor=TESTS
        ),
        lambda who: catalog.write(keys.revoke, who, key.id, TESTS),
    ]
    for who in (bob, charlie, ANONYMOUS):
        for attempt in attempts:
            with pytest.raises(NotFound) as caught:
                attempt(who)
            assert caught.value.developer == (key.id,)
        assert catalog.read(keys.list_for, who.user_id) == []
    assert catalog.read(keys.get, alice, key.id) == key
    assert catalog.read(keys.list_for, alice.user_id) == [key]


def test_keys_are_listed_oldest_first(
    catalog: Catalog, alice: Identity, charlie: Identity, make: Callable[..., KeyRow]
) -> None:
    made = [make(who, name=f"key {n}").id for n, who in enumerate((alice, charlie, alice))]
    assert [row.id for row in catalog.read(keys.list_all)] == made
    assert [row.id for row in catalog.read(keys.list_for, alice.user_id)] == [made[0], made[2]]


def test_key_is_limited_to_sensors_its_owner_sees(
    catalog: Catalog,
    alice: Identity,
    charlie: Identity,
    sensors: dict[str, int],
    make: Callable[..., KeyRow],
) -> None:
    key = make(alice, sensors=["lamp", "garden.gate", "alice.clock", "lamp"])
    assert key.sensors == ("alice.clock", "alice.lamp", "garden.gate")
    assert make(charlie, sensors=["alice.clock"]).sensors == ("alice.clock",)
    assert make(alice, sensors=[]).sensors == ()
    count = len(catalog.read(keys.list_all))
    for hidden in ("alice.lamp", "garden.gate", "clock", "nobody.lamp", "", ".", "alice."):
        with pytest.raises(NotFound):
            make(charlie, sensors=["alice.clock", hidden])
    assert len(catalog.read(keys.list_all)) == count


def test_limit_is_replaced_lifted_and_left_alone(
    catalog: Catalog, alice: Identity, sensors: dict[str, int], make: Callable[..., KeyRow]
) -> None:
    key = make(alice, sensors=["lamp"])

    def change(**attributes: Any) -> KeyRow:
        catalog.write(keys.update, alice, key.id, KeyChange(**attributes), TESTS)
        return catalog.read(keys.get, alice, key.id)

    assert change(name="renamed").sensors == ("alice.lamp",)
    assert change(sensors=["clock"]).sensors == ("alice.clock",)
    with pytest.raises(NotFound):
        change(name="half done", sensors=["missing"])
    unchanged = catalog.read(keys.get, alice, key.id)
    assert (unchanged.name, unchanged.sensors) == ("renamed", ("alice.clock",))
    assert change(sensors=None).sensors is None
    assert catalog.read(lambda: KeySensor.select().count()) == 0


def test_change_touches_only_what_it_names(
    catalog: Catalog, alice: Identity, make: Callable[..., KeyRow]
) -> None:
    expires = times.now() + 10**9
    key = make(alice, scopes=["read"], expires=expires, description="d")
    catalog.write(keys.update, alice, key.id, KeyChange(), TESTS)
    assert catalog.read(keys.get, alice, key.id) == key
    catalog.write(keys.update, alice, key.id, KeyChange(expires=None, scopes=["write"]), TESTS)
    changed = catalog.read(keys.get, alice, key.id)
    assert (changed.expires, changed.scopes) == (None, ("write",))
    assert (changed.name, changed.description) == (key.name, key.description)


def test_rotation_keeps_the_old_password_for_the_overlap_only(
    catalog: Catalog, alice: Identity, make: Callable[..., KeyRow]
) -> None:
    key = make(alice)

    def rotate(secret_hash: str, seconds: float) -> tuple[Any, ...]:
        before = times.now()
        row = catalog.write(
            keys.rotate, alice, key.id, secret_hash, overlap_seconds=seconds, actor=TESTS
        )
        until = row.old_password_until
        assert (until is None) == (seconds <= 0)
        if until is not None:
            assert 0 <= until - before - seconds * 1_000_000 < 5_000_000
        columns = Key.select(Key.secret_hash, Key.old_secret_hash).where(Key.id == key.id)
        return catalog.read(lambda: rows(columns))[0]

    assert rotate("b" * 64, 60) == ("b" * 64, "a" * 64)
    assert rotate("c" * 64, 60) == ("c" * 64, "b" * 64)
    assert rotate("d" * 64, 0) == ("d" * 64, None)


def test_every_change_of_a_key_is_audited_without_its_secret_and_counted(
    catalog: Catalog, alice: Identity, watch: ChangeWatch, make: Callable[..., KeyRow]
) -> None:
    seen = [watch.revision()]
    key = make(alice)
    seen.append(watch.revision())
    catalog.write(keys.update, alice, key.id, KeyChange(name="renamed"), TESTS)
    seen.append(watch.revision())
    catalog.write(keys.rotate, alice, key.id, "b" * 64, overlap_seconds=1, actor=TESTS)
    seen.append(watch.revision())
    catalog.write(keys.revoke, alice, key.id, TESTS)
    seen.append(watch.revision())
    assert seen == sorted(set(seen))
    found = catalog.read(
        lambda: rows(
            Audit.select(Audit.action, Audit.details)
            .where(Audit.target == key.id)
            .order_by(Audit.id)
        )
    )
    actions = [action for action, _ in found]
    assert actions == ["key.create", "key.change", "key.rotate", "key.revoke"]
    assert "a" * 64 not in str(found)
    assert "b" * 64 not in str(found)
    assert json.loads(found[1][1]) == {"changed": ["name"]}


def test_revoked_key_leaves_nothing_behind(
    catalog: Catalog, alice: Identity, sensors: dict[str, int], make: Callable[..., KeyRow]
) -> None:
    key = make(alice, sensors=["lamp"])
    catalog.write(keys.note_uses, {key.id: (1, "192.0.2.1")})
    catalog.write(keys.revoke, alice, key.id, TESTS)
    for model in (Key, KeySensor, KeyUse):
        assert catalog.read(lambda model=model: model.select().count()) == 0
    with pytest.raises(NotFound):
        catalog.write(keys.revoke, alice, key.id, TESTS)


def test_uses_are_noted_without_raising_the_revision(
    catalog: Catalog, alice: Identity, watch: ChangeWatch, make: Callable[..., KeyRow]
) -> None:
    key, unused = make(alice), make(alice)
    before = watch.revision()
    catalog.write(keys.note_uses, {key.id: (1, "192.0.2.1"), "0" * 16: (1, "x")})
    catalog.write(keys.note_uses, {key.id: (2, "2001:db8::1")})
    catalog.write(keys.note_uses, {})
    row = catalog.read(keys.get, alice, key.id)
    assert (row.last_used, row.last_address) == (2, "2001:db8::1")
    assert catalog.read(keys.get, alice, unused.id).last_used is None
    assert watch.revision() == before


# Scopes and visibility


def test_all_stands_for_the_everyday_scopes_and_never_for_admin() -> None:
    assert expand(["all"]) == EVERYDAY == {"read", "write", "manage", "control"}
    assert expand(["all", "admin"]) == EVERYDAY | {"admin"}
    assert expand(["read"]) == {"read"}
    assert expand([]) == frozenset()


def test_missing_scope_is_told_from_missing_credentials() -> None:
    key = Identity(
        user_id=1,
        username="alice",
        accounts=frozenset({1}),
        scopes=frozenset({"read"}),
        key_id="0" * 16,
    )
    key.require("read")
    key.require_known()
    with pytest.raises(MissingScope) as caught:
        key.require("write")
    assert caught.value.scope == "write"
    with pytest.raises(MissingScope, match="never manages keys"):
        key.require_user("keys")
    ANONYMOUS.require("read")
    for refused in (
        lambda: ANONYMOUS.require("write"),
        ANONYMOUS.require_known,
        lambda: ANONYMOUS.require_user("keys"),
    ):
        with pytest.raises(Unauthenticated):
            refused()


def test_visibility_and_writing_follow_ownership_teams_and_limits(
    catalog: Catalog,
    alice: Identity,
    bob: Identity,
    charlie: Identity,
    sensors: dict[str, int],
) -> None:
    def names(condition: Any) -> set[str]:
        query = Sensor.select(Sensor.name).where(condition)
        return {name for (name,) in catalog.read(lambda: rows(query))}

    def limited(identity: Identity, *to: str) -> Identity:
        ids = frozenset(sensors[name] for name in to)
        return msgspec.structs.replace(identity, sensors=ids)

    expected: list[tuple[Identity, set[str], set[str]]] = [
        (alice, {"lamp", "clock", "gate"}, {"lamp", "clock", "gate"}),
        (bob, {"clock", "gate"}, {"gate"}),
        (charlie, {"clock"}, set()),
        (ANONYMOUS, {"clock"}, set()),
        (limited(alice, "lamp"), {"lamp"}, {"lamp"}),
        (limited(bob, "lamp", "clock"), {"clock"}, set()),
        (limited(charlie, "lamp"), set(), set()),
        (limited(alice), set(), set()),
    ]
    for identity, seen, written in expected:
        assert names(visible(identity)) == seen
        assert names(writable(identity)) == written


def test_disabled_owner_is_no_reason_to_lose_keys(
    catalog: Catalog, alice: Identity, make: Callable[..., KeyRow]
) -> None:
    key = make(alice)
    catalog.write(users.set_enabled, "alice", False, TESTS)
    assert catalog.read(keys.list_all) == [key]
