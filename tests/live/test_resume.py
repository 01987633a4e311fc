"""Whoever goes on where a stream broke gets each reading once, in the order of storing."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.live.conftest import (
    Live,
    living,
    make_sensor,
    next_items,
    read_event,
    read_until,
    reading,
    store_elsewhere,
)
from wotkit.auth import credentials, passwords
from wotkit.catalog import users
from wotkit.catalog.audit import Actor
from wotkit.live import streams
from wotkit.live.items import READING
from wotkit.readings.store import Append, Replace

if TYPE_CHECKING:
    from wotkit.catalog.identity import Identity

HERE = Actor("tests", "127.0.0.1")
MINE, OTHER = "mine", "other"

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("post"), st.sampled_from([MINE, OTHER]), st.integers(1, 4)),
        st.tuples(st.just("elsewhere"), st.sampled_from([MINE, OTHER]), st.integers(1, 3)),
        st.tuples(st.just("replace"), st.just(MINE), st.just(1)),
        st.tuples(st.just("fail"), st.just(MINE), st.just(1)),
        st.tuples(st.just("read"), st.just(""), st.integers(1, 3)),
        st.tuples(st.just("cut"), st.just(""), st.integers(0, 3)),
        st.tuples(st.just("pause"), st.just(""), st.just(0)),
    ),
    max_size=14,
)


class Reader:
    """A client that is cut off again and again, and goes on behind the last it has."""

    def __init__(self, live: Live, alice: Identity) -> None:
        self.live = live
        self.alice = alice
        self.ids: list[int] = []
        self.position: int | None = None
        self.stream: Any = None

    async def connect(self) -> None:
        self.stream = await self.live.open(self.alice, "mine", since=self.position)
        self._take(await next_items(self.stream))

    async def read(self, times: int) -> None:
        for _ in range(times):
            try:
                async with asyncio.timeout(0.02):
                    self._take(await anext(self.stream))
            except TimeoutError:
                return

    async def cut(self, lost: int) -> None:
        """Close; some of what the server sent last never arrived."""
        self.stream.close()
        if lost and self.ids:
            del self.ids[-lost:]
            self.position = self.ids[-1] if self.ids else self.begun
        await self.connect()

    async def finish(self, last: int) -> None:
        async with asyncio.timeout(10):
            while self.position is not None and self.position < last:
                self._take(await anext(self.stream))
        self.stream.close()

    def _take(self, items: Any) -> None:
        for item in items:
            if item.event == READING:
                self.ids.append(item.position)
            elif self.position is None:
                self.begun: int = item.position
            assert self.position is None or item.position >= self.position
            self.position = item.position


async def run(folder: Path, steps: list[tuple[str, str, int]]) -> None:
    async with living(folder, heartbeat_seconds=0.3) as live:
        hashed = passwords.hash_password("x" * 12, 4)
        live.catalog.write(
            users.create, users.NewUser(username="alice", password_hash=hashed), HERE
        )
        alice = live.catalog.read(_alice)
        ids = {name: make_sensor(live.catalog, alice, name) for name in (MINE, OTHER)}
        await live.post(ids[MINE], "before")
        reader = Reader(live, alice)
        await reader.connect()
        for what, name, count in steps:
            match what:
                case "post":
                    await live.post(ids[name], *range(count))
                case "elsewhere":
                    store_elsewhere(live.path, ids[name], *range(count))
                case "replace":
                    await live.door.apply(Replace(ids[name], [reading(ids[name], 1)]))
                case "fail":  # leaves a gap in the ids
                    live.store._writer._forget()
                case "read":
                    await reader.read(count)
                case "cut":
                    await reader.cut(count)
                case "pause":
                    await asyncio.sleep(0.01)
        (last,) = await live.post(ids[MINE], "last")
        await reader.finish(last)
        there = live.store.since(reader.begun, 10_000, [ids[MINE]]).readings
    assert len(set(reader.ids)) == len(reader.ids)
    assert reader.ids == sorted(reader.ids)
    assert set(reader.ids) >= {one.id for one in there}
    if not any(step[0] == "replace" for step in steps):
        assert reader.ids == [one.id for one in there]


def _alice() -> Identity:
    found = credentials.candidate("alice")
    assert found is not None
    return found.identity


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
@example(steps=[("elsewhere", MINE, 2), ("post", MINE, 1), ("cut", "", 2), ("post", OTHER, 3)])
@example(steps=[("post", MINE, 3), ("elsewhere", OTHER, 1), ("post", MINE, 2), ("read", "", 3)])
def test_nothing_is_missing_or_repeated_wherever_a_stream_is_cut(
    steps: list[tuple[str, str, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder) / "data", steps))


@pytest.mark.slow
@settings(max_examples=600, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_nothing_is_missing_or_repeated_at_length(steps: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder) / "data", steps))


def test_resuming_under_load_goes_over_to_live_without_a_seam(
    data: Path, alice: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PAGE", 7)  # many pages, while more is stored all the time

    async def work() -> None:
        async with living(data) as live:
            mine = make_sensor(live.catalog, alice, "mine")
            other = make_sensor(live.catalog, alice, "other")
            for turn in range(60):
                await live.post(mine if turn % 3 else other, *range(5))
            writing = asyncio.create_task(write(live, mine, other))
            stream = await live.open(alice, "mine", since=0)
            found = await read_until(
                stream, lambda items: writing.done() and items[-1].position >= writing.result()
            )
            stream.close()
            there = live.store.since(0, 10_000, [mine]).readings
        ids = [item.position for item in found if item.event == READING]
        assert ids == [one.id for one in there]

    async def write(live: Live, mine: int, other: int) -> int:
        for turn in range(150):
            await live.post(mine if turn % 2 else other, *range(3))
            if turn % 10 == 0:
                store_elsewhere(live.path, mine, turn)
        return (await live.post(mine, "last"))[-1]

    asyncio.run(work())


@pytest.mark.parametrize("turn", [0, 1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_reading_stored_while_the_missed_are_read_comes_once(
    data: Path, alice: Identity, turn: int, when: str, where: str
) -> None:
    async def work() -> None:
        async with living(data) as live:
            mine = make_sensor(live.catalog, alice, "mine")
            ids = await live.post(mine, 1, 2)
            read, turns = live.streams.since, iter(range(100))

            async def store() -> None:
                if where == "here":
                    ids.extend(await live.post(mine, "between"))
                else:
                    ids.extend(store_elsewhere(live.path, mine, "between"))
                    await asyncio.sleep(0.25)  # the feed has found it

            async def interrupted(after: int, sensor_ids: Any) -> Any:
                now = next(turns) == turn
                if now and when == "before":
                    await store()
                found = await read(after, sensor_ids)
                if now and when == "after":
                    await store()
                return found

            live.streams.since = interrupted  # type: ignore[method-assign]  # the moment is chosen
            stream = await live.open(alice, "mine", since=0)
            found = await read_until(stream, lambda items: len(_ids(items)) >= 2)
            ids += await live.post(mine, "last")
            found += await read_until(stream, lambda items: ids[-1] in _ids(items))
            assert _ids(found) == ids
            stream.close()

    asyncio.run(work())


def test_what_came_twice_does_not_count_as_waiting(data: Path, alice: Identity) -> None:
    async def work() -> None:
        async with living(data, queue_bytes=1000) as live:
            mine = make_sensor(live.catalog, alice, "mine")
            ids = await live.post(mine, "first")
            read, turns = live.streams.since, iter(range(100))

            async def interrupted(after: int, sensor_ids: Any) -> Any:
                if next(turns) == 1:  # what is missed is read while the stream is attached
                    ids.extend(await live.post(mine, "x" * 600))
                return await read(after, sensor_ids)

            live.streams.since = interrupted  # type: ignore[method-assign]  # the moment is chosen
            stream = await live.open(alice, "mine", since=0)
            await read_until(stream, lambda items: ids[-1] in _ids(items) and len(ids) > 1)
            ids += await live.post(mine, "y" * 300)
            ids += await live.post(mine, "z" * 300)
            found = await read_until(stream, lambda items: ids[-1] in _ids(items))
            assert _ids(found) == ids[-2:]
            stream.close()

    asyncio.run(work())


def _ids(items: Any) -> list[int]:
    return [item.position for item in items if item.event == READING]


def test_position_from_the_future_is_the_present(data: Path, alice: Identity) -> None:
    """After a backup was put back, ids are given again that a client has seen."""

    async def work() -> None:
        async with living(data) as live:
            mine = make_sensor(live.catalog, alice, "mine")
            (first,) = await live.post(mine, 1)
            stream = await live.open(alice, "mine", since=1 << 60)
            (ready,) = await next_items(stream)
            assert ready.position == first
            (second,) = await live.post(mine, 2)
            assert (await read_event(stream, READING)).position == second
            stream.close()

    asyncio.run(work())


def test_heartbeat_moves_the_position_past_readings_of_others(data: Path, alice: Identity) -> None:
    async def work() -> None:
        async with living(data, heartbeat_seconds=0.1) as live:
            make_sensor(live.catalog, alice, "mine")
            other = make_sensor(live.catalog, alice, "other")
            stream = await live.open(alice, "mine")
            ids = await live.post(other, 1, 2, 3)
            found = await read_until(stream, lambda items: items and items[-1].position == ids[-1])
            assert [item.event for item in found if item.event == READING] == []
            stream.close()

    asyncio.run(work())


def test_late_readings_come_when_they_are_stored(data: Path, alice: Identity) -> None:
    async def work() -> None:
        async with living(data) as live:
            mine = make_sensor(live.catalog, alice, "mine")
            stream = await live.open(alice, "mine")
            late = reading(mine, "late")
            late = type(late)(mine, 5, late.data, late.values)
            await live.post(mine, "now")
            await live.door.apply(Append([late]))
            found = await read_until(
                stream, lambda items: sum(item.event == READING for item in items) == 2
            )
            assert [item.data.rpartition(":")[2] for item in found[-2:]] == ['"now"}', '"late"}']
            stream.close()

    asyncio.run(work())
