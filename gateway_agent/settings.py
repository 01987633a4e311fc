"""Settings as tables: a frozen dataclass per section is its one list of names, defaults and help.

A section is read from TOML by `read_section`, which collects every mistake instead of stopping
at the first, and listed for documentation by `describe_section`. A section may hold others
(`Table`, `Tables`), and refuse settings that do not fit together (`WrongSetting`, raised by its
`__post_init__`).
"""

import dataclasses
import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints
from urllib.parse import SplitResult, urlsplit

from gateway_agent.durations import format_duration, parse_duration
from gateway_agent.redact import redact

Section = TypeVar("Section")
Check = Callable[[object], Any]
"""Turns a TOML value into a setting, or raises ValueError with what was expected."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration file: where, and what to do about it."""

    line: int | None
    message: str


@dataclass(frozen=True, slots=True)
class SettingDoc:
    """One row of a section's documentation; `default` is as written in TOML, None if required."""

    name: str
    default: str | None
    help: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a section stands in the file, to find line numbers by key."""

    name: str
    line_of: Callable[..., int | None]
    """The line of a key below the section, given as its names and indexes; of itself for none."""
    folder: Path

    def inside(self, name: str, *keys: str | int) -> "Place":
        """The place of a section within this one."""
        line_of = self.line_of
        return Place(f"{self.name}.{name}", lambda *more: line_of(*keys, *more), self.folder)


class WrongSetting(ValueError):
    """Settings that do not fit together: the key to blame, as names and indexes, and why."""

    def __init__(self, key: str | tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.keys = (key,) if isinstance(key, str) else key


@dataclass(frozen=True, slots=True)
class Tables:
    """The check of a setting that is a list of sections, `[[input.point]]`."""

    section: type[Any]


@dataclass(frozen=True, slots=True)
class Table:
    """The check of a setting that is one section, `[input.options]`."""

    section: type[Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """Annotates a field of a section: how its TOML value is checked, and what it means.

    `key` is its name in the file when that is not a name that Python takes.
    """

    check: Check | Tables | Table
    help: str
    key: str = ""


def read_section(
    section: type[Section], table: Mapping[str, object], place: Place, problems: list[Problem]
) -> Section | None:
    """Build the section's dataclass from a TOML table; None when there were problems.

    Relative paths are taken from the configuration file's folder.
    """
    declared = _declared(section)
    before = len(problems)
    for name in table.keys() - declared.keys():
        message = f"{place.name}.{name}: unknown key{nearest(name, declared)}"
        problems.append(Problem(place.line_of(name), message))
    values: dict[str, object] = {}
    for name, (attribute, declaration, default) in declared.items():
        if name in table or isinstance(declaration.check, Table):
            try:
                value = _read_setting(declaration.check, table.get(name, {}), name, place, problems)
            except ValueError as error:
                problems.append(Problem(place.line_of(name), f"{place.name}.{name}: {error}"))
                continue
            values[attribute] = value
        elif default is dataclasses.MISSING:
            problems.append(Problem(place.line_of(), f"{place.name}.{name}: is required"))
    return None if len(problems) > before else _build(section, values, place, problems)


def _read_setting(
    check: Check | Tables | Table, value: object, name: str, place: Place, problems: list[Problem]
) -> object:
    if isinstance(check, Table):
        if not isinstance(value, dict):
            raise ValueError("must be a section")
        return read_section(check.section, value, place.inside(name, name), problems)
    if isinstance(check, Tables):
        if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
            raise ValueError("must be a list of sections")
        return tuple(
            read_section(check.section, table, place.inside(name, name, index), problems)
            for index, table in enumerate(value)
        )
    checked = check(value)
    return place.folder / checked.expanduser() if isinstance(checked, Path) else checked


def _build(
    section: type[Section], values: dict[str, object], place: Place, problems: list[Problem]
) -> Section | None:
    try:
        return section(**values)
    except WrongSetting as error:
        name = ".".join([place.name, *(key for key in error.keys if isinstance(key, str))])
        problems.append(Problem(place.line_of(*error.keys), f"{name}: {error}"))
        return None


def _declared(section: type[Any]) -> dict[str, tuple[str, Setting, object]]:
    """By name in the file: attribute, declaration and default (or MISSING), in order."""
    hints = get_type_hints(section, include_extras=True)
    found: dict[str, tuple[str, Setting, object]] = {}
    for field in dataclasses.fields(section):
        declaration = hints[field.name].__metadata__[0]
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        found[declaration.key or field.name] = (field.name, declaration, default)
    return found


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown name: the known one it most resembles, or all of them."""
    candidates = sorted(known)
    close = difflib.get_close_matches(name, candidates, n=1)
    if close:
        return f", did you mean {close[0]}?"
    return f"; known are {', '.join(candidates)}" if candidates else ""


def describe_section(section: type[object]) -> list[SettingDoc]:
    """The section's settings in order, for documentation and for the file that `init` writes."""
    return [
        SettingDoc(
            name,
            None if default is dataclasses.MISSING else toml_value(default, declaration),
            declaration.help,
        )
        for name, (_, declaration, default) in _declared(section).items()
    ]


