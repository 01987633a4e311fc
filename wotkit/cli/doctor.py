"""``wotkit doctor``: looks at everything a server depends on, and says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from msgspec import to_builtins

from wotkit.cli import checkups, database_checkups, mqtt_checkups
from wotkit.cli.checkups import FAIL, Finding
from wotkit.cli.options import config_options, json_option, load, print_json
from wotkit.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLES = """\b
Examples:
  wotkit doctor --data ./wotkit-data
  wotkit doctor --config wotkit.toml --json
"""
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(epilog=EXAMPLES)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="How long the check of each database may take.",
)
@json_option
@config_options
def doctor(data: str | None, config_file: Path | None, seconds: float, as_json: bool) -> None:
    """Check data folder, disk, clock, ports, versions, databases; exit with 1 if one fails.

    Changes nothing, and may run beside the server.
    """
    findings = []
    for finding in examine(data, config_file, seconds):
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        print_json([to_builtins(finding) for finding in findings])
    if any(finding.level == FAIL for finding in findings):
        raise SystemExit(1)


def examine(data: str | None, config_file: Path | None, seconds: float) -> Iterator[Finding]:
    """Yield what is found, in order; with wrong settings only what does not depend on them."""
    yield from checkups.versions()
    yield from checkups.clock()
    try:
        settings = load(data, config_file).settings
    except ConfigError as error:
        for mistake in error.mistakes:
            yield Finding(
                "settings", FAIL, mistake, "Correct it; `wotkit config docs` lists all settings."
            )
        return
    yield Finding("settings", "ok", "every setting is valid")
    folder = settings.data_folder
    yield from checkups.data_folder(folder)
    yield from checkups.disk(folder)
    yield from checkups.port(settings.server.host, settings.server.port)
    yield from mqtt_checkups.mqtt(settings)
    yield from database_checkups.catalog(folder, seconds)
    yield from database_checkups.readings(folder, seconds)


def _print(finding: Finding) -> None:
    level = click.style(f"{finding.level:4}", fg=COLOURS[finding.level])
    click.echo(f"{level}  {finding.check}: {finding.text}")
    if finding.advice:
        click.echo(f"      {finding.advice}")
