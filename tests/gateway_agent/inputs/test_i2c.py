import errno
import struct
from collections.abc import Callable

import pytest
import smbus2
from input_bench import Workbench

from gateway_agent.inputs.i2c_chips import Ads1115, Calibration, sensirion_crc

Bench = Callable[..., Workbench]


class FakeChip:
    """Registers behind a pointer, as nearly all chips have them."""

    def __init__(self, registers: dict[int, int]) -> None:
        self.registers = registers
        self.pointer = 0
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pointer = data[0]
        if len(data) > 1:
            self.written.append(data)
            for index, byte in enumerate(data[1:]):
                self.registers[data[0] + index] = byte

    def read(self, length: int) -> bytes:
        return bytes(self.registers.get(self.pointer + i, 0) for i in range(length))


class FakeBus:
    """Stands in for the kernel's bus, below the library's messages."""

    chips: dict[int, FakeChip]
    opened: int

    def __init__(self, number: int) -> None:
        if number != 1:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", f"/dev/i2c-{number}")
        FakeBus.opened += 1

    def i2c_rdwr(self, *messages: smbus2.i2c_msg) -> None:
        for message in messages:
            chip = self.chips.get(message.addr)
            if chip is None:
                raise OSError(errno.EREMOTEIO, "Remote I/O error")
            if message.flags & 1:
                for index, byte in enumerate(chip.read(message.len)):
                    message.buf[index] = bytes([byte])
            else:
                chip.write(bytes(message))

    def close(self) -> None:
        FakeBus.opened -= 1


@pytest.fixture
def chips(monkeypatch: pytest.MonkeyPatch) -> dict[int, FakeChip]:
    FakeBus.chips = {}
    FakeBus.opened = 0
    monkeypatch.setattr(smbus2, "SMBus", FakeBus)
    return FakeBus.chips


def section(*lines: str) -> str:
    return "\n".join(["[[input]]", 'type = "i2c"', *lines, ""])


# -- BME280 ---------------------------------------------------------------------------------

WORKED_EXAMPLE = Calibration(
    t=(27504, 26435, -1000),
    p=(36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000),
    h=(75, 350, 0, 340, 0, 30),
)
"""Temperature and pressure: the data sheet of the BMP280, section 3.12, which measures alike."""


def registers_of(calibration: Calibration) -> dict[int, int]:
    low = struct.pack("<HhhHhhhhhhhhxB", *calibration.t, *calibration.p, calibration.h[0])
    _, h2, h3, h4, h5, h6 = calibration.h
    high = struct.pack("<hB", h2, h3)
    high += bytes([h4 >> 4 & 0xFF, h4 & 0x0F | (h5 & 0x0F) << 4, h5 >> 4 & 0xFF, h6 & 0xFF])
    registers = {0x88 + i: byte for i, byte in enumerate(low)}
    return registers | {0xE1 + i: byte for i, byte in enumerate(high)}


def whole_number_humidity(c: Calibration, raw: int, fine: int) -> float:
    """The data sheet's other formula, in whole numbers of 32 bits (BST-BME280-DS001, 4.2.3)."""
    h1, h2, h3, h4, h5, h6 = c.h
    v = fine - 76800
    v = (((raw << 14) - (h4 << 20) - h5 * v + 16384) >> 15) * (
        (((((v * h6) >> 10) * (((v * h3) >> 11) + 32768)) >> 10) + 2097152) * h2 + 8192 >> 14
    )
    v = v - (((((v >> 15) * (v >> 15)) >> 7) * h1) >> 4)
    return (min(max(v, 0), 419430400) >> 12) / 1024


def bme280(calibration: Calibration, raw_t: int, raw_p: int, raw_h: int) -> FakeChip:
    data = (raw_p << 4).to_bytes(3, "big") + (raw_t << 4).to_bytes(3, "big")
    data += raw_h.to_bytes(2, "big")
    registers = registers_of(calibration) | {0xD0: 0x60}
    return FakeChip(registers | {0xF7 + i: byte for i, byte in enumerate(data)})


def test_worked_example_of_the_data_sheet_gives_its_result() -> None:
    fine = WORKED_EXAMPLE.fine_temperature(519_888)
    assert round(fine) in {128_422, 128_423}
    assert round(fine / 5120, 2) == 25.08
    assert WORKED_EXAMPLE.pressure(415_148, fine) == pytest.approx(100_653.27, abs=0.02)


