"""Takes readings from the spool to the platform, and decides what each answer means for them."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from gateway_agent.backoff import Backoff
from gateway_agent.outputs.base import (
    Answer,
    Denied,
    Later,
    Output,
    Refused,
    RejectedItem,
    Stored,
    TooLarge,
)
from gateway_agent.outputs.batch_size import BatchSize
from gateway_agent.outputs.registry import SensorRegistry
from gateway_agent.spool import Batch, Refusal, Spool

_LARGEST_BODY: Final = 512 * 1024
_IDLE_WAIT: Final = 1.0
_PACED_FROM: Final = 20
_MOST_TRIES: Final = 3
_NO_SUCH_SENSOR: Final = "1101"
_NOT_FOUND_TEXT: Final = "could not locate this resource"


@dataclass(frozen=True, slots=True)
class SenderFigures:
    """How delivery is doing: `state` is ok, waiting or denied; times are seconds since 1970."""

    state: str = "ok"
    sent: int = 0
    last_acknowledged: float | None = None
    failures: int = 0
    last_error: str | None = None
    via: str = "http"
    """The output in use."""


class Sender:
    """The thread that empties the spool."""

    def __init__(
        self,
        spool: Spool,
        output: Output,
        registry: SensorRegistry | None,
        *,
        size: BatchSize,
        most_per_second: int = 0,
        retry: Backoff,
        denied_retry: Backoff,
        credentials_changed: Callable[[], bool],
    ) -> None:
        self._spool = spool
        self._output = output
        self._registry = registry
        self._size = size
        self._most_per_second = most_per_second
        self._registry_failed = False
        """Whether the sensors of the last batch could not be looked after."""
        self._retry = retry
        self._denied_retry = denied_retry
        self._credentials_changed = credentials_changed
        self._stopping = threading.Event()
        self._abandoned = threading.Event()
        self._given_up_in_a_row = 0
        self._busy_since: float | None = None
        self._figures = SenderFigures()
        self._log = logging.getLogger(__name__)
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._spool.expect_sender()
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Send what waits until there is trouble or `timeout` seconds are over; False if stuck.

        What is not sent stays in the spool.
        """
        deadline = time.monotonic() + timeout
        self._stopping.set()
        self._spool.release_sender()
        self._thread.join(timeout * 0.75)
        self._abandoned.set()
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            return False
        self._output.close()
        return True

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs, as it should from `start` to `stop`."""
        return self._thread.is_alive()

    @property
    def busy_for(self) -> float:
        """Seconds since the batch was begun that is on its way now; 0 between batches."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def figures(self) -> SenderFigures:
        """How delivery is doing now."""
        return replace(self._figures, via=getattr(self._output, "in_use", "http"))

    def _run(self) -> None:
        while not self._abandoned.is_set():
            batch = self._spool.take(self._size.size, _LARGEST_BODY)
            if batch is None:
                if self._stopping.is_set():
                    return
                self._spool.wait_for_readings(_IDLE_WAIT)
                continue
            began = time.monotonic()
            self._busy_since = began
            answer = self._deliver(batch)
            self._busy_since = None
            pause = self._settle(batch, answer)
            if pause is None:
                self._keep_pace(len(batch.rows), began)
                continue
            if self._stopping.is_set():
                return
            self._wait(pause, answer)

    def _deliver(self, batch: Batch) -> Answer:
        problem = self._registry.ensure(batch.rows) if self._registry else None
        self._registry_failed = problem is not None
        # The registry has HTTP only: while that fails, there may be another way for readings.
        if problem is None or getattr(self._output, "has_another_way", False):
            return self._output.send(batch)
        return problem

    def _keep_pace(self, count: int, began: float) -> None:
        """Wait as long as a full batch should take, so that a backlog leaves room for others."""
        if self._most_per_second and count >= min(self._size.size, self._most_per_second) // 2:
            left = began + count / self._most_per_second - time.monotonic()
            self._stopping.wait(max(0.0, left))

    def _settle(self, batch: Batch, answer: Answer) -> float | None:
        """Act on an answer; seconds to wait before the next attempt, or None to go on."""
        match answer:
            case Stored():
                pause = self._on_stored(batch, answer)
            case TooLarge():
                refusal = Refusal("413", answer.message)
                pause = self._on_refused(batch, refusal, self._size.too_large)
            case Refused():
                refusal = Refusal(answer.code, answer.message)
                pause = self._on_refused(batch, refusal, self._size.invalid)
            case Denied():
                self._note_failure("denied", answer.reason)
                pause = self._denied_retry.next_between()
            case Later(reason, None):
                self._note_failure("waiting", reason)
                pause = self._retry.next()
            case Later(reason, float(seconds)):
                self._note_failure("waiting", reason)
                pause = self._retry.next_at_least(seconds)
        return pause

    def _on_stored(self, batch: Batch, answer: Stored) -> float | None:
        if self._spool.is_ahead_of_file(batch, answer.through):
            self._note_failure("waiting", "the platform knows this stream further than the spool")
            self._spool.renew_stream(batch)
            return self._retry.next()
        # What lies behind the batch goes again: this answer does not say what was rejected of it.
        through = min(answer.through, batch.rows[-1].seq)
        refused: dict[int, Refusal] = {}
        respool: set[int] = set()
        rows = {row.seq: row for row in batch.rows}
        for item in answer.rejected:
            row = rows.get(item.seq)
            if row is None or row.seq > through:
                continue
            patient = row.tries < _MOST_TRIES or self._registry_failed
            if patient and self._can_be_created(item, row.sensor):
                respool.add(row.seq)
            else:
                refused[row.seq] = Refusal(item.code, item.message)
        self._spool.settle(batch, through, refused, frozenset(respool))
        self._note_dead_letters(refused)
        if respool and self._registry_failed:
            self._note_failure("waiting", "sensors cannot be registered over HTTP now")
            return self._retry.next()
        self._note_success(len(batch.rows) - len(refused) - len(respool))
        return None

    def _can_be_created(self, item: RejectedItem, sensor: str) -> bool:
        if self._registry is None:
            return False
        absent = item.code == _NO_SUCH_SENSOR or _NOT_FOUND_TEXT in item.message.lower()
        return absent and self._registry.forget(sensor)

    def _on_refused(
        self, batch: Batch, refusal: Refusal, shrink: Callable[[int], None]
    ) -> float | None:
        """Halve a refused batch; if it was a single reading, that becomes a dead letter.

        When one after the other is given up and none is stored, the fault may lie elsewhere: then
        it goes on slowly, so that somebody can look before all are dead letters.
        """
        row, *others = batch.rows
        if others:
            shrink(len(batch.rows))
            return None
        self._spool.settle(batch, row.seq, {row.seq: refusal})
        self._note_dead_letters({row.seq: refusal})
        self._size.delivered()
        self._given_up_in_a_row += 1
        return self._retry.next() if self._given_up_in_a_row > _PACED_FROM else None

    def _note_dead_letters(self, refused: dict[int, Refusal]) -> None:
        for seq, refusal in list(refused.items())[:3]:
            self._log.warning(
                "reading refused, kept as a dead letter seq=%d code=%s message=%r count=%d",
                *(seq, refusal.code, refusal.message, len(refused)),
            )

    def _note_success(self, count: int) -> None:
        if self._figures.state != "ok":
            self._log.info("delivery works again after_failures=%d", self._figures.failures)
        self._retry.reset()
        self._denied_retry.reset()
        self._size.delivered()
        self._given_up_in_a_row = 0
        self._figures = replace(
            self._figures,
            state="ok",
            failures=0,
            sent=self._figures.sent + count,
            last_acknowledged=time.time(),
        )

    def _note_failure(self, state: str, reason: str) -> None:
        if state != self._figures.state or reason != self._figures.last_error:
            self._log.warning("delivery failed state=%s reason=%r", state, reason)
        self._figures = replace(
            self._figures, state=state, failures=self._figures.failures + 1, last_error=reason
        )

    def _wait(self, seconds: float, answer: Answer) -> None:
        """Wait, but not longer than until the credentials change after the key was refused."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if self._stopping.wait(min(left, 1.0)):
                return
            if isinstance(answer, Denied) and self._credentials_changed():
                self._log.info("credentials replaced, trying again")
                return
