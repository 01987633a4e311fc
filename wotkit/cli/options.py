"""What the commands share: where the data is, passwords that are never arguments, and printing."""

from __future__ import annotations

import functools
import math
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import click
import msgspec

from wotkit import config, times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from wotkit.catalog import Catalog
    from wotkit.config import Loaded
    from wotkit.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

_SETTINGS: Final = {setting.name: setting for setting in config.SETTINGS}
_DURATION: Final = re.compile(r"(\d+)\s*([mhdw])")
_SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


LONGEST_OVERLAP_HOURS: Final = 8760
"""For which the secret before a rotation may stay good: a year."""


class Amount(click.FloatRange):
    """A number within limits; what is no number is within none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        found = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value} is no number.", param, ctx)
        return found


def config_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add ``--data`` and ``--config``, for commands that read the settings themselves."""
    return _data_option(_config_option(command))


def with_settings(command: Callable[..., T]) -> Callable[..., T]:
    """Add ``--data`` and ``--config``; the command gets the validated ``settings``."""

    @config_options
    @functools.wraps(command)
    def run(*args: Any, data: str | None, config_file: Path | None, **kwargs: Any) -> T:
        return command(*args, settings=load(data, config_file).settings, **kwargs)

    return run


def with_sources(command: Callable[..., T]) -> Callable[..., T]:
    """Add ``--data``, ``--config`` and ``--set``; the command gets ``loaded`` with the origins."""

    @config_options
    @set_option
    @functools.wraps(command)
    def run(
        *args: Any,
        data: str | None,
        config_file: Path | None,
        pairs: tuple[str, ...],
        **kwargs: Any,
    ) -> T:
        return command(*args, loaded=load(data, config_file, assignments(pairs)), **kwargs)

    return run


_data_option: Final = click.option(
    "--data", metavar="DIR", help="Data folder (the setting storage.data)."
)
_config_option: Final = click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="TOML file with settings; WOTKIT_CONFIG names it too.",
)
set_option: Final = click.option(
    "--set",
    "pairs",
    metavar="NAME=VALUE",
    multiple=True,
    help="Give a setting, such as log.level=debug; may be repeated.",
)
json_option: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for programs."
)
password_option: Final = click.option(
    "--password-file",
    metavar="FILE",
    help="Read the password from a file; - is standard input. Without it you are asked.",
)


def load(data: str | None, file: Path | None, overrides: Mapping[str, Any] | None = None) -> Loaded:
    """Return the settings of all sources.

    Raises:
        ConfigError: with every mistake.
    """
    given = dict(overrides or {})
    if data is not None:
        given["storage.data"] = data
    return config.load(file=file, overrides=given)


def assignments(pairs: Sequence[str]) -> dict[str, str]:
    """Return the settings that ``--set`` gives.

    Raises:
        UsageError: not ``name=value``, or a secret, which other users of the machine could see.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"--set takes NAME=VALUE, not {pair!r}")
        setting = _SETTINGS.get(name)
        if setting is not None and setting.secret:
            raise click.UsageError(
                f"{name} is a secret, and arguments are visible to every user of this machine; "
                f"put it into a file and name that in {setting.variable}_FILE"
            )
        found[name] = value
    return found


@contextmanager
def open_catalog(settings: Settings, *, create: bool = False) -> Iterator[Catalog]:
    """Open the catalog of the data folder, also while a server runs.

    Raises:
        ClickException: there is none, and ``create`` does not allow to begin one.
    """
    # not every command opens it
    from wotkit.catalog import Catalog
    from wotkit.catalog.database import FILE_NAME

    folder = settings.data_folder
    if not create and not (folder / FILE_NAME).exists():
        raise click.ClickException(
            f"{folder} holds no WoTKit data; name the data folder with --data, or start one with "
            "`wotkit user create` or `wotkit serve`"
        )
    catalog = Catalog(folder, busy_seconds=settings.storage.busy_seconds)
    try:
        yield catalog
    finally:
        catalog.close()


def read_password(file: str | None, *, prompt: str = "Password") -> str:
    """Return a password from a file, from standard input (``-``), or asked for twice.

    Raises:
        UsageError: there is neither a file nor a terminal to ask at.
    """
    if file is not None:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        return text.removesuffix("\n").removesuffix("\r")
    if not sys.stdin.isatty():
        raise click.UsageError(
            "there is no terminal to ask for the password; give --password-file FILE, or - for "
            "standard input"
        )
    password: str = click.prompt(prompt, hide_input=True, confirmation_prompt=True)
    return password


def moment(text: str) -> int:
    """Return a time (microseconds) from ISO 8601, or from a duration from now such as ``90d``.

    Raises:
        BadParameter: it is neither.
    """
    duration = _DURATION.fullmatch(text.strip())
    if duration is not None:
        seconds = int(duration[1]) * _SECONDS[duration[2]]
        return times.now() + seconds * times.MICROSECONDS
    try:
        return times.parse(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{error}; give ISO 8601 such as 2027-01-31 or 2027-01-31T18:00:00Z (UTC without an "
            "offset), or a duration such as 90d, 12h or 30m"
        ) from None


def local_time(micros: int | None, *, absent: str = "-") -> str:
    """Return a time in the time zone of this machine, for people."""
    if micros is None:
        return absent
    local = times.in_zone(micros, None)
    return f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"


def iso_time(micros: int | None) -> str | None:
    """Return a time in ISO 8601, for programs."""
    return None if micros is None else times.to_iso(micros)


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(heads: Sequence[str], lines: Sequence[Sequence[str]], *, empty: str) -> None:
    """Print aligned columns; ``empty`` says what there is none of, on standard error."""
    if not lines:
        click.echo(empty, err=True)
        return
    shown = [heads, *([_printable(cell) for cell in line] for line in lines)]
    widths = [max(len(line[column]) for line in shown) for column in range(len(heads))]
    for line in shown:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _printable(text: str) -> str:
    """Return ``text`` without control characters: what a user chose must not move the cursor."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
