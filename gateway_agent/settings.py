"""Settings as tables: a frozen dataclass per section is its one list of names, defaults and help.

A section is read from TOML by `read_section`, which collects every mistake instead of stopping
at the first, and listed for documentation by `describe_section`.
"""

import dataclasses
import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints
from urllib.parse import urlsplit

from gateway_agent.durations import format_duration, parse_duration

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
    line_of: Callable[[str | None], int | None]
    folder: Path


@dataclass(frozen=True, slots=True)
class Setting:
    """Annotates a field of a section: how its TOML value is checked, and what it means."""

    check: Check
    help: str


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
    for name, (declaration, default) in declared.items():
        if name in table:
            try:
                value = declaration.check(table[name])
            except ValueError as error:
                problems.append(Problem(place.line_of(name), f"{place.name}.{name}: {error}"))
                continue
            values[name] = place.folder / value.expanduser() if isinstance(value, Path) else value
        elif default is dataclasses.MISSING:
            problems.append(Problem(place.line_of(None), f"{place.name}.{name}: is required"))
    return None if len(problems) > before else section(**values)


def _declared(section: type[Any]) -> dict[str, tuple[Setting, object]]:
    """Name, declaration and default (or MISSING) of each setting, in order."""
    hints = get_type_hints(section, include_extras=True)
    return {
        field.name: (hints[field.name].__metadata__[0], field.default)
        for field in dataclasses.fields(section)
    }


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
        for name, (declaration, default) in _declared(section).items()
    ]


def toml_value(value: object, declaration: Setting | None = None) -> str:
    """Write a setting as TOML; its declaration tells durations from other numbers."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if declaration is not None and getattr(declaration.check, "is_duration", False):
        assert isinstance(value, float | int)
        return toml_value(format_duration(value))
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False)
    return str(value)


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
