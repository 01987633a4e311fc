"""Reads the store for coroutines, in a pool of threads with a connection each."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from wotkit.errors import Overloaded, StoreUnavailable
from wotkit.readings.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from wotkit.readings.store import Latest, Range, Store, StoredReading

T = TypeVar("T")

WAITING: Final = 256
"""Queries that may wait for a thread; beyond it the answer is 503."""
RETRY_SECONDS: Final = 2


class ReaderPool:
    """Queries of readings; every method raises what :meth:`run` does."""

    def __init__(self, store: Store, threads: int) -> None:
        self._store = store
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="reader")
        self._waiting = 0

    async def run(self, work: Callable[[Store], T]) -> T:
        """Run ``work`` on the store in a thread of the pool.

        Raises:
            Overloaded: too many queries wait.
            StoreUnavailable: the store cannot be read now.
        """
        if self._waiting >= WAITING:
            raise Overloaded("too many queries of readings wait", retry_after=RETRY_SECONDS)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, work, self._store
            )
        except StoreError as error:
            raise StoreUnavailable(str(error), retry_after=RETRY_SECONDS) from error
        finally:
            self._waiting -= 1

    async def read(self, what: Range) -> list[StoredReading]:
        """Return readings, ordered by time and id."""
        return await self.run(lambda store: store.read(what))

    async def latest(self, sensor_ids: Collection[int]) -> dict[int, Latest]:
        """Return the latest of these sensors, without those that never had a reading."""
        return await self.run(lambda store: store.latest(sensor_ids))

    async def active(self, since: int) -> set[int]:
        """Return the ids of sensors that received a reading at or after ``since``."""
        return await self.run(lambda store: store.active(since))

    def close(self) -> None:
        """Finish the queries under way."""
        self._threads.shutdown()
