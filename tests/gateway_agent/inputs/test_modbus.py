import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from input_bench import Workbench
from modbus_peers import Cable, Simulator, holding

from gateway_agent.inputs.modbus_plan import ModbusPoint, plan
from tests.ports import free_port

pymodbus = pytest.importorskip("pymodbus")

Bench = Callable[..., Workbench]


def words(form: str, value: float) -> tuple[int, ...]:
    data = struct.pack(form, value)
    return struct.unpack(f">{len(data) // 2}H", data)


def section(url: str, *points: str, head: str = "") -> str:
    lines = ["[[input]]", 'type = "modbus"', f'url = "{url}"', 'interval = "50ms"']
    lines += ['timeout = "200ms"', head]
    for point in points:
        lines += ["[[input.point]]", *point.split("; ")]
    return "\n".join(lines) + "\n"


BOILER = [
    holding(100, *words(">f", 215.0)),
    holding(102, *words(">i", -70_000), 0x8000, 0b100),
    holding(110, *(ord(a) << 8 | ord(b) for a, b in ("AB", "C\0"))),
    holding(200, 7),
]


@pytest.fixture
def boiler() -> Iterator[Simulator]:
    with Simulator({1: BOILER}) as simulator:
        yield simulator


def test_registers_are_read_with_type_scale_and_units(bench: Bench, boiler: Simulator) -> None:
    text = section(
        f"tcp://127.0.0.1:{boiler.port}",
        "register=100; datatype='float32'; scale=0.1; sensor='boiler'; field='flow'; units='°C'",
        "register=102; datatype='int32'; sensor='boiler'; field='power'",
        "register=104; invalid=32768; sensor='boiler'; field='absent'",
        "register=105; bit=2; sensor='boiler'; field='pump'",
        "register=110; datatype='string'; length=2; sensor='boiler'; field='model'",
        "register=200; sensor='meter'",
    )
    one = bench(text)
    samples, failures = one.read_once()
    assert failures == []
    assert [(s.sensor, s.fields) for s in samples] == [
        ("boiler", {"flow": 21.5, "power": -70_000, "pump": 1, "model": "ABC"}),
        ("meter", {"value": 7}),
    ]
    boiler_spec, _ = one.input.sensors()
    assert [(f.name, f.units, f.numeric) for f in boiler_spec.fields] == [
        ("flow", "°C", True),
        ("power", "", True),
        ("absent", "", True),
        ("pump", "", True),
        ("model", "", False),
    ]


def test_neighbours_are_asked_for_together(bench: Bench) -> None:
    with Simulator({1: [holding(0, *range(60))]}) as device:
        text = section(
            f"tcp://127.0.0.1:{device.port}",
            *(f"register={n}; field='r{n}'" for n in (0, 1, 9, 30, 33)),
        )
        samples, _ = bench(text).read_once()
    assert samples[0].fields == {"r0": 0, "r1": 1, "r9": 9, "r30": 30, "r33": 33}
    assert device.asked(1) == [(0, 10), (30, 4)]


def test_register_that_does_not_exist_does_not_take_its_neighbours_along(bench: Bench) -> None:
    with Simulator({1: [holding(0, 5), holding(3, 6)]}) as device:
        one = bench(
            section(
                f"tcp://127.0.0.1:{device.port}",
                *(f"register={n}; field='r{n}'" for n in (0, 2, 3)),
            )
        )
        one.input.open()
        for _ in range(2):
            items = list(one.input.read())
            assert [getattr(item, "fields", None) for item in items[-1:]] == [{"r0": 5, "r3": 6}]
            assert [getattr(item, "message", None) for item in items[:-1]] == [
                "unit 1 holding 2: illegal data address"
            ]
        one.input.close()
    assert device.asked(1) == [(0, 4), (0, 1), (2, 1), (3, 1), (0, 1), (2, 1), (3, 1)]


