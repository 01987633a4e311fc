"""Stands in for an input of any kind whose hardware is not there: its sensors, made-up values.

Not a kind that a configuration can name: `gateway-agent simulate` puts it in the others' places.
"""

import math
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway_agent.inputs.base import Context, Input, InputConfig, Kind
from gateway_agent.reading import FieldSpec, Sample, SensorSpec, Value

_PERIOD: Final = 300.0
"""Seconds of one wave; each field is at another place of it."""
_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "°C": (20.0, 5.0),
    "%": (50.0, 30.0),
    "hPa": (1013.0, 10.0),
    "V": (12.0, 0.5),
    "A": (2.0, 1.0),
    "W": (500.0, 200.0),
    "kW": (5.0, 2.0),
    "bar": (2.0, 0.5),
    "Hz": (50.0, 0.1),
    "m/s": (5.0, 3.0),
    "km/h": (50.0, 30.0),
}
"""By units: the middle of what is made up, and how far it goes from there."""
_ANYTHING: Final = (50.0, 25.0)
_TEXT: Final = "simulated"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedConfig(InputConfig):
    """The sensors to make readings up for."""

    specs: tuple[SensorSpec, ...] = ()


class SimulatedInput(Input):
    """Makes readings up: slow waves around what is usual for each field's units."""

    def __init__(self, config: SimulatedConfig, context: Context) -> None:  # noqa: ARG002 - as every kind
        self._specs = config.specs

    def sensors(self) -> Sequence[SensorSpec]:
        return self._specs

    def read(self) -> Iterator[Sample]:
        now = time.time()
        for spec in self._specs:
            yield Sample(
                spec.name, {field.name: made_up(spec.name, field, now) for field in spec.fields}
            )


def made_up(sensor: str, field: FieldSpec, moment: float) -> Value:
    """What a field is said to be at a moment, in seconds since 1970."""
    if not field.numeric:
        return _TEXT
    middle, height = _RANGES.get(field.units, _ANYTHING)
    place = zlib.crc32(f"{sensor} {field.name}".encode()) / 2**32
    angle = 2 * math.pi * (moment / _PERIOD + place)
    return round(middle + height * math.sin(angle), 2)


KIND: Final = Kind(SimulatedConfig, SimulatedInput)
