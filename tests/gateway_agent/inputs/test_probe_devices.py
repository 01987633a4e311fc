"""`check --probe` over real protocols: polled devices, lines that come by themselves, events."""

import os
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from input_bench import HEAD
from modbus_peers import Simulator, holding

from gateway_agent.config import load_config
from gateway_agent.probe import Measurement, probe

pytest.importorskip("pymodbus")
gpiozero = pytest.importorskip("gpiozero")

SERIAL = """
[[input]]
type = "serial"
name = "scale"
port = "{port}"
format = "regex"
pattern = 'W (?P<weight>[\\d.]+) kg'
[[input.point]]
key = "weight"
units = "kg"
"""


def rows(folder: Path, inputs: str, limit: float = 5) -> list[Measurement]:
    (folder / "agent.toml").write_text(HEAD + inputs)
    return probe(load_config(folder / "agent.toml"), limit)


def probed(folder: Path, inputs: str) -> dict[tuple[str, str], Measurement]:
    return {(each.input, each.field): each for each in rows(folder, inputs)}


@pytest.fixture
def talker(tmp_path: Path) -> Iterator[Path]:
    """A serial device that speaks every 50 ms, with a bad line now and then."""
    master, slave = os.openpty()
    tty.setraw(slave)
    path = tmp_path / "ttyScale"
    path.symlink_to(os.ttyname(slave))
    over = threading.Event()

    def talk() -> None:
        while not over.wait(0.05):
            os.write(master, b"?!\r\nW 12.5 kg\r\n")

    thread = threading.Thread(target=talk)
    thread.start()
    yield path
    over.set()
    thread.join(10)
    os.close(master)
    os.close(slave)


def test_lines_that_come_by_themselves_are_waited_for(tmp_path: Path, talker: Path) -> None:
    began = time.monotonic()
    found = probed(tmp_path, SERIAL.format(port=talker))
    assert time.monotonic() - began < 4, "done at the first good line"
    assert found.keys() == {("scale", "weight")}, "a bad line before a good one is no trouble"
    weight = found["scale", "weight"]
    assert (weight.value, weight.units, weight.error) == (12.5, "kg", None)
    assert 0 < weight.seconds < 4


def test_line_that_never_fits_is_shown(tmp_path: Path, talker: Path) -> None:
    inputs = SERIAL.replace("W (", "KG (").format(port=talker)
    weight, *others = rows(tmp_path, inputs, limit=0.7)
    assert (weight.field, weight.error) == ("weight", "no value")
    assert any("not match the pattern: 'W 12.5 kg'" in (each.error or "") for each in others)


def test_devices_that_answer_are_read_beside_one_that_hangs(tmp_path: Path) -> None:
    blocks = {1: [holding(100, 215)], 2: [holding(0, 7)]}
    with Simulator(blocks) as simulator:
        simulator.hung = {2}
        found = probed(
            tmp_path,
            f'[[input]]\ntype = "modbus"\nurl = "tcp://127.0.0.1:{simulator.port}"\n'
            'timeout = "300ms"\n'
            '[[input.point]]\nregister = 100\nfield = "flow"\nscale = 0.1\nunits = "°C"\n'
            '[[input.point]]\nunit = 2\nregister = 0\nfield = "power"\n',
        )
        flow, power = found["modbus", "flow"], found["modbus", "power"]
        assert (flow.value, flow.units, flow.error) == (21.5, "°C", None)
        assert power.value is None
        assert power.error is not None
        assert "2" in power.error
        assert len(simulator.asked(1)) == 1, "each point is read once"


def test_state_of_a_pin_is_read_without_waiting_for_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpiozero.pins.mock import MockFactory

    monkeypatch.setattr(gpiozero.Device, "pin_factory", MockFactory())
    found = probed(
        tmp_path, '[[input]]\ntype = "gpio"\n[[input.point]]\npin = 17\nfield = "open"\n'
    )
    assert found["gpio", "open"].error is None
    assert found["gpio", "open"].value in {0, 1}
