"""Which sensors had a reading lately."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from wotkit import times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wotkit.live.hub import Hub
    from wotkit.readings.readers import ReaderPool
    from wotkit.readings.store import NewReading
    from wotkit.settings import QuerySettings

MINUTE: Final = 60 * times.MICROSECONDS
KEEP: Final = 10 * times.MICROSECONDS
"""For so long a sensor may count as active that has just ceased to be."""
IDLE: Final = 60 * times.MICROSECONDS
"""When nobody asked for so long, nothing is kept and storing readings costs nothing more."""


class Activity:
    """Knows the active sensors: those that had a reading in the last minutes.

    To find them the store reads the latest values of all sensors. So what it found is kept for a
    few seconds, and meanwhile whatever is stored adds to it. To be used on the event loop's thread.
    """

    def __init__(self, readers: ReaderPool, hub: Hub, settings: QuerySettings) -> None:
        self._readers = readers
        self._hub = hub
        self._window = int(settings.active_minutes * MINUTE)
        self._loading = asyncio.Lock()
        self._found: set[int] = set()
        self._found_at = 0
        """When the store was asked; 0 when it must be asked again."""
        self._asked_at = 0
        self._listening = False

    async def active(self) -> frozenset[int]:
        """Return the ids of the active sensors.

        Raises:
            Overloaded, StoreUnavailable: the store cannot be asked now.
        """
        async with self._loading:
            self._asked_at = now = times.now()
            if not self._listening:
                self._hub.subscribe(self._note)
                self._listening = True
                self._found_at = 0
            if now - self._found_at > KEEP:
                await self._load(now)
            return frozenset(self._found)

    async def _load(self, now: int) -> None:
        # what is stored while the store is asked is noted here, and may be missing in its answer
        self._found, self._found_at = set(), now
        try:
            self._found |= await self._readers.active(now - self._window)
        except BaseException:
            self._found_at = 0
            raise

    def _note(self, readings: Sequence[NewReading], rewritten: frozenset[int]) -> None:
        """Take note of what was stored."""
        if times.now() - self._asked_at > IDLE and not self._loading.locked():
            self._hub.unsubscribe(self._note)
            self._listening = False
            self._found = set()
        elif rewritten:
            self._found_at = 0
        else:
            self._found.update([reading.sensor_id for reading in readings])
