"""Reads every point of every input once, to see whether all of it works."""

import contextlib
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway_agent.clock import Clock
from gateway_agent.config import Config
from gateway_agent.inputs import Context, Failure, InputConfig, Sample, create_input
from gateway_agent.inputs.base import Input
from gateway_agent.reading import InvalidReadingError, SensorSpec, Value, make_reading
from gateway_agent.redact import redact

_SHORTEST_PAUSE: Final = 0.3
_LONGEST_PAUSE: Final = 1.0
_STOP_TIMEOUT: Final = 1.0
_LONGEST_ERROR: Final = 300
_MOST_FAILURES: Final = 20


@dataclass(frozen=True, slots=True)
class Measurement:
    """What came of one field of one input; `seconds` is how long it took from the beginning."""

    input: str
    sensor: str = ""
    field: str = ""
    value: Value | None = None
    units: str = ""
    seconds: float = 0.0
    error: str | None = None


def probe(config: Config, limit: float) -> list[Measurement]:
    """Open every input, all at once, and read until each of its fields has a value.

    An input gets `limit` seconds. It is closed at the end; nothing is stored or sent. An input
    without points is done at its first reading.
    """
    trials = [_Trial(settings, config.gateway.id) for settings in config.inputs]
    deadline = time.monotonic() + limit
    for trial in trials:
        trial.start()
    for trial in trials:
        trial.wait(deadline - time.monotonic())
    for step in (_Trial.stop, _Trial.abandon):
        for trial in trials:
            step(trial)
        end = time.monotonic() + _STOP_TIMEOUT
        for trial in trials:
            trial.wait(end - time.monotonic())
    return [measurement for trial in trials for measurement in trial.result(limit)]


class _Trial:
    """One input, in a thread of its own, which may hang."""

    def __init__(self, settings: InputConfig, gateway_id: str) -> None:
        self._name = settings.name
        self._settings = _from_the_beginning(settings)
        self._stopping = threading.Event()
        self._clock = Clock()
        self._context = Context(gateway_id, self._stopping, self._clock)
        self._pause = min(max(settings.interval, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        self._thread = threading.Thread(target=self._run, name=f"probe-{self._name}", daemon=True)
        self._lock = threading.Lock()
        self._began = 0.0
        self._source: Input | None = None
        self._units: dict[tuple[str, str], str] = {}
        self._found: dict[tuple[str, str], Measurement] = {}
        self._failures: list[str] = []
        self._is_over = False

    def start(self) -> None:
        """Begin to read."""
        self._began = time.monotonic()
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait at most so long until all has been read."""
        self._thread.join(max(0.0, seconds))

    def stop(self) -> None:
        """Ask it to end; returns at once."""
        self._stopping.set()

    def abandon(self) -> None:
        """End a call that hangs by closing the device under it; returns at once."""
        if self._thread.is_alive() and self._source is not None:
            threading.Thread(target=self._close, name=f"close-{self._name}", daemon=True).start()

    def result(self, limit: float) -> list[Measurement]:
        """A measurement for every field, then what else is wrong."""
        with self._lock:
            rows = [
                self._found.get(key) or Measurement(self._name, *key, units=units)
                for key, units in self._units.items()
            ]
            rows += [row for key, row in self._found.items() if key not in self._units]
            failures = list(self._failures)
            is_over = self._is_over
        is_missing = not rows or any(row.value is None for row in rows)
        if not is_missing and not is_over:
            failures = []  # such as a torn first line, after which all was well
        seconds = round(time.monotonic() - self._began, 3)
        reason = failures[0] if len(failures) == 1 else "no value"
        if not failures and not is_over:
            reason = f"nothing came within {limit:g} s"
        told = [
            row if row.value is not None else replace(row, seconds=seconds, error=reason)
            for row in rows
        ]
        if not rows or len(failures) > 1 or (failures and not is_missing):
            told += [
                Measurement(self._name, seconds=seconds, error=failure)
                for failure in failures or [reason]
            ]
        return told

    def _run(self) -> None:
        try:
            source = create_input(self._settings, self._context)
            self._source = source
            with contextlib.suppress(Exception):  # some only know when they are open
                self._declare(source.sensors())
            source.open()
            with self._lock:
                self._units = {}
            self._declare(source.sensors())
            while not self._stopping.is_set() and not self._read(source):
                self._stopping.wait(self._pause)
        except Exception as error:  # noqa: BLE001 - a device may fail in any way
            self._fail(f"{type(error).__name__}: {error}")
            self._is_over = True
        finally:
            self._close()

    def _read(self, source: Input) -> bool:
        """Read once; True when there is no more to wait for."""
        for item in source.read():
            if isinstance(item, Failure):
                self._fail(item.message)
            else:
                self._note(item)
            if self._is_complete() or self._stopping.is_set():
                break
        else:
            self._declare(source.sensors())
            self._is_over = bool(self._failures) or self._is_complete()
            return self._is_over
        return True

    def _declare(self, specs: Sequence[SensorSpec]) -> None:
        with self._lock:
            for spec in specs:
                for field in spec.fields:
                    self._units[spec.name, field.name] = field.units

    def _note(self, sample: Sample) -> None:
        try:
            reading = make_reading(sample, self._clock.stamp())
        except InvalidReadingError as error:
            self._fail(str(error))
            return
        seconds = round(time.monotonic() - self._began, 3)
        with self._lock:
            for name, value in json.loads(reading.fields).items():
                key = (sample.sensor, name)
                units = self._units.get(key, "")
                self._found.setdefault(key, Measurement(self._name, *key, value, units, seconds))

    def _fail(self, message: str) -> None:
        text = redact(message)[:_LONGEST_ERROR]
        with self._lock:
            if text not in self._failures[-_MOST_FAILURES:]:
                self._failures = [*self._failures, text][-_MOST_FAILURES:]

    def _is_complete(self) -> bool:
        with self._lock:
            return bool(self._found) and self._units.keys() <= self._found.keys()

    def _close(self) -> None:
        try:
            if self._source is not None:
                self._source.close()
        except Exception as error:  # noqa: BLE001 - as in _run
            self._fail(f"{type(error).__name__}: {error}")


def _from_the_beginning(settings: Any) -> InputConfig:
    """An input of a file reads what stands there already, and waits for no new line."""
    found: InputConfig = settings
    if settings.type == "file":
        found = replace(settings, start="beginning")
    return found