def test_coils_and_inputs_have_tables_of_their_own(bench: Bench) -> None:
    from pymodbus.simulator import DataType, SimData

    blocks = (
        [SimData(3, values=[True, False], datatype=DataType.BITS)],
        [SimData(5, values=[False, True], datatype=DataType.BITS)],
        [holding(1, 11)],
        [holding(1, 22)],
    )
    with Simulator({1: blocks}) as device:
        text = section(
            f"tcp://127.0.0.1:{device.port}",
            "register=3; type='coil'; field='pump'",
            "register=6; type='discrete'; field='door'",
            "register=1; field='holding'",
            "register=1; type='input'; field='input'",
        )
        samples, failures = bench(text).read_once()
    assert failures == []
    assert samples[0].fields == {"pump": 1, "door": 1, "holding": 11, "input": 22}


def test_serial_line_is_read_like_the_network(bench: Bench, tmp_path: Path) -> None:
    with Cable(tmp_path) as cable, Simulator({1: BOILER, 7: [holding(0, 9)]}, cable.far):
        text = section(
            f"rtu://{cable.near}?baud=115200",
            "register=100; datatype='float32'; field='flow'",
            "register=0; unit=7; field='other'",
        )
        samples, failures = bench(text).read_once()
    assert failures == []
    assert [s.fields for s in samples] == [{"flow": 215.0}, {"other": 9}]


def test_hung_device_on_a_line_hardly_delays_the_healthy_one(bench: Bench, tmp_path: Path) -> None:
    devices = {2: [holding(0, 5)], 9: [holding(0, 6)]}
    with Cable(tmp_path) as cable, Simulator(devices, cable.far) as simulator:
        simulator.hung.add(9)
        text = section(
            f"rtu://{cable.near}?baud=115200",
            "register=0; unit=9; sensor='hung'; field='a'",
            "register=0; unit=2; sensor='healthy'; field='b'",
        )
        with bench(text) as running:
            running.wait_for(lambda: running.figures.errors >= 1)
            before, began = len(running.of("healthy")), time.monotonic()
            running.wait_for(lambda: len(running.of("healthy")) >= before + 20)
            elapsed = time.monotonic() - began
            errors = running.figures.errors
    assert elapsed < 20 * 0.05 + errors * 0.2 + 1
    assert errors <= 6, "a silent device is left alone for longer and longer"
    assert running.of("hung") == []


def test_hung_server_does_not_delay_a_healthy_one_at_all(bench: Bench, boiler: Simulator) -> None:
    with Simulator({1: [holding(0, 1)]}) as other:
        other.hung.add(1)
        hung = bench(section(f"tcp://127.0.0.1:{other.port}", "register=0"))
        healthy = bench(section(f"tcp://127.0.0.1:{boiler.port}", "register=200"))
        with hung, healthy:
            began = time.monotonic()
            healthy.wait_for_values(20)
            elapsed = time.monotonic() - began
            hung.wait_for(lambda: hung.figures.errors >= 1)
        assert elapsed < 10
        assert hung.values() == []


