"""The queue in front of the writer: grouped, bounded, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.readings.model import new
from wotkit.errors import InternalError, Overloaded, StoreUnavailable
from wotkit.ingest.door import Door
from wotkit.metrics import IngestMetrics
from wotkit.readings.sqlite import FILE_NAME, SqliteStore
from wotkit.readings.store import Append, Delete, DropSensor, Probe, Range, StreamBatch
from wotkit.settings import IngestSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Sequence
    from pathlib import Path

    from wotkit.readings.store import NewReading, Operation, Outcome

PATIENCE = 20


class Opened:
    """A door to a real store, whose disk can be held up."""

    def __init__(self, path: Path, settings: IngestSettings) -> None:
        self.store = SqliteStore(path, busy_seconds=15)
        self.metrics = IngestMetrics()
        self.door = Door(self.store, settings, self.metrics)
        self._path = path

    @asynccontextmanager
    async def held_up(self) -> AsyncIterator[None]:
        """Let every commit wait, as for a slow disk."""
        with closing(sqlite3.connect(self._path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            self.first = self.append(0)  # goes to the writing thread alone
            await asyncio.sleep(0.01)
            yield
            other.execute("ROLLBACK")

    def append(self, *times: int, sensor_id: int = 1, size: int = 0) -> asyncio.Future[Outcome]:
        readings = [new(sensor_id, ts, n=ts) for ts in times]
        return self.door.submit(Append(readings), len(times), size)

    def times(self) -> list[int]:
        found = sorted(self.store.read(Range(sensor_id=1)), key=lambda reading: reading.id)
        return [reading.ts for reading in found]

    def limit_pages(self, more: int) -> None:
        execute = self.store._writer._execute
        (pages,) = execute("PRAGMA page_count").fetchone()
        execute(f"PRAGMA max_page_count = {pages + more}")


@asynccontextmanager
async def opened(path: Path, **limits: int) -> AsyncIterator[Opened]:
    found = Opened(path / FILE_NAME, IngestSettings(**limits))
    found.door.start()
    try:
        yield found
    finally:
        await found.door.close()
        found.store.close()


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a test that may not wait for ever."""
    asyncio.run(asyncio.wait_for(work, PATIENCE))


