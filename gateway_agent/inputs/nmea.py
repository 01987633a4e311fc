"""Sentences of GPS receivers (NMEA 0183) as values; the sentence's checksum must be right."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import pynmea2  # type: ignore[import-untyped]  # it has no types

from gateway_agent.reading import Value

_KNOT: Final = 1852 / 3600
"""Metres per second."""


def decode(line: str) -> dict[str, Value]:
    """What a sentence says of a fix: GGA, RMC, GLL, VTG; empty for others and without a fix.

    latitude and longitude in degrees (north and east positive), altitude above the sea in m,
    speed in m/s, course in degrees from true north, satellites, hdop. Raises ValueError for a
    line that is no sentence or whose checksum is wrong or missing.
    """
    try:
        sentence = pynmea2.parse(line.strip(), check=True)
    except pynmea2.ParseError as error:
        raise ValueError(f"is not an NMEA sentence: {error.args[0][0]}") from error
    read = _READERS.get(getattr(sentence, "sentence_type", ""))
    if read is None:
        return {}
    try:
        found = read(sentence)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"cannot be read: {line.strip()[:80]!r}") from error
    return {name: value for name, value in found.items() if value is not None}


def _gga(sentence: Any) -> Mapping[str, Value | None]:
    if not sentence.gps_qual:
        return {}
    return {
        **_position(sentence),
        "altitude": _number(sentence.altitude),
        "satellites": int(sentence.num_sats) if sentence.num_sats else None,
        "hdop": _number(sentence.horizontal_dil),
    }


def _rmc(sentence: Any) -> Mapping[str, Value | None]:
    if sentence.status != "A":
        return {}
    speed = _number(sentence.spd_over_grnd)
    return {
        **_position(sentence),
        "speed": None if speed is None else round(speed * _KNOT, 3),
        "course": _number(sentence.true_course),
    }


def _gll(sentence: Any) -> Mapping[str, Value | None]:
    return _position(sentence) if sentence.status == "A" else {}


def _vtg(sentence: Any) -> Mapping[str, Value | None]:
    speed = _number(sentence.spd_over_grnd_kts)
    if speed is None:
        return {}
    return {"speed": round(speed * _KNOT, 3), "course": _number(sentence.true_track)}


def _position(sentence: Any) -> dict[str, Value | None]:
    if not sentence.lat or not sentence.lon:
        return {}
    return {"latitude": round(sentence.latitude, 7), "longitude": round(sentence.longitude, 7)}


def _number(value: Any) -> float | None:
    return None if value in {None, ""} else float(value)


_READERS: Final[Mapping[str, Callable[[Any], Mapping[str, Value | None]]]] = {
    "GGA": _gga,
    "RMC": _rmc,
    "GLL": _gll,
    "VTG": _vtg,
}
