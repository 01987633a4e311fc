"""Temperatures from sysfs: hwmon chips, thermal zones and industrial I/O, without a library."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PLAUSIBLE: Final = (-60.0, 200.0)
_CPU_CHIPS: Final = (
    "coretemp",
    "k10temp",
    "zenpower",
    "cpu_thermal",
    "cpu-thermal",
    "soc_thermal",
    "x86_pkg_temp",
    "acpitz",
)


@dataclass(frozen=True, slots=True)
class Thermometer:
    """One temperature that sysfs offers: `name` is a field name, `label` is for people."""

    name: str
    label: str
    chip: str
    value: Path
    offset: float = 0.0
    scale: float = 1.0

    def celsius(self) -> float | None:
        """The temperature in °C, or None when it cannot be read or is beyond belief."""
        try:
            raw = float(self.value.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        value = (raw + self.offset) * self.scale / 1000
        return value if _PLAUSIBLE[0] <= value <= _PLAUSIBLE[1] else None


def find_thermometers(sysfs: Path) -> list[Thermometer]:
    """All temperatures below `sysfs` (usually /sys), each with a name of its own, in order.

    Thermal zones count only when there is no hwmon chip, since they repeat the same sensors.
    """
    found = list(_hwmon(sysfs)) or list(_thermal_zones(sysfs))
    found += _industrial_io(sysfs)
    seen: dict[str, int] = {}
    distinct: list[Thermometer] = []
    for thermometer in found:
        count = seen[thermometer.name] = seen.get(thermometer.name, 0) + 1
        if count > 1:
            thermometer = _renamed(thermometer, f"{thermometer.name}_{count}")  # noqa: PLW2901 - the same one under a name of its own
        distinct.append(thermometer)
    return distinct


def processor_thermometer(thermometers: list[Thermometer]) -> Thermometer | None:
    """The one that best stands for the processor: a known CPU chip, else the first."""
    for chip in _CPU_CHIPS:
        for thermometer in thermometers:
            if thermometer.chip == chip:
                return thermometer
    return thermometers[0] if thermometers else None


def _hwmon(sysfs: Path) -> Iterator[Thermometer]:
    for folder in _numbered(sysfs / "class" / "hwmon", "hwmon"):
        chip = _text(folder / "name") or folder.name
        for value in sorted(folder.glob("temp*_input"), key=_number):
            label = _text(value.with_name(value.name.replace("_input", "_label")))
            number = value.name.removeprefix("temp").removesuffix("_input")
            yield _thermometer(chip, label or (number if number != "1" else ""), value)


def _thermal_zones(sysfs: Path) -> Iterator[Thermometer]:
    for folder in _numbered(sysfs / "class" / "thermal", "thermal_zone"):
        yield _thermometer(_text(folder / "type") or folder.name, "", folder / "temp")


def _industrial_io(sysfs: Path) -> Iterator[Thermometer]:
    for folder in _numbered(sysfs / "bus" / "iio" / "devices", "iio:device"):
        chip = _text(folder / "name") or folder.name
        if (folder / "in_temp_input").exists():
            yield _thermometer(chip, "", folder / "in_temp_input")
        elif (folder / "in_temp_raw").exists():
            scale = _float(folder / "in_temp_scale", 1.0)
            offset = _float(folder / "in_temp_offset", 0.0)
            yield _thermometer(chip, "", folder / "in_temp_raw", offset, scale)


def _thermometer(
    chip: str, label: str, value: Path, offset: float = 0.0, scale: float = 1.0
) -> Thermometer:
    words = f"{chip} {label}".strip()
    name = "temp_" + re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    return Thermometer(name[:50], words, chip, value, offset, scale)


def _renamed(thermometer: Thermometer, name: str) -> Thermometer:
    return Thermometer(
        name,
        f"{thermometer.label} {name.rpartition('_')[2]}",
        thermometer.chip,
        thermometer.value,
        thermometer.offset,
        thermometer.scale,
    )


def _numbered(parent: Path, prefix: str) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted((p for p in parent.iterdir() if p.name.startswith(prefix)), key=_number)
    return []


def _number(path: Path) -> int:
    digits = re.search(r"\d+", path.name)
    return int(digits[0]) if digits else 0


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _float(file: Path, default: float) -> float:
    try:
        return float(_text(file))
    except ValueError:
        return default
