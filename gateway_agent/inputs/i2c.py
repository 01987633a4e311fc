"""Chips on an i2c bus: registers of any chip, and some well-known ones."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import smbus2

from gateway_agent.inputs.base import Context, Failure, Input, InputConfig, Kind
from gateway_agent.inputs.i2c_chips import Ads1115, Bme280, Bus, Chip, Sht31
from gateway_agent.inputs.points import PointConfig, Points, check_points, tidy_float32
from gateway_agent.reading import Sample, SensorSpec, Value
from gateway_agent.settings import Setting, Tables, WrongSetting, choice, number, text, whole

_CHIPS: Final[Mapping[str, type[Chip]]] = {"bme280": Bme280, "sht31": Sht31, "ads1115": Ads1115}
_SIZES: Final = {
    "uint8": 1,
    "int8": 1,
    "uint16": 2,
    "int16": 2,
    "uint24": 3,
    "int24": 3,
    "uint32": 4,
    "int32": 4,
    "float32": 4,
}
_LOWEST, _HIGHEST = 0x03, 0x77


@dataclass(frozen=True, slots=True, kw_only=True)
class I2cPoint(PointConfig):
    """A register of a chip, or something that a well-known chip measures."""

    key: Annotated[
        str | None,
        Setting(
            text(),
            "with chip: what to take, such as temperature; for an ads1115 a0 to a3 or a0-a1",
        ),
    ] = None
    register: Annotated[
        int | None, Setting(whole(0, 255), "without chip: the first register of the value")
    ] = None
    datatype: Annotated[
        Literal[
            "uint8", "int8", "uint16", "int16", "uint24", "int24", "uint32", "int32", "float32"
        ],
        Setting(choice(*_SIZES), "without chip: what the registers hold"),
    ] = "uint8"
    byte_order: Annotated[
        Literal["big", "little"], Setting(choice("big", "little"), "order of the bytes")
    ] = "big"
    shift: Annotated[
        int, Setting(whole(0, 31), "bits at the low end that do not belong to the value")
    ] = 0

    @property
    def default_field(self) -> str:
        """The key, if there is one."""
        return "value" if self.key is None else self.key.replace("-", "_")

    @property
    def default_units(self) -> str:
        """Those of the chip."""
        units = {q.key: q.units for chip in _CHIPS.values() for q in chip.quantities}
        return units.get(self.key or "", "") if (self.scale, self.offset) == (1, 0) else ""

    def decode(self, data: bytes) -> Value:
        """The value in its registers, before scale."""
        if self.datatype == "float32":
            order = ">" if self.byte_order == "big" else "<"
            return tidy_float32(struct.unpack(order + "f", data)[0])
        signed = not self.datatype.startswith("u")
        return int.from_bytes(data, self.byte_order, signed=signed) >> self.shift


@dataclass(frozen=True, slots=True, kw_only=True)
class I2cConfig(InputConfig):
    """`type = "i2c"`: one chip on an i2c bus of the machine."""

    bus: Annotated[int, Setting(whole(0, 255), "number of the bus: 1 is /dev/i2c-1")] = 1
    chip: Annotated[
        Literal["bme280", "sht31", "ads1115"] | None,
        Setting(choice(*_CHIPS), "a well-known chip; if left out, points name registers"),
    ] = None
    address: Annotated[
        int | None,
        Setting(whole(_LOWEST, _HIGHEST), "address of the chip, such as 0x76; its usual one"),
    ] = None
    range: Annotated[
        float, Setting(number, "ads1115: full scale in V: 6.144, 4.096, 2.048, 1.024, 0.512, 0.256")
    ] = 4.096
    point: Annotated[
        tuple[I2cPoint, ...],
        Setting(Tables(I2cPoint), "the values; of a chip everything if left out"),
    ] = ()

    def __post_init__(self) -> None:
        """Raises WrongSetting when points do not fit the chip."""
        if self.chip is None and self.address is None:
            raise WrongSetting("address", "is needed when no chip is named")
        check_points(self.point, needed=self.chip in {None, "ads1115"})
        if self.range not in Ads1115.RANGES:
            raise WrongSetting("range", f"an ads1115 has {', '.join(map(str, Ads1115.RANGES))}")
        known = [q.key for q in _CHIPS[self.chip].quantities] if self.chip else []
        for index, point in enumerate(self.point):
            if self.chip is None and (point.register is None or point.key is not None):
                message = "without a chip a point has a register, no key"
                raise WrongSetting(("point", index), message)
            if self.chip is not None and point.key not in known:
                keys = ", ".join(known)
                raise WrongSetting(("point", index, "key"), f"of an {self.chip} is one of {keys}")


class LinuxBus:
    """A bus of the kernel."""

    def __init__(self, number: int) -> None:
        """Raises OSError when there is no such bus, or it may not be used."""
        self._bus = smbus2.SMBus(number)

    def read(self, address: int, register: int, length: int) -> bytes:
        """Write a register's number, then read so many bytes without letting go of the bus."""
        reply = smbus2.i2c_msg.read(address, length)
        self._bus.i2c_rdwr(smbus2.i2c_msg.write(address, [register]), reply)
        return bytes(reply)

    def write(self, address: int, data: bytes) -> None:
        """Write bytes."""
        self._bus.i2c_rdwr(smbus2.i2c_msg.write(address, list(data)))

    def receive(self, address: int, length: int) -> bytes:
        """Read bytes without writing before."""
        reply = smbus2.i2c_msg.read(address, length)
        self._bus.i2c_rdwr(reply)
        return bytes(reply)

    def close(self) -> None:
        """Let go of the bus."""
        self._bus.close()


