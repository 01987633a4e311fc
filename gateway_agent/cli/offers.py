"""Turns what was found on this machine into `[[input]]` sections, asking where that is needed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import click

from gateway_agent.found import Found

CHIPS: Final = ("bme280", "sht31", "ads1115")
_NONE: Final = "none"
_TEXTS: Final = ("json", "csv", "number", "nmea")
_MODBUS: Final = "modbus"
WITHOUT_QUESTIONS: Final = ("system", "onewire", "serial")
"""What can be configured from what is found alone; which chip is on a bus nobody can know."""


@dataclass(frozen=True, slots=True)
class Section:
    """One `[[input]]`: its settings, its points, and what to say above it."""

    comment: str
    settings: Mapping[str, object]
    points: Sequence[Mapping[str, object]] = field(default=())


def take(found: Iterable[Found], kinds: Sequence[str]) -> list[Section]:
    """The sections of some kinds without a question, or of `all` where a sensor is likely."""
    return _named(
        _plain(device)
        for device in found
        if device.kind in kinds
        or ("all" in kinds and device.is_likely and device.kind in WITHOUT_QUESTIONS)
    )


def offer(found: Iterable[Found]) -> list[Section]:
    """Offer each thing that was found, and ask what cannot be seen."""
    click.echo("On this machine there is:")
    return _named(section for device in found for section in _offer(device))


def _offer(device: Found) -> Iterator[Section]:
    if device.kind == "i2c":
        yield from _offer_chips(device)
    elif click.confirm(f"- {device.what}. Read it?", default=device.is_likely):
        yield _ask_serial(device) if device.kind == "serial" else _plain(device)


def _offer_chips(bus: Found) -> Iterator[Section]:
    question = f"- {bus.what}. Which chip is on it?"
    while True:
        chip = click.prompt(question, type=click.Choice((_NONE, *CHIPS)), default=_NONE)
        if chip == _NONE:
            return
        settings = {"type": "i2c", "name": chip, "bus": int(bus.device), "chip": chip}
        points = [{"key": "a0", "field": "a0"}] if chip == "ads1115" else []
        yield Section(f"{chip} on i2c bus {bus.device}", settings, points)
        question = f"  Another chip on bus {bus.device}?"


def _ask_serial(port: Found) -> Section:
    """Ask what a port's device sends. GPS receivers are known by their names."""
    suggested = "nmea" if port.speaks_nmea else "json"
    speaks = click.prompt(
        "  What does it speak?", type=click.Choice((*_TEXTS, _MODBUS)), default=suggested
    )
    baud = click.prompt("  Bits per second", type=click.IntRange(50, 4_000_000), default=9600)
    if speaks == _MODBUS:
        return _modbus(port, baud)
    settings: dict[str, object] = {"baud": baud, "format": speaks}
    if speaks == "csv":
        names = click.prompt("  Names of the columns, with commas, - for one to leave out")
        settings["columns"] = tuple(name.strip() for name in names.split(",") if name.strip())
    return _serial(port, settings)


def _modbus(port: Found, baud: int) -> Section:
    unit = click.prompt("  Address of the device", type=click.IntRange(0, 255), default=1)
    register = click.prompt(
        "  A register to read, from 0 as on the wire", type=click.IntRange(0, 65_535), default=0
    )
    url = f"rtu://{port.device}?baud={baud}"
    settings = {"type": "modbus", "name": "modbus", "url": url, "unit": unit}
    comment = f"{port.what}; add an [[input.point]] for each register"
    return Section(comment, settings, [{"register": register, "field": "value"}])


def _plain(device: Found) -> Section:
    if device.kind == "serial":
        section = _serial(device, {"format": "nmea" if device.speaks_nmea else "json"})
        return replace(section, comment=f"{device.what}; the format is a guess")
    interval = "5s" if device.kind == "system" else "30s"
    return Section(device.what, {"type": device.kind, "interval": interval})


def _serial(port: Found, settings: Mapping[str, object]) -> Section:
    name = "gps" if settings["format"] == "nmea" else "serial"
    interval = {"interval": "10s"} if name == "gps" else {}
    given = {"type": "serial", "name": name, "port": port.device, **settings, **interval}
    return Section(port.what, given)


def _named(sections: Iterable[Section]) -> list[Section]:
    """Number those that would have the same name."""
    counts: dict[object, int] = {}
    named = []
    for section in sections:
        settings = dict(section.settings)
        name = settings.get("name", settings["type"])
        counts[name] = counts.get(name, 0) + 1
        if counts[name] > 1:
            settings["name"] = f"{name}-{counts[name]}"
        named.append(Section(section.comment, settings, section.points))
    return named
