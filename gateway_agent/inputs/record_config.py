"""How text is turned into values: the settings that all inputs share which read text."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Final, Literal

from gateway_agent.inputs.base import InputConfig
from gateway_agent.inputs.json_path import parse_path
from gateway_agent.inputs.points import PointConfig, check_points, field_from
from gateway_agent.settings import Setting, Tables, WrongSetting, choice, regex, text, texts

_FORMATS: Final = ("json", "csv", "regex", "number", "nmea")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPoint(PointConfig):
    """A value in a record, found by its key."""

    key: Annotated[
        str,
        Setting(
            text(),
            "JSON: a path such as main.temp or list[0].value; CSV: a column's name, or its number "
            "from 1; regex: a group's name or number; nmea: such as latitude",
        ),
    ]
    datatype: Annotated[
        Literal["auto", "number", "text"],
        Setting(choice("auto", "number", "text"), '"auto" (as it is), "number" or "text"'),
    ] = "auto"

    @property
    def default_field(self) -> str:
        """The key, as far as a field's name allows."""
        return field_from(self.key)

    @property
    def is_numeric(self) -> bool:
        """Whether the value is a number, not a text."""
        return self.datatype != "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordConfig(InputConfig):
    """How text is turned into values; the inputs that read text add where it comes from."""

    format: Annotated[
        Literal["json", "csv", "regex", "number", "nmea"],
        Setting(choice(*_FORMATS), '"json", "csv", "regex", "number" or "nmea"'),
    ] = "json"
    pattern: Annotated[
        re.Pattern[str] | None,
        Setting(regex, "regex: searched in the text; named groups become fields"),
    ] = None
    columns: Annotated[
        tuple[str, ...],
        Setting(texts, 'csv: the columns\' names in order; "-" for one that is left out'),
    ] = ()
    delimiter: Annotated[
        str, Setting(text(r"[^\n\r\"]", "one character"), "csv: what stands between columns")
    ] = ","
    records: Annotated[
        str | None,
        Setting(text(), "json: path to a list, each element of which is a record of its own"),
    ] = None
    time: Annotated[
        str | None,
        Setting(
            text(),
            "key of the record's own time: ISO 8601, or seconds or milliseconds since 1970; "
            "a record whose time was seen before is not sent again",
        ),
    ] = None
    point: Annotated[
        tuple[KeyPoint, ...],
        Setting(Tables(KeyPoint), "the values to take; everything in the record if left out"),
    ] = ()

    def __post_init__(self) -> None:
        """Raises WrongSetting when settings are missing for the format, or of another one."""
        check_points(self.point, needed=False)
        if self.format == "nmea" and find_spec("pynmea2") is None:
            message = "needs the Python library pynmea2; install wotkit[gateway-serial]"
            raise WrongSetting("format", message)
        if self.format == "regex" and self.pattern is None:
            raise WrongSetting("format", 'format "regex" needs a pattern')
        if self.format == "csv" and not self.columns and not self.point:
            raise WrongSetting("format", 'format "csv" needs columns, or points by number')
        for name, used_by in (("pattern", "regex"), ("columns", "csv"), ("records", "json")):
            if getattr(self, name) and self.format != used_by:
                raise WrongSetting(name, f'is only for format "{used_by}"')
        if self.format == "number" and (self.time or self.point[1:]):
            raise WrongSetting("format", 'format "number" has one value and no time')
        self._check_keys()

    def _check_keys(self) -> None:
        keys = [(("point", index, "key"), point.key) for index, point in enumerate(self.point)]
        own = [(("time",), self.time), (("records",), self.records)]
        for place, key in [*keys, *own]:
            if key is None:
                continue
            try:
                self._check_key(key)
            except ValueError as error:
                raise WrongSetting(place, str(error)) from error

    def _check_key(self, key: str) -> None:
        if self.format == "json":
            parse_path(key)
        elif self.format == "csv" and not key.isdecimal() and key not in self.columns:
            raise ValueError(f"{key!r} is not one of columns")
        elif self.format == "regex" and self.pattern is not None:
            count = self.pattern.groups
            if key not in self.pattern.groupindex and not (key.isdecimal() and int(key) <= count):
                raise ValueError(f"{key!r} is not a group of the pattern")
