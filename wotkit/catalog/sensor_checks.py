"""What a sensor's attributes must be like."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from wotkit.catalog import fields
from wotkit.catalog.places import MAX_LATITUDE, MAX_LONGITUDE, on_globe

if TYPE_CHECKING:
    from collections.abc import Callable

    from wotkit.catalog.group_forms import GroupChange, NewGroup
    from wotkit.catalog.sensors import NewSensor, SensorChange

NAME: Final = re.compile(r"[a-z_][a-z0-9_-]{3,49}")
VISIBILITIES: Final = ("PUBLIC", "PRIVATE")
CONTROLS: Final = ("PUBLIC", "OWNER")
MAX_TEXT: Final = 255
MAX_LONG_TEXT: Final = 10_000
MAX_MEMBERS: Final = 100
"""Tags, and metadata, of one sensor at most."""

_LARGEST: Final = 1 << 63


def new_problems(sensor: NewSensor) -> dict[str, str]:
    """Return what is wrong with a sensor to be created, by attribute."""
    found: dict[str, str] = {}
    if not NAME.fullmatch(sensor.name):
        found["name"] = (
            "is invalid: 4 to 50 characters of a-z, 0-9, _ and -, a letter or _ first"
            if sensor.name
            else fields.REQUIRED
        )
    found |= problems(sensor)
    if sensor.fields is not UNSET:
        found |= _fields(sensor.fields)
    return found


def change_problems(change: SensorChange) -> dict[str, str]:
    """Return what is wrong with a change of a sensor, by attribute."""
    found = problems(change)
    if change.fields is not UNSET:
        found |= _fields(change.fields)
    return found


def problems(sensor: NewSensor | SensorChange | NewGroup | GroupChange) -> dict[str, str]:
    """Return what is wrong with the attributes that sensors, groups and changes of them share."""
    found: dict[str, str] = {}
    for name, check in _CHECKS.items():
        value = getattr(sensor, name, UNSET)
        if value is UNSET:
            continue
        why = check(value)
        if why is not None:
            found[_SHOWN.get(name, name)] = why
    latitude = 0.0 if sensor.latitude is UNSET else sensor.latitude
    longitude = 0.0 if sensor.longitude is UNSET else sensor.longitude
    if not on_globe(latitude, 0.0):
        found["latitude"] = f"is invalid: between -{MAX_LATITUDE:g} and {MAX_LATITUDE:g} degrees"
    if not on_globe(0.0, longitude):
        found["longitude"] = f"is invalid: between -{MAX_LONGITUDE:g} and {MAX_LONGITUDE:g} degrees"
    return found


def _fields(declared: list[fields.NewField]) -> dict[str, str]:
    return {
        f"fields.{place}".rstrip("."): why for place, why in fields.list_problems(declared).items()
    }


def _required_text(limit: int) -> Callable[[str], str | None]:
    def check(text: str) -> str | None:
        return _text(text, limit) if text.strip() else fields.REQUIRED

    return check


def _text(text: str, limit: int) -> str | None:
    if len(text) > limit or "\0" in text:
        return f"is invalid: at most {limit} characters, none of them NUL"
    return None


def _visibility(text: str) -> str | None:
    return None if text.upper() in VISIBILITIES else "is invalid: it is neither PUBLIC nor PRIVATE"


def _control(text: str | None) -> str | None:
    if text is None or text.upper() in CONTROLS:
        return None
    return "is invalid: it is neither PUBLIC nor OWNER"


def _image_url(text: str | None) -> str | None:
    return None if text is None else _text(text, MAX_LONG_TEXT)


def _tags(tags: list[str]) -> str | None:
    if len(tags) > MAX_MEMBERS:
        return f"is invalid: {len(tags)} are more than {MAX_MEMBERS}"
    for tag in tags:
        if not tag.strip() or _text(tag, MAX_TEXT):
            return f"is invalid: {tag[:40]!r} is empty or has more than {MAX_TEXT} characters"
    return None


def _metadata(metadata: dict[str, Any]) -> str | None:
    if len(metadata) > MAX_MEMBERS:
        return f"is invalid: {len(metadata)} are more than {MAX_MEMBERS}"
    for name, value in metadata.items():
        if not name.strip() or _text(name, MAX_TEXT):
            return f"is invalid: the name {name[:40]!r} is empty or longer than {MAX_TEXT}"
        why = _metadata_value(value)
        if why is not None:
            return f"is invalid: the value of {name!r} {why}"
    return None


def _metadata_value(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return "is empty"
    if isinstance(value, str):
        return _text(value, MAX_LONG_TEXT)
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        return "is beyond 64 bits"
    if not isinstance(value, int | float):
        return "is neither a text nor a number nor a truth value"
    return None


_CHECKS: Final[dict[str, Callable[[Any], str | None]]] = {
    "long_name": _required_text(MAX_TEXT),
    "description": _required_text(MAX_LONG_TEXT),
    "visibility": _visibility,
    "control": _control,
    "image_url": _image_url,
    "tags": _tags,
    "metadata": _metadata,
}
_SHOWN: Final = {"long_name": "longName", "image_url": "imageUrl"}