def test_late_answer_is_not_taken_for_the_next_one(bench: Bench) -> None:
    """A device answers the first request only after the second was sent, with other values."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections = []

    def serve() -> None:
        for delay in (0.35, 0.0, 0.0):
            connection, _ = listener.accept()
            connections.append(connection)
            threading.Thread(target=answer, args=(connection, delay), daemon=True).start()

    def answer(connection: socket.socket, delay: float) -> None:
        while request := connection.recv(100):
            time.sleep(delay)
            value = 666 if delay else 5
            try:
                connection.sendall(request[:4] + bytes([0, 5, 1, 3, 2]) + value.to_bytes(2, "big"))
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    port = listener.getsockname()[1]
    with bench(section(f"tcp://127.0.0.1:{port}", "register=0")) as running:
        values = running.wait_for_values(3)
    listener.close()
    for connection in connections:
        connection.close()
    assert {value["value"] for value in values} == {5}
    assert running.figures.errors >= 1


def test_server_that_comes_back_is_found_again(bench: Bench) -> None:
    port = free_port()
    with bench(section(f"tcp://127.0.0.1:{port}", "register=0")) as running:
        running.wait_for(lambda: running.figures.errors >= 2)
        assert running.figures.last_error == f"ConnectionError: cannot open 127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("datatype", "byte_order", "word_order", "raw", "expected"),
    [
        ("float32", "big", "big", (0x42F6, 0xE979), 123.456),
        ("float32", "big", "little", (0xE979, 0x42F6), 123.456),
        ("float32", "little", "big", (0xF642, 0x79E9), 123.456),
        ("float32", "little", "little", (0x79E9, 0xF642), 123.456),
        ("int16", "big", "big", (0xFFFE,), -2),
        ("uint32", "big", "little", (0x0001, 0x0002), 0x20001),
        ("int64", "big", "big", (0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF), -1),
        ("float64", "big", "little", words(">d", 0.1)[::-1], 0.1),
    ],
)
def test_every_order_of_bytes_and_words_is_understood(
    datatype: str, byte_order: str, word_order: str, raw: tuple[int, ...], expected: float
) -> None:
    point = ModbusPoint(
        register=0,
        datatype=datatype,
        byte_order=byte_order,
        word_order=word_order,  # type: ignore[arg-type]
    )
    assert point.decode(raw) == expected


points = st.builds(
    ModbusPoint,
    register=st.integers(0, 400),
    datatype=st.sampled_from(["uint16", "float32", "float64"]),
    type=st.sampled_from(["holding", "input", "coil"]),
    unit=st.sampled_from([None, 2]),
)


@given(st.lists(points, min_size=1, max_size=40), st.integers(0, 20))
def test_plan_asks_for_every_point_once_within_the_limits(
    wanted: list[ModbusPoint], gap: int
) -> None:
    batches = [batch for batches in plan(wanted, 1, gap).values() for batch in batches]
    planned = [point for batch in batches for point in batch.points]
    assert sorted(map(id, planned)) == sorted(map(id, wanted))
    for batch in batches:
        covered = set()
        assert 0 < batch.count <= (2000 if batch.type == "coil" else 125)
        for point in batch.points:
            assert batch.start <= point.register
            assert point.register + point.size <= batch.start + batch.count
            covered |= set(range(point.register, point.register + point.size))
            assert (point.type, point.unit or 1) == (batch.type, batch.unit)
        unwanted = batch.count - len(covered)
        assert unwanted <= gap * (len(batch.points) - 1)


def test_wrong_settings_are_told_with_their_lines_and_without_passwords(
    mistakes: Callable[[str], list[str]],
) -> None:
    good = "[[input.point]]\nregister = 1\n"
    head = '[[input]]\ntype = "modbus"\nurl = '
    assert mistakes(head + '"tcp://10.0.0.1"\n') == [
        "1: input.point: at least one [[input.point]] is needed"
    ]
    assert mistakes(head + '"rtu://dev/ttyUSB0?boud=9600"\n' + good) == [
        "3: input.url: known after ? of an rtu address are baud, parity, bits, stop_bits"
    ]
    (line,) = mistakes(head + '"http://joe:secret@host"\n' + good)
    assert line.startswith("3: input.url: expected an address that starts with tcp:// or rtu://")
    assert line.endswith("not 'http://***@host'")
    (line,) = mistakes(head + '"tcp://h"\n' + good + 'datatype = "flot32"\n')
    assert line.startswith("6: input.point.datatype: expected 'int16' or")
    assert line.endswith("not 'flot32', did you mean float32?")
    assert mistakes(head + '"tcp://h"\n' + good + 'datatype = "int32"\nbit = 3\n') == [
        "7: input.point.bit: only a value of one register has single bits"
    ]
    assert mistakes(head + '"tcp://h"\n' + good + "registr = 3\n") == [
        "6: input.point.registr: unknown key, did you mean register?"
    ]
