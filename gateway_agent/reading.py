"""What the agent carries: sensors with fields, and their readings."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway_agent.clock import Stamp, can_be_written

Value = float | int | str
"""What a field holds: a number or a text. Booleans travel as 0 and 1."""

SENSOR_NAME: Final = re.compile(r"(?:[a-z0-9_-]{1,50}\.)?[a-z_][a-z0-9_-]{3,49}")
"""A sensor's name as the platform wants it, with the owner before a dot when it is another's."""

RESERVED_FIELDS: Final = frozenset(
    {"seq", "sensor", "timestamp", "time_quality", "id", "sensor_id", "sensor_name"}
)
"""Names that mean something else in a reading."""


class InvalidReadingError(ValueError):
    """A reading that the platform could never store."""


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """A field of a sensor, as it is registered on the platform."""

    name: str
    long_name: str
    units: str = ""
    numeric: bool = True

    @property
    def type(self) -> str:
        """The platform's word for the field's type."""
        return "NUMBER" if self.numeric else "STRING"


@dataclass(frozen=True, slots=True)
class SensorSpec:
    """A sensor, as it is registered on the platform when it is missing there."""

    name: str
    long_name: str
    description: str
    fields: tuple[FieldSpec, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """What an input measured: values by field name of one sensor.

    `stamp` is for a measurement that was made earlier than now; without it the sample is stamped
    when it leaves the input. `bookmark` is how far the input has come with it in a source that
    can be read again: it is stored with the reading, in one transaction.
    """

    sensor: str
    fields: Mapping[str, Value]
    stamp: Stamp | None = None
    bookmark: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A stamped sample on its way to the spool; `fields` is a JSON object in ASCII."""

    sensor: str
    fields: str
    stamp: Stamp
    bookmark: tuple[str, str] | None = None
    """The input's name, and how far it has come with this reading."""


def make_reading(sample: Sample, stamp: Stamp) -> Reading:
    """Check a sample and encode it.

    Values that are no number (NaN, infinity) are left out: a sensor that could not measure has
    nothing to say. Raises InvalidReadingError when nothing is left, or a name or the time cannot be
    sent.
    """
    if not SENSOR_NAME.fullmatch(sample.sensor):
        raise InvalidReadingError(f"{sample.sensor!r} is not a sensor name")
    if sample.bookmark is not None and not _is_text(sample.bookmark):
        raise InvalidReadingError(f"{sample.bookmark!r} cannot be stored as a bookmark")
    fields: dict[str, Value] = {}
    for name, value in sample.fields.items():
        if not name or name in RESERVED_FIELDS or not _is_text(name):
            raise InvalidReadingError(f"{name!r} cannot name a field")
        cleaned = _clean(value)
        if cleaned is not None:
            fields[name] = cleaned
    if not fields:
        raise InvalidReadingError(f"no value left for {sample.sensor}")
    when = sample.stamp or stamp
    if not can_be_written(when.wall_us):
        raise InvalidReadingError(f"{when.wall_us} us since 1970 is no time that can be sent")
    encoded = json.dumps(fields, separators=(",", ":"), allow_nan=False)
    return Reading(sample.sensor, encoded, when)


def _is_text(name: object) -> bool:
    """Whether it is text that can be sent: half a surrogate pair cannot (RFC 3629 section 3)."""
    if not isinstance(name, str):
        return False
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _clean(value: object) -> Value | None:
    """The value as the platform takes it, or None when it is no number.

    Half a surrogate pair in a text, as of an emoji that was cut off, becomes `?`.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        try:
            return value if math.isfinite(value) else None
        except OverflowError:
            return None
    raise InvalidReadingError(f"a {type(value).__name__} cannot be a field's value")


def infer_fields(fields: str) -> tuple[FieldSpec, ...]:
    """Describe the fields of an encoded reading that no input describes any more."""
    return tuple(
        FieldSpec(name, title(name), numeric=not isinstance(value, str))
        for name, value in json.loads(fields).items()
    )


def title(name: str) -> str:
    """A readable name from a technical one: `net_rx` becomes `Net rx`."""
    words = re.sub(r"[_-]+", " ", name).strip()
    return (words[:1].upper() + words[1:]) or name