@pytest.mark.parametrize("raw", [20_000, 25_000, 30_000, 36_000])
@pytest.mark.parametrize("fine", [0, 76_800, 128_422, 250_000])
def test_both_formulas_of_the_data_sheet_agree_about_humidity(raw: int, fine: int) -> None:
    calibration = Calibration((), (), (75, 362, 0, 321, 50, 30))
    expected = whole_number_humidity(calibration, raw, fine)
    assert calibration.humidity(raw, fine) == pytest.approx(expected, abs=0.1)
    if raw == 30_000:
        assert 0 < expected < 100


def test_calibration_survives_the_way_through_the_registers() -> None:
    calibration = Calibration(WORKED_EXAMPLE.t, WORKED_EXAMPLE.p, (75, -362, 200, -5, 50, -30))
    registers = registers_of(calibration)
    low = bytes(registers[0x88 + i] for i in range(26))
    high = bytes(registers[0xE1 + i] for i in range(7))
    assert Calibration.decode(low, high) == calibration


def test_bme280_measures_all_it_can(bench: Bench, chips: dict[int, FakeChip]) -> None:
    chips[0x76] = bme280(WORKED_EXAMPLE, 519_888, 415_148, 30_000)
    one = bench(section('chip = "bme280"'))
    samples, failures = one.read_once()
    assert failures == []
    (fields,) = [dict(sample.fields) for sample in samples]
    assert fields.pop("temperature") == 25.08
    assert fields.pop("pressure") == 1006.53
    assert 0 < float(fields.pop("humidity")) < 100
    assert fields == {}
    assert [f.units for f in one.input.sensors()[0].fields] == ["°C", "hPa", "%"]
    assert chips[0x76].written == [b"\xf2\x01", b"\xf4\x25"], "a measurement in forced mode"
    assert FakeBus.opened == 0


def test_chip_that_has_not_measured_sends_nothing(bench: Bench, chips: dict[int, FakeChip]) -> None:
    chips[0x77] = bme280(WORKED_EXAMPLE, 0x80000, 415_148, 30_000)
    with bench(section('chip = "bme280"', "address = 0x77", 'interval = "10ms"')) as running:
        running.wait_for(lambda: running.figures.errors >= 2)
        assert running.figures.last_error == "ChipError: the chip has not measured"
        assert running.values() == []


def test_another_chip_at_the_address_is_told(bench: Bench, chips: dict[int, FakeChip]) -> None:
    chips[0x76] = FakeChip({0xD0: 0x58})
    with bench(section('chip = "bme280"')) as running:
        running.wait_for(
            lambda: "has id 0x58, a BME280 has 0x60" in str(running.figures.last_error)
        )


# -- SHT31 ----------------------------------------------------------------------------------


class FakeSht31(FakeChip):
    """Answers a measurement with six bytes, without registers."""

    def read(self, length: int) -> bytes:
        assert self.written[-1] == b"\x24\x00"
        return bytes(self.registers[i] for i in range(length))


def sht31(raw_t: int, raw_h: int, *, damage: int = 0) -> FakeSht31:
    t, h = raw_t.to_bytes(2, "big"), raw_h.to_bytes(2, "big")
    data = t + bytes([sensirion_crc(t) ^ damage]) + h + bytes([sensirion_crc(h)])
    return FakeSht31(dict(enumerate(data)))


def test_checksum_of_the_sht31_data_sheet() -> None:
    assert sensirion_crc(b"\xbe\xef") == 0x92


@pytest.mark.parametrize(
    ("raw_t", "raw_h", "expected"),
    [
        (0x0000, 0x0000, {"temperature": -45.0, "humidity": 0.0}),
        (0xFFFF, 0xFFFF, {"temperature": 130.0, "humidity": 100.0}),
        (0x6666, 0x8000, {"temperature": 25.0, "humidity": 50.0}),
    ],
)
def test_sht31_follows_the_formulas_of_its_data_sheet(
    bench: Bench, chips: dict[int, FakeChip], raw_t: int, raw_h: int, expected: dict[str, float]
) -> None:
    chips[0x44] = sht31(raw_t, raw_h)
    samples, _ = bench(section('chip = "sht31"')).read_once()
    assert [s.fields for s in samples] == [expected]


def test_damaged_answer_is_refused(bench: Bench, chips: dict[int, FakeChip]) -> None:
    chips[0x44] = sht31(0x6666, 0x8000, damage=4)
    with pytest.raises(OSError, match="checksum is wrong"):
        bench(section('chip = "sht31"')).read_once()


