"""``wotkit token``: access tokens for development and for programs that run by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from wotkit.catalog import apps, developer, users
from wotkit.catalog.audit import COMMAND_LINE
from wotkit.catalog.identity import SCOPES
from wotkit.cli.acting import as_user
from wotkit.cli.app import owner_of
from wotkit.cli.options import (
    Amount,
    iso_time,
    json_option,
    local_time,
    open_catalog,
    print_json,
    with_settings,
)

if TYPE_CHECKING:
    from wotkit.catalog.developer import DeveloperToken
    from wotkit.settings import Settings

EXAMPLES = """\b
Examples:
  wotkit token developer 0123456789abcdef0123456789abcdef
  wotkit token developer 0123456789abcdef0123456789abcdef --scope read --days 30 --json
"""
DAY = 86_400
_MOST_DAYS = 3650


@click.group()
def token() -> None:
    """Make access tokens."""


@token.command("developer", epilog=EXAMPLES)
@click.argument("client_id")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(sorted(SCOPES)),
    help="What it allows; may be repeated. Default: what the application is registered with.",
)
@click.option(
    "--days",
    type=Amount(min=0, min_open=True, max=_MOST_DAYS),
    help="Days it is good. Default: the setting oauth.developer_token_seconds.",
)
@json_option
@with_settings
def make_developer_token(
    settings: Settings, client_id: str, scopes: tuple[str, ...], days: float | None, as_json: bool
) -> None:
    """Make a token with which the application CLIENT_ID acts for its owner.

    One that was made before ends. `wotkit grant revoke` ends this one.
    """
    seconds = settings.oauth.developer_token_seconds if days is None else int(days * DAY)

    def work() -> DeveloperToken:
        owner = apps.get(owner_of(client_id), client_id).owner
        users.get(owner)
        return developer.issue(as_user(owner), client_id, scopes or None, seconds, COMMAND_LINE)

    with open_catalog(settings) as catalog:
        made = catalog.write(work)
    if as_json:
        print_json(
            {
                "access_token": made.token,
                "scopes": made.scopes,
                "expires": iso_time(made.expires),
            }
        )
        return
    click.echo(made.token)
    click.echo(f"Good until {local_time(made.expires)}. It is kept nowhere: note it now.", err=True)
