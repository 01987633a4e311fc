"""``wotkit key``: what gateways and scripts act for a user with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from msgspec import UNSET

from wotkit import times
from wotkit.auth import passwords
from wotkit.catalog import keys, users
from wotkit.catalog.audit import COMMAND_LINE
from wotkit.catalog.identity import SCOPES
from wotkit.catalog.keys import KeyChange
from wotkit.cli.acting import as_owner, as_user
from wotkit.cli.options import (
    LONGEST_OVERLAP_HOURS,
    Amount,
    iso_time,
    json_option,
    local_time,
    moment,
    open_catalog,
    print_json,
    print_table,
    with_settings,
)
from wotkit.errors import NotFound

if TYPE_CHECKING:
    from wotkit.catalog.identity import Identity
    from wotkit.catalog.keys import KeyRow
    from wotkit.settings import Settings

CREATE_EXAMPLES = """\b
Examples:
  wotkit key create --user alice --name gateway --data ./wotkit-data
  wotkit key create --user alice --name roof --scope write --sensor alice.roof --expires 90d --json
"""
LIST_EXAMPLES = """\b
Example:
  wotkit key list --user alice --data ./wotkit-data
"""
ROTATE_EXAMPLES = """\b
Examples:
  wotkit key rotate 0123456789abcdef --data ./wotkit-data
  wotkit key rotate 0123456789abcdef --overlap-hours 0 --json
"""
REVOKE_EXAMPLES = """\b
Example:
  wotkit key revoke 0123456789abcdef --data ./wotkit-data
"""
HOUR = 3600


@click.group()
def key() -> None:
    """Create keys, list them, give them new passwords, revoke them."""


@key.command(epilog=CREATE_EXAMPLES)
@click.option("--user", "username", required=True, metavar="USER", help="Whom the key acts for.")
@click.option("--name", required=True, help="What the key is for.")
@click.option("--description", default="", help="More about it.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(sorted(SCOPES)),
    help="What the key may do; may be repeated. Default: all.",
)
@click.option(
    "--sensor",
    "sensors",
    multiple=True,
    metavar="SENSOR",
    help="Limit the key to a sensor, OWNER.NAME or NAME; may be repeated.",
)
@click.option("--expires", metavar="WHEN", help="When it ends: a time, or a duration such as 90d.")
@json_option
@with_settings
def create(
    settings: Settings,
    username: str,
    name: str,
    description: str,
    scopes: tuple[str, ...],
    sensors: tuple[str, ...],
    expires: str | None,
    as_json: bool,
) -> None:
    """Create a key for a user and print its id and password; the password is shown only now."""
    secret = passwords.make_secret()
    change = KeyChange(
        name=name,
        description=description,
        scopes=scopes or UNSET,
        sensors=sensors or UNSET,
        expires=UNSET if expires is None else moment(expires),
    )

    def work() -> KeyRow:
        secret_hash = passwords.hash_secret(secret)
        known = passwords.mosquitto_hash(secret, settings.mqtt)
        return keys.create(as_user(username), change, secret_hash, COMMAND_LINE, known)

    with open_catalog(settings) as catalog:
        row = catalog.write(work)
    _print_with_password(row, secret, as_json)


@key.command("list", epilog=LIST_EXAMPLES)
@click.option("--user", "username", metavar="USER", help="Only the keys of this user.")
@json_option
@with_settings
def list_keys(settings: Settings, username: str | None, as_json: bool) -> None:
    """List keys, without their passwords."""

    def work() -> list[KeyRow]:
        return keys.list_all() if username is None else keys.list_for(users.get(username).id)

    with open_catalog(settings) as catalog:
        found = catalog.read(work)
    if as_json:
        print_json([_public(row) for row in found])
        return
    print_table(
        ("KEY ID", "USER", "NAME", "SCOPES", "SENSORS", "EXPIRES", "LAST USED", "FROM"),
        [
            (
                row.id,
                row.owner,
                row.name,
                " ".join(row.scopes),
                "any" if row.sensors is None else " ".join(row.sensors) or "none",
                local_time(row.expires, absent="never"),
                local_time(row.last_used, absent="never"),
                row.last_address or "-",
            )
            for row in found
        ],
        empty="There are no keys; `wotkit key create` makes one.",
    )


@key.command(epilog=ROTATE_EXAMPLES)
@click.argument("key_id")
@click.option(
    "--overlap-hours",
    type=Amount(min=0, max=LONGEST_OVERLAP_HOURS),
    help="Hours the old password stays valid. Default: the setting auth.rotation_overlap_hours.",
)
@json_option
@with_settings
def rotate(settings: Settings, key_id: str, overlap_hours: float | None, as_json: bool) -> None:
    """Give the key KEY_ID a new password and print it; the old one stays valid for a while."""
    hours = settings.auth.rotation_overlap_hours if overlap_hours is None else overlap_hours
    secret = passwords.make_secret()

    def work() -> KeyRow:
        return keys.rotate(
            _owner(key_id),
            key_id,
            passwords.hash_secret(secret),
            overlap_seconds=hours * HOUR,
            actor=COMMAND_LINE,
            mosquitto_hash=passwords.mosquitto_hash(secret, settings.mqtt),
        )

    with open_catalog(settings) as catalog:
        row = catalog.write(work)
    _print_with_password(row, secret, as_json)


@key.command(epilog=REVOKE_EXAMPLES)
@click.argument("key_id")
@with_settings
def revoke(settings: Settings, key_id: str) -> None:
    """Delete the key KEY_ID: it is refused from the next request on."""

    def work() -> None:
        keys.revoke(_owner(key_id), key_id, COMMAND_LINE)

    with open_catalog(settings) as catalog:
        catalog.write(work)
    click.echo(f"Revoked the key {key_id}.")


def _owner(key_id: str) -> Identity:
    """Return an identity that owns the key; its account may be disabled."""
    for row in keys.list_all():
        if row.id == key_id:
            return as_owner(users.get(row.owner).id, row.owner)
    raise NotFound(f"no key has the id {key_id}")


def _print_with_password(row: KeyRow, secret: str, as_json: bool) -> None:
    if as_json:
        shown = _public(row)
        print_json({"key_id": shown.pop("key_id"), "key_password": secret, **shown})
        return
    click.echo(f"key id        {row.id}")
    click.echo(f"key password  {secret}")
    click.echo(f"user          {row.owner}")
    click.echo(f"scopes        {' '.join(row.scopes)}")
    if row.sensors is not None:
        click.echo(f"sensors       {' '.join(row.sensors)}")
    click.echo(f"expires       {local_time(row.expires, absent='never')}")
    if row.old_password_until is not None and row.old_password_until > times.now():
        click.echo(f"The old password is good until {local_time(row.old_password_until)}.")
    click.echo("The password is kept nowhere: note it now.", err=True)


def _public(row: KeyRow) -> dict[str, Any]:
    return {
        "key_id": row.id,
        "user": row.owner,
        "name": row.name,
        "description": row.description,
        "scopes": row.scopes,
        "sensors": row.sensors,
        "expires": iso_time(row.expires),
        "created": iso_time(row.created),
        "last_used": iso_time(row.last_used),
        "last_address": row.last_address,
        "old_password_until": iso_time(row.old_password_until),
    }
