"""Drives one input in a thread of its own: open, read at every interval, close, try again."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from gateway_agent.backoff import Backoff
from gateway_agent.clock import Clock
from gateway_agent.inputs.base import Input
from gateway_agent.reading import InvalidReadingError, Reading, SensorSpec, make_reading

_REOPEN_FIRST: Final = 1.0
_REOPEN_LONGEST: Final = 60.0
_REMIND_AFTER: Final = 600.0
_PATIENCE: Final = 5.0
"""Seconds an input waits for room before its reading is dropped."""


class ReadingSink(Protocol):
    """Where readings go: the spool."""

    def put(self, reading: Reading, patience: float) -> bool:
        """Take a reading, waiting at most `patience` seconds for room; False if it was dropped."""

    def count_drop(self, reason: str, count: int = 1) -> None:
        """Count readings that are lost before the spool saw them."""


@dataclass(frozen=True, slots=True)
class InputFigures:
    """How an input is doing; times are seconds since 1970."""

    name: str
    open: bool = False
    readings: int = 0
    errors: int = 0
    last_reading: float | None = None
    last_error: str | None = None


class InputRunner:
    """Owns the thread of one input."""

    def __init__(
        self,
        name: str,
        source: Input,
        interval: float,
        *,
        clock: Clock,
        sink: ReadingSink,
        declare: Callable[[SensorSpec], None],
        stopping: threading.Event,
    ) -> None:
        self._source = source
        self._interval = interval
        self._clock = clock
        self._sink = sink
        self._declare = declare
        self._stopping = stopping
        self._backoff = Backoff(_REOPEN_FIRST, _REOPEN_LONGEST)
        self._figures = InputFigures(name)
        self._reported_at = -_REMIND_AFTER
        self._log = logging.getLogger(__name__)
        self._thread = threading.Thread(target=self._run, name=f"input-{name}", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def join(self, timeout: float) -> bool:
        """Wait for the thread after `stopping` was set; False if the device still hangs."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def figures(self) -> InputFigures:
        """How the input is doing now."""
        return self._figures

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._source.open()
                for spec in self._source.sensors():
                    self._declare(spec)
                self._figures = replace(self._figures, open=True)
                self._read_until_stopped()
            except Exception as error:  # noqa: BLE001 - a device may fail in any way, and must not stop the agent
                self._report(error)
                self._stopping.wait(self._backoff.next())
            finally:
                self._close()

    def _read_until_stopped(self) -> None:
        due = time.monotonic()
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            began = time.monotonic()
            kept = self._read_once()
            self._backoff.reset()
            pause = self._interval if kept else self._interval * 2
            due = max(due + pause, began)

    def _read_once(self) -> bool:
        """Put what one read yields into the spool; False when the spool had no room for it all."""
        kept = True
        for sample in self._source.read():
            if self._stopping.is_set():
                break
            try:
                reading = make_reading(sample, self._clock.stamp())
            except InvalidReadingError as error:
                self._sink.count_drop("invalid")
                self._report(error)
                continue
            kept = self._sink.put(reading, _PATIENCE) and kept
            self._figures = replace(
                self._figures,
                readings=self._figures.readings + 1,
                last_reading=reading.stamp.wall_us / 1e6,
            )
        return kept

    def _close(self) -> None:
        self._figures = replace(self._figures, open=False)
        try:
            self._source.close()
        except Exception as error:  # noqa: BLE001 - as in _run
            self._report(error)

    def _report(self, error: Exception) -> None:
        """Log an error when it is new, and again every ten minutes."""
        text = f"{type(error).__name__}: {error}"
        now = time.monotonic()
        if text != self._figures.last_error or now - self._reported_at >= _REMIND_AFTER:
            self._reported_at = now
            self._log.warning("input failed input=%s error=%r", self._figures.name, text)
        self._figures = replace(self._figures, errors=self._figures.errors + 1, last_error=text)
