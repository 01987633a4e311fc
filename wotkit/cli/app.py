"""``wotkit app``: applications that act for users through OAuth2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from msgspec import UNSET

from wotkit import times
from wotkit.auth import passwords, sealing
from wotkit.auth.secret import secret_key
from wotkit.catalog import apps, users
from wotkit.catalog.app_checks import KINDS, WEB
from wotkit.catalog.apps import AppChange
from wotkit.catalog.audit import COMMAND_LINE
from wotkit.catalog.identity import ADMIN, SCOPES
from wotkit.cli.acting import as_owner, as_user
from wotkit.cli.options import (
    LONGEST_OVERLAP_HOURS,
    Amount,
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
    from wotkit.catalog.apps import AppRow
    from wotkit.catalog.identity import Identity
    from wotkit.settings import Settings

CREATE_EXAMPLES = """\b
Examples:
  wotkit app create --user alice --name Plotter --website https://plotter.example \\
      --redirect-uri https://plotter.example/callback --json
  wotkit app create --user alice --name Thermostat --website https://example.org --kind desktop
"""
LIST_EXAMPLES = """\b
Example:
  wotkit app list --user alice
"""
CLIENT_EXAMPLES = """\b
Example:
  wotkit app {command} 0123456789abcdef0123456789abcdef
