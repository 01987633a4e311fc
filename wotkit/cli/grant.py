"""``wotkit grant``: what users let applications do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from wotkit.catalog import grants, users
from wotkit.catalog.audit import COMMAND_LINE
from wotkit.cli.options import (
    iso_time,
    json_option,
    local_time,
    open_catalog,
    print_json,
    print_table,
    with_settings,
)
from wotkit.errors import NotFound

if TYPE_CHECKING:
    from wotkit.catalog.grants import GrantRow
    from wotkit.settings import Settings

LIST_EXAMPLES = """\b
Example:
  wotkit grant list --user alice
"""
REVOKE_EXAMPLES = """\b
Example:
  wotkit grant revoke 17
"""


@click.group()
def grant() -> None:
    """List what users let applications do, and end it."""


@grant.command("list", epilog=LIST_EXAMPLES)
@click.option("--user", "username", metavar="USER", help="Only what this user allowed.")
@json_option
@with_settings
def list_grants(settings: Settings, username: str | None, as_json: bool) -> None:
    """List grants that have not ended, newest first."""

    def work() -> list[GrantRow]:
        return grants.list_all() if username is None else grants.list_for(users.get(username).id)

    with open_catalog(settings) as catalog:
        found = catalog.read(work)
    if as_json:
        times = ("created", "last_used")
        shown = [{name: getattr(row, name) for name in row.__struct_fields__} for row in found]
        print_json([each | {name: iso_time(each[name]) for name in times} for each in shown])
        return
    print_table(
        ("ID", "USER", "APPLICATION", "KIND", "SCOPES", "SINCE", "LAST USED", "FROM"),
        [
            (
                str(row.id),
                row.user,
                row.app,
                row.kind,
                " ".join(row.scopes),
                local_time(row.created),
                local_time(row.last_used, absent="never"),
                row.last_address or "-",
            )
            for row in found
        ],
        empty="There are no grants: no user lets an application act.",
    )


@grant.command(epilog=REVOKE_EXAMPLES)
@click.argument("grant_id", type=click.IntRange(min=1))
@with_settings
def revoke(settings: Settings, grant_id: int) -> None:
    """End the grant GRANT_ID: its tokens are refused from the next request on."""

    def work() -> GrantRow:
        for row in grants.list_all():
            if row.id == grant_id:
                grants.end(grant_id, COMMAND_LINE, "revoked")
                return row
        raise NotFound(f"no grant that has not ended has the id {grant_id}")

    with open_catalog(settings) as catalog:
        row = catalog.write(work)
    click.echo(f"{row.app} can no longer act for {row.user}.")
