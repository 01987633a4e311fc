"""Every kind of actuator, on real protocol peers."""

import os
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from gateway_agent.actuators import create_actuator
from gateway_agent.actuators.base import plain_text, switched, wanted
from gateway_agent.config import Config, ConfigError, load_config

sys.path.insert(0, str(Path(__file__).parent / "inputs"))

from modbus_peers import Simulator, holding

Load = Callable[[str], Config]
HEAD = """
[gateway]
id = "g"
[platform]
http = "http://127.0.0.1:9/api"
[spool]
path = "spool.db"
[[input]]
type = "sim"
[[actuator]]
sensor = "pump"
"""


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(lines: str) -> Config:
        (tmp_path / "a.toml").write_text(HEAD + lines)
        return load_config(tmp_path / "a.toml")

    return load


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    factory = MockFactory()
    Device.pin_factory = factory
    yield factory
    factory.reset()
    Device.pin_factory = None


@pytest.mark.parametrize(("active_low", "level"), [("false", 1), ("true", 0)])
def test_pin_is_on_and_off(load: Load, pins: MockFactory, active_low: str, level: int) -> None:
    config = load(f'type = "gpio"\npin = 17\nactive_low = {active_low}\nsafe_state = "off"')
    actuator = create_actuator(config.actuators[0])
    actuator.open()
    assert pins.pin(17).state == 1 - level
    assert actuator.apply("on") == "pin 17 is on"
    assert pins.pin(17).state == level
    actuator.apply("off")
    assert pins.pin(17).state == 1 - level
    actuator.close()


def test_register_is_written_in_its_own_steps(load: Load) -> None:
    with Simulator({1: [holding(100, 0)]}) as device:
        config = load(
            f'type = "modbus"\nurl = "tcp://127.0.0.1:{device.port}"\nregister = 100\nscale = 0.1'
        ).actuators[0]
        actuator = create_actuator(config)
        actuator.open()
        assert actuator.apply(wanted(config, {"value": "21.5"})) == "register 100 is 215"
        with pytest.raises(ValueError, match="does not fit"):
            wanted(config, {"value": 1e9})
        with pytest.raises(ValueError, match="fits"):
            wanted(config, {"value": 1e308})
        with pytest.raises(ValueError, match="nan"):
            wanted(config, {"value": "nan"})
        actuator.close()


def test_device_that_refuses_a_register_is_a_failure(load: Load) -> None:
    with Simulator({1: [holding(100, 0)]}) as device:
        config = load(
            f'type = "modbus"\nurl = "tcp://127.0.0.1:{device.port}"\nregister = 900'
        ).actuators[0]
        actuator = create_actuator(config)
        actuator.open()
        with pytest.raises(ConnectionError, match="refuses"):
            actuator.apply(1.0)
        actuator.close()


@pytest.mark.parametrize("answers", [True, False])
def test_serial_device_gets_a_line_and_must_answer(load: Load, answers: bool) -> None:
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    received: list[bytes] = []

    def device() -> None:
        received.append(os.read(ours, 100))
        if answers:
            os.write(ours, b"hm\r\nOK on\r\n")

    thread = threading.Thread(target=device)
    config = load(
        f'type = "serial"\nport = "{os.ttyname(theirs)}"\nsend = "SET {{value}}\\r\\n"\n'
        'answer = "^OK"\ntimeout = "300ms"'
    ).actuators[0]
    actuator = create_actuator(config)
    actuator.open()
    thread.start()
    if answers:
        assert actuator.apply("on") == "OK on"
    else:
        with pytest.raises(TimeoutError, match="did not answer"):
            actuator.apply("on")
    thread.join(5)
    assert received == [b"SET on\r\n"]
    actuator.close()
    os.close(ours)
    os.close(theirs)


def test_program_that_fails_or_hangs_is_a_failure(load: Load) -> None:
    config = load('type = "command"\ncommand = ["sh", "-c", "echo no >&2; exit 3"]').actuators[0]
    with pytest.raises(ValueError, match="exit code 3: no"):
        create_actuator(config).apply("on")
    config = load('type = "command"\ncommand = ["sleep", "60"]\ntimeout = "200ms"').actuators[0]
    began = time.monotonic()
    with pytest.raises(ValueError, match="longer than"):
        create_actuator(config).apply("on")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("raw", ["a;b", "$(x)", "a\nb", "--force", "", "x" * 65, {"a": 1}])
def test_text_that_could_be_more_than_a_text_is_refused(raw: object) -> None:
    with pytest.raises(ValueError, match="plain text"):
        plain_text(raw)


@pytest.mark.parametrize(("raw", "text"), [(True, "on"), (-2.5, "-2.5"), ("21.5 C", "21.5 C")])
def test_plain_values_are_texts(raw: object, text: str) -> None:
    assert plain_text(raw) == text


def test_switch_takes_only_on_and_off() -> None:
    assert [switched(raw) for raw in (True, "ON", 1, "off", 0, False)] == [
        *("on", "on", "on", "off", "off", "off")
    ]
    with pytest.raises(ValueError, match="on or off"):
        switched("perhaps")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('type = "gpoi"\npin = 1', "did you mean gpio?"),
        ('type = "gpio"\npin = 1\nsafe_state = "perhaps"', "expected on or off"),
        ('type = "gpio"\npin = 1\nmax_on = "1m"', "needs a safe_state"),
        ('type = "gpio"\npin = 1\npni = 1', "did you mean pin?"),
        ('type = "modbus"\nurl = "tcp://h"', "either a coil or a register"),
        (
            'type = "gpio"\npin = 1\n[[actuator]]\ntype = "gpio"\npin = 2\nsensor = "pump"',
            "already",
        ),
    ],
)
def test_wrong_actuator_is_told_with_its_line(load: Load, lines: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(lines)
    assert told in str(caught.value)
    assert caught.value.problems[0].line is not None
