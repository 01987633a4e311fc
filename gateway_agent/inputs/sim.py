"""Readings without hardware: a sine, a random walk, the replay of a CSV file, a counter."""

import csv
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Annotated, Final, Literal

from gateway_agent.inputs.base import (
    SENSOR_EXPECTED,
    Context,
    Input,
    InputConfig,
    Kind,
    sensor_name,
)
from gateway_agent.inputs.points import FIELD_EXPECTED, FIELD_NAME
from gateway_agent.reading import (
    RESERVED_FIELDS,
    SENSOR_NAME,
    FieldSpec,
    Sample,
    SensorSpec,
    Value,
    title,
)
from gateway_agent.settings import Setting, choice, duration, number, path, text, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class SimConfig(InputConfig):
    """`type = "sim"`: values that are made up, to try the platform or the agent."""

    mode: Annotated[
        Literal["sine", "walk", "replay", "counter"],
        Setting(
            choice("sine", "walk", "replay", "counter"),
            '"sine", "walk" (random), "replay" (of a CSV file) or "counter" (numbered readings)',
        ),
    ] = "sine"
    sensor: Annotated[
        str | None,
        Setting(
            text(SENSOR_NAME.pattern, SENSOR_EXPECTED),
            "sensor that gets the readings; {gateway id}-{name} if left out",
        ),
    ] = None
    field: Annotated[
        str,
        Setting(
            text(FIELD_NAME, FIELD_EXPECTED),
            "field that gets the value of sine and walk",
        ),
    ] = "value"
    units: Annotated[str, Setting(text(), "units of that field")] = ""
    base: Annotated[float, Setting(number, "middle of the sine, start of the walk")] = 0.0
    amplitude: Annotated[float, Setting(number, "height of the sine, largest step of the walk")] = (
        1.0
    )
    period: Annotated[float, Setting(duration(0.001), "time of one whole sine")] = 60.0
    seed: Annotated[int | None, Setting(whole(0), "makes the walk the same every time")] = None
    file: Annotated[
        Path | None, Setting(path, "CSV file to replay: a heading, then a row for each reading")
    ] = None
    burst: Annotated[int, Setting(whole(1, 10_000), "readings at each interval")] = 1
    limit: Annotated[int, Setting(whole(0), "stop after so many readings; 0 never stops")] = 0


class SimInput(Input):
    """Makes up readings. After `limit` readings it stays silent."""

    def __init__(self, config: SimConfig, context: Context) -> None:
        self._config = config
        self._sensor = sensor_name(context.gateway_id, config, config.sensor)
        self._made = 0
        self._values: Iterator[Mapping[str, Value]] = iter(())
        self._fields: tuple[FieldSpec, ...] = ()

    def open(self) -> None:
        """Raises OSError or ValueError when the file to replay is missing or empty."""
        make: dict[str, Callable[[], Iterator[Mapping[str, Value]]]] = {
            "sine": self._sine,
            "walk": self._walk,
            "replay": self._replay,
            "counter": self._counter,
        }
        self._values = make[self._config.mode]()

    def sensors(self) -> Sequence[SensorSpec]:
        fields = self._fields or (
            FieldSpec(self._config.field, title(self._config.field), self._config.units),
        )
        description = f"Simulated readings: {self._config.mode}"
        return [SensorSpec(self._sensor, title(self._sensor), description, fields)]

    def read(self) -> Iterator[Sample]:
        for _ in range(self._config.burst):
            if self._config.limit and self._made >= self._config.limit:
                return
            self._made += 1
            yield Sample(self._sensor, next(self._values))

    def _sine(self) -> Iterator[Mapping[str, Value]]:
        config = self._config
        while True:
            angle = 2 * math.pi * (time.time() % config.period) / config.period
            yield {config.field: round(config.base + config.amplitude * math.sin(angle), 6)}

    def _walk(self) -> Iterator[Mapping[str, Value]]:
        config = self._config
        chance = random.Random(config.seed)  # noqa: S311 - a made-up measurement, not a secret
        value = config.base
        while True:
            value += chance.uniform(-config.amplitude, config.amplitude)
            yield {config.field: round(value, 6)}

    def _counter(self) -> Iterator[Mapping[str, Value]]:
        """Numbers from 0; `run` tells one start of the agent from another."""
        self._fields = (FieldSpec("run", "Run"), FieldSpec("number", "Number in the run"))
        run = time.time_ns() // 1000
        return ({"run": run, "number": number} for number in count())

    def _replay(self) -> Iterator[Mapping[str, Value]]:
        """The rows of the file, over and over; they carry the time of the replay."""
        if self._config.file is None:
            raise ValueError('mode "replay" needs file, a CSV file')
        with self._config.file.open(encoding="utf-8", newline="") as file:
            rows = [_values(row) for row in csv.DictReader(file)]
        rows = [row for row in rows if row]
        if not rows:
            raise ValueError(f"{self._config.file} has no row with values")
        numeric = {name: True for row in rows for name in row}
        for row in rows:
            for name, value in row.items():
                numeric[name] &= not isinstance(value, str)
        self._fields = tuple(
            FieldSpec(name, title(name), numeric=numeric[name]) for name in numeric
        )
        return (rows[index % len(rows)] for index in count())


def _values(row: Mapping[str | None, str | list[str] | None]) -> dict[str, Value]:
    """A row's values under usable names; empty cells and the row's own time are left out."""
    values: dict[str, Value] = {}
    for name, cell in row.items():
        if name is None or name in RESERVED_FIELDS or not isinstance(cell, str) or not cell.strip():
            continue
        try:
            values[name.strip()] = float(cell)
        except ValueError:
            values[name.strip()] = cell.strip()
    return values


KIND: Final = Kind(SimConfig, SimInput)