def test_what_waits_is_stored_in_one_transaction_and_in_order(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as it:
            async with it.held_up():
                waiting = [it.append(n) for n in range(1, 101)]
            outcomes = await asyncio.gather(it.first, *waiting)
            ids = [outcome.first_id for outcome in outcomes]
            assert ids == sorted(set(ids))
            assert it.times() == list(range(101))
            assert sum(it.metrics.batch.counts) == 2  # the first, and all the others
            assert it.metrics.batch.total == 101
            assert it.metrics.accepted == 101

    run(work())


def test_transaction_takes_no_more_than_its_limit_and_at_least_one(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path, batch_readings=10) as it:
            async with it.held_up():
                waiting = [it.append(*range(n, n + 4)) for n in range(0, 40, 4)]
                large = it.append(*range(100, 125))
            await asyncio.gather(it.first, *waiting, large)
            assert len(it.times()) == 1 + 40 + 25
            # 1, then ten times 4 as five transactions, then the one that is too large for any
            assert sum(it.metrics.batch.counts) == 1 + 5 + 1

    run(work())


@pytest.mark.parametrize(
    ("limits", "size"), [({"queue_readings": 20}, 0), ({"queue_bytes": 20_000}, 1000)]
)
def test_full_queue_refuses_at_once_and_takes_more_when_it_is_empty(
    tmp_path: Path, limits: dict[str, int], size: int
) -> None:
    async def work() -> None:
        async with opened(tmp_path, **limits) as it:
            async with it.held_up():
                waiting = [it.append(n, size=size) for n in range(1, 19)]
                with pytest.raises(Overloaded) as caught:
                    waiting.extend(it.append(n, size=size) for n in range(19, 23))
                assert caught.value.retry_after == 1
            await asyncio.gather(it.first, *waiting)
            await it.append(99, size=size)
            assert it.times()[:19] == list(range(19))
            assert it.times()[-1] == 99
            assert len(it.times()) in {20, 21, 22}
            assert it.metrics.refused == {"queue full": 1}

    run(work())


def test_operation_larger_than_the_whole_queue_is_taken_when_nothing_waits(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path, queue_readings=5) as it:
            assert (await it.append(*range(50))).stored == 50

    run(work())


def test_operation_that_no_store_can_do_fails_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with opened(tmp_path) as it:
            async with it.held_up():
                futures = [it.append(1), it.append(1 << 70), it.append(2)]
            results = await asyncio.gather(it.first, *futures, return_exceptions=True)
            assert isinstance(results[2], InternalError)
            assert it.times() == [0, 1, 2]
            await it.append(3)
            assert it.times() == [0, 1, 2, 3]

    run(work())
    assert "a transaction of 3 operations failed" in caplog.text


def test_full_disk_is_said_once_and_storing_goes_on_by_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with opened(tmp_path) as it:
            await it.append(1)
            it.limit_pages(0)
            large = "x" * 20_000
            for _ in range(3):
                with pytest.raises(StoreUnavailable, match="the disk is full") as caught:
                    await it.door.submit(Append([new(1, 2, text=large)]))
                assert caught.value.retry_after == 5
                assert it.door.trouble == "the disk is full"
            with pytest.raises(StoreUnavailable):
                await it.door.apply(Probe())
            it.limit_pages(1000)
            assert (await it.door.submit(Append([new(1, 2, text=large)]))).stored == 1
            assert it.door.trouble is None
            assert it.times() == [1, 2]

    run(work())
    said = [record.getMessage() for record in caplog.records]
    assert said == ["readings cannot be stored: the disk is full", "readings are stored again"]


def test_waiter_that_gives_up_holds_up_nobody(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as it:
            async with it.held_up():
                gone, stays = it.append(1), it.append(2)
                broken = it.append(1 << 70)
                gone.cancel()
                broken.cancel()
            assert (await stays).stored == 1
            await it.first
            assert it.times() == [0, 1, 2]  # it was accepted, so it is stored

    run(work())


def test_close_finishes_what_was_accepted_and_refuses_the_rest(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path, batch_readings=2) as it:
            async with it.held_up():
                waiting = [it.append(n) for n in range(1, 9)]
                closing_door = asyncio.ensure_future(it.door.close())
                await asyncio.sleep(0)
                with pytest.raises(Overloaded, match="the server is stopping"):
                    it.append(9)
                assert not closing_door.done()
            await closing_door
            assert all(future.done() for future in (it.first, *waiting))
            assert it.times() == list(range(9))
            assert not it.door._thread.is_alive()
            it.door.close = closed  # type: ignore[method-assign]  # a door closes once

    async def closed() -> None:
        pass

    run(work())


def test_apply_goes_on_until_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wotkit.readings.sqlite_writer.DROP_ROWS", 3)

    async def work() -> None:
        async with opened(tmp_path) as it:
            await it.append(*range(20))
            assert (await it.door.submit(DropSensor(1))).rest is not None
            assert (await it.door.apply(DropSensor(1))).rest is None
            assert it.times() == []

    run(work())


def test_operations_of_all_kinds_keep_their_order(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as it:
            async with it.held_up():
                wanted: list[Operation] = []
                for n in range(1, 30):
                    wanted += [Append([new(1, n)]), Delete(1, n - 1, n - 1)]
                futures = [it.door.submit(operation) for operation in wanted]
            await asyncio.gather(it.first, *futures)
            assert it.times() == [29]

    run(work())


def test_queue_depth_is_counted_for_the_metrics(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as it:
            async with it.held_up():
                futures = [it.append(1, 2, 3), it.append(4)]
                assert it.metrics._queue_depth() == 5
            await asyncio.gather(it.first, *futures)
            assert it.metrics._queue_depth() == 0
            assert it.door._bytes == 0

    run(work())


class Ear:
    """Hears what was stored."""

    busy = True

    def __init__(self) -> None:
        self.times: list[int] = []

    def publish(
        self, readings: Sequence[NewReading], _: frozenset[int], _spans: Sequence[range]
    ) -> None:
        self.times += [reading.ts for reading in readings]


def test_listener_hears_exactly_the_readings_that_a_stream_added(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as it:
            it.door._listener = ear = Ear()
            readings = [new(1, ts, n=ts) for ts in (10, 30)]
            batch = StreamBatch(7, "s", [1, 3], 3, refused=[2])
            await it.door.submit(Append(readings, stream=batch), 2)
            assert ear.times == [10, 30]
            again = [new(1, ts, n=ts) for ts in (10, 20, 30)]  # the second is right by now
            await it.door.submit(Append(again, stream=StreamBatch(7, "s", [1, 2, 3], 3)), 3)
            assert ear.times == [10, 30, 20]
            await it.door.submit(Append(again, stream=StreamBatch(7, "s", [1, 2, 3], 3)), 3)
            assert ear.times == [10, 30, 20]

    run(work())


class Heard:
    """Notes what the door publishes."""

    busy = True

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.times: list[int] = []

    def publish(
        self, readings: Sequence[NewReading], _: frozenset[int], spans: Sequence[range]
    ) -> None:
        self.times += [reading.ts for reading in readings]
        self.ids += [each for span in spans for each in span]


def test_what_is_published_has_the_ids_that_were_stored(tmp_path: Path) -> None:
    async def work() -> None:
        heard = Heard()
        with closing(SqliteStore(tmp_path / FILE_NAME)) as store:
            door = Door(store, IngestSettings(), IngestMetrics(), heard)
            door.start()
            stream = StreamBatch(1, "s", [1, 2], 2)
            for turn in range(3):
                operations: list[Operation] = [
                    Append([new(1, turn, n=1), new(2, turn, n=2)]),
                    Append([]),
                    Append([new(1, 10, n=1), new(1, 11, n=2)], stream=stream),
                    Delete(1, 500, 600),
                    Append([new(1, 20 + turn, n=1)]),
                ]
                await asyncio.gather(*[door.submit(each) for each in operations])
            await door.close()
            stored = store.since(0, 1000).readings
        assert heard.ids == [reading.id for reading in stored]
        assert heard.times == [reading.ts for reading in stored]
        assert len(stored) == 3 * 3 + 2

    asyncio.run(work())
