"""``wotkit audit``: who did what, from where, and with which key or application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from wotkit import strict_json, times
from wotkit.catalog import audit as log
from wotkit.catalog import audit_export
from wotkit.catalog.audit import AuditFilter
from wotkit.cli.options import (
    json_option,
    local_time,
    moment,
    open_catalog,
    print_json,
    print_table,
    with_settings,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from wotkit.catalog.audit import AuditRow
    from wotkit.settings import Settings

T = TypeVar("T")

LIST_EXAMPLES = """\b
Examples:
  wotkit audit list --data ./wotkit-data
  wotkit audit list --action login.fail --since 2026-11-01 --limit 20
"""
EXPORT_EXAMPLES = """\b
Examples:
  wotkit audit export --data ./wotkit-data > audit.ndjson
  wotkit audit export --format csv --actor alice > audit.csv
"""


def filters(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options that say which rows are wanted."""
    for option in (
        click.option(
            "--until",
            metavar="WHEN",
            help="Only what was done before: a time, or 7d for a week ago.",
        ),
        click.option(
            "--since",
            metavar="WHEN",
            help="Only what was done since: a time, or 7d for a week ago.",
        ),
        click.option("--target", help="Only what was done to this: a name or an id."),
        click.option("--action", help="Only actions that begin so, such as key. or login.fail."),
        click.option("--actor", help="Only what this user did."),
    ):
        option(command)
    return command


@click.group()
def audit() -> None:
    """Show and export the audit log."""


@audit.command("list", epilog=LIST_EXAMPLES)
@filters
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many."
)
@json_option
@with_settings
def list_rows(settings: Settings, limit: int, as_json: bool, **given: str | None) -> None:
    """List what was done, newest first."""
    with open_catalog(settings) as catalog:
        found = catalog.read(log.page, _filter(given), limit)
    if as_json:
        print_json([audit_export.attributes(row) for row in found])
        return
    print_table(
        ("WHEN", "WHO", "WITH", "FROM", "ACTION", "TARGET", "DETAILS"),
        [_cells(row) for row in found],
        empty="There is nothing of this in the audit log.",
    )


@audit.command(epilog=EXPORT_EXAMPLES)
@filters
@click.option(
    "--format",
    "form",
    type=click.Choice(sorted(audit_export.FORMS)),
    default="ndjson",
    show_default=True,
    help="CSV for spreadsheets, or lines of JSON.",
)
@with_settings
def export(settings: Settings, form: str, **given: str | None) -> None:
    """Write all that was done to standard output, newest first."""
    wanted = _filter(given)
    click.echo(audit_export.head(form), nl=False)
    with open_catalog(settings) as catalog:
        following: AuditFilter | None = wanted
        while following is not None:  # page by page, so that what is read is let go
            found = catalog.read(log.page, following, audit_export.PAGE)
            click.echo(audit_export.lines(form, found), nl=False)
            following = audit_export.behind(wanted, found)


def _filter(given: dict[str, Any]) -> AuditFilter:
    bounds = {name: given[name] for name in ("since", "until")}
    return AuditFilter(
        **given | {name: None if text is None else _past(text) for name, text in bounds.items()}
    )


def _past(text: str) -> int:
    """Return a time; a duration is so long ago."""
    at, now = moment(text), times.now()
    return 2 * now - at if text.strip()[-1:] in set("mhdw") else at


def _cells(row: AuditRow) -> tuple[str, ...]:
    used = f"key {row.key_id}" if row.key_id else f"app {row.app}" if row.app else "-"
    details = strict_json.encode(row.details).decode() if row.details else "-"
    when = local_time(row.at)
    return when, row.actor, used, row.address, row.action, row.target, details
