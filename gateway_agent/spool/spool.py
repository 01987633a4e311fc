"""The spool as the rest of the agent sees it: a bounded queue, one writer thread, one file."""

import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import replace

from gateway_agent.config import SpoolConfig
from gateway_agent.inputs.base import BookmarksUnavailable
from gateway_agent.reading import Reading
from gateway_agent.spool.failures import is_corrupt
from gateway_agent.spool.journal import JournalEntry
from gateway_agent.spool.reader import SpoolReader
from gateway_agent.spool.records import Batch, Refusal, Row, Settlement, SpoolFigures
from gateway_agent.spool.state import SpoolState
from gateway_agent.spool.timekeeping import Timekeeper
from gateway_agent.spool.writer import LARGEST_COMMIT, SpoolWriter


class Spool:
    """Keeps readings until they are settled.

    Any thread may `put`; one thread takes and settles. A background thread writes everything
    that arrived within `commit_interval` in one transaction.
    """

    def __init__(
        self, config: SpoolConfig, machine: str, timekeeper: Timekeeper | None = None
    ) -> None:
        """Without a timekeeper readings go with the time that they have."""
        self._config = config
        self._timekeeper = timekeeper
        self._log = logging.getLogger(__name__)
        self._state = SpoolState(config.queue)
        self._writer = SpoolWriter(config, machine, self._state)
        self._reader: SpoolReader | None = None
        self._reader_generation = -1

    def start(self) -> None:
        """Open the file and start the writer.

        A corrupt file is renamed and a new one made; a full disk is waited for. Raises
        UnsuitableSpoolError when the file belongs to something else.
        """
        self._writer.start()

    def put(self, reading: Reading, patience: float) -> bool:
        """Queue a reading, waiting at most `patience` seconds for room; else drop and count it."""
        with self._state.lock:
            if self._state.is_full():
                self._state.room_made.wait_for(self._state.has_room, patience)
            if not self._state.has_room():
                self._state.count("dropped_queue_full", 1)
                return False
            self._state.append(reading)
            if reading.bookmark is not None:
                name, value = reading.bookmark
                self._state.bookmarks[name] = value
            if self._state.pending_since is None or len(self._state.queue) == LARGEST_COMMIT:
                self._state.announce_work()
        return True

    def wait_for_room(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until there is room for a reading; False if none."""
        with self._state.lock:
            return self._state.room_made.wait_for(self._state.has_room, timeout)

    def bookmark(self, name: str) -> str | None:
        """How far an input has come with what it put here; None if it never said so.

        Raises BookmarksUnavailable while the file cannot be opened.
        """
        with self._state.lock:
            if self._state.file is None:
                raise BookmarksUnavailable("the spool is not open yet")
            return self._state.bookmarks.get(name) or self._state.file.bookmarks.get(name)

    def set_bookmark(self, name: str, value: str) -> None:
        """Store how far an input has come, with the next commit.

        Only for an input that has no reading on its way here, which would otherwise be overtaken.
        """
        with self._state.lock:
            self._state.bookmarks[name] = self._state.pending.bookmarks[name] = value
            self._state.announce_work()

    def wait_for_journal(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until it can be read; False when the file is not open."""
        with self._state.lock:
            state = self._state
            state.committed.wait_for(lambda: state.file is not None or state.closing, timeout)
            return state.file is not None

    def journal(self) -> dict[str, JournalEntry]:
        """What became of commands, by their keys, as far as it is on disk."""
        with self._state.lock:
            return {} if self._state.file is None else dict(self._state.file.journal)

    def note_command(self, entry: JournalEntry, timeout: float) -> bool:
        """Write into the journal of commands; False when it is not on disk in time."""

        def is_on_disk() -> bool:
            return self._state.file is not None and self._state.file.journal.get(entry.key) == entry

        with self._state.lock:
            self._state.pending.commands.append(entry)
            self._state.hurry = True
            self._state.announce_work()
            self._state.committed.wait_for(lambda: is_on_disk() or self._state.closing, timeout)
            return is_on_disk()

    def count_drop(self, reason: str, count: int = 1) -> None:
        """Count readings that were lost before they came here."""
        with self._state.lock:
            self._state.count(f"dropped_{reason}", count)

    def take(self, limit: int, max_bytes: int) -> Batch | None:
        """The oldest readings that are not settled, or None when there are none now."""
        with self._state.lock:
            if self._state.file is None:
                return None
            generation, stream, settled = (
                self._state.generation,
                self._state.stream,
                self._state.settled,
            )
            last_seq = self._state.file.last_seq
        try:
            rows = self._reader_for(generation).rows_after(settled, limit, max_bytes)
        except sqlite3.Error as error:
            self._drop_reader()
            self._on_read_failure(error, generation)
            return None
        ready = self._ready(rows)
        with self._state.lock:
            self._state.held = bool(rows) and not ready
        if ready:
            self._note_sending(generation, ready[-1].seq)
            return Batch(stream, generation, tuple(ready))
        with self._state.lock:
            if not rows and generation == self._state.generation:
                self._state.settled = max(self._state.settled, last_seq)
        return None

    def wait_for_readings(self, timeout: float) -> bool:
        """Wait until there may be readings to take; False after `timeout` seconds."""
        with self._state.lock:
            return self._state.committed.wait_for(self._state.has_unsettled, timeout)

    def expect_sender(self) -> None:
        """There is somebody again who waits for readings."""
        with self._state.lock:
            self._state.draining = False

    def release_sender(self) -> None:
        """The agent stops: nobody waits for readings any more."""
        with self._state.lock:
            self._state.draining = True
            self._state.committed.notify_all()

    def settle(
        self,
        batch: Batch,
        through: int,
        refused: Mapping[int, Refusal] | None = None,
        respool: frozenset[int] = frozenset(),
    ) -> None:
        """The platform has decided about every reading of the batch's stream up to `through`.

        On disk this follows with the next commit, at once when a reading was refused. Until then
        a restart sends the readings again, and the platform drops what it has.
        """
        with self._state.lock:
            if batch.generation != self._state.generation:
                return
            self._state.settled = max(self._state.settled, through)
            self._state.pending.settlements.append(Settlement(through, refused or {}, respool))
            self._state.hurry |= bool(refused or respool)
            self._state.announce_work()

    def renew_stream(self, batch: Batch) -> None:
        """Go on under a new stream: the platform knows this one further than this file does.

        That happens when an old copy of the file was put back. What waits is sent again.
        """
        with self._state.lock:
            if batch.generation == self._state.generation:
                self._state.pending.renew_stream = True
                self._state.announce_work()

    def is_ahead_of_file(self, batch: Batch, through: int) -> bool:
        """Whether the platform has a `seq` that was never sent from this file.

        Sent was at most what the file had given when it was opened, and what was taken since.
        What it has given since then and not sent may be numbered like what the platform has.
        """
        with self._state.lock:
            known = self._state.file is not None and batch.generation == self._state.generation
            return known and through > self._state.highest_sent

    def figures(self) -> SpoolFigures:
        """How the spool is doing now."""
        with self._state.lock:
            state = self._state
            return replace(
                state.figures, queued=len(state.queue), trouble=state.trouble, held=state.held
            )

    def flush(self, timeout: float) -> bool:
        """Commit what is queued now, without waiting for the interval; False after `timeout`."""
        with self._state.lock:
            self._state.hurry = True
            self._state.work_arrived.notify_all()
            return self._state.committed.wait_for(self._state.is_idle, timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Commit what is left, stop the writer, close the file."""
        with self._state.lock:
            self._state.closing = True
            for condition in (
                self._state.work_arrived,
                self._state.room_made,
                self._state.committed,
            ):
                condition.notify_all()
        stopped = self._writer.join(timeout)
        self._drop_reader()
        if not stopped:
            self._log.error("spool writer does not stop")
        else:
            self._writer.attempt(self._writer.close_file)

    @property
    def is_alive(self) -> bool:
        """Whether the writer still runs, as it should from `start` to `close`."""
        return self._writer.is_alive

    @property
    def busy_for(self) -> float:
        """Seconds since the write began that goes on now; 0 between writes."""
        return self._writer.busy_for

    # -- the sender's thread --------------------------------------------------------------

    def _note_sending(self, generation: int, seq: int) -> None:
        with self._state.lock:
            if generation == self._state.generation:
                self._state.highest_sent = max(self._state.highest_sent, seq)

    def _reader_for(self, generation: int) -> SpoolReader:
        if self._reader is None or self._reader_generation != generation:
            self._drop_reader()
            self._reader = SpoolReader(self._config.path)
            self._reader_generation = generation
        return self._reader

    def _drop_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _on_read_failure(self, error: sqlite3.Error, generation: int) -> None:
        self._log.warning("spool cannot be read now error=%r", str(error))
        with self._state.lock:
            if is_corrupt(error) and generation == self._state.generation:
                self._state.pending.replace_file = True
                self._state.announce_work()

    def _ready(self, rows: list[Row]) -> list[Row]:
        """Those whose time is settled; the others wait here for the clock."""
        if self._timekeeper is None:
            return rows
        return self._timekeeper.ready(rows, self._note_offset)

    def _note_offset(self, boot_id: str, offset_us: int) -> None:
        with self._state.lock:
            self._state.pending.offsets[boot_id] = offset_us
            self._state.announce_work()
