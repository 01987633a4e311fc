"""The catalog is asked once in a turn of the event loop, and never answers too late."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from wotkit.catalog import accounts
from wotkit.catalog.watch import TurnWatch

if TYPE_CHECKING:
    from wotkit.catalog import Catalog


def test_change_is_seen_in_the_next_turn(catalog: Catalog) -> None:
    async def work() -> None:
        with closing(TurnWatch(catalog.watch())) as watch:
            first = watch.revision()
            catalog.write(accounts.create, "alice", "user")
            assert watch.revision() == first == watch.seen  # this turn has asked already
            await asyncio.sleep(0)
            assert watch.seen == first
            second = watch.revision()
            assert second > first
            assert watch.seen == second
            await asyncio.sleep(0)
            assert watch.revision() == second

    asyncio.run(work())


def test_request_that_is_queued_after_a_change_goes_by_it(catalog: Catalog) -> None:
    async def work() -> None:
        with closing(TurnWatch(catalog.watch())) as watch:
            seen: list[int] = []

            async def request() -> None:
                seen.append(watch.revision())

            first = watch.revision()
            catalog.write(accounts.create, "alice", "user")
            await asyncio.gather(request(), request())
            assert seen[0] > first
            assert seen[1] == seen[0]

    asyncio.run(work())


def test_watch_outside_an_event_loop_is_a_mistake(catalog: Catalog) -> None:
    with closing(TurnWatch(catalog.watch())) as watch, pytest.raises(RuntimeError):
        watch.revision()