class I2cInput(Input):
    """Reads one chip."""

    def __init__(self, config: I2cConfig, context: Context) -> None:
        self._config = config
        self._chip = _chip(config)
        points = config.point
        if not points and self._chip is not None:
            points = tuple(I2cPoint(key=quantity.key) for quantity in self._chip.quantities)
        self._wanted = points
        self._points = Points(context.gateway_id, config, points)
        self._bus: LinuxBus | None = None
        default = 0 if self._chip is None else self._chip.default_address
        self._address = default if config.address is None else config.address

    def open(self) -> None:
        """Raises OSError when there is no such bus, or no such chip on it."""
        self._bus = LinuxBus(self._config.bus)
        if self._chip is not None:
            self._chip.start(self._bus, self._address)

    def sensors(self) -> Sequence[SensorSpec]:
        return self._points.sensors(f"Chip on the gateway's i2c bus {self._config.bus}")

    def read(self) -> Iterator[Sample | Failure]:
        """Measures anew; what a chip measured before is not sent again."""
        assert self._bus is not None
        values: list[tuple[I2cPoint, Value]] = []
        if self._chip is not None:
            measured = self._chip.measure(self._bus, self._address)
            values = [(p, measured[p.key]) for p in self._wanted if p.key is not None]
        else:
            for point in self._wanted:
                try:
                    values.append((point, _register(self._bus, self._address, point)))
                except OSError as error:
                    yield Failure(f"{point.field_name}: {error}")
        yield from self._points.samples(values)

    def close(self) -> None:
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.close()


def _register(bus: Bus, address: int, point: I2cPoint) -> Value:
    assert point.register is not None
    return point.decode(bus.read(address, point.register, _SIZES[point.datatype]))


def _chip(config: I2cConfig) -> Chip | None:
    if config.chip == "ads1115":
        keys = tuple(point.key for point in config.point if point.key is not None)
        return Ads1115(tuple(dict.fromkeys(keys)), config.range)
    if config.chip == "bme280":
        return Bme280()
    return Sht31() if config.chip == "sht31" else None


KIND: Final = Kind(I2cConfig, I2cInput)