def sections_within(section: type[object]) -> list[type[Any]]:
    """The sections that are settings of a section, such as its points."""
    checks = [declaration.check for _, declaration, _ in _declared(section).values()]
    return [check.section for check in checks if isinstance(check, Table | Tables)]


def toml_value(value: object, declaration: Setting | None = None) -> str:
    """Write a setting as TOML; its declaration tells durations from other numbers."""
    if isinstance(value, bool):
        return str(value).lower()
    if declaration is not None and getattr(declaration.check, "is_duration", False):
        assert isinstance(value, float | int)
        return toml_value(format_duration(value))
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    return "" if value is None else str(value)


def text(pattern: str = r".+", expected: str = "a text that is not empty") -> Check:
    """A string that matches the whole pattern."""
    compiled = re.compile(pattern)

    def check(value: object) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise ValueError(f"expected {expected}, not {value!r}")
        return value

    return check


def whole(minimum: int, maximum: int = 2**53) -> Check:
    """A whole number within bounds, both included."""

    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"expected a whole number, not {value!r}")
        if not minimum <= value <= maximum:
            raise ValueError(f"expected {minimum} to {maximum}, not {value}")
        return value

    return check


def number(value: object) -> float:
    """Any finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value - value != 0:
        raise ValueError(f"expected a number, not {value!r}")
    return float(value)


def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, not {value!r}")
    return value


def choice(*names: str) -> Check:
    """One of some words."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in names:
            hint = nearest(value, names) if isinstance(value, str) else ""
            raise ValueError(f"expected {' or '.join(map(repr, names))}, not {value!r}{hint}")
        return value

    return check


def duration(minimum: float, maximum: float = 366 * 86_400) -> Check:
    """A duration such as "5s", as seconds, within bounds in seconds."""

    def check(value: object) -> float:
        if not isinstance(value, str):
            raise ValueError(f'expected a duration such as "5s", not {value!r}')
        seconds = parse_duration(value)
        if not minimum <= seconds <= maximum:
            low, high = format_duration(minimum), format_duration(maximum)
            raise ValueError(f"expected {low} to {high}, not {value}")
        return seconds

    check.is_duration = True  # type: ignore[attr-defined]  # read by toml_value
    return check


def texts(value: object) -> tuple[str, ...]:
    """A list of texts; a single text stands for a list of one."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not listed or not all(_is_text(item) for item in listed):
        raise ValueError(f"expected a text or a list of texts, not {value!r}")
    return tuple(listed)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value


def secret_texts(value: object) -> Mapping[str, str]:
    """A table of texts by name, which may be secret: no message repeats them."""
    if not isinstance(value, dict) or not all(_is_text(text) for text in value.values()):
        raise ValueError("expected a table of texts")
    return value


def anything(value: object) -> Any:
    """Whatever TOML can hold."""
    return value


def regex(value: object) -> re.Pattern[str]:
    """A regular expression."""
    if not isinstance(value, str):
        raise ValueError(f"expected a regular expression, not {value!r}")
    try:
        return re.compile(value)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from error


def address(*schemes: str) -> Check:
    """A URL with one of some schemes, which may hold a user and password; they are never shown."""

    def check(value: object) -> SplitResult:
        example = f"expected an address that starts with {' or '.join(f'{s}://' for s in schemes)}"
        if not isinstance(value, str):
            raise ValueError(example)
        try:
            parts = urlsplit(value)
            port_is_valid = parts.port is None or parts.port > 0
        except ValueError as error:
            raise ValueError("is not an address") from error
        if parts.scheme not in schemes or not port_is_valid:
            raise ValueError(f"{example}, not {redact(value)!r}")
        return parts

    return check


def broker_url(value: object) -> SplitResult:
    """The address of the platform's MQTT, without user or password in it."""
    parts: SplitResult = address("mqtt", "mqtts")(value)
    if parts.username or parts.password:
        raise ValueError("must not contain a user or password; use credentials_file")
    if not parts.hostname or parts.query or parts.fragment or parts.path.strip("/"):
        raise ValueError('expected an address such as "mqtts://platform.example:8883"')
    return parts


def path(value: object) -> Path:
    """A file or folder; `~` is the home folder."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"expected a path, not {value!r}")
    return Path(value)


def http_url(value: object) -> str:
    """The address of the platform's API, without user or password in it."""
    if not isinstance(value, str):
        raise ValueError(f"expected an address, not {value!r}")
    try:
        parts = urlsplit(value)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError as error:
        raise ValueError(f"{error}") from error
    if parts.username or parts.password:
        raise ValueError("must not contain a user or password; use credentials_file")
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_valid:
        raise ValueError(f'expected an address such as "https://platform.example/api": {value!r}')
    if parts.query or parts.fragment:
        raise ValueError(f"must not have a query or fragment: {value!r}")
    return value.rstrip("/")
