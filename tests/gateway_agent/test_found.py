"""What is found in a fake tree of the kernel's folders, and what becomes of it."""

from pathlib import Path

import pytest

from gateway_agent.cli.offers import take
from gateway_agent.found import Found, find_devices

GPS = "usb-u-blox_AG_u-blox_7_GNSS-if00"


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + "\n")


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    """A machine with two temperatures, two thermometers, a GPS, a plugged and an own port."""
    root = tmp_path / "pi"
    hwmon = root / "sys/class/hwmon/hwmon0"
    write(hwmon / "name", "cpu_thermal")
    write(hwmon / "temp1_input", "48312")
    write(hwmon / "temp2_input", "39000")
    for name in ("28-0316a2795bff", "28-0000075c1a2b", "w1_bus_master1"):
        (root / "sys/bus/w1/devices" / name).mkdir(parents=True)
    by_id = root / "dev/serial/by-id"
    by_id.mkdir(parents=True)
    for port in ("ttyACM0", "ttyUSB0", "ttyAMA0", "tty1"):
        write(root / "dev" / port, "")
    (by_id / GPS).symlink_to("../../ttyACM0")
    (root / "dev/serial0").symlink_to("ttyAMA0")
    for number, name in (("1", "bcm2835 (i2c@7e804000)"), ("20", "fef04500.i2c")):
        write(root / f"dev/i2c-{number}", "")
        write(root / f"sys/bus/i2c/devices/i2c-{number}/name", name)
    write(root / "sys/bus/i2c/devices/i2c-1/1-0068/name", "ds3231")
    return root


def of(kind: str, found: list[Found]) -> list[Found]:
    return [each for each in found if each.kind == kind]


def test_machine_itself_is_found_first_and_always(tmp_path: Path, pi: Path) -> None:
    (bare,) = find_devices(tmp_path)
    assert bare.kind == "system"
    assert "temperature" not in bare.what
    assert find_devices(pi)[0].what.endswith(", 2 temperatures (cpu_thermal)")


def test_thermometers_are_named_and_the_bus_is_not_one_of_them(pi: Path) -> None:
    (thermometers,) = of("onewire", find_devices(pi))
    assert thermometers.what == "1-wire thermometers 28-0000075c1a2b, 28-0316a2795bff"
    assert thermometers.is_likely


def test_empty_bus_is_not_read_unless_wanted(tmp_path: Path) -> None:
    (tmp_path / "sys/bus/w1/devices").mkdir(parents=True)
    (bus,) = of("onewire", find_devices(tmp_path))
    assert not bus.is_likely


def test_port_has_its_lasting_name_and_stands_once(pi: Path) -> None:
    ports = of("serial", find_devices(pi))
    assert [(port.device, port.is_likely, port.speaks_nmea) for port in ports] == [
        (f"/dev/serial/by-id/{GPS}", True, True),
        ("/dev/ttyUSB0", True, False),
        ("/dev/serial0", False, False),
    ]


def test_bus_of_a_monitor_is_left_out_and_what_the_kernel_drives_is_told(pi: Path) -> None:
    (bus,) = of("i2c", find_devices(pi))
    assert bus.device == "1"
    assert bus.what == ("i2c bus 1 (bcm2835 (i2c@7e804000)), where the kernel itself drives ds3231")


def test_radio_of_another_program_is_not_read_unless_wanted(tmp_path: Path) -> None:
    name = "usb-ITEAD_SONOFF_Zigbee_3.0_USB_Dongle_Plus_V2-if00"
    write(tmp_path / "dev/serial/by-id" / name, "")
    (stick,) = of("serial", find_devices(tmp_path))
    assert not stick.is_likely
    assert [s.settings["type"] for s in take([stick], ["all"])] == []


def test_all_that_is_likely_and_needs_no_question_is_taken(pi: Path) -> None:
    sections = take(find_devices(pi), ["all"])
    names = [section.settings.get("name", section.settings["type"]) for section in sections]
    assert names == ["system", "onewire", "gps", "serial"]
    assert sections[2].settings["format"] == "nmea"
    ports = [section.settings["port"] for section in take(find_devices(pi), ["serial"])]
    assert ports[-1] == "/dev/serial0", "what is asked for by name is taken"
    assert [s.settings["type"] for s in take(find_devices(pi), ["onewire"])] == ["onewire"]