# -- ADS1115 --------------------------------------------------------------------------------


class FakeAds1115(FakeChip):
    """Two registers of 16 bits; a conversion gives what is on the chosen input."""

    def __init__(self, inputs: dict[int, int]) -> None:
        super().__init__({})
        self._inputs = inputs
        self._config = 0x8583
        self._conversion = 0

    def write(self, data: bytes) -> None:
        self.pointer = data[0]
        if len(data) > 1:
            self.written.append(data)
            self._config = int.from_bytes(data[1:], "big")
            assert self._config & 0x8100 == 0x8100, "one conversion"
            self._conversion = self._inputs[self._config >> 12 & 7]

    def read(self, length: int) -> bytes:
        return (self._config if self.pointer == 1 else self._conversion & 0xFFFF).to_bytes(2, "big")


def test_default_configuration_of_the_data_sheet() -> None:
    assert Ads1115(("a0-a1",), 2.048).command("a0-a1") == 0x8583


@pytest.mark.parametrize(
    ("code", "volts"), [(b"\x00\x00", 0.0), (b"\x00\x01", 0.000125), (b"\xff\xff", -0.000125)]
)
def test_codes_of_the_data_sheet_mean_their_voltages(code: bytes, volts: float) -> None:
    assert Ads1115(("a0",), 4.096).volts(code) == volts


def test_inputs_are_measured_one_after_the_other(bench: Bench, chips: dict[int, FakeChip]) -> None:
    chips[0x48] = FakeAds1115({0b100: 16_384, 0b011: -8_192})
    text = section(
        'chip = "ads1115"', "[[input.point]]", 'key = "a0"', "[[input.point]]", 'key = "a2-a3"',
        'field = "current"', "scale = 10", 'units = "A"',
    )  # fmt: skip
    one = bench(text)
    samples, _ = one.read_once()
    assert [s.fields for s in samples] == [{"a0": 2.048, "current": -10.24}]
    assert [f.units for f in one.input.sensors()[0].fields] == ["V", "A"]


def test_voltage_beyond_the_range_is_told_and_not_sent(
    bench: Bench, chips: dict[int, FakeChip]
) -> None:
    chips[0x48] = FakeAds1115({0b100: 0x7FFF})
    text = section('chip = "ads1115"', "[[input.point]]", 'key = "a0"')
    with pytest.raises(OSError, match=r"beyond the range of 4\.096 V"):
        bench(text).read_once()


# -- registers ------------------------------------------------------------------------------


def test_registers_of_any_chip_are_read(bench: Bench, chips: dict[int, FakeChip]) -> None:
    """An LM75: 11 bits of 0.125 °C in the high end of two bytes."""
    chips[0x48] = FakeChip({0: 0b1110_0111, 1: 0b0010_0000, 2: 0x40, 3: 0x20, 4: 0x34, 5: 0x12})
    text = section(
        "address = 0x48",
        *("[[input.point]]", "register = 0", 'datatype = "int16"', "shift = 5", "scale = 0.125"),
        *("[[input.point]]", "register = 4", 'datatype = "uint16"', 'byte_order = "little"'),
        'field = "model"',
    )
    samples, _ = bench(text).read_once()
    assert [s.fields for s in samples] == [{"value": -24.875, "model": 0x1234}]


def test_missing_bus_and_missing_chip_are_told(bench: Bench, chips: dict[int, FakeChip]) -> None:
    with bench(section('chip = "sht31"', "bus = 3")) as running:
        running.wait_for(lambda: "/dev/i2c-3" in str(running.figures.last_error))
    with bench(section('chip = "sht31"')) as running:
        running.wait_for(lambda: "Remote I/O error" in str(running.figures.last_error))


def test_points_that_do_not_fit_the_chip_are_refused(
    mistakes: Callable[[str], list[str]],
) -> None:
    assert mistakes(section('chip = "sht31"', "[[input.point]]", 'key = "pressure"')) == [
        "5: input.point.key: of an sht31 is one of temperature, humidity"
    ]
    assert mistakes(section("[[input.point]]", "register = 1")) == [
        "1: input.address: is needed when no chip is named"
    ]
    assert mistakes(section("address = 0x20", "[[input.point]]", 'key = "a"')) == [
        "4: input.point: without a chip a point has a register, no key"
    ]
    (line,) = mistakes(section('chip = "bmp999"'))
    assert line.startswith("3: input.chip: expected 'bme280' or 'sht31' or 'ads1115'")
