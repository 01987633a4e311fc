"""DS18B20 and its kin on a 1-wire bus, as the kernel's w1_therm shows them in sysfs."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from gateway_agent.inputs.base import Context, Failure, Input, InputConfig, Kind
from gateway_agent.inputs.points import PointConfig, Points, check_points, field_from
from gateway_agent.reading import Sample, SensorSpec, Value
from gateway_agent.settings import Setting, Tables, path, text

_DEVICE: Final = r"(?:10|22|28|3b|42)-[0-9a-f]{12}"
"""Families DS18S20, DS1822, DS18B20, DS1825, DS28EA00, and the serial number."""
_SCRATCHPAD: Final = re.compile(r"((?:[0-9a-f]{2} ){9}): crc=([0-9a-f]{2}) (YES|NO)")
_TEMPERATURE: Final = re.compile(r"t=(-?\d+)")
_RANGE: Final = (-55.0, 125.0)
_POWER_ON: Final = 85.0
_NEAR: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OneWirePoint(PointConfig):
    """One thermometer, by the number that is burnt into it."""

    id: Annotated[
        str,
        Setting(
            text(_DEVICE, 'the name of its folder, such as "28-0316a2795bff"'),
            "the thermometer's number, as its folder in sysfs is called",
        ),
    ]

    @property
    def default_field(self) -> str:
        """`temp_` and the number."""
        return field_from(f"temp_{self.id}")

    @property
    def default_units(self) -> str:
        """The kernel gives degrees Celsius."""
        return "°C"


@dataclass(frozen=True, slots=True, kw_only=True)
class OneWireConfig(InputConfig):
    """`type = "onewire"`: thermometers on the 1-wire bus, in °C."""

    root: Annotated[Path, Setting(path, "where the kernel shows its devices")] = Path("/sys")
    point: Annotated[
        tuple[OneWirePoint, ...],
        Setting(Tables(OneWirePoint), "the thermometers; every one that is found if left out"),
    ] = ()

    def __post_init__(self) -> None:
        """Raises WrongSetting when two points feed the same field."""
        check_points(self.point, needed=False)


class OneWireInput(Input):
    """Reads thermometers one after the other; each takes the chip up to 0.75 s."""

    def __init__(self, config: OneWireConfig, context: Context) -> None:
        self._config = config
        self._context = context
        self._devices = config.root / "bus" / "w1" / "devices"
        self._last: dict[str, float] = {}

    def open(self) -> None:
        """Raises FileNotFoundError when there is no 1-wire bus."""
        if not self._devices.is_dir():
            raise FileNotFoundError(
                f"{self._devices} does not exist: is the 1-wire bus enabled (w1-gpio, w1-therm)?"
            )

    def sensors(self) -> Sequence[SensorSpec]:
        points = self._points_now()
        return Points(self._context.gateway_id, self._config, points).sensors(
            "Thermometers on the gateway's 1-wire bus"
        )

    def read(self) -> Iterator[Sample | Failure]:
        points = self._points_now()
        if not points:
            yield Failure("no thermometer on the 1-wire bus")
        values: list[tuple[OneWirePoint, Value]] = []
        for point in points:
            if self._context.stopping.is_set():
                return
            try:
                values.append((point, self._celsius(point.id)))
            except (OSError, ValueError) as error:
                yield Failure(f"{point.id}: {error}")
        yield from Points(self._context.gateway_id, self._config, points).samples(values)

    def _points_now(self) -> Sequence[OneWirePoint]:
        if self._config.point:
            return self._config.point
        found = sorted(folder.name for folder in self._devices.glob("*-*"))
        return [OneWirePoint(id=name) for name in found if re.fullmatch(_DEVICE, name)]

    def _celsius(self, device: str) -> float:
        try:
            content = (self._devices / device / "w1_slave").read_text(encoding="ascii")
        except FileNotFoundError as error:
            raise ValueError("is not on the bus") from error
        value = temperature(content)
        last = self._last.get(device)
        if value == _POWER_ON and (last is None or abs(last - value) > _NEAR):
            raise ValueError("85 °C is what the chip says after power-on, before it has measured")
        self._last[device] = value
        return value


def temperature(content: str) -> float:
    """The temperature in °C that a `w1_slave` file gives.

    Raises ValueError when the checksum over the scratchpad is wrong, or the chip did not answer.
    """
    scratchpad = _SCRATCHPAD.search(content)
    value = _TEMPERATURE.search(content)
    if scratchpad is None or value is None:
        raise ValueError("is not what the kernel writes of a thermometer")
    data = bytes.fromhex(scratchpad[1])
    if scratchpad[3] != "YES" or crc8(data) != 0:
        raise ValueError("checksum is wrong: look at wiring and pull-up resistor")
    if not any(data):
        raise ValueError("the chip did not answer")
    celsius = int(value[1]) / 1000
    if not _RANGE[0] <= celsius <= _RANGE[1]:
        raise ValueError(f"{celsius} °C is beyond what the chip can measure")
    return celsius


def crc8(data: bytes) -> int:
    """The 1-wire checksum, x⁸ + x⁵ + x⁴ + 1; 0 over data that ends with its own checksum.

    Maxim Application Note 27.
    """
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8C if crc & 1 else 0)
    return crc


KIND: Final = Kind(OneWireConfig, OneWireInput)