"""
HOUR = 3600
SWITCHES = ("password", "implicit", "client-credentials", "frob")


@click.group()
def app() -> None:
    """Register applications, list them, give them new secrets, delete them."""


@app.command(epilog=CREATE_EXAMPLES)
@click.option("--user", "username", required=True, metavar="USER", help="Its owner.")
@click.option("--name", required=True, help="Its name, shown to users who are asked.")
@click.option("--description", default="", help="What it does, shown to users who are asked.")
@click.option("--website", required=True, help="Address of its website.")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default=WEB,
    show_default=True,
    help="web has a secret; desktop and browser cannot keep one.",
)
@click.option(
    "--redirect-uri",
    "redirect_uris",
    multiple=True,
    metavar="URI",
    help="Where users may be sent back to; may be repeated.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(sorted(SCOPES - {ADMIN})),
    help="What it gets when it asks for nothing; may be repeated. Default: all.",
)
@click.option(
    "--allow",
    "allowed",
    multiple=True,
    type=click.Choice(SWITCHES),
    help="A way of getting tokens that is off otherwise; may be repeated.",
)
@json_option
@with_settings
def create(
    settings: Settings,
    username: str,
    name: str,
    description: str,
    website: str,
    kind: str,
    redirect_uris: tuple[str, ...],
    scopes: tuple[str, ...],
    allowed: tuple[str, ...],
    as_json: bool,
) -> None:
    """Register an application and print its client id and secret; the secret is shown only now."""
    secret = passwords.make_secret()
    change = AppChange(
        name=name,
        description=description,
        website=website,
        redirect_uris=redirect_uris,
        scopes=scopes or UNSET,
    )
    for way in allowed:
        setattr(change, f"allow_{way.replace('-', '_')}", True)

    def work() -> AppRow:
        secret_hash = passwords.hash_secret(secret)
        return apps.create(as_user(username), kind, change, secret_hash, COMMAND_LINE)

    with open_catalog(settings) as catalog:
        row = catalog.write(work)
    _print_with_secret(row, secret, as_json)


@app.command("list", epilog=LIST_EXAMPLES)
@click.option("--user", "username", metavar="USER", help="Only the applications of this user.")
@json_option
@with_settings
def list_apps(settings: Settings, username: str | None, as_json: bool) -> None:
    """List applications, without their secrets."""

    def work() -> list[AppRow]:
        return apps.list_all() if username is None else apps.list_mine(users.get(username).id)

    with open_catalog(settings) as catalog:
        found = catalog.read(work)
    if as_json:
        print_json([_public(row) for row in found])
        return
    print_table(
        ("CLIENT ID", "OWNER", "NAME", "KIND", "WEBSITE", "CREATED"),
        [
            (row.client_id, row.owner, row.name, row.kind, row.website, local_time(row.created))
            for row in found
        ],
        empty="There are no applications; `wotkit app create` registers one.",
    )


@app.command(epilog=CLIENT_EXAMPLES.format(command="show"))
@click.argument("client_id")
@json_option
@with_settings
def show(settings: Settings, client_id: str, as_json: bool) -> None:
    """Show the application CLIENT_ID, without its secret."""
    with open_catalog(settings) as catalog:
        row = catalog.read(lambda: apps.get(owner_of(client_id), client_id))
    if as_json:
        print_json(_public(row))
        return
    for name, value in _public(row).items():
        shown = " ".join(value) if isinstance(value, tuple) else value
        click.echo(f"{name.replace('_', ' '):26}{shown}")


@app.command(epilog=CLIENT_EXAMPLES.format(command="rotate"))
@click.argument("client_id")
@click.option(
    "--overlap-hours",
    type=Amount(min=0, max=LONGEST_OVERLAP_HOURS),
    help="Hours the old secret stays valid. Default: the setting auth.rotation_overlap_hours.",
)
@json_option
@with_settings
def rotate(settings: Settings, client_id: str, overlap_hours: float | None, as_json: bool) -> None:
    """Give the application CLIENT_ID a new secret and print it; the old one stays for a while."""
    hours = settings.auth.rotation_overlap_hours if overlap_hours is None else overlap_hours
    secret = passwords.make_secret()

    def work() -> AppRow:
        return apps.rotate(
            owner_of(client_id),
            client_id,
            passwords.hash_secret(secret),
            overlap_seconds=hours * HOUR,
            actor=COMMAND_LINE,
        )

    with open_catalog(settings) as catalog:
        row = catalog.write(work)
    _print_with_secret(row, secret, as_json)


@app.command("signing-secret", epilog=CLIENT_EXAMPLES.format(command="signing-secret"))
@click.argument("client_id")
@json_option
@with_settings
def signing_secret(settings: Settings, client_id: str, as_json: bool) -> None:
    """Give the application CLIENT_ID a secret to sign the frob handshake with, and print it."""
    secret = passwords.make_secret()

    def work() -> AppRow:
        owner = owner_of(client_id)
        key = secret_key(settings, settings.data_folder)
        sealed = sealing.seal(secret, key, about=client_id)
        return apps.set_signing_secret(owner, client_id, sealed, COMMAND_LINE)

    with open_catalog(settings) as catalog:
        row = catalog.write(work)
    if as_json:
        print_json({"client_id": client_id, "signing_secret": secret})
        return
    click.echo(f"signing secret  {secret}")
    if not row.allow_frob:
        click.echo("The handshake is off: switch it on in the application's settings.", err=True)
    click.echo("It is shown only now: note it. The one before no longer works.", err=True)


@app.command(epilog=CLIENT_EXAMPLES.format(command="delete"))
@click.argument("client_id")
@with_settings
def delete(settings: Settings, client_id: str) -> None:
    """Delete the application CLIENT_ID: its tokens are refused from the next request on."""

    def work() -> apps.Ending:
        owner = owner_of(client_id)
        ending = apps.ending(owner, client_id)
        apps.delete(owner, client_id, COMMAND_LINE)
        return ending

    with open_catalog(settings) as catalog:
        ended = catalog.write(work)
    click.echo(f"Deleted; {ended.grants} grants of {ended.users} users have ended.")


def owner_of(client_id: str) -> Identity:
    """Return an identity that owns the application; its account may be disabled.

    Raises:
        NotFound: there is no such application.
    """
    found = apps.by_client_id(client_id)
    if found is None:
        raise NotFound(f"no application has the client id {client_id}")
    return as_owner(found.owner_id)


def _print_with_secret(row: AppRow, secret: str, as_json: bool) -> None:
    shown = secret if row.confidential else None
    if as_json:
        public = _public(row)
        print_json({"client_id": public.pop("client_id"), "client_secret": shown, **public})
        return
    click.echo(f"client id      {row.client_id}")
    if shown is None:
        click.echo(f"It has no secret: an application of kind {row.kind} could not keep one.")
        return
    click.echo(f"client secret  {shown}")
    if row.old_secret_until is not None and row.old_secret_until > times.now():
        click.echo(f"The old secret is good until {local_time(row.old_secret_until)}.")
    click.echo("The secret is kept nowhere: note it now.", err=True)


def _public(row: AppRow) -> dict[str, Any]:
    shown = {name: getattr(row, name) for name in row.__struct_fields__}
    return shown | {
        "created": iso_time(row.created),
        "old_secret_until": iso_time(row.old_secret_until),
    }
