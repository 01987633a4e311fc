import threading
import time
from pathlib import Path

import pytest

from gateway_agent.inputs import Context, create_input
from gateway_agent.inputs.system import SystemConfig
from gateway_agent.reading import SENSOR_NAME

CONTEXT = Context("green-1", threading.Event())


def config(sysfs: Path, **settings: object) -> SystemConfig:
    return SystemConfig(type="system", name="system", sysfs=sysfs, **settings)


def test_machine_describes_itself_with_units(tmp_path: Path) -> None:
    source = create_input(config(tmp_path), CONTEXT)
    source.open()
    (sensor,) = source.sensors()
    assert sensor.name == "green-1-system"
    assert sensor.long_name == "green-1 system"
    units = {field.name: field.units for field in sensor.fields}
    assert units["cpu"] == "%"
    assert units["net_rx"] == "B/s"
    assert units["disk_free"] == "MB"
    assert units["load1"] == ""
    assert "temperature" not in units


def test_machine_reads_its_own_figures(tmp_path: Path) -> None:
    source = create_input(config(tmp_path), CONTEXT)
    source.open()
    time.sleep(0.25)
    (sample,) = source.read()
    declared = {field.name for field in source.sensors()[0].fields}
    assert sample.fields.keys() <= declared
    assert {"cpu", "load1", "load5", "memory", "disk", "net_rx", "net_tx"} <= sample.fields.keys()
    assert 0 <= sample.fields["cpu"] <= 100
    assert 0 < sample.fields["memory"] <= 100
    assert sample.fields["net_rx"] >= 0


def test_first_reading_has_no_rates_over_no_time(tmp_path: Path) -> None:
    source = create_input(config(tmp_path), CONTEXT)
    source.open()
    (sample,) = source.read()
    assert "cpu" not in sample.fields
    assert "memory" in sample.fields


def test_temperatures_of_a_fake_machine_are_fields(tmp_path: Path) -> None:
    for number, (name, value) in enumerate([("nvme", "38000"), ("cpu_thermal", "52100")]):
        folder = tmp_path / "class" / "hwmon" / f"hwmon{number}"
        folder.mkdir(parents=True)
        (folder / "name").write_text(name)
        (folder / "temp1_input").write_text(value)
    source = create_input(config(tmp_path), CONTEXT)
    source.open()
    units = {field.name: field.units for field in source.sensors()[0].fields}
    assert units["temperature"] == units["temp_nvme"] == "°C"
    (sample,) = source.read()
    assert sample.fields["temperature"] == 52.1
    assert sample.fields["temp_nvme"] == 38.0


def test_what_is_switched_off_is_not_declared(tmp_path: Path) -> None:
    source = create_input(config(tmp_path, network=False, temperatures=False), CONTEXT)
    source.open()
    names = {field.name for field in source.sensors()[0].fields}
    assert not names & {"net_rx", "net_tx", "temperature"}


@pytest.mark.parametrize("gateway", ["a", "g" * 40])
def test_sensor_name_fits_the_platform(tmp_path: Path, gateway: str) -> None:
    name = "x" * 40
    source = create_input(
        SystemConfig(type="system", name=name, sysfs=tmp_path), Context(gateway, threading.Event())
    )
    source.open()
    assert SENSOR_NAME.fullmatch(source.sensors()[0].name)
