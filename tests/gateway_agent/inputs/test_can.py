import itertools
import struct
from collections.abc import Callable, Iterator

import can
import pytest
from hypothesis import given
from hypothesis import strategies as st
from input_bench import Workbench

from gateway_agent.inputs.can import CanPoint

Bench = Callable[..., Workbench]
_NUMBERS = itertools.count()


@pytest.fixture
def channel() -> str:
    return f"test-{next(_NUMBERS)}"


@pytest.fixture
def sender(channel: str) -> Iterator[can.BusABC]:
    with can.Bus(interface="virtual", channel=channel) as bus:
        yield bus


def section(channel: str, *points: str, interval: str = "0s", head: str = "") -> str:
    lines = ["[[input]]", 'type = "can"', 'interface = "virtual"', f'channel = "{channel}"']
    lines += [f'interval = "{interval}"', head]
    for point in points:
        lines += ["[[input.point]]", *point.split("; ")]
    return "\n".join(lines) + "\n"


def frame(number: int, data: bytes, *, extended: bool = False) -> can.Message:
    return can.Message(arbitration_id=number, data=data, is_extended_id=extended)


def test_bits_of_frames_become_readings(bench: Bench, channel: str, sender: can.BusABC) -> None:
    text = section(
        channel,
        "id=0x1a0; start=0; length=16; scale=0.01; sensor='engine'; field='speed'; units='m/s'",
        "id=0x1a0; start=23; length=8; byte_order='big'; offset=-40; sensor='engine'; field='oil'",
        "id=0x18fef100; start=0; length=1; sensor='body'; field='door'",
    )
    with bench(text) as running:
        running.wait_for(lambda: running.figures.open)
        sender.send(frame(0x1A1, b"\xff" * 8))
        sender.send(frame(0x1A0, bytes([0xD2, 0x04, 100, 0])))
        sender.send(frame(0x18FEF100, b"\x01", extended=True))
        running.wait_for_values(2)
        assert running.of("engine") == [{"speed": 12.34, "oil": 60}]
        assert running.of("body") == [{"door": 1}]
        assert [spec.name for spec in running.declared] == ["engine", "body"]


def test_identifier_of_the_other_kind_is_another_frame(
    bench: Bench, channel: str, sender: can.BusABC
) -> None:
    with bench(section(channel, "id=0x123; extended=true; start=0; length=8")) as running:
        running.wait_for(lambda: running.figures.open)
        sender.send(frame(0x123, b"\x01"))
        sender.send(frame(0x123, b"\x02", extended=True))
        assert running.wait_for_values(1) == [{"value": 2}]


def test_fast_frames_are_thinned_out_to_the_newest(
    bench: Bench, channel: str, sender: can.BusABC
) -> None:
    with bench(section(channel, "id=1; start=0; length=8", interval="200ms")) as running:
        running.wait_for(lambda: running.figures.open)
        for number in range(50):
            sender.send(frame(1, bytes([number])))
        assert running.wait_for_values(2) == [{"value": 0}, {"value": 49}]


def test_short_frame_and_silence_are_told(bench: Bench, channel: str, sender: can.BusABC) -> None:
    text = section(channel, "id=1; start=8; length=8", head='silence = "200ms"')
    with bench(text) as running:
        running.wait_for(lambda: running.figures.open)
        sender.send(frame(1, b"\x01"))
        running.wait_for(lambda: "frame 0x1 has only 1 bytes" in str(running.figures.last_error))
        running.wait_for(lambda: running.figures.last_error == "no wanted frame for 0.2 s")


def test_missing_interface_is_told(bench: Bench) -> None:
    text = section("can-none", "id=1; start=0; length=8").replace("virtual", "socketcan")
    with bench(text) as running:
        running.wait_for(lambda: running.figures.errors >= 1)
        assert not running.figures.open


@pytest.mark.parametrize(
    ("settings", "data", "expected"),
    [
        ({"start": 0, "length": 8}, b"\x7f\x01", 0x7F),
        ({"start": 4, "length": 8}, b"\xf0\x01", 0x1F),
        ({"start": 0, "length": 12, "datatype": "signed"}, b"\xff\x0f", -1),
        ({"start": 7, "length": 16, "byte_order": "big"}, b"\x12\x34", 0x1234),
        ({"start": 3, "length": 8, "byte_order": "big"}, b"\x12\x34", 0x23),
        ({"start": 0, "length": 32, "datatype": "float"}, struct.pack("<f", 21.1), 21.1),
        ({"start": 7, "length": 64, "byte_order": "big", "datatype": "float"},
         struct.pack(">d", -0.1), -0.1),
        ({"start": 8, "length": 8}, b"\x01", None),
        ({"start": 7, "length": 16, "byte_order": "big"}, b"\x01", None),
    ],
)  # fmt: skip
def test_bits_are_numbered_as_in_a_dbc_file(
    settings: dict[str, object], data: bytes, expected: float | None
) -> None:
    assert CanPoint(id=1, **settings).decode(data) == expected  # type: ignore[arg-type]


@given(st.integers(0, 2**64 - 1), st.integers(0, 63), st.integers(1, 64))
def test_little_endian_bits_are_those_of_the_whole_number(
    number: int, start: int, length: int
) -> None:
    point = CanPoint(id=1, start=start, length=length)
    expected = number >> start & (1 << length) - 1 if start + length <= 64 else None
    assert point.decode(number.to_bytes(8, "little")) == expected


def test_wrong_settings_are_told_with_their_lines(mistakes: Callable[[str], list[str]]) -> None:
    assert mistakes(section("can0", "id=0x800; extended=false; start=0; length=8")) == [
        "8: input.point.id: an identifier of 11 bits is at most 0x7ff"
    ]
    assert mistakes(section("can0", "id=1; start=0; length=8; datatype='float'")) == [
        "10: input.point.length: a float has 32 or 64 bits"
    ]
