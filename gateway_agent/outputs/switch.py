"""Two ways to the platform: the preferred one, and the other while that does not work.

Changing in the middle of a stream is safe, since `stream` and `seq` decide what is new.
"""

import logging
import time
from collections.abc import Callable

from gateway_agent.backoff import Backoff
from gateway_agent.outputs.base import Answer, Denied, Later, Output, TooLarge
from gateway_agent.spool import Batch


class SwitchingOutput:
    """Sends through the preferred output, through the other one while that has failed.

    After a failure the preferred one is tried again by itself, after a delay that grows. A
    platform that asks for patience (`Retry-After`) is obeyed, not asked in another way.
    """

    def __init__(
        self,
        preferred: Output,
        other: Output,
        retry: Backoff,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outputs = (preferred, other)
        self._retry = retry
        self._clock = clock
        self._away_until: float | None = None
        self._log = logging.getLogger(__name__)

    @property
    def is_changed(self) -> bool:
        """Whether the other output is in use."""
        return self._away_until is not None

    @property
    def in_use(self) -> str:
        """The name of the output that is in use: `mqtt` or `http`."""
        return str(getattr(self._outputs[self.is_changed], "in_use", "http"))

    @property
    def has_another_way(self) -> bool:
        """Readings may get through although HTTP fails."""
        return any(getattr(output, "is_open", False) for output in self._outputs)

    def send(self, batch: Batch) -> Answer:
        """Try to deliver a batch, in the other way too if the first one fails."""
        preferred, other = self._outputs
        if self._away_until is not None and self._clock() < self._away_until:
            answer = other.send(batch)
            if not _has_failed(answer, batch):
                return answer
            second = preferred.send(batch)
            if not _has_failed(second, batch):
                self._return()
                return second
            return _worse(second, answer)
        answer = preferred.send(batch)
        if not _has_failed(answer, batch):
            self._return()
            return answer
        if self._away_until is None:
            self._log.warning("output changed from=preferred reason=%r", _reason(answer))
        self._away_until = self._clock() + self._retry.next_between()
        second = other.send(batch)
        return _worse(answer, second) if _has_failed(second, batch) else second

    def close(self) -> None:
        """Let go of both."""
        for output in self._outputs:
            output.close()

    def _return(self) -> None:
        if self._away_until is not None:
            self._log.info("output changed to=preferred")
            self._retry.reset()
            self._away_until = None


def _has_failed(answer: Answer, batch: Batch) -> bool:
    """Whether another way might do better; a reading may be too large for one of them only."""
    match answer:
        case Later(_, None) | Denied():
            return True
        case TooLarge():
            return len(batch.rows) == 1
    return False


def _worse(first: Answer, second: Answer) -> Answer:
    """What to go by when both have failed: patience, rather than giving a reading up."""
    for kind in (Denied, Later):
        for answer in (second, first):
            if isinstance(answer, kind):
                return answer
    return second


def _reason(answer: Answer) -> str:
    return str(getattr(answer, "reason", None) or getattr(answer, "message", ""))
