"""Makes sensors from a file."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import yaml
from platform_api import ApiError, Platform

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUIRED: Final = ("name", "longName", "description")
NUMBERS: Final = ("latitude", "longitude")


class BadFile(Exception):
    """The file cannot be used; the text says where and why."""


class Result(NamedTuple):
    """What became of one sensor."""

    name: str
    outcome: str
    failed: bool


def read_sensors(path: Path) -> list[dict[str, Any]]:
    """Return the sensors of a CSV or YAML file, in the form of the API.

    Raises:
        BadFile: it cannot be read, or a sensor lacks something.
    """
    if path.suffix.lower() in {".yaml", ".yml"}:
        sensors = _read_yaml(path)
    else:
        with path.open(newline="", encoding="utf-8-sig") as file:
            sensors = [_of_row(row) for row in csv.DictReader(file)]
    if not sensors:
        raise BadFile(f"{path} has no sensors")
    for number, sensor in enumerate(sensors, 1):
        missing = [name for name in REQUIRED if not sensor.get(name)]
        if missing:
            raise BadFile(f"{path}: sensor {number} lacks {', '.join(missing)}")
    return sensors


def _read_yaml(path: Path) -> list[dict[str, Any]]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise BadFile(f"{path}: {error}") from None
    sensors = document.get("sensors") if isinstance(document, dict) else document
    if not isinstance(sensors, list) or not all(isinstance(each, dict) for each in sensors):
        raise BadFile(f"{path}: a list of sensors is expected")
    return sensors


def _of_row(row: dict[str, str]) -> dict[str, Any]:
    sensor: dict[str, Any] = {name: text for name, text in row.items() if name and text}
    for name in NUMBERS:
        if name in sensor:
            try:
                sensor[name] = float(sensor[name])
            except ValueError:
                raise BadFile(f"{row.get('name')}: {name} is no number: {sensor[name]}") from None
    if "tags" in sensor:
        sensor["tags"] = [tag.strip() for tag in sensor["tags"].split(";") if tag.strip()]
    if "fields" in sensor:
        sensor["fields"] = [_field(text) for text in sensor["fields"].split(";") if text.strip()]
    return sensor


def _field(text: str) -> dict[str, str]:
    """Return the field that a cell describes: ``name:TYPE:units``, type and units optional."""
    name, kind, units = [*text.strip().split(":"), "", ""][:3]
    return {"name": name, "longName": name, "type": kind or "NUMBER", "units": units}


def register(
    platform: Platform, sensors: list[dict[str, Any]], *, update: bool
) -> Iterator[Result]:
    """Make each sensor, one after the other, and yield what became of it."""
    for sensor in sensors:
        name = str(sensor["name"])
        try:
            platform.call("POST", "sensors", sensor)
        except ApiError as error:
            if error.status != 409:  # noqa: PLR2004  # it exists
                yield Result(name, str(error), failed=True)
            elif not update:
                yield Result(name, "exists already", failed=False)
            else:
                yield _update(platform, name, sensor)
        else:
            yield Result(name, "made", failed=False)


def _update(platform: Platform, name: str, sensor: dict[str, Any]) -> Result:
    owner = sensor.get("owner")
    reference = f"{owner}.{name}" if owner else name
    try:
        platform.call("PUT", f"sensors/{reference}", sensor)
    except ApiError as error:
        return Result(name, str(error), failed=True)
    return Result(name, "brought up to date", failed=False)
