"""``wotkit gateway``: the gateways that have reported themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from wotkit.catalog import gateways
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
    from wotkit.catalog.gateways import GatewayRow
    from wotkit.settings import Settings

LIST_EXAMPLES = """\b
Examples:
  wotkit gateway list
  wotkit gateway list --user alice --status offline
"""
SHOW_EXAMPLES = """\b
Example:
  wotkit gateway show alice.greenhouse-1
"""
DELETE_EXAMPLES = """\b
Example:
  wotkit gateway delete alice.greenhouse-1
"""


@click.group()
def gateway() -> None:
    """Show gateways as they report themselves, and forget those that are gone."""


@gateway.command("list", epilog=LIST_EXAMPLES)
@click.option("--user", "username", metavar="USER", help="Only those of this user.")
@click.option("--status", type=click.Choice(["online", "offline"]), help="Only those that are so.")
@json_option
@with_settings
def list_gateways(
    settings: Settings, username: str | None, status: str | None, as_json: bool
) -> None:
    """List gateways, by owner and name."""
    wanted = gateways.Wanted(owner=username, status=status, limit=None)
    with open_catalog(settings) as catalog:
        found = catalog.read(gateways.list_all, wanted)
    if as_json:
        print_json([_shown(row) for row in found])
        return
    print_table(
        ("GATEWAY", "STATUS", "SINCE", "LAST SEEN", "WAITING", "INPUTS", "FAILING", "VERSION"),
        [
            (
                f"{row.owner}.{row.name}",
                row.status,
                local_time(row.since),
                local_time(row.last_seen),
                "-" if row.report.spool is None else str(row.report.spool.depth),
                str(len(row.report.inputs)),
                str(sum(one.state == "failing" for one in row.report.inputs)),
                row.report.version or "-",
            )
            for row in found
        ],
        empty="There are no gateways: none has reported.",
    )


@gateway.command(epilog=SHOW_EXAMPLES)
@click.argument("name", metavar="USER.GATEWAY")
@json_option
@with_settings
def show(settings: Settings, name: str, as_json: bool) -> None:
    """Show what the gateway USER.GATEWAY last said of itself."""
    with open_catalog(settings) as catalog:
        row = catalog.read(_find, name)
    if as_json:
        print_json(_shown(row))
        return
    click.echo(f"{row.owner}.{row.name} is {row.status} since {local_time(row.since)}.")
    click.echo(f"Last seen {local_time(row.last_seen)}, first {local_time(row.first_seen)}.")
    report = row.report
    if report.spool is not None:
        click.echo(f"{report.spool.depth} readings wait, {report.spool.dropped} were given up.")
    print_table(
        ("INPUT", "KIND", "STATE", "LAST READING", "ERROR"),
        [
            (one.name, one.type, one.state, one.last_reading or "-", one.error or "-")
            for one in report.inputs
        ],
        empty="It has told of no inputs.",
    )


@gateway.command(epilog=DELETE_EXAMPLES)
@click.argument("name", metavar="USER.GATEWAY")
@with_settings
def delete(settings: Settings, name: str) -> None:
    """Forget the gateway USER.GATEWAY; it appears again when it reports."""

    def work() -> GatewayRow:
        row = _find(name)
        gateways.delete(row, COMMAND_LINE)
        return row

    with open_catalog(settings) as catalog:
        row = catalog.write(work)
    click.echo(f"{row.owner}.{row.name} is deleted.")


def _find(name: str) -> GatewayRow:
    owner, dot, own = name.partition(".")
    if not dot:
        raise NotFound(f"{name} names no owner; write USER.GATEWAY")
    return gateways.get_any(owner, own)


def _shown(row: GatewayRow) -> dict[str, Any]:
    report: dict[str, Any] = msgspec.to_builtins(row.report)
    told = {name: report[name] for name in report if name not in {"status", "gateway"}}
    return {
        "owner": row.owner,
        "gateway": row.name,
        "status": row.status,
        "since": iso_time(row.since),
        "first_seen": iso_time(row.first_seen),
        "last_seen": iso_time(row.last_seen),
        "key_id": row.key_id,
        **told,
    }
