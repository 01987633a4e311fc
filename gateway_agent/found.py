"""What could be read on this machine: the machine itself, thermometers, serial ports, buses.

Only folders of the kernel are looked at. No device is opened, so that looking disturbs none.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway_agent.inputs.hwmon import find_thermometers

_ONEWIRE: Final = re.compile(r"(?:10|22|28|3b|42)-[0-9a-f]{12}")
_GPS: Final = re.compile(r"gps|gnss|u-?blox|glonass", re.IGNORECASE)
_NO_SENSOR: Final = re.compile(
    r"zig-?bee|z-?wave|conbee|skyconnect|slzb|cc25\d\d|cc26\d\d|modem|huawei|quectel|sierra|simcom",
    re.IGNORECASE,
)
"""Names of sticks that another program drives: radios and modems."""
_PLUGGED: Final = ("ttyUSB*", "ttyACM*")
_ON_BOARD: Final = ("serial[0-9]", "ttyAMA*")
_DISPLAY: Final = re.compile(r"ddc|hdmi|drm|gmbus|aux|display|fef0[49]500|107d508", re.IGNORECASE)
"""Names of i2c buses that lead to a monitor, where no sensor is."""


@dataclass(frozen=True, slots=True)
class Found:
    """Something that an input of type `kind` can read."""

    kind: str
    device: str
    """A port's path, a bus's number, or nothing where there is only one."""
    what: str
    """For people: what it is, in a few words."""
    is_likely: bool = True
    """Whether a person who has it here probably wants it read."""
    speaks_nmea: bool = False
    """Whether it is named like a GPS receiver."""


def find_devices(root: Path = Path("/")) -> list[Found]:
    """All that is found, with the machine itself first.

    `root` is the folder below which `dev` and `sys` are, in a container perhaps another than `/`.
    Paths of devices are given without it.
    """
    return [
        _machine(root / "sys"),
        *_thermometers(root / "sys"),
        *_serial_ports(root / "dev"),
        *_i2c_buses(root),
    ]


def _machine(sysfs: Path) -> Found:
    thermometers = find_thermometers(sysfs)
    what = "this machine's processor, memory, disk and network"
    if thermometers:
        chips = sorted({thermometer.chip for thermometer in thermometers})
        count = len(thermometers)
        what += f", {count} temperature{'s' * (count > 1)} ({', '.join(chips)})"
    return Found("system", "", what)


def _thermometers(sysfs: Path) -> Iterator[Found]:
    devices = sysfs / "bus" / "w1" / "devices"
    names = [name for name in _names(devices, "*") if _ONEWIRE.fullmatch(name)]
    if names:
        yield Found("onewire", "", f"1-wire thermometers {', '.join(names)}")
    elif devices.is_dir():
        yield Found("onewire", "", "a 1-wire bus without a thermometer so far", is_likely=False)


def _serial_ports(dev: Path) -> Iterator[Found]:
    """Ports by their lasting names; by others only those that have none."""
    named: set[str] = set()
    by_id = dev / "serial" / "by-id"
    for name in _names(by_id, "*"):
        named.add((by_id / name).resolve().name)
        device = f"/dev/serial/by-id/{name}"
        yield Found(
            "serial",
            device,
            f"serial port {device}",
            is_likely=not _NO_SENSOR.search(name),
            speaks_nmea=bool(_GPS.search(name)),
        )
    for patterns, is_likely in ((_PLUGGED, True), (_ON_BOARD, False)):
        for pattern in patterns:
            for name in _names(dev, pattern):
                target = (dev / name).resolve().name
                if target not in named:
                    named.add(target)
                    yield Found("serial", f"/dev/{name}", f"serial port /dev/{name}", is_likely)


def _i2c_buses(root: Path) -> Iterator[Found]:
    for name in _names(root / "dev", "i2c-[0-9]*"):
        adapter = root / "sys" / "bus" / "i2c" / "devices" / name
        label = _text(adapter / "name")
        if _DISPLAY.search(label):
            continue
        number = name.removeprefix("i2c-")
        what = f"i2c bus {number}" + (f" ({label})" if label else "")
        chips = [_text(folder / "name") for folder in sorted(adapter.glob(f"{number}-[0-9a-f]*"))]
        if driven := ", ".join(filter(None, chips)):
            what += f", where the kernel itself drives {driven}"
        yield Found("i2c", number, what)


def _names(folder: Path, pattern: str) -> list[str]:
    """The names in a folder that match, in the order of their numbers; none if it is not there."""
    names = [path.name for path in folder.glob(pattern)]
    return sorted(names, key=lambda name: [*map(int, re.findall(r"\d{1,9}", name))] or [0])


def _text(file: Path) -> str:
    try:
        return " ".join(file.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError):
        return ""
