"""Chips on an i2c bus that need more than reading a register. Formulas are those of data sheets."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol


class Bus(Protocol):
    """An i2c bus: what `smbus2.SMBus` does for the agent. Every call may raise OSError."""

    def read(self, address: int, register: int, length: int) -> bytes:
        """Write a register's number, then read so many bytes."""

    def write(self, address: int, data: bytes) -> None:
        """Write bytes."""

    def receive(self, address: int, length: int) -> bytes:
        """Read bytes without writing before."""


class ChipError(OSError):
    """A chip that is another one, not ready, or whose checksum is wrong."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that a chip measures."""

    key: str
    units: str


class Chip(ABC):
    """A kind of chip."""

    default_address: ClassVar[int]
    quantities: ClassVar[tuple[Quantity, ...]]

    @abstractmethod
    def start(self, bus: Bus, address: int) -> None:
        """Check that it is there, and set it up. Raises OSError."""

    @abstractmethod
    def measure(self, bus: Bus, address: int) -> Mapping[str, float]:
        """Measure now, by key of the quantity. Raises OSError."""


def wait_until_ready(is_ready: Callable[[], bool], seconds: float) -> None:
    """Ask a chip every millisecond or so until it is done. Raises ChipError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_ready():
        if time.monotonic() > deadline:
            raise ChipError("the measurement does not end")
        time.sleep(0.001)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is burnt into one BME280 (BST-BME280-DS001, table 16)."""

    t: tuple[int, ...]
    p: tuple[int, ...]
    h: tuple[int, ...]

    @classmethod
    def decode(cls, low: bytes, high: bytes) -> "Calibration":
        """From registers 0x88 to 0xA1 and 0xE1 to 0xE7."""
        words = [int.from_bytes(low[i : i + 2], "little") for i in range(0, 24, 2)]
        signed = [word if i in {0, 3} else _signed(word, 16) for i, word in enumerate(words)]
        h4 = _signed(high[3] << 4 | high[4] & 0x0F, 12)
        h5 = _signed(high[5] << 4 | high[4] >> 4, 12)
        humidity = (
            *(low[25], _signed(high[0] | high[1] << 8, 16), high[2]),
            *(h4, h5, _signed(high[6], 8)),
        )
        return cls(tuple(signed[:3]), tuple(signed[3:]), humidity)

    def fine_temperature(self, raw: int) -> float:
        """The temperature in 1/5120 °C; the other formulas need it (section 8.1)."""
        first = (raw / 16384 - self.t[0] / 1024) * self.t[1]
        second = (raw / 131072 - self.t[0] / 8192) ** 2 * self.t[2]
        return first + second

    def pressure(self, raw: int, fine: float) -> float:
        """In Pa (section 8.1)."""
        p1, p2, p3, p4, p5, p6, p7, p8, p9 = self.p
        var1 = fine / 2 - 64000
        var2 = var1**2 * p6 / 32768 + var1 * p5 * 2
        var2 = var2 / 4 + p4 * 65536
        var1 = (p3 * var1**2 / 524288 + p2 * var1) / 524288
        var1 = (1 + var1 / 32768) * p1
        if var1 == 0:
            raise ChipError("the calibration of the chip is unusable")
        pressure = (1048576 - raw - var2 / 4096) * 6250 / var1
        var1 = p9 * pressure**2 / 2147483648
        var2 = pressure * p8 / 32768
        return pressure + (var1 + var2 + p7) / 16

    def humidity(self, raw: int, fine: float) -> float:
        """In % relative humidity, 0 to 100 (section 8.1)."""
        h1, h2, h3, h4, h5, h6 = self.h
        offset = fine - 76800
        humidity = raw - (h4 * 64 + h5 / 16384 * offset)
        humidity *= h2 / 65536 * (1 + h6 / 67108864 * offset * (1 + h3 / 67108864 * offset))
        humidity *= 1 - h1 * humidity / 524288
        return min(100.0, max(0.0, humidity))


