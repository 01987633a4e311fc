"""Takes operations from coroutines and has them committed, many in one transaction.

One batch is with the writing thread at a time; whatever arrives meanwhile is the next batch. So a
slow disk makes batches larger, never requests fail, until the bound on what waits is reached.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from queue import SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from wotkit import times
from wotkit.errors import InternalError, Overloaded, StoreUnavailable, WotkitError
from wotkit.readings.store import Append, Kind, Replace, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wotkit.metrics import IngestMetrics
    from wotkit.readings.store import NewReading, Operation, Outcome, Store
    from wotkit.settings import IngestSettings

RETRY_SECONDS: Final = 1
UNAVAILABLE_RETRY_SECONDS: Final = 5

_log: Final = logging.getLogger(__name__)


class _Waiting(Struct, frozen=True):
    operation: Operation
    future: asyncio.Future[Outcome]
    readings: int
    size: int


class Listener(Protocol):
    """Hears what was stored."""

    @property
    def busy(self) -> bool:
        """Whether it wants to hear anything."""
        ...

    def publish(
        self,
        readings: Sequence[NewReading],
        rewritten: frozenset[int],
        spans: Sequence[range],
    ) -> None:
        """Take note of readings that were added, and of sensors whose readings were changed.

        The spans are the ids of the readings, in their order.
        """
        ...


class Door:
    """The only way to change readings; to be used on the event loop's thread."""

    def __init__(
        self,
        store: Store,
        settings: IngestSettings,
        metrics: IngestMetrics,
        listener: Listener | None = None,
    ) -> None:
        self._store = store
        self._max_readings = settings.queue_readings
        self._max_bytes = settings.queue_bytes
        self._batch_readings = settings.batch_readings
        self._metrics = metrics
        self._listener = listener
        self._waiting: list[_Waiting] = []
        self._readings = 0
        self._bytes = 0
        self._busy = False
        self._flush_due = False
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._batches: SimpleQueue[list[_Waiting] | None] = SimpleQueue()
        self.trouble: str | None = None
        """Why the last transaction failed; None when it did not."""
        self._thread = threading.Thread(target=self._write, name="writer", daemon=True)

    def start(self) -> None:
        """Begin to store; to be called in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._metrics.watch_queue(lambda: self._readings)
        self._thread.start()

    def submit(
        self, operation: Operation, readings: int = 1, size: int = 0
    ) -> asyncio.Future[Outcome]:
        """Queue an operation; the future ends when it is durable.

        Args:
            operation: what to do.
            readings: how many readings it holds, for the bound on what waits.
            size: how many bytes they have.

        Raises:
            Overloaded: too much waits already; nothing was queued.
        """
        total, total_bytes = self._readings + readings, self._bytes + size
        if self._waiting and (total > self._max_readings or total_bytes > self._max_bytes):
            self._metrics.refuse("queue full", readings)
            raise Overloaded("the queue of readings to store is full", retry_after=RETRY_SECONDS)
        if self._closing:
            raise Overloaded("the server is stopping", retry_after=UNAVAILABLE_RETRY_SECONDS)
        future = self._loop.create_future()
        self._waiting.append(_Waiting(operation, future, readings, size))
        self._readings = total
        self._bytes = total_bytes
        self._idle.clear()
        if not self._flush_due and not self._busy:
            # at the end of this turn of the loop, with all that it brings
            self._flush_due = True
            self._loop.call_soon(self._flush)
        return future

    async def apply(self, operation: Operation) -> Outcome:
        """Queue an operation and what it leaves to do, and return when all of it is durable.

        Raises:
            Overloaded: too much waits already.
            StoreUnavailable: it could not be committed.
        """
        outcome = await self.submit(operation)
        while outcome.rest is not None:
            outcome = await self.submit(outcome.rest)
        return outcome

    async def close(self) -> None:
        """Finish what was accepted, then stop the thread."""
        self._closing = True
        await self._idle.wait()
        self._batches.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def _flush(self) -> None:
        """Hand what waits to the writing thread."""
        self._flush_due = False
        if self._busy or not self._waiting:
            return
        batch = self._take_batch()
        self._busy = True
        self._batches.put(batch)

    def _take_batch(self) -> list[_Waiting]:
        if self._readings <= self._batch_readings:
            batch, self._waiting = self._waiting, []
            return batch
        count = readings = 0
        for waiting in self._waiting:
            readings += waiting.readings
            if count and readings > self._batch_readings:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    def _write(self) -> None:
        """Commit batches; this is the writing thread."""
        while (batch := self._batches.get()) is not None:
            started = perf_counter()
            outcomes = self._commit([waiting.operation for waiting in batch])
            seconds = perf_counter() - started
            self._loop.call_soon_threadsafe(self._finish, batch, outcomes, seconds)

    def _commit(self, operations: list[Operation]) -> list[Outcome | WotkitError]:
        """Apply operations; one that the store chokes on fails alone."""
        try:
            return [*self._store.apply(operations, times.now())]
        except StoreError as error:
            return [
                StoreUnavailable(str(error), retry_after=UNAVAILABLE_RETRY_SECONDS)
                for _ in operations
            ]
        except Exception:  # noqa: BLE001  # the thread goes on and nobody waits for ever
            _log.exception("a transaction of %d operations failed", len(operations))
            if len(operations) == 1:
                return [InternalError("the log has the cause")]
            return [self._commit([operation])[0] for operation in operations]

    def _finish(
        self, batch: list[_Waiting], outcomes: list[Outcome | WotkitError], seconds: float
    ) -> None:
        """Tell everybody who waits, and start the next batch."""
        self._busy = False
        readings = size = stored = 0
        trouble: str | None = None
        for waiting, outcome in zip(batch, outcomes, strict=True):
            readings += waiting.readings
            size += waiting.size
            if isinstance(outcome, WotkitError):
                trouble = "; ".join(outcome.developer)
                self._metrics.refuse("store unavailable", waiting.readings)
                if not waiting.future.done():
                    waiting.future.set_exception(outcome)
            else:
                stored += outcome.stored
                if not waiting.future.done():
                    waiting.future.set_result(outcome)
        self._readings -= readings
        self._bytes -= size
        self._metrics.accepted += stored
        self._metrics.batch.observe(readings)
        self._metrics.commit.observe(seconds)
        self._note(trouble)
        self._flush()
        if self._listener is not None and self._listener.busy:
            self._listener.publish(*_changes(batch, outcomes))
        if not self._busy:
            self._idle.set()

    def _note(self, trouble: str | None) -> None:
        """Log when storing fails for a new reason, and when it works again."""
        if trouble == self.trouble:
            return
        self.trouble = trouble
        if trouble is None:
            _log.warning("readings are stored again")
        else:
            _log.error("readings cannot be stored: %s", trouble)


def _changes(
    batch: list[_Waiting], outcomes: list[Outcome | WotkitError]
) -> tuple[list[NewReading], frozenset[int], list[range]]:
    """Return the readings that a batch added, the sensors it changed otherwise, and the ids."""
    added: list[NewReading] = []
    rewritten: set[int] = set()
    spans: list[range] = []
    first = end = 0
    for waiting, outcome in zip(batch, outcomes, strict=True):
        if isinstance(outcome, WotkitError) or outcome.kind is not Kind.STORED:
            continue
        operation = waiting.operation
        if isinstance(operation, Append | Replace):
            added += operation.readings if outcome.added is None else outcome.added
            if outcome.first_id != end and outcome.stored:
                if end:
                    spans.append(range(first, end))
                first = end = outcome.first_id
            end += outcome.stored
            if isinstance(operation, Replace):
                rewritten.add(operation.sensor_id)
        elif (sensor_id := getattr(operation, "sensor_id", None)) is not None:
            rewritten.add(sensor_id)
    if end:
        spans.append(range(first, end))
    return added, frozenset(rewritten), spans
