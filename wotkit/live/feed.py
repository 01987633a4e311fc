"""Everything that is stored, by whichever process, in the order of storing.

Ids only rise, so they say how far somebody has come. What this process stores comes from the hub,
at once. Where ids are missing in between, another process may have stored them, or a failed
transaction left them out: then the store is asked, and what the hub tells meanwhile is found there
too. The store is also asked some times a second for what others have stored.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from wotkit.errors import WotkitError
from wotkit.readings.store import Arrival

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from wotkit.live.hub import Hub
    from wotkit.readings.readers import ReaderPool
    from wotkit.readings.store import Arrivals, NewReading, Store

LOOK_SECONDS: Final = 0.1
"""How soon it is noticed what another process has stored."""
RETRY_SECONDS: Final = 0.5
PAGE: Final = 1000
"""Readings that are read at a time."""

_log: Final = logging.getLogger(__name__)


class Feed:
    """Passes on readings; to be used on the event loop's thread.

    Attributes:
        position: every reading up to this id was passed on, or stored before the start.
    """

    def __init__(
        self,
        hub: Hub,
        readers: ReaderPool,
        wanted: Container[int],
        pass_on: Callable[[Sequence[Arrival]], None],
    ) -> None:
        """Take the ids of the sensors that are wanted, which may change all the time."""
        self._hub = hub
        self._readers = readers
        self._wanted = wanted
        self._pass_on = pass_on
        self.position = 0
        self._stored = 0
        """The highest id that was heard of."""
        self._reading = True
        """Whether the store is read, and what the hub tells is not passed on."""
        self._awake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; who calls this while it runs changes nothing.

        Raises:
            Overloaded, StoreUnavailable: the store cannot be read now.
        """
        if self._task is not None:
            return
        self._reading, self._stored = True, 0
        self._hub.follow(self._take)
        try:
            self.position = await self._readers.run(lambda store: store.last_id())
        except BaseException:
            self._hub.unfollow(self._take)
            raise
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """End; nothing more is heard of the hub."""
        task, self._task = self._task, None
        if task is not None:
            self._hub.unfollow(self._take)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _take(self, readings: Sequence[NewReading], spans: Sequence[range]) -> None:
        """Pass on what was stored if nothing is missing before it; else have the store read."""
        last = spans[-1][-1]
        self._stored = max(self._stored, last)
        if self._reading or last <= self.position:
            return
        if len(spans) > 1 or spans[0][0] != self.position + 1:
            self._reading = True
            self._awake.set()
            return
        self.position = last
        wanted = self._wanted
        arrivals = [
            Arrival(one.sensor_id, one.ts, reading_id, one.data)
            for one, reading_id in zip(readings, spans[0], strict=True)
            if one.sensor_id in wanted
        ]
        if arrivals:
            self._pass_on(arrivals)

    async def _work(self) -> None:
        while True:
            try:
                await self._catch_up()
                self._awake.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._awake.wait()
                last = await self._readers.run(lambda store: store.last_id())
                self._stored = max(self._stored, last)
                self._reading = self._stored > self.position
            except WotkitError as error:
                _log.warning("live readings are late, the store cannot be read: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:  # noqa: BLE001  # the next time may be better
                _log.exception("live readings are late")
                await asyncio.sleep(RETRY_SECONDS)

    async def _catch_up(self) -> None:
        """Pass on what the store has beyond the position, until nothing is missing."""
        while self._reading:
            heard, after = self._stored, self.position
            found = await self._readers.run(partial(_page, after=after))
            self.position = found.through
            arrivals = [one for one in found.readings if one.sensor_id in self._wanted]
            if arrivals:
                self._pass_on(arrivals)
            if not found.more:
                # what was heard of before was committed: it is read, or was deleted again
                self.position = max(self.position, heard)
                self._reading = self._stored > self.position


def _page(store: Store, *, after: int) -> Arrivals:
    return store.since(after, PAGE)
