"""When readings may be sent that were measured before the clock was synchronized, and their time.

A reading carries wall time and time since boot. Once the wall clock is synchronized, the difference
of the two is known, and with it the true time of every reading of that boot.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from gateway_agent.clock import NO_BOOT_ID, Clock, Stamp
from gateway_agent.spool.records import Row

_SECOND: Final = 1_000_000
_STEP: Final = _SECOND
"""Microseconds by which the wall clock must have been set to be worth a note."""

Note = Callable[[str, int], None]
"""Stores for a boot what must be added to its time since boot to get the wall time."""


class Timekeeper:
    """Judges readings on their way from the spool to the sender; for one thread.

    What was measured while the kernel called the clock synchronized goes as it is. What was not is
    held, at most until `wait` seconds after the boot: then it goes with the time it has, called
    doubtful. When the clock is synchronized meanwhile, it goes with the corrected time. A machine
    that runs for longer and has no time service is not made to wait again.
    """

    def __init__(self, clock: Clock, wait: float) -> None:
        self.wait = wait
        self._clock = clock
        self._offset: int | None = None
        self._noted: int | None = None
        self._log = logging.getLogger(__name__)

    def ready(self, rows: Sequence[Row], note: Note) -> list[Row]:
        """Those that may be sent now, from the first one on, corrected where that is possible."""
        now = self._look(note)
        ready: list[Row] = []
        for row in rows:
            judged = self._judge(row, now)
            if judged is None:
                break
            ready.append(judged)
        return ready

    def _look(self, note: Note) -> Stamp:
        """The present; when the clock is synchronized, how far it is from the time since boot."""
        now = self._clock.stamp()
        if not now.synced or now.boot_id == NO_BOOT_ID:
            return now
        offset = now.wall_us - now.boot_us
        self._offset = offset
        if self._noted is None or abs(offset - self._noted) > _STEP:
            if self._noted is not None:
                self._log.warning("clock was set seconds=%+.1f", (offset - self._noted) / _SECOND)
            self._noted = offset
            note(now.boot_id, offset)
        return now

    def _judge(self, row: Row, now: Stamp) -> Row | None:
        """The reading as it can be sent now; None to wait."""
        if row.synced:
            return row
        offset = row.offset_us
        if row.boot_id == now.boot_id and self._offset is not None:
            offset = self._offset
        if row.boot_id == NO_BOOT_ID:
            offset = None
        if offset is not None:
            return replace(row, wall_us=row.boot_us + offset, synced=True)
        is_early = row.boot_id == now.boot_id and now.boot_us < self.wait * _SECOND
        return None if is_early and row.boot_id != NO_BOOT_ID else row
