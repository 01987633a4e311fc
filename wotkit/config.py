"""Fills the settings table; the only reader of the environment and of the settings file.

Command line, TOML file, environment, validation and documentation all follow from the table in
:mod:`wotkit.settings`. Later sources win: defaults, TOML file, environment, command line.
"""

from __future__ import annotations

import difflib
import math
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from wotkit.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PREFIX: Final = "WOTKIT_"
CONFIG_VARIABLE: Final = "WOTKIT_CONFIG"


class Setting(NamedTuple):
    """One row of the settings table."""

    section: str
    key: str
    type: Any
    default: Any
    help: str

    @property
    def name(self) -> str:
        """The name in the TOML file and on the command line, such as ``server.port``."""
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        """The environment variable, such as ``WOTKIT_SERVER_PORT``."""
        return f"{PREFIX}{self.section}_{self.key}".upper()

    @property
    def secret(self) -> bool:
        """Whether the value is never shown, and may be read from a file named by ``…_file``."""
        return self.key.startswith("secret") or self.key.endswith("password")


def _table() -> Iterator[Setting]:
    for section in msgspec.structs.fields(Settings):
        for field in msgspec.structs.fields(section.type):
            info = msgspec.inspect.type_info(field.type)
            meta: dict[str, Any] = {}
            if isinstance(info, msgspec.inspect.Metadata):
                meta = info.extra_json_schema or {}
            default = getattr(section.default, field.name)
            yield Setting(
                section.name, field.name, field.type, default, meta.get("description", "")
            )


SETTINGS: Final[tuple[Setting, ...]] = tuple(_table())
"""The settings table, in the order of the documentation."""

_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}


class ConfigError(Exception):
    """The settings are wrong; ``mistakes`` has one line for each."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class Source(NamedTuple):
    """Where the value of a setting came from."""

    value: Any
    origin: str


def _nearest(name: str, known: Iterable[str]) -> str:
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]}?" if matches else ""


def _read_secret(path: str, origin: str, mistakes: list[str]) -> str:
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        mistakes.append(f"{origin}: cannot read {path}: {error.strerror}")
    except ValueError:
        mistakes.append(f"{origin}: {path} is not a text file")
    else:
        if secret:
            return secret
        mistakes.append(f"{origin}: {path} is empty")
    return ""


def _from_file(path: Path, found: dict[str, Source], mistakes: list[str]) -> None:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        mistakes.append(f"{path}: cannot be read: {error.strerror}")
        return
    except ValueError as error:
        mistakes.append(f"{path}: {error}")
        return
    sections = {setting.section for setting in SETTINGS}
    for section, values in document.items():
        if section not in sections:
            mistakes.append(f"{path}: no section [{section}]{_nearest(section, sections)}")
        elif not isinstance(values, dict):
            mistakes.append(f"{path}: {section} must be a section, [{section}]")
        else:
            _from_section(path, section, values, found, mistakes)


def _from_section(
    path: Path,
    section: str,
    values: Mapping[str, Any],
    found: dict[str, Source],
    mistakes: list[str],
) -> None:
    for key, value in values.items():
        name = f"{section}.{key}"
        secret = _BY_NAME.get(name.removesuffix("_file"))
        if name in _BY_NAME:
            found[name] = Source(value, str(path))
        elif secret is None or not secret.secret:
            mistakes.append(f"{path}: no setting {name}{_nearest(name, _BY_NAME)}")
        elif secret.key in values:
            mistakes.append(f"{path}: {secret.name} and {name} exclude each other")
        else:
            text = _read_secret(str(value), f"{path}: {name}", mistakes)
            found[secret.name] = Source(text, f"{path} ({value})")


def _from_environment(
    environment: Mapping[str, str], found: dict[str, Source], mistakes: list[str]
) -> None:
    variables = {setting.variable: setting for setting in SETTINGS}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        secret = variables.get(variable.removesuffix("_FILE"))
        if variable in variables:
            found[variables[variable].name] = Source(text, variable)
        elif secret is None or not secret.secret:
            mistakes.append(f"{variable}: no such setting{_nearest(variable, variables)}")
        elif secret.variable in environment:
            mistakes.append(f"{secret.variable} and {variable} exclude each other")
        else:
            found[secret.name] = Source(_read_secret(text, variable, mistakes), variable)


def _from_command_line(
    overrides: Mapping[str, Any], found: dict[str, Source], mistakes: list[str]
) -> None:
    for name, value in overrides.items():
        if name in _BY_NAME:
            found[name] = Source(value, "command line")
        else:
            mistakes.append(f"command line: no setting {name}{_nearest(name, _BY_NAME)}")


def _convert(setting: Setting, source: Source) -> Any:
    value = source.value
    if isinstance(value, str) and isinstance(setting.default, tuple):
        value = [part.strip() for part in value.split(",") if part.strip()]
    converted = msgspec.convert(value, setting.type, strict=False)
    if isinstance(converted, float) and not math.isfinite(converted):
        raise msgspec.ValidationError("Expected a finite number")
    return converted


class Loaded(NamedTuple):
    """Validated settings, and where each that differs from its default came from."""

    settings: Settings
    origins: Mapping[str, str]


def load(
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Loaded:
    """Read all sources and return the settings.

    Args:
        file: a TOML file; without it ``WOTKIT_CONFIG`` may name one.
        environment: defaults to the process environment.
        overrides: setting name to value, from the command line.

    Raises:
        ConfigError: with every mistake of every source, not only the first.
    """
    environment = os.environ if environment is None else environment
    found: dict[str, Source] = {}
    mistakes: list[str] = []
    if file is None and environment.get(CONFIG_VARIABLE):
        file = Path(environment[CONFIG_VARIABLE])
    if file is not None:
        _from_file(file, found, mistakes)
    _from_environment(environment, found, mistakes)
    _from_command_line(overrides or {}, found, mistakes)
    sections: dict[str, dict[str, Any]] = {}
    for name, source in found.items():
        setting = _BY_NAME[name]
        try:
            sections.setdefault(setting.section, {})[setting.key] = _convert(setting, source)
        except msgspec.ValidationError as error:
            shown = "" if setting.secret else f" (it is {source.value!r})"
            mistakes.append(f"{source.origin}: {name}: {error}{shown}")
    if mistakes:
        raise ConfigError(mistakes)
    settings = Settings(
        **{
            section.name: section.type(**sections.get(section.name, {}))
            for section in msgspec.structs.fields(Settings)
        }
    )
    return Loaded(settings, {name: source.origin for name, source in found.items()})


def shown(setting: Setting, settings: Settings) -> Any:
    """Return the value of a setting as it may be printed: secrets are masked, also in a URL."""
    value = getattr(getattr(settings, setting.section), setting.key)
    if isinstance(value, str) and "://" in value and "@" in value:
        scheme, _, rest = value.partition("://")
        return f"{scheme}://********@{rest.rpartition('@')[2]}"
    return "********" if setting.secret and value else value


def documentation() -> str:
    """Return the table of settings as Markdown."""
    lines = [
        "| setting | environment | default | meaning |",
        "|---|---|---|---|",
    ]
    for setting in SETTINGS:
        default = msgspec.json.encode(setting.default).decode()
        lines.append(f"| `{setting.name}` | `{setting.variable}` | `{default}` | {setting.help} |")
    return "\n".join(lines) + "\n"
