"""The spool as the rest of the agent sees it: a bounded queue, one writer thread, one file."""

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from gateway_agent.config import SpoolConfig
from gateway_agent.inputs.base import BookmarksUnavailable
from gateway_agent.reading import Reading
from gateway_agent.spool.aside import set_aside
from gateway_agent.spool.failures import SpoolFullError, is_corrupt
from gateway_agent.spool.file import SpoolFile
from gateway_agent.spool.journal import JournalEntry
from gateway_agent.spool.reader import SpoolReader
from gateway_agent.spool.records import Batch, Refusal, Settlement, SpoolFigures, Work

_LARGEST_COMMIT: Final = 2000
_RETRY_AFTER: Final = 1.0
_REMIND_AFTER: Final = 60.0


class Spool:
    """Keeps readings until they are settled.

    Any thread may `put`; one thread takes and settles. A background thread writes everything
    that arrived within `commit_interval` in one transaction.
    """

    def __init__(self, config: SpoolConfig, machine: str) -> None:
        self._config = config
        self._machine = machine
        self._log = logging.getLogger(__name__)
        self._thread = threading.Thread(target=self._write, name="spool-writer", daemon=True)
        lock = threading.Lock()
        self._work_arrived = threading.Condition(lock)
        self._room_made = threading.Condition(lock)
        self._committed = threading.Condition(lock)
        self._lock = lock
        self._queue: deque[Reading] = deque()
        self._pending = Work()
        self._bookmarks: dict[str, str] = {}
        self._pending_since: float | None = None
        self._busy = False
        self._hurry = False
        self._closing = False
        self._draining = False
        self._file: SpoolFile | None = None
        self._stream = ""
        self._generation = 0
        self._settled = 0
        self._reader: SpoolReader | None = None
        self._reader_generation = -1
        self._figures = SpoolFigures()
        self._trouble: str | None = None
        self._reported_at = -_REMIND_AFTER

    def start(self) -> None:
        """Open the file and start the writer.

        A corrupt file is renamed and a new one made; a full disk is waited for. Raises
        UnsuitableSpoolError when the file belongs to something else.
        """
        self._attempt(self._open)
        self._thread.start()

    def put(self, reading: Reading, patience: float) -> bool:
        """Queue a reading, waiting at most `patience` seconds for room; else drop and count it."""
        with self._lock:
            if len(self._queue) >= self._config.queue:
                self._room_made.wait_for(self._has_room, patience)
            if not self._has_room():
                self._count("dropped_queue_full", 1)
                return False
            self._queue.append(reading)
            if reading.bookmark is not None:
                name, value = reading.bookmark
                self._bookmarks[name] = value
            if self._pending_since is None or len(self._queue) == _LARGEST_COMMIT:
                self._announce_work()
        return True

    def wait_for_room(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until there is room for a reading; False if none."""
        with self._lock:
            return self._room_made.wait_for(self._has_room, timeout)

    def bookmark(self, name: str) -> str | None:
        """How far an input has come with what it put here; None if it never said so.

        Raises BookmarksUnavailable while the file cannot be opened.
        """
        with self._lock:
            if self._file is None:
                raise BookmarksUnavailable("the spool is not open yet")
            return self._bookmarks.get(name) or self._file.bookmarks.get(name)

    def set_bookmark(self, name: str, value: str) -> None:
        """Store how far an input has come, with the next commit.

        Only for an input that has no reading on its way here, which would otherwise be overtaken.
        """
        with self._lock:
            self._bookmarks[name] = self._pending.bookmarks[name] = value
            self._announce_work()

    def journal(self) -> dict[str, JournalEntry]:
        """What became of commands, by their keys, as far as it is on disk."""
        with self._lock:
            return {} if self._file is None else dict(self._file.journal)

    def note_command(self, entry: JournalEntry, timeout: float) -> bool:
        """Write into the journal of commands; False when it is not on disk in time."""

        def is_on_disk() -> bool:
            return self._file is not None and self._file.journal.get(entry.key) == entry

        with self._lock:
            self._pending.commands.append(entry)
            self._hurry = True
            self._announce_work()
            return self._committed.wait_for(is_on_disk, timeout)

    def count_drop(self, reason: str, count: int = 1) -> None:
        """Count readings that were lost before they came here."""
        with self._lock:
            self._count(f"dropped_{reason}", count)

    def take(self, limit: int, max_bytes: int) -> Batch | None:
        """The oldest readings that are not settled, or None when there are none now."""
        with self._lock:
            if self._file is None:
                return None
            generation, stream, settled = self._generation, self._stream, self._settled
            last_seq = self._file.last_seq
        try:
            rows = self._reader_for(generation).rows_after(settled, limit, max_bytes)
        except sqlite3.Error as error:
            self._drop_reader()
            self._on_read_failure(error, generation)
            return None
        if rows:
            return Batch(stream, generation, tuple(rows))
        with self._lock:
            if generation == self._generation:
                self._settled = max(self._settled, last_seq)
        return None

    def wait_for_readings(self, timeout: float) -> bool:
        """Wait until there may be readings to take; False after `timeout` seconds."""
        with self._lock:
            return self._committed.wait_for(self._has_unsettled, timeout)

    def expect_sender(self) -> None:
        """There is somebody again who waits for readings."""
        with self._lock:
            self._draining = False

    def release_sender(self) -> None:
        """The agent stops: nobody waits for readings any more."""
        with self._lock:
            self._draining = True
            self._committed.notify_all()

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
        with self._lock:
            if batch.generation != self._generation:
                return
            self._settled = max(self._settled, through)
            self._pending.settlements.append(Settlement(through, refused or {}, respool))
            self._hurry |= bool(refused or respool)
            self._announce_work()

    def renew_stream(self, batch: Batch) -> None:
        """Go on under a new stream: the platform knows this one further than this file does.

        That happens when an old copy of the file was put back. What waits is sent again.
        """
        with self._lock:
            if batch.generation == self._generation:
                self._pending.renew_stream = True
                self._announce_work()

    def is_ahead_of_file(self, batch: Batch, through: int) -> bool:
        """Whether `through` is a `seq` that this file has never given.

        What the batch holds was read from the file, perhaps before the writer came to note it.
        """
        if through <= batch.rows[-1].seq:
            return False
        with self._lock:
            known = self._file is not None and batch.generation == self._generation
            return known and self._file is not None and through > self._file.last_seq

    def figures(self) -> SpoolFigures:
        """How the spool is doing now."""
        with self._lock:
            return replace(self._figures, queued=len(self._queue), trouble=self._trouble)

    def flush(self, timeout: float) -> bool:
        """Commit what is queued now, without waiting for the interval; False after `timeout`."""
        with self._lock:
            self._hurry = True
            self._work_arrived.notify_all()
            return self._committed.wait_for(self._is_idle, timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Commit what is left, stop the writer, close the file."""
        with self._lock:
            self._closing = True
            for condition in (self._work_arrived, self._room_made, self._committed):
                condition.notify_all()
        self._thread.join(timeout)
        self._drop_reader()
        if self._thread.is_alive():
            self._log.error("spool writer does not stop")
        elif self._file is not None:
            self._attempt(self._file.close)

    @property
    def is_alive(self) -> bool:
        """Whether the writer still runs, as it should from `start` to `close`."""
        return self._thread.is_alive()

    # -- the writer thread ----------------------------------------------------------------

    def _write(self) -> None:
        work = Work()
        last_chance = False
        while self._gather(work):
            if self._attempt(partial(self._commit, work)):
                work = Work()
            elif last_chance:
                lost = len(work.readings) + len(self._queue)
                self._log.error("readings lost at exit count=%d", lost)
                return
            elif self._closing:
                last_chance = True
            else:
                self._pause()

    def _gather(self, work: Work) -> bool:
        """Wait for the next commit's time and collect what it will do; False at the end."""
        with self._lock:
            self._busy = not work.is_empty
            if self._is_idle():
                self._hurry = False
                self._committed.notify_all()
            while not self._is_due(work):
                self._work_arrived.wait(self._until_due())
            room = max(0, _LARGEST_COMMIT - len(work.readings))
            for _ in range(min(room, len(self._queue))):
                work.readings.append(self._queue.popleft())
            work.settlements += self._pending.settlements
            work.counts += self._pending.counts
            work.bookmarks |= self._pending.bookmarks
            work.commands += self._pending.commands
            work.renew_stream |= self._pending.renew_stream
            work.replace_file |= self._pending.replace_file
            self._pending = Work()
            self._pending_since = time.monotonic() if self._queue else None
            self._busy = not work.is_empty
            self._room_made.notify_all()
            return self._busy or not self._closing

    def _is_due(self, work: Work) -> bool:
        if self._closing or len(self._queue) >= _LARGEST_COMMIT or not work.is_empty:
            return True
        if self._hurry and not self._is_idle():
            return True
        waiting = self._until_due()
        return waiting is not None and waiting <= 0

    def _until_due(self) -> float | None:
        if self._pending_since is None:
            return None
        return self._pending_since + self._config.commit_interval - time.monotonic()

    def _commit(self, work: Work) -> None:
        if work.replace_file:
            self._replace_file()
            work.replace_file = False
        if self._file is None:
            work.forget_stream()
            self._open()
        assert self._file is not None
        self._file.commit(work)
        oldest = self._file.oldest_us()
        with self._lock:
            if work.renew_stream:
                self._log.warning("stream renewed, an old copy of the spool was put back")
                self._begin_stream(self._file)
            self._trouble = None
            self._take_figures(self._file, oldest)
            self._committed.notify_all()

    def _open(self) -> None:
        config = self._config
        file = SpoolFile(
            config.path,
            max_mb=config.max_mb,
            drop_oldest=config.on_full == "drop_oldest",
            dead_letters=config.dead_letters,
            machine=self._machine,
        )
        oldest = file.oldest_us()
        with self._lock:
            self._begin_stream(file)
            self._take_figures(file, oldest)
            self._committed.notify_all()

    def _replace_file(self) -> None:
        """Put a corrupt file aside; the next attempt makes a new one with a new stream."""
        file = self._file
        with self._lock:
            lost = self._figures.depth
            self._begin_stream(None)
            self._count("corrupt_files", 1)
        if file is not None:
            self._keep_bookmarks(file)
            with suppress(sqlite3.Error):
                file.close()
        try:
            aside = set_aside(self._config.path)
        except OSError as error:
            self._log.error("corrupt spool cannot be renamed error=%s", error)
            return
        self._log.error("spool corrupt, a new one is started kept=%s readings=%d", aside, lost)

    def _keep_bookmarks(self, file: SpoolFile) -> None:
        with self._lock:
            self._pending.bookmarks = file.bookmarks | self._pending.bookmarks
            self._pending.commands = [*file.journal.values(), *self._pending.commands]

    def _attempt(self, step: Callable[[], None]) -> bool:
        """Do something with the file; False, with the trouble noted, when it failed."""
        try:
            step()
        except (sqlite3.Error, OSError, SpoolFullError) as error:
            self._note_trouble(error)
            if is_corrupt(error):
                self._replace_file()
            return False
        return True

    def _note_trouble(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        now = time.monotonic()
        if text != self._trouble or now - self._reported_at >= _REMIND_AFTER:
            self._reported_at = now
            self._log.error("spool cannot be written now error=%r", text)
        self._trouble = text

    def _pause(self) -> None:
        with self._lock:
            self._work_arrived.wait_for(lambda: self._closing, _RETRY_AFTER)

    # -- shared, under the lock -----------------------------------------------------------

    def _begin_stream(self, file: SpoolFile | None) -> None:
        """From here on there is another stream; what was said about the last one is void."""
        self._file = file
        self._stream = "" if file is None else file.stream
        self._generation += 1
        self._settled = 0
        self._pending.forget_stream()

    def _announce_work(self) -> None:
        if self._pending_since is None:
            self._pending_since = time.monotonic()
        self._work_arrived.notify_all()

    def _count(self, name: str, count: int) -> None:
        self._pending.counts[name] += count
        self._announce_work()

    def _has_room(self) -> bool:
        return not self._closing and len(self._queue) < self._config.queue

    def _has_unsettled(self) -> bool:
        if self._closing or self._draining:
            return True
        return self._file is not None and self._file.last_seq > self._settled

    def _is_idle(self) -> bool:
        return not self._queue and self._pending.is_empty and not self._busy

    def _take_figures(self, file: SpoolFile, oldest_us: int | None) -> None:
        self._figures = SpoolFigures(
            stream=file.stream,
            depth=file.depth,
            oldest_us=oldest_us,
            last_seq=file.last_seq,
            dead_letters=file.dead_letters,
            counters=dict(file.counters),
            disk_full=file.is_constrained,
        )

    # -- the sender's thread --------------------------------------------------------------

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
        with self._lock:
            if is_corrupt(error) and generation == self._generation:
                self._pending.replace_file = True
                self._announce_work()
