"""Drives one input in a thread of its own: open, read at every interval, close, try again."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Protocol

from gateway_agent.backoff import Backoff
from gateway_agent.clock import Clock
from gateway_agent.inputs.base import Failure, Input
from gateway_agent.reading import InvalidReadingError, Reading, Sample, SensorSpec, make_reading
from gateway_agent.redact import redact

_REOPEN_FIRST: Final = 1.0
_REOPEN_LONGEST: Final = 60.0
_REMIND_AFTER: Final = 600.0
_REMEMBERED_ERRORS: Final = 50
_PATIENCE: Final = 5.0
"""Seconds an input waits for room before its reading is dropped."""
_ROOM_SLICE: Final = 0.5
_CLOSE_TIMEOUT: Final = 5.0
_LONGEST_ERROR: Final = 500
_HANGS_AFTER: Final = 60.0
"""Seconds after which a call to a device is called hanging."""


class ReadingSink(Protocol):
    """Where readings go: the spool."""

    def put(self, reading: Reading, patience: float) -> bool:
        """Take a reading, waiting at most `patience` seconds for room; False if it was dropped."""

    def wait_for_room(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until there is room for a reading; False if there is none.

        Others may take it.
        """

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
    hangs_for: float | None = None
    """Seconds since the device was asked for something, when that is more than a minute."""


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
        self._reported: OrderedDict[str, float] = OrderedDict()
        self._log = logging.getLogger(__name__)
        self._thread = threading.Thread(target=self._run, name=f"input-{name}", daemon=True)
        self._closer: threading.Thread | None = None
        self._asked_at: float | None = None

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def join(self, timeout: float) -> bool:
        """Wait for the thread after `stopping` was set; False if the device still hangs."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def abandon(self) -> None:
        """Close the device although a call to it hangs; returns at once."""
        if self._thread.is_alive() and self._closer is None:
            self._start_closing()

    def figures(self) -> InputFigures:
        """How the input is doing now."""
        asked_at = self._asked_at
        waited = 0.0 if asked_at is None else time.monotonic() - asked_at
        if waited < _HANGS_AFTER:
            return self._figures
        return replace(self._figures, last_error="the device does not answer", hangs_for=waited)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs, as it should from `start` until it is told to stop."""
        return self._thread.is_alive() or self._stopping.is_set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            failed = False
            try:
                self._asked_at = time.monotonic()
                self._source.open()
                for spec in self._source.sensors():
                    self._declare(spec)
                self._asked_at = None
                self._figures = replace(self._figures, open=True)
                self._read_until_stopped()
            except Exception as error:  # noqa: BLE001 - a device may fail in any way, and must not stop the agent
                failed = True
                self._report(_told(error))
            finally:
                self._asked_at = None
                self._close()
            if failed:
                self._stopping.wait(self._backoff.next())

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
        for item in self._watched(self._source.read):
            if self._stopping.is_set():
                break
            if isinstance(item, Failure):
                self._report(item.message)
                continue
            self._backoff.reset()
            try:
                reading = self._reading(item)
            except InvalidReadingError as error:
                self._sink.count_drop("invalid")
                self._report(_told(error))
                continue
            kept = self._put(reading) and kept
        return kept

    def _watched(
        self, read: Callable[[], Iterable[Sample | Failure]]
    ) -> Iterator[Sample | Failure]:
        """What `read` yields, noting since when the device has been asked for it."""
        if self._source.is_stream:
            yield from read()
            return
        try:
            self._asked_at = time.monotonic()
            for item in read():
                self._asked_at = None
                yield item
                self._asked_at = time.monotonic()
        finally:
            self._asked_at = None

    def _reading(self, sample: Sample) -> Reading:
        reading = make_reading(sample, self._clock.stamp())
        if sample.bookmark is None:
            return reading
        return replace(reading, bookmark=(self._figures.name, sample.bookmark))

    def _put(self, reading: Reading) -> bool:
        while self._source.waits_for_room and not self._sink.wait_for_room(_ROOM_SLICE):
            if self._stopping.is_set():
                return False
        kept = self._sink.put(reading, _PATIENCE)
        self._figures = replace(
            self._figures,
            readings=self._figures.readings + 1,
            last_reading=reading.stamp.wall_us / 1e6,
        )
        return kept

    def _close(self) -> None:
        """Close the device in a thread of its own, so that this one can be stopped if that hangs.

        The device is not opened again before that is done.
        """
        self._figures = replace(self._figures, open=False)
        closer = self._closer or self._start_closing()
        closer.join(_CLOSE_TIMEOUT)
        if closer.is_alive():
            self._report(f"closing takes longer than {_CLOSE_TIMEOUT:.0f} s")
            while closer.is_alive() and not self._stopping.is_set():
                closer.join(_ROOM_SLICE)
        self._closer = None

    def _start_closing(self) -> threading.Thread:
        def close() -> None:
            try:
                self._source.close()
            except Exception as error:  # noqa: BLE001 - as in _run
                self._report(_told(error))

        name = f"close-{self._figures.name}"
        self._closer = threading.Thread(target=close, name=name, daemon=True)
        self._closer.start()
        return self._closer

    def _report(self, message: str) -> None:
        """Count an error; log it when it is new, and again every ten minutes."""
        text = redact(message)[:_LONGEST_ERROR]
        now = time.monotonic()
        if now - self._reported.get(text, -_REMIND_AFTER) >= _REMIND_AFTER:
            self._reported[text] = now
            self._reported.move_to_end(text)
            if len(self._reported) > _REMEMBERED_ERRORS:
                self._reported.popitem(last=False)
            self._log.warning("input failed input=%s error=%r", self._figures.name, text)
        self._figures = replace(self._figures, errors=self._figures.errors + 1, last_error=text)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
