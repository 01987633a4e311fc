"""What the spool's threads share, and the few things they do to it under its lock."""

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from gateway_agent.spool.file import SpoolFile
from gateway_agent.spool.records import SpoolFigures, Work

if TYPE_CHECKING:
    from gateway_agent.reading import Reading


_MOST_BYTES: Final = 16 * 1024 * 1024
"""Characters of fields in the queue, however few readings they belong to."""


class SpoolState:
    """The queue, what is to be written next, and the file as it is; all of it under `lock`."""

    def __init__(self, room: int) -> None:
        """`room` is how many readings the queue takes."""
        self._room = room
        self.lock = threading.Lock()
        self.work_arrived = threading.Condition(self.lock)
        self.room_made = threading.Condition(self.lock)
        self.committed = threading.Condition(self.lock)
        self.queue: deque[Reading] = deque()
        self.queued_bytes = 0
        self.pending = Work()
        self.bookmarks: dict[str, str] = {}
        self.pending_since: float | None = None
        self.busy = False
        self.hurry = False
        self.closing = False
        self.draining = False
        self.held = False
        self.file: SpoolFile | None = None
        self.stream = ""
        self.generation = 0
        self.settled = 0
        self.highest_sent = 0
        """No `seq` above this was ever sent under the present stream, by any run of the agent."""
        self.figures = SpoolFigures()
        self.trouble: str | None = None

    def begin_stream(self, file: SpoolFile | None) -> None:
        """From here on there is another stream; what was said about the last one is void."""
        self.file = file
        self.stream = "" if file is None else file.stream
        self.generation += 1
        self.settled = 0
        self.highest_sent = 0 if file is None else file.last_seq
        self.pending.forget_stream()

    def announce_work(self) -> None:
        """Have the writer look, within the commit interval."""
        if self.pending_since is None:
            self.pending_since = time.monotonic()
        self.work_arrived.notify_all()

    def count(self, name: str, count: int) -> None:
        """Add to a total with the next commit."""
        self.pending.counts[name] += count
        self.announce_work()

    def append(self, reading: "Reading") -> None:
        """Queue a reading; whether there is room was asked before."""
        self.queue.append(reading)
        self.queued_bytes += len(reading.fields)

    def popleft(self) -> "Reading":
        """Take the oldest reading out of the queue."""
        reading = self.queue.popleft()
        self.queued_bytes -= len(reading.fields)
        return reading

    def is_full(self) -> bool:
        """Whether the queue takes no more now."""
        return len(self.queue) >= self._room or self.queued_bytes >= _MOST_BYTES

    def has_room(self) -> bool:
        """Whether a reading can be queued."""
        return not self.closing and not self.is_full()

    def has_unsettled(self) -> bool:
        """Whether there may be something for the sender to take."""
        if self.closing or self.draining:
            return True
        if self.held:
            return False
        return self.file is not None and self.file.last_seq > self.settled

    def is_idle(self) -> bool:
        """Whether nothing waits to be written."""
        return not self.queue and self.pending.is_empty and not self.busy

    def take_figures(self, file: SpoolFile, oldest_us: int | None) -> None:
        """Remember how the file is now."""
        self.figures = SpoolFigures(
            stream=file.stream,
            depth=file.depth,
            oldest_us=oldest_us,
            last_seq=file.last_seq,
            dead_letters=file.dead_letters,
            counters=dict(file.counters),
            disk_full=file.is_constrained,
        )