class Bme280(Chip):
    """Bosch BME280: temperature, pressure, humidity. BST-BME280-DS001."""

    default_address = 0x76
    quantities = (
        Quantity("temperature", "°C"),
        Quantity("pressure", "hPa"),
        Quantity("humidity", "%"),
    )
    _ID: Final = 0x60
    _SKIPPED_20: Final = 0x80000
    _SKIPPED_16: Final = 0x8000

    def __init__(self) -> None:
        self._calibration: Calibration | None = None

    def start(self, bus: Bus, address: int) -> None:
        if (found := bus.read(address, 0xD0, 1)[0]) != self._ID:
            raise ChipError(f"the chip at {address:#x} has id {found:#x}, a BME280 has 0x60")
        self._calibration = Calibration.decode(
            bus.read(address, 0x88, 26), bus.read(address, 0xE1, 7)
        )

    def measure(self, bus: Bus, address: int) -> Mapping[str, float]:
        """One measurement in forced mode, each quantity sampled once (section 3.5.1)."""
        calibration = self._calibration
        assert calibration is not None
        bus.write(address, bytes([0xF2, 0x01]))
        bus.write(address, bytes([0xF4, 0b001_001_01]))
        time.sleep(0.01)  # 9.3 ms at most (section 9.1)
        wait_until_ready(lambda: not bus.read(address, 0xF3, 1)[0] & 0x08, 0.1)
        data = bus.read(address, 0xF7, 8)
        raw_p = int.from_bytes(data[0:3], "big") >> 4
        raw_t = int.from_bytes(data[3:6], "big") >> 4
        raw_h = int.from_bytes(data[6:8], "big")
        if self._SKIPPED_20 in {raw_t, raw_p} or raw_h == self._SKIPPED_16:
            raise ChipError("the chip has not measured")
        fine = calibration.fine_temperature(raw_t)
        return {
            "temperature": round(fine / 5120, 2),
            "pressure": round(calibration.pressure(raw_p, fine) / 100, 2),
            "humidity": round(calibration.humidity(raw_h, fine), 2),
        }


class Sht31(Chip):
    """Sensirion SHT30, SHT31, SHT35: temperature and humidity. Datasheet SHT3x-DIS."""

    default_address = 0x44
    quantities = (Quantity("temperature", "°C"), Quantity("humidity", "%"))

    def start(self, bus: Bus, address: int) -> None:
        """A first measurement shows that it is there."""
        self.measure(bus, address)

    def measure(self, bus: Bus, address: int) -> Mapping[str, float]:
        """One measurement of high repeatability without clock stretching (section 4.3)."""
        bus.write(address, bytes([0x24, 0x00]))
        time.sleep(0.016)  # 15.5 ms at most (table 4)
        data = bus.receive(address, 6)
        for word in (data[0:3], data[3:6]):
            if sensirion_crc(word[:2]) != word[2]:
                raise ChipError("checksum is wrong: look at the wiring")
        raw_t, raw_h = int.from_bytes(data[0:2], "big"), int.from_bytes(data[3:5], "big")
        return {
            "temperature": round(-45 + 175 * raw_t / 65535, 2),
            "humidity": round(100 * raw_h / 65535, 2),
        }


class Ads1115(Chip):
    """Texas Instruments ADS1115: four voltages, or two differences. Datasheet SBAS444."""

    default_address = 0x48
    INPUTS: ClassVar[Mapping[str, int]] = {
        "a0-a1": 0b000,
        "a0-a3": 0b001,
        "a1-a3": 0b010,
        "a2-a3": 0b011,
        "a0": 0b100,
        "a1": 0b101,
        "a2": 0b110,
        "a3": 0b111,
    }
    """The multiplexer's settings."""
    RANGES: ClassVar[Mapping[float, int]] = {
        6.144: 0b000,
        4.096: 0b001,
        2.048: 0b010,
        1.024: 0b011,
        0.512: 0b100,
        0.256: 0b101,
    }
    """Full scale in V by the amplifier's setting."""
    quantities = tuple(Quantity(key, "V") for key in INPUTS)

    def __init__(self, keys: tuple[str, ...], full_scale: float) -> None:
        self._keys = keys
        self._full_scale = full_scale

    def start(self, bus: Bus, address: int) -> None:
        """Reading its configuration shows that it is there."""
        bus.read(address, 0x01, 2)

    def measure(self, bus: Bus, address: int) -> Mapping[str, float]:
        """Each input in a conversion of its own, at 128 samples per second."""
        return {key: self._convert(bus, address, key) for key in self._keys}

    def _convert(self, bus: Bus, address: int, key: str) -> float:
        bus.write(address, bytes([0x01]) + self.command(key).to_bytes(2, "big"))
        time.sleep(0.008)
        wait_until_ready(lambda: bool(bus.read(address, 0x01, 2)[0] & 0x80), 0.1)
        return self.volts(bus.read(address, 0x00, 2))

    def command(self, key: str) -> int:
        """The configuration that starts a single conversion."""
        start, single_shot, per_second_128, no_comparator = 1 << 15, 1 << 8, 0b100 << 5, 0b11
        multiplexer, gain = self.INPUTS[key] << 12, self.RANGES[self._full_scale] << 9
        return start | multiplexer | gain | single_shot | per_second_128 | no_comparator

    def volts(self, data: bytes) -> float:
        """What a conversion means. Raises ChipError at the end of the scale."""
        raw = int.from_bytes(data, "big", signed=True)
        if raw in {0x7FFF, -0x8000}:
            raise ChipError(f"the voltage is beyond the range of {self._full_scale} V")
        return float(f"{raw * self._full_scale / 0x8000:.6g}")


def sensirion_crc(data: bytes) -> int:
    """CRC-8 with polynomial 0x31, beginning with 0xFF (SHT3x-DIS, section 4.12)."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x31 if crc & 0x80 else 0)) & 0xFF
    return crc


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value
