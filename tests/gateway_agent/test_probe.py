"""`check --probe`: every point once, whatever hangs beside it."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_platform import StandInPlatform
from click.testing import CliRunner, Result

from gateway_agent.cli import main
from gateway_agent.config import load_config
from gateway_agent.probe import probe
from gateway_agent.spool import SpoolLock

WriteConfig = Callable[..., Path]
STUBBORN = """
import time
from gateway_agent.inputs import Input

class Stubborn(Input):
    def __init__(self, config, context):
        pass
    def sensors(self):
        return []
    def read(self):
        time.sleep(60)
        return []
"""


def check(config: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["check", "--probe", "--config", str(config), *options])


def table(result: Result) -> dict[tuple[str, str], str]:
    """What stands in the table behind input and sensor or field."""
    lines = [line.split() for line in result.stdout.splitlines()]
    start = next(i for i, words in enumerate(lines) if words[:2] == ["input", "sensor"])
    return {(words[0], words[2] if len(words) > 2 else ""): words for words in lines[start + 1 :]}


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a device that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_table_has_every_field_with_its_value_and_units(
    write_config: WriteConfig, tmp_path: Path
) -> None:
    log = tmp_path / "values.csv"
    log.write_text("21.5,on\n22.0,off\n")
    config = write_config(
        '[[input]]\ntype = "system"\n'
        '[[input]]\ntype = "sim"\nmode = "walk"\nbase = 5\nunits = "V"\n'
        f'[[input]]\ntype = "file"\npath = "{log}"\nformat = "csv"\n'
        '[[input.point]]\nkey = "1"\nfield = "flow"\nunits = "°C"\n'
        '[[input.point]]\nkey = "2"\nfield = "state"\ndatatype = "text"\n'
        '[[input]]\ntype = "command"\ncommand = ["echo", "{\\"load\\": 7}"]\n'
    )
    result = check(config)
    assert result.exit_code == 0, result.output
    found = table(result)
    assert found["sim", "value"][4] == "V"
    assert found["system", "memory"][4] == "%"
    assert "cpu" in {field for name, field in found if name == "system"}
    assert found["file", "flow"][1:5] == ["test-gateway-file", "flow", "21.5", "°C"]
    assert found["file", "state"][3] == "on"
    assert found["command", "load"][3] == "7"
    assert "error" in result.stdout.splitlines()[4]


def test_hung_device_delays_no_other_and_is_named(write_config: WriteConfig, silent: int) -> None:
    config = write_config(
        f'[[input]]\ntype = "modbus"\nname = "boiler"\nurl = "tcp://127.0.0.1:{silent}"\n'
        'timeout = "30s"\n[[input.point]]\nregister = 1\nfield = "flow"\n'
        '[[input]]\ntype = "sim"\n'
    )
    began = time.monotonic()
    result = check(config, "--limit", "1s")
    assert time.monotonic() - began < 6
    assert result.exit_code == 1
    assert "nothing came within 1 s" in result.stdout
    assert "wrong  inputs: boiler\n" in result.stderr
    assert table(result)["boiler", "flow"][1:3] == ["test-gateway-boiler", "flow"]
    assert table(result)["sim", "value"]


def test_call_that_never_ends_is_left_behind(write_config: WriteConfig, tmp_path: Path) -> None:
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    config = write_config(
        '[[input]]\ntype = "python"\npath = "stubborn.py"\nclass = "Stubborn"\n'
        '[[input]]\ntype = "sim"\n'
    )
    began = time.monotonic()
    found = {each.input: each for each in probe(load_config(config), 0.5)}
    assert time.monotonic() - began < 5
    assert found["python"].error == "nothing came within 0.5 s"
    assert found["sim"].error is None


def test_missing_point_is_named_beside_those_that_work(
    write_config: WriteConfig, tmp_path: Path
) -> None:
    devices = tmp_path / "sys/bus/w1/devices"
    (devices / "28-0316a2795bff").mkdir(parents=True)
    (devices / "28-0316a2795bff/w1_slave").write_text(
        "91 01 4b 46 7f ff 0f 10 25 : crc=25 YES\n91 01 4b 46 7f ff 0f 10 25 t=25062\n"
    )
    config = write_config(
        f'[[input]]\ntype = "onewire"\nroot = "{tmp_path / "sys"}"\n'
        '[[input.point]]\nid = "28-0316a2795bff"\nfield = "flow"\n'
        '[[input.point]]\nid = "28-000000000001"\nfield = "return"\n'
    )
    result = check(config)
    assert result.exit_code == 1
    found = table(result)
    assert found["onewire", "flow"][3:5] == ["25.062", "°C"]
    assert result.stdout.splitlines()[-1].endswith("28-000000000001: is not on the bus")


def test_device_that_is_not_there_is_told_with_the_reason(write_config: WriteConfig) -> None:
    config = write_config('[[input]]\ntype = "onewire"\nroot = "/none"\n')
    result = check(config)
    assert result.exit_code == 1
    assert "is the 1-wire bus enabled" in result.stdout


def test_devices_of_a_running_agent_are_left_alone(write_config: WriteConfig) -> None:
    config = write_config('[[input]]\ntype = "sim"\n')
    lock = SpoolLock(load_config(config).spool.path)
    lock.acquire()
    try:
        result = check(config)
    finally:
        lock.release()
    assert result.exit_code == 1
    assert "the agent runs and has the devices" in result.stderr
    assert "took" not in result.stdout


def test_probe_stores_and_sends_nothing(
    write_config: WriteConfig, platform: StandInPlatform
) -> None:
    config = write_config('[[input]]\ntype = "sim"\n')
    assert check(config).exit_code == 0
    assert platform.stored == []
    assert platform.sensors == {}
    assert not load_config(config).spool.path.exists()


def test_wrong_limit_is_told(write_config: WriteConfig) -> None:
    result = check(write_config('[[input]]\ntype = "sim"\n'), "--limit", "soon")
    assert result.exit_code == 2
    assert "--limit" in result.output


def test_check_names_the_scope_that_a_key_lacks(
    write_config: WriteConfig, platform: StandInPlatform
) -> None:
    platform.may_manage = False
    inputs = '[[input]]\ntype = "sim"\n'
    result = CliRunner().invoke(main, ["check", "--config", str(write_config(inputs))])
    assert result.exit_code == 1
    assert "auto_create needs a key with the scope manage" in result.stderr
    config = write_config(inputs, platform_lines="auto_create = false")
    assert CliRunner().invoke(main, ["check", "--config", str(config)]).exit_code == 0
    platform.may_write = False
    result = CliRunner().invoke(main, ["check", "--config", str(config)])
    assert "the key may not write" in result.stderr


def test_points_of_a_device_that_cannot_be_opened_are_named(write_config: WriteConfig) -> None:
    config = write_config(
        '[[input]]\ntype = "serial"\nport = "/dev/ttyNone"\nformat = "csv"\n'
        '[[input.point]]\nkey = "1"\nfield = "flow"\n[[input.point]]\nkey = "2"\nfield = "power"\n'
    )
    result = check(config)
    assert result.exit_code == 1
    found = table(result)
    assert {("serial", "flow"), ("serial", "power")} <= found.keys()
    assert result.stdout.count("No such file or directory") == 2


def test_columns_of_a_replayed_file_are_those_of_the_file(
    write_config: WriteConfig, tmp_path: Path
) -> None:
    (tmp_path / "values.csv").write_text("flow,power\n1.5,7\n")
    config = write_config('[[input]]\ntype = "sim"\nmode = "replay"\nfile = "values.csv"\n')
    result = check(config)
    assert result.exit_code == 0, result.stdout
    assert table(result).keys() == {("sim", "flow"), ("sim", "power")}
