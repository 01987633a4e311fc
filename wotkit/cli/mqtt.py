"""``wotkit mqtt``: what goes with brokers of MQTT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from wotkit.cli.options import open_catalog, with_settings

if TYPE_CHECKING:
    from wotkit.settings import Settings

EXPORT_EXAMPLES = """\b
Examples:
  wotkit mqtt export-mosquitto /etc/mosquitto/wotkit --data ./wotkit-data
  wotkit mqtt export-mosquitto /etc/mosquitto/wotkit --pid-file /run/mosquitto/mosquitto.pid
"""


@click.group()
def mqtt() -> None:
    """Let a broker of MQTT know the keys."""


@mqtt.command("export-mosquitto", epilog=EXPORT_EXAMPLES)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--pid-file",
    metavar="FILE",
    help="File with mosquitto's process id; it is told to read the files anew.",
)
@with_settings
def export_mosquitto(settings: Settings, folder: Path, pid_file: str | None) -> None:
    """Write the files `passwords` and `acl` for mosquitto into the folder DIR.

    A server with the setting mqtt.export_mosquitto does it by itself.
    """
    from wotkit.catalog import mosquitto_keys
    from wotkit.mqtt import mosquitto
    from wotkit.mqtt.broker import broker_of

    with open_catalog(settings) as catalog:
        keys = catalog.read(mosquitto_keys.holding)
    done = mosquitto.export(folder, keys, broker_of(settings.mqtt), settings.mqtt)
    click.echo(f"Wrote {done.keys} keys to {folder}." if done.changed else "Nothing has changed.")
    if done.unknown:
        click.echo(
            f"{done.unknown} keys are not among them: their passwords were made without the "
            "setting mqtt.mosquitto_hashes. `wotkit key rotate` gives them others.",
            err=True,
        )
    told = pid_file or settings.mqtt.mosquitto_pid_file
    if done.changed and told and not mosquitto.tell(told):
        raise click.ClickException(f"mosquitto cannot be told: {told} names no process of it")
