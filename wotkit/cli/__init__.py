"""The command line ``wotkit``: one module per group of commands."""

from __future__ import annotations

import sqlite3

import click
import peewee

from wotkit import __version__
from wotkit.catalog import CatalogTooNew
from wotkit.cli.config import config
from wotkit.cli.doctor import doctor
from wotkit.cli.key import key
from wotkit.cli.sensor import sensor
from wotkit.cli.serve import serve
from wotkit.cli.user import user
from wotkit.config import ConfigError
from wotkit.errors import WotkitError
from wotkit.readings.store import StoreError

USAGE_ERROR = 2

EPILOG = """\b
Examples:
  wotkit serve --data ./wotkit-data
  wotkit user create alice --data ./wotkit-data
  wotkit key create --user alice --name gateway --data ./wotkit-data
"""


class Commands(click.Group):
    """Turns what may go wrong in any command into one clear line and an exit status."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; 1 is an error of the platform, 2 one of usage or settings."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            for mistake in error.mistakes:
                click.echo(f"Error: {mistake}", err=True)
            ctx.exit(USAGE_ERROR)
        except WotkitError as error:
            raise click.ClickException(explain(error)) from error
        except (CatalogTooNew, StoreError) as error:
            raise click.ClickException(str(error)) from error
        except (peewee.DatabaseError, sqlite3.Error) as error:
            raise click.ClickException(f"the database says: {error}") from error
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            raise click.ClickException(str(error)) from error


def explain(error: WotkitError) -> str:
    """Return one line that says what is wrong, each thing once."""
    details = [f"{name} {why}" for name, why in error.more.items()] or list(error.developer)
    message = error.code.message.removesuffix(".")
    return f"{message}: {'; '.join(details)}" if details else message


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@click.version_option(__version__, prog_name="wotkit", message="%(prog)s %(version)s")
def main() -> None:
    """Run and look after a WoTKit server: an open platform for sensors."""


for command in (serve, user, key, sensor, config, doctor):
    main.add_command(command)
