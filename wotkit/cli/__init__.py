"""The command line ``wotkit``: one module per group of commands."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from wotkit import __version__
from wotkit.cli.failures import said_by
from wotkit.config import ConfigError

USAGE_ERROR = 2

EPILOG = """\b
Examples:
  wotkit serve --data ./wotkit-data
  wotkit user create alice --data ./wotkit-data
  wotkit key create --user alice --name gateway --data ./wotkit-data
"""


COMMANDS: Final = (
    "app",
    "audit",
    "config",
    "doctor",
    "gateway",
    "grant",
    "key",
    "mqtt",
    "sensor",
    "serve",
    "token",
    "user",
)
"""Each is in the module of its name."""


class Commands(click.Group):
    """Turns what may go wrong in any command into one clear line and an exit status.

    A command is imported when it is used: what runs the server for months keeps its memory small.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return their names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # as above
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"wotkit.cli.{cmd_name}"), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; 1 is an error of the platform, 2 one of usage or settings."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            for mistake in error.mistakes:
                click.echo(f"Error: {mistake}", err=True)
            ctx.exit(USAGE_ERROR)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            said = said_by(error)
            if said is None:
                raise
            raise click.ClickException(said) from error


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@click.version_option(__version__, prog_name="wotkit", message="%(prog)s %(version)s")
def main() -> None:
    """Run and look after a WoTKit server: an open platform for sensors."""
