"""``wotkit config``: the settings, where they come from, and whether they are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from wotkit.cli.options import json_option, print_json, print_table, with_sources
from wotkit.config import SETTINGS, documentation, shown

if TYPE_CHECKING:
    from wotkit.config import Loaded

SHOW_EXAMPLES = """\b
Examples:
  wotkit config show --config wotkit.toml
  WOTKIT_SERVER_PORT=9000 wotkit config show --json
"""
CHECK_EXAMPLES = """\b
Example:
  wotkit config check --config wotkit.toml
"""
DOCS_EXAMPLES = """\b
Example:
  wotkit config docs > settings.md
"""


@click.group()
def config() -> None:
    """Show, check and explain the settings."""


@config.command(epilog=SHOW_EXAMPLES)
@json_option
@with_sources
def show(loaded: Loaded, as_json: bool) -> None:
    """Print every setting with its value and where that came from; secrets are masked."""
    table = [
        (setting.name, shown(setting, loaded.settings), loaded.origins.get(setting.name, "default"))
        for setting in SETTINGS
    ]
    if as_json:
        print_json({name: {"value": value, "from": origin} for name, value, origin in table})
        return
    lines = [(name, msgspec.json.encode(value).decode(), origin) for name, value, origin in table]
    print_table(("SETTING", "VALUE", "FROM"), lines, empty="")
    click.echo(f"\nThe data folder is {loaded.settings.data_folder}")


@config.command(epilog=CHECK_EXAMPLES)
@with_sources
def check(loaded: Loaded) -> None:
    """Check the settings of every source; print each mistake and exit with 2 when there is one."""
    count = len(loaded.origins)
    click.echo(f"The settings are good; {count} differ{'s' * (count == 1)} from the default.")


@config.command(epilog=DOCS_EXAMPLES)
def docs() -> None:
    """Print the table of settings as Markdown."""
    click.echo(documentation(), nl=False)
