"""What the inputs have in common that are told of events instead of asking for values."""

import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from gateway_agent.inputs.base import Context, Failure, Input
from gateway_agent.reading import Sample

LISTEN: Final = 0.5
"""Seconds that one `receive` may wait, so that a stop is noticed in time."""

_MOST_KEYS: Final = 10_000


class Throttle:
    """Lets through one sample per sensor and set of fields in `interval` seconds, the newest.

    What comes in between is replaced by what comes later, and the last one is sent when its time
    has come, with the time at which it was measured. With an interval of 0 everything passes.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._free_at: dict[tuple[str, ...], float] = {}
        self._held: dict[tuple[str, ...], Sample] = {}

    def offer(self, sample: Sample, now: float) -> Iterator[Sample]:
        """Take a sample at monotonic time `now`; yields it if it may pass."""
        if self._interval <= 0:
            yield sample
            return
        key = (sample.sensor, *sorted(sample.fields))
        if now < self._free_at.get(key, now):
            self._held[key] = sample
            return
        self._held.pop(key, None)
        if len(self._free_at) >= _MOST_KEYS:
            self._forget(now)
        self._free_at[key] = now + self._interval
        yield sample

    def due(self, now: float) -> Iterator[Sample]:
        """Yield the held samples whose time has come."""
        for key in [key for key in self._held if now >= self._free_at[key]]:
            self._free_at[key] = now + self._interval
            yield self._held.pop(key)

    def _forget(self, now: float) -> None:
        self._free_at = {
            key: free_at
            for key, free_at in self._free_at.items()
            if free_at > now or key in self._held
        }


class StreamInput(Input):
    """An input that listens until the agent stops; samples are stamped when they arrive."""

    is_stream = True

    def __init__(self, context: Context, interval: float) -> None:
        self._context = context
        self._throttle = Throttle(interval)
        self._wait = min(LISTEN, interval) if interval > 0 else LISTEN

    @abstractmethod
    def receive(self, timeout: float) -> Iterable[Sample | Failure]:
        """What has arrived, waiting at most `timeout` seconds for it. Raises as `read` does."""

    def read(self) -> Iterator[Sample | Failure]:
        """Listen until the agent stops."""
        while not self._context.stopping.is_set():
            for item in self.receive(self._wait):
                if isinstance(item, Failure):
                    yield item
                    continue
                stamped = item
                if item.stamp is None:
                    stamped = replace(item, stamp=self._context.clock.stamp())
                yield from self._throttle.offer(stamped, time.monotonic())
            yield from self._throttle.due(time.monotonic())
