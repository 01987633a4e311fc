"""Routing keys mean the topics that clients used, and the bridge has an account of its own."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from wotkit.auth import passwords
from wotkit.auth.authenticator import Authenticator
from wotkit.catalog import keys
from wotkit.catalog.audit import Actor
from wotkit.catalog.keys import KeyChange
from wotkit.mqtt.authorize import Account, Authority, Verb, topic_of
from wotkit.mqtt.vouched import Vouched
from wotkit.settings import AuthSettings

if TYPE_CHECKING:
    from tests.conftest import MakeUser
    from wotkit.catalog import Catalog

KEY = "0123456789abcdef"
HERE = Actor("tests", "127.0.0.1")


@pytest.mark.parametrize(
    "topic",
    [
        "data",
        "ack",
        "sensors/roof/data",
        "sensors/alice.roof/data",
        "sensors/data/data",
        "sensors/17/data",
        "commands/roof",
        "commands/alice.data",
        "commands/+",
        "commands/#",
        "live/alice.roof",
    ],
)
def test_routing_key_is_turned_back_into_its_topic(topic: str) -> None:
    whole = f"wotkit/{KEY}/{topic}"
    assert topic_of(whole.replace("/", ".").replace("+", "*")) == whole


@pytest.mark.parametrize("routing_key", ["", "#", "wotkit", "wotkit.#", f"wotkit.{KEY}.#", "*.*.*"])
def test_other_routing_keys_become_no_topic_of_a_key(routing_key: str) -> None:
    assert topic_of(routing_key).replace("+", "*").replace("/", ".") == routing_key


def test_sensor_with_more_than_one_dot_is_no_sensor() -> None:
    assert topic_of(f"wotkit.{KEY}.sensors.a.b.c.data") == f"wotkit/{KEY}/sensors/a/b/c/data"


def test_bridges_account_reads_and_writes_everything_of_the_platform(catalog: Catalog) -> None:
    async def decide() -> list[bool]:
        watch = catalog.watch()
        authenticator = Authenticator(catalog, AuthSettings(bcrypt_cost=4), catalog.watch())
        bridge = Account("bridge", "secret")
        authority = Authority(authenticator, Vouched(catalog, watch), bridge=bridge)
        try:
            return [
                await authority.admits("bridge", "secret", "127.0.0.1"),
                await authority.holds("bridge"),
                await authority.allows("bridge", Verb.SUBSCRIBE, "wotkit/+/data"),
                await authority.allows("bridge", Verb.SUBSCRIBE, "$share/wotkit/wotkit/+/data"),
                await authority.allows("bridge", Verb.PUBLISH, f"wotkit/{KEY}/ack"),
                await authority.admits("bridge", "wrong", "127.0.0.1"),
                await authority.allows("bridge", Verb.SUBSCRIBE, "#"),
                await authority.allows("other", Verb.SUBSCRIBE, "wotkit/+/data"),
            ]
        finally:
            authenticator.close()
            watch.close()

    assert asyncio.run(decide()) == [True] * 5 + [False] * 3


def test_key_that_a_broker_vouches_for_is_looked_up_again_when_the_catalog_changes(
    catalog: Catalog, make_user: MakeUser
) -> None:
    alice = make_user("alice")
    secret = passwords.hash_secret(passwords.make_secret())
    row = catalog.write(keys.create, alice, KeyChange(name="x", scopes=["write"]), secret, HERE)

    async def look() -> None:
        with closing(catalog.watch()) as watch:
            vouched = Vouched(catalog, watch)
            found = await vouched.identity(row.id)
            assert found is not None
            assert (found.key_id, found.username, found.scopes) == (row.id, "alice", {"write"})
            assert await vouched.identity(row.id) is found
            change = KeyChange(scopes=["control"])
            await catalog.writing(keys.update, alice, row.id, change, HERE)
            found = await vouched.identity(row.id)
            assert found is not None
            assert found.scopes == {"control"}
            await catalog.writing(keys.revoke, alice, row.id, HERE)
            assert await vouched.identity(row.id) is None
            assert await vouched.identity("no key at all") is None

    asyncio.run(look())
