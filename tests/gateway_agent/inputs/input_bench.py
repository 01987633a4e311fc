"""Runs inputs as the agent does: configured by TOML, driven by a real runner, kept in a list."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from gateway_agent.clock import Clock
from gateway_agent.config import load_config
from gateway_agent.inputs import Context, Failure, Input, InputConfig, Sample, create_input
from gateway_agent.inputs.runner import InputFigures, InputRunner
from gateway_agent.reading import Reading, SensorSpec

HEAD = """
[gateway]
id = "green"
[platform]
http = "http://127.0.0.1:9/api"
[spool]
path = "spool.db"
"""


class Shelf:
    """Keeps readings and bookmarks as the spool does, in memory."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.drops: dict[str, int] = {}
        self.marks: dict[str, str] = {}

    def put(self, reading: Reading, patience: float) -> bool:
        if reading.bookmark:
            name, value = reading.bookmark
            self.marks[name] = value
        self.readings.append(reading)
        return True

    def wait_for_room(self, timeout: float) -> bool:
        return True

    def count_drop(self, reason: str, count: int = 1) -> None:
        self.drops[reason] = self.drops.get(reason, 0) + count

    def bookmark(self, name: str) -> str | None:
        return self.marks.get(name)

    def set_bookmark(self, name: str, value: str) -> None:
        self.marks[name] = value


class Workbench:
    """One input of a configuration file in `folder`."""

    def __init__(self, folder: Path, text: str, shelf: Shelf | None = None) -> None:
        self.config = configure(folder, text)
        self.stopping = threading.Event()
        self.shelf = shelf or Shelf()
        self.declared: list[SensorSpec] = []
        self.context = Context("green", self.stopping, Clock(lambda: True), self.shelf)
        self.input: Input = create_input(self.config, self.context)
        self._runner: InputRunner | None = None

    def __enter__(self) -> Self:
        """Run it in a thread of its own."""
        self._runner = InputRunner(
            self.config.name,
            self.input,
            self.config.interval,
            clock=self.context.clock,
            sink=self.shelf,
            declare=self.declared.append,
            stopping=self.stopping,
        )
        self._runner._backoff._jitter = lambda *_: 0.02
        self._runner.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stopping.set()
        assert self._runner is not None
        assert self._runner.join(10), "the input does not stop"

    @property
    def figures(self) -> InputFigures:
        assert self._runner is not None
        return self._runner.figures()

    def values(self) -> list[dict[str, Any]]:
        """The fields of all readings so far."""
        return [json.loads(reading.fields) for reading in list(self.shelf.readings)]

    def of(self, sensor: str) -> list[dict[str, Any]]:
        readings = list(self.shelf.readings)
        return [json.loads(reading.fields) for reading in readings if reading.sensor == sensor]

    def wait_for(self, condition: Callable[[], object], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (self.figures, self.values()[-5:])
            time.sleep(0.01)

    def wait_for_values(self, count: int) -> list[dict[str, Any]]:
        self.wait_for(lambda: len(self.shelf.readings) >= count)
        return self.values()

    def read_once(self) -> tuple[list[Sample], list[str]]:
        """Open, read once, close: the samples, and what failed."""
        self.input.open()
        try:
            items = list(self.input.read())
        finally:
            self.input.close()
        samples = [item for item in items if isinstance(item, Sample)]
        return samples, [item.message for item in items if isinstance(item, Failure)]


def configure(folder: Path, text: str) -> InputConfig:
    """The first input of a configuration that consists of the usual head and `text`."""
    file = folder / "agent.toml"
    file.write_text(HEAD + text, encoding="utf-8")
    return load_config(file).inputs[0]
