"""Which sensors had a reading lately."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wotkit import times

if TYPE_CHECKING:
    from wotkit.config import QuerySettings
    from wotkit.readings.readers import ReaderPool

SECONDS_OF_A_MINUTE: Final = 60


class Activity:
    """Knows the active sensors: those that had a reading in the last minutes."""

    def __init__(self, readers: ReaderPool, settings: QuerySettings) -> None:
        self._readers = readers
        self._window = int(settings.active_minutes * SECONDS_OF_A_MINUTE * times.MICROSECONDS)

    async def active(self) -> set[int]:
        """Return the ids of the active sensors."""
        return await self._readers.active(times.now() - self._window)
