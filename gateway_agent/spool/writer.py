"""The thread that writes the spool: everything that arrived within the interval, at once."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from gateway_agent.config import SpoolConfig
from gateway_agent.spool.aside import set_aside
from gateway_agent.spool.failures import SpoolFullError, is_corrupt
from gateway_agent.spool.file import SpoolFile
from gateway_agent.spool.records import Work
from gateway_agent.spool.state import SpoolState

LARGEST_COMMIT: Final = 2000
_RETRY_AFTER: Final = 1.0
_REMIND_AFTER: Final = 60.0
_PUT_BACK_AGAIN: Final = 60.0


class SpoolWriter:
    """Owns the file: opens it, commits to it, puts it aside when it is corrupt."""

    def __init__(self, config: SpoolConfig, machine: str, state: SpoolState) -> None:
        self._config = config
        self._machine = machine
        self._state = state
        self._log = logging.getLogger(__name__)
        self._reported_at = -_REMIND_AFTER
        self._attempt_began: float | None = None
        self._put_back_at = 0.0
        self._work = Work()
        self._thread = threading.Thread(target=self._write, name="spool-writer", daemon=True)

    def start(self) -> None:
        """Open the file, as far as that is possible now, and begin to write."""
        self.attempt(self.open)
        self._thread.start()

    def join(self, timeout: float) -> bool:
        """Wait for the end after `closing` was set; False if a write hangs."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def busy_for(self) -> float:
        """Seconds since the write began that goes on now; 0 between writes."""
        began = self._attempt_began
        return 0.0 if began is None else time.monotonic() - began

    def _write(self) -> None:
        last_chance = False
        while self._gather(work := self._work):
            if self.attempt(partial(self._commit, work)):
                self._work = Work()
            elif last_chance:
                lost = len(work.readings) + len(self._state.queue)
                self._log.error("readings lost at exit count=%d", lost)
                return
            elif self._state.closing:
                last_chance = True
            else:
                self._pause()

    def _gather(self, work: Work) -> bool:
        """Wait for the next commit's time and collect what it will do; False at the end."""
        with self._state.lock:
            self._state.busy = not work.is_empty
            if self._state.is_idle():
                self._state.hurry = False
                self._state.committed.notify_all()
            while not self._is_due(work):
                self._state.work_arrived.wait(self._until_due())
            room = max(0, LARGEST_COMMIT - len(work.readings))
            for _ in range(min(room, len(self._state.queue))):
                work.readings.append(self._state.popleft())
            work.settlements += self._state.pending.settlements
            work.counts += self._state.pending.counts
            work.bookmarks |= self._state.pending.bookmarks
            work.commands += self._state.pending.commands
            work.offsets |= self._state.pending.offsets
            work.renew_stream |= self._state.pending.renew_stream
            work.replace_file |= self._state.pending.replace_file
            self._state.pending = Work()
            self._state.pending_since = time.monotonic() if self._state.queue else None
            self._state.busy = not work.is_empty
            self._state.room_made.notify_all()
            return self._state.busy or not self._state.closing

    def _is_due(self, work: Work) -> bool:
        if self._state.closing or len(self._state.queue) >= LARGEST_COMMIT or not work.is_empty:
            return True
        if self._state.file is None:
            return True  # what waits in it is to be sent, whether anything new comes or not
        if self._state.hurry and not self._state.is_idle():
            return True
        waiting = self._until_due()
        return waiting is not None and waiting <= 0

    def _until_due(self) -> float | None:
        if self._state.pending_since is None:
            return None
        return self._state.pending_since + self._config.commit_interval - time.monotonic()

    def _commit(self, work: Work) -> None:
        if work.replace_file:
            self._replace_file()
            work.replace_file = False
        if self._state.file is None:
            work.forget_stream()
            self.open()
        assert self._state.file is not None
        if not self._state.file.is_in_place and time.monotonic() >= self._put_back_at:
            self._put_back(self._state.file)
        self._state.file.commit(work)
        oldest = self._state.file.oldest_us()
        with self._state.lock:
            if work.renew_stream:
                self._log.warning("stream renewed, an old copy of the spool was put back")
                self._state.begin_stream(self._state.file)
            self._state.trouble = None
            self._state.take_figures(self._state.file, oldest)
            self._state.committed.notify_all()

    def close_file(self) -> None:
        """Close the file, under its name. Raises sqlite3.Error."""
        if self._state.file is not None and not self._state.file.is_in_place:
            self._put_back(self._state.file)
        if self._state.file is not None:
            self._state.file.close()

    def open(self) -> None:
        """Open the file or make it. Raises as SpoolFile does."""
        config = self._config
        file = SpoolFile(
            config.path,
            max_mb=config.max_mb,
            drop_oldest=config.on_full == "drop_oldest",
            dead_letters=config.dead_letters,
            machine=self._machine,
        )
        oldest = file.oldest_us()
        with self._state.lock:
            self._state.begin_stream(file)
            self._state.take_figures(file, oldest)
            self._state.committed.notify_all()

    def _replace_file(self) -> None:
        """Put a corrupt file aside; the next attempt makes a new one with a new stream."""
        file = self._state.file
        with self._state.lock:
            lost = self._state.figures.depth
            self._state.begin_stream(None)
            self._state.count("corrupt_files", 1)
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

    def _put_back(self, file: SpoolFile) -> None:
        """Have the file under its name again, which somebody took from it; else go on without."""
        self._put_back_at = time.monotonic() + _PUT_BACK_AGAIN
        try:
            aside = file.put_back()
        except (sqlite3.Error, OSError) as error:
            self._log.error("spool was deleted or replaced, cannot be put back now error=%s", error)
            return
        self._log.error("spool was deleted or replaced, and is put back other=%s", aside)
        with self._state.lock:
            self._state.begin_stream(None)
        with suppress(sqlite3.Error):
            file.close()
        self.open()

    def _keep_bookmarks(self, file: SpoolFile) -> None:
        """Write them into the next file too, before what is on its way and so newer."""
        self._work.bookmarks = file.bookmarks | self._work.bookmarks
        self._work.commands[:0] = file.journal.values()

    def attempt(self, step: Callable[[], None]) -> bool:
        """Do something with the file; False, with the trouble noted, when it failed."""
        self._attempt_began = time.monotonic()
        try:
            step()
        except (sqlite3.Error, OSError, SpoolFullError) as error:
            self._note_trouble(error)
            if is_corrupt(error):
                self._replace_file()
            return False
        finally:
            self._attempt_began = None
        return True

    def _note_trouble(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        now = time.monotonic()
        if text != self._state.trouble or now - self._reported_at >= _REMIND_AFTER:
            self._reported_at = now
            self._log.error("spool cannot be written now error=%r", text)
        self._state.trouble = text

    def _pause(self) -> None:
        with self._state.lock:
            self._state.work_arrived.wait_for(lambda: self._state.closing, _RETRY_AFTER)
