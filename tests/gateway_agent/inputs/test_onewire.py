from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from input_bench import Workbench

from gateway_agent.inputs.onewire import crc8, temperature

Bench = Callable[..., Workbench]


def slave(millidegrees: int, *, spare: int = 0x10) -> str:
    """What the kernel writes of a DS18B20 at this temperature."""
    raw = (millidegrees * 16 // 1000) & 0xFFFF
    data = bytes([raw & 0xFF, raw >> 8, 0x4B, 0x46, 0x7F, 0xFF, spare, 0x10])
    crc = crc8(data)
    text = " ".join(f"{byte:02x}" for byte in [*data, crc])
    return f"{text} : crc={crc:02x} YES\n{text} t={millidegrees}\n"


class Bus:
    """A tree as the kernel shows a 1-wire bus."""

    def __init__(self, root: Path) -> None:
        self.devices = root / "bus" / "w1" / "devices"
        (self.devices / "w1_bus_master1").mkdir(parents=True)

    def put(self, device: str, content: str) -> None:
        (self.devices / device).mkdir(exist_ok=True)
        (self.devices / device / "w1_slave").write_text(content)

    def remove(self, device: str) -> None:
        (self.devices / device / "w1_slave").unlink()
        (self.devices / device).rmdir()


@pytest.fixture
def bus(tmp_path: Path) -> Bus:
    return Bus(tmp_path / "sys")


ALL = '[[input]]\ntype = "onewire"\nroot = "sys"\n'
NAMED = (
    ALL
    + """
[[input.point]]
id = "28-0316a2795bff"
sensor = "boiler"
field = "flow"
[[input.point]]
id = "28-0000064b1234"
sensor = "boiler"
field = "return"
offset = -0.5
"""
)


def test_kernel_text_of_the_data_sheet_is_read() -> None:
    text = "50 05 4b 46 7f ff 0c 10 1c : crc=1c YES\n50 05 4b 46 7f ff 0c 10 1c t=85000\n"
    assert temperature(text) == 85.0
    assert temperature(slave(-10_125)) == -10.125


def test_checksum_of_the_application_note() -> None:
    assert crc8(bytes.fromhex("02 1c b8 01 00 00 00")) == 0xA2


@given(st.integers(0, 71), st.integers(-55_000, 125_000))
def test_flipped_bit_is_noticed(bit: int, millidegrees: int) -> None:
    scratchpad, rest = slave(millidegrees).split(" : ", 1)
    data = bytearray.fromhex(scratchpad)
    data[bit // 8] ^= 1 << bit % 8
    damaged = " ".join(f"{byte:02x}" for byte in data)
    with pytest.raises(ValueError, match=r"checksum is wrong"):
        temperature(f"{damaged} : {rest}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (slave(21_000).replace("YES", "NO"), "checksum"),
        ("00 00 00 00 00 00 00 00 00 : crc=00 YES\n00 t=0\n", "did not answer"),
        (slave(21_000).replace("t=21000", "t=130000"), "beyond"),
        ("", "not what the kernel writes"),
    ],
)
def test_answer_that_is_no_measurement_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        temperature(text)


def test_named_thermometers_feed_their_sensor(bench: Bench, bus: Bus) -> None:
    bus.put("28-0316a2795bff", slave(61_250))
    bus.put("28-0000064b1234", slave(40_000))
    one = bench(NAMED)
    samples, failures = one.read_once()
    assert [(s.sensor, s.fields) for s in samples] == [("boiler", {"flow": 61.25, "return": 39.5})]
    assert failures == []
    assert [field.units for field in one.input.sensors()[0].fields] == ["°C", "°C"]


def test_thermometer_without_configuration_is_found_and_may_come_later(
    bench: Bench, bus: Bus
) -> None:
    one = bench(ALL)
    assert one.read_once() == ([], ["no thermometer on the 1-wire bus"])
    bus.put("28-0316a2795bff", slave(21_500))
    bus.put("10-000801b5a7a6", slave(19_000))
    samples, _ = one.read_once()
    assert [(s.sensor, s.fields) for s in samples] == [
        ("green-onewire", {"temp_10_000801b5a7a6": 19.0, "temp_28_0316a2795bff": 21.5})
    ]


def test_missing_thermometer_does_not_keep_the_other_from_being_read(
    bench: Bench, bus: Bus
) -> None:
    bus.put("28-0316a2795bff", slave(61_250))
    samples, failures = bench(NAMED).read_once()
    assert [s.fields for s in samples] == [{"flow": 61.25}]
    assert failures == ["28-0000064b1234: is not on the bus"]


def test_power_on_value_is_refused_unless_it_was_that_hot_before(bench: Bench, bus: Bus) -> None:
    bus.put("28-0316a2795bff", slave(85_000, spare=0x0C))
    one = bench(ALL)
    samples, failures = one.read_once()
    assert samples == []
    assert "power-on" in failures[0]
    bus.put("28-0316a2795bff", slave(84_000))
    one.read_once()
    bus.put("28-0316a2795bff", slave(85_000))
    assert [s.fields for s in one.read_once()[0]] == [{"temp_28_0316a2795bff": 85.0}]


def test_bus_that_is_not_enabled_is_told_and_waited_for(bench: Bench, tmp_path: Path) -> None:
    with bench(ALL + 'interval = "10ms"\n') as running:
        running.wait_for(lambda: "is the 1-wire bus enabled" in (running.figures.last_error or ""))
        Bus(tmp_path / "sys").put("28-0316a2795bff", slave(20_000))
        assert running.wait_for_values(1)[0] == {"temp_28_0316a2795bff": 20.0}


def test_wrong_number_and_doubled_field_are_told_with_their_lines(
    mistakes: Callable[[str], list[str]],
) -> None:
    (line,) = mistakes(NAMED.replace("28-0316a2795bff", "28-316A"))
    assert line.startswith("6: input.point.id: expected the name of its folder, such as")
    assert mistakes(NAMED.replace('"return"', '"flow"')) == [
        "12: input.point.field: 'flow' is fed by another point, give each its own field"
    ]
