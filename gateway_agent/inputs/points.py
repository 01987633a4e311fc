"""Points: what the inputs with several measurements have in common."""

import contextlib
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Generic, TypeVar

from gateway_agent.clock import Stamp
from gateway_agent.inputs.base import SENSOR_EXPECTED, InputConfig, sensor_name
from gateway_agent.reading import SENSOR_NAME, FieldSpec, Sample, SensorSpec, Value, title
from gateway_agent.settings import Setting, WrongSetting, number, text

FIELD_NAME: Final = r"(?!(?:seq|sensor|timestamp|id|sensor_id|sensor_name)$)[A-Za-z_]\w{0,49}"
FIELD_EXPECTED: Final = "a field name that means nothing else in a reading"
_DIGITS: Final = 12
"""Significant digits that are kept of a scaled value, so that 215 * 0.1 is 21.5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointConfig:
    """The settings that every `[[input.point]]` has; a kind adds its own in a subclass."""

    sensor: Annotated[
        str | None,
        Setting(
            text(SENSOR_NAME.pattern, SENSOR_EXPECTED),
            "sensor that gets the value; {gateway id}-{input name} if left out",
        ),
    ] = None
    field: Annotated[
        str | None, Setting(text(FIELD_NAME, FIELD_EXPECTED), "field that gets the value")
    ] = None
    title: Annotated[str | None, Setting(text(), "name of the field for people")] = None
    units: Annotated[str, Setting(text(), "units of the value, after scale and offset")] = ""
    scale: Annotated[float, Setting(number, "the value is multiplied by this")] = 1.0
    offset: Annotated[float, Setting(number, "then this is added")] = 0.0

    @property
    def default_field(self) -> str:
        """The field when none is configured."""
        return "value"

    @property
    def field_name(self) -> str:
        """The field that gets the value."""
        return self.field or self.default_field

    @property
    def is_numeric(self) -> bool:
        """Whether the value is a number, not a text."""
        return True

    @property
    def default_units(self) -> str:
        """The units when none are configured."""
        return ""

    def scaled(self, value: Value) -> Value:
        """The value in the configured units; texts stay as they are.

        Raises ValueError for a whole number beyond what a float holds.
        """
        if isinstance(value, str) or (self.scale == 1 and self.offset == 0):
            return value
        try:
            return float(f"{value * self.scale + self.offset:.{_DIGITS}g}")
        except OverflowError as error:
            raise ValueError(f"{self.field_name} is too large for a number") from error


Point = TypeVar("Point", bound=PointConfig)


def check_points(points: Sequence[PointConfig], *, needed: bool = True) -> None:
    """Raise WrongSetting when there is no point, or two feed the same field of a sensor."""
    if needed and not points:
        raise WrongSetting("point", "at least one [[input.point]] is needed")
    seen: set[tuple[str | None, str]] = set()
    for index, point in enumerate(points):
        target = (point.sensor, point.field_name)
        if target in seen:
            message = f"{point.field_name!r} is fed by another point, give each its own field"
            raise WrongSetting(("point", index, "field"), message)
        seen.add(target)


class Points(Generic[Point]):
    """The points of one input, and the sensors that they feed."""

    def __init__(self, gateway_id: str, config: InputConfig, points: Sequence[Point]) -> None:
        self._points = points
        self._default = sensor_name(gateway_id, config, None)

    def sensor_of(self, point: Point) -> str:
        """The sensor that gets a point's value."""
        return point.sensor or self._default

    def sensors(self, description: str) -> list[SensorSpec]:
        """The sensors in the order of the points, each with the fields that they feed."""
        fields: dict[str, list[FieldSpec]] = {}
        for point in self._points:
            fields.setdefault(self.sensor_of(point), []).append(_field(point))
        return [
            SensorSpec(name, title(name.rpartition(".")[2]), description, tuple(specs))
            for name, specs in fields.items()
        ]

    def samples(
        self, values: Iterable[tuple[Point, Value]], stamp: Stamp | None = None
    ) -> list[Sample]:
        """One sample for each sensor, of raw values that were measured together."""
        fields: dict[str, dict[str, Value]] = {}
        for point, value in values:
            fields.setdefault(self.sensor_of(point), {})[point.field_name] = point.scaled(value)
        return [Sample(sensor, named, stamp) for sensor, named in fields.items()]


def _field(point: PointConfig) -> FieldSpec:
    name = point.field_name
    units = point.units or point.default_units
    return FieldSpec(name, point.title or title(name), units, point.is_numeric)


def field_from(key: str, fallback: str = "value") -> str:
    """A field's name made from a key of the data: `main.temp-1` becomes `main_temp_1`."""
    name = re.sub(r"\W+", "_", key, flags=re.ASCII).strip("_")[:50]
    if name[:1].isdigit():
        name = f"_{name}"[:50]
    return name if re.fullmatch(FIELD_NAME, name) else f"{fallback}_{name}"[:50].rstrip("_")


def sensor_from(text: str) -> str:
    """A sensor's name made from any text: lower case, other characters as `-`, 4 to 50 long."""
    name = re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-")
    if not name or not re.match(r"[a-z_]", name):
        name = f"_{name}"
    return name[:50].ljust(4, "_")


def tidy_float32(value: float) -> float:
    """The shortest decimal number that has this value in 32 bits: 21.1, not 21.100000381."""
    for digits in range(6, 9):
        short = float(f"{value:.{digits}g}")
        with contextlib.suppress(OverflowError):
            if struct.unpack("f", struct.pack("f", short))[0] == value:
                return short
    return value
