"""Who waits for messages: woken by this process, by another, by the end, one at a time."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import TESTS
from wotkit.catalog import Catalog, control, sensors
from wotkit.catalog.identity import ANONYMOUS
from wotkit.catalog.models import ControlSubscription, rows
from wotkit.catalog.sensors import NewSensor
from wotkit.control.channel import WATCH_SECONDS, Channel
from wotkit.errors import NotFound, Overloaded
from wotkit.settings import ControlSettings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeUser
    from wotkit.catalog.identity import Identity

LIMITS = ControlSettings(redeliver_seconds=0.3)
Story = Callable[[Channel, int], Awaitable[Any]]
Play = Callable[[Story], Any]


@pytest.fixture
def alice(catalog: Catalog, make_user: MakeUser) -> Identity:
    """Alice, who has a public lamp."""
    found = make_user("alice")
    new = NewSensor(name="lamp", long_name="Lamp", description="A lamp", visibility="PUBLIC")
    catalog.write(sensors.create, found, new, TESTS)
    return found


@pytest.fixture
def play(catalog: Catalog, alice: Identity) -> Play:
    """Run a story with a channel and a subscription to the lamp."""
    subscription = catalog.write(control.subscribe, alice, "lamp", LIMITS)

    def run(story: Story) -> Any:
        async def main() -> Any:
            channel = Channel(catalog, catalog.watch_messages(), LIMITS)
            try:
                return await story(channel, subscription)
            finally:
                await channel.close()
                assert channel.waiting == 0

        return asyncio.run(main())

    return run


async def send(channel: Channel, expires: float | None = None) -> None:
    await channel.send(ANONYMOUS, "alice.lamp", "{}", expires)


def test_message_of_this_process_wakes_at_once(play: Play, alice: Identity) -> None:
    async def story(channel: Channel, subscription: int) -> float:
        waiting = asyncio.create_task(channel.receive(alice, subscription, 20))
        await asyncio.sleep(0.2)
        assert channel.waiting == 1
        started = time.monotonic()
        await send(channel)
        assert len(await waiting) == 1
        return time.monotonic() - started

    assert play(story) < 10


def test_message_of_another_process_wakes_soon(play: Play, alice: Identity, data: Path) -> None:
    async def story(channel: Channel, subscription: int) -> float:
        waiting = asyncio.create_task(channel.receive(alice, subscription, 20))
        await asyncio.sleep(0.2)
        with closing(Catalog(data)) as other:
            started = time.monotonic()
            other.write(control.send, ANONYMOUS, "alice.lamp", "{}", None, LIMITS)
        assert len(await waiting) == 1
        return time.monotonic() - started

    assert play(story) < WATCH_SECONDS + 2


def test_many_who_wait_are_each_woken_for_one_message(play: Play, alice: Identity) -> None:
    async def story(channel: Channel, subscription: int) -> list[int]:
        waiting = [asyncio.create_task(channel.receive(alice, subscription, 20)) for _ in range(5)]
        await asyncio.sleep(0.3)
        for _ in range(5):
            await send(channel)
            await asyncio.sleep(0.2)
        return [len(found) for found in await asyncio.gather(*waiting)]

    assert play(story) == [1, 1, 1, 1, 1]


def test_who_gives_up_leaves_the_message_to_the_next(play: Play, alice: Identity) -> None:
    async def story(channel: Channel, subscription: int) -> int:
        first = asyncio.create_task(channel.receive(alice, subscription, 20))
        second = asyncio.create_task(channel.receive(alice, subscription, 20))
        await asyncio.sleep(0.2)
        first.cancel()
        await asyncio.sleep(0)
        await send(channel)
        return len(await asyncio.wait_for(second, 5))

    assert play(story) == 1


def test_stop_lets_everybody_go_with_nothing_and_the_message_stays(
    play: Play, alice: Identity, catalog: Catalog
) -> None:
    async def story(channel: Channel, subscription: int) -> None:
        waiting = [asyncio.create_task(channel.receive(alice, subscription, 20)) for _ in range(3)]
        await asyncio.sleep(0.2)
        channel.stop_waiting()
        assert await asyncio.wait_for(asyncio.gather(*waiting), 2) == [[], [], []]
        await send(channel)
        assert await asyncio.wait_for(channel.receive(alice, subscription, 20), 2) == []
        found = await catalog.reading(control.look, alice, subscription, LIMITS)
        assert found.ready

    play(story)


def test_message_is_due_again_to_who_waits(play: Play, alice: Identity) -> None:
    async def story(channel: Channel, subscription: int) -> None:
        await send(channel, expires=60)
        first = await channel.receive(alice, subscription, 1)
        started = time.monotonic()
        assert await channel.receive(alice, subscription, 10) == first
        assert 0.2 < time.monotonic() - started < 5

    play(story)


def test_unknown_subscription_is_told_at_once(play: Play, alice: Identity) -> None:
    async def story(channel: Channel, subscription: int) -> None:
        with pytest.raises(NotFound):
            await channel.receive(alice, subscription + 1, 20)

    play(story)


def test_locked_catalog_is_told_and_takes_no_message(
    alice: Identity, catalog: Catalog, data: Path
) -> None:
    subscription = catalog.write(control.subscribe, alice, "lamp", LIMITS)

    async def main(impatient: Catalog) -> None:
        channel = Channel(impatient, impatient.watch_messages(), LIMITS)
        await send(channel)
        with closing(sqlite3.connect(catalog.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Overloaded):
                await channel.receive(alice, subscription, 20)
            other.execute("ROLLBACK")
        assert len(await channel.receive(alice, subscription, 0)) == 1
        await channel.close()

    with closing(Catalog(data, busy_seconds=0.05)) as impatient:
        asyncio.run(main(impatient))


def test_uses_are_written_together_also_of_those_who_wait(
    play: Play, alice: Identity, catalog: Catalog
) -> None:
    def used() -> int:
        ((at,),) = rows(ControlSubscription.select(ControlSubscription.used))
        return int(at)

    async def story(channel: Channel, subscription: int) -> None:
        before = catalog.read(used)
        await channel.receive(alice, subscription, 0)
        assert catalog.read(used) == before, "a poll alone writes nothing"
        await channel.note_uses()
        once = catalog.read(used)
        assert once > before
        await channel.note_uses()
        assert catalog.read(used) == once, "it was not used again"
        waiting = asyncio.create_task(channel.receive(alice, subscription, 20))
        await asyncio.sleep(0.1)
        await channel.note_uses()
        first = catalog.read(used)
        await channel.note_uses()
        assert once < first < catalog.read(used)
        channel.stop_waiting()
        await waiting

    play(story)


def test_nobody_waiting_means_nobody_watches(play: Play, alice: Identity) -> None:
    async def story(channel: Channel, subscription: int) -> None:
        await channel.receive(alice, subscription, 0.05)
        await asyncio.sleep(3 * WATCH_SECONDS)
        assert not channel._watching
        waiting = asyncio.create_task(channel.receive(alice, subscription, 20))
        await asyncio.sleep(0.05)
        assert channel._watching
        channel.stop_waiting()
        await waiting

    play(story)
