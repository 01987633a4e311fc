"""Pages of the documentation that are generated: settings, limits, errors, the command line.

``python -m wotkit.cli.pages FOLDER`` writes them; a test compares them with what is there.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from wotkit import config
from wotkit.cli import main
from wotkit.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WIDTH: Final = 100


def settings_page() -> str:
    """Return the table of settings with what surrounds it."""
    return (
        "# Settings\n\n"
        "A setting is read from, in this order, a later one winning: its default, a TOML file "
        "(`--config FILE`, or the variable `WOTKIT_CONFIG`), the environment, the command line "
        "(`--set server.port=9000`). `server.port` is the key `port` in the section `[server]` of "
        "the file. A secret may also be read from a file, which the name with `_file` or `_FILE` "
        "at its end gives. `wotkit config check` finds mistakes, all at once; `wotkit config show` "
        "says where each value came from.\n\n"
        f"{config.documentation()}"
    )


def errors_page() -> str:
    """Return the catalogue of error codes."""
    lines = [
        "# Errors",
        "",
        (
            "Every error of the API has one shape. `code` never changes its meaning; `message` "
            "may be shown to a user; `developerMessage` and `moreInfo` say what to change."
        ),
        "",
        "| code | kind | message | what it means |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {code.number} | {code.category.value} | {_cell(code.message)} | {_cell(code.help)} |"
        for code in CATALOGUE
    ]
    return "\n".join(lines) + "\n"


LIMITED: Final = ("http", "ingest", "query", "live", "auth", "server", "storage")
"""Sections of the settings table that hold limits."""


def limits_page() -> str:
    """Return every setting that bounds something, with what happens beyond it."""
    lines = [
        "# Limits",
        "",
        (
            "Everything that could grow without end has a bound, and every bound is a setting. "
            "What is over a limit is refused with an error that says so; nothing is cut off "
            "silently, and nothing that was acknowledged is given up."
        ),
        "",
        "| limit | default | what it bounds |",
        "|---|---|---|",
    ]
    lines += [
        f"| `{setting.name}` | {setting.default:,} | {_cell(setting.help)} |"
        for setting in config.SETTINGS
        if setting.section in LIMITED and type(setting.default) in {int, float}
    ]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Return the help of every command."""
    lines = ["# Command line", ""]
    for path, command in _commands(main, "wotkit"):
        context = click.Context(
            command, info_name=path, terminal_width=WIDTH, help_option_names=["-h", "--help"]
        )
        help_text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        lines += [f"## {path}", "", "```", help_text, "```", ""]
    return "\n".join(lines)


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in sorted(command.list_commands(context)):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _commands(inner, f"{path} {name}")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PAGES: Final[dict[str, Callable[[], str]]] = {
    "settings.md": settings_page,
    "errors.md": errors_page,
    "cli.md": commands_page,
    "limits.md": limits_page,
}
"""File name to what makes its text."""


def write(folder: Path) -> None:
    """Write every page that differs, and say which."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        path = folder / name
        text = page()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            click.echo(f"Wrote {path}")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
