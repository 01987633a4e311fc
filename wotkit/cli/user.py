"""``wotkit user``: accounts of people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wotkit.auth import passwords
from wotkit.catalog import audit, users
from wotkit.catalog.audit import COMMAND_LINE
from wotkit.cli.options import (
    iso_time,
    json_option,
    local_time,
    open_catalog,
    password_option,
    print_json,
    print_table,
    read_password,
    with_settings,
)

if TYPE_CHECKING:
    from wotkit.catalog.users import UserRow
    from wotkit.settings import Settings

CREATE_EXAMPLES = """\b
Examples:
  wotkit user create alice --email alice@example.org --data ./wotkit-data
  wotkit user create root1 --admin --password-file - < password.txt
"""
LIST_EXAMPLES = """\b
Example:
  wotkit user list --json --data ./wotkit-data
"""
CHANGE_EXAMPLES = """\b
Example:
  wotkit user password alice --data ./wotkit-data
"""
LINK_EXAMPLES = """\b
Examples:
  wotkit user link alice
  wotkit user link alice --url https://wotkit.example.org
"""
ENABLED_EXAMPLES = """\b
Example:
  wotkit user disable alice --data ./wotkit-data
  wotkit user enable alice --data ./wotkit-data
"""


@click.group()
def user() -> None:
    """Create users, list them, change passwords, disable accounts."""


@user.command(epilog=CREATE_EXAMPLES)
@click.argument("name")
@click.option("--admin", is_flag=True, help="Give the role admin.")
@click.option("--email", default="", help="E-mail address.")
@click.option("--first-name", default="", help="First name.")
@click.option("--last-name", default="", help="Last name.")
@click.option("--time-zone", default="UTC", show_default=True, help="IANA time zone name.")
@password_option
@json_option
@with_settings
def create(
    settings: Settings,
    name: str,
    admin: bool,
    email: str,
    first_name: str,
    last_name: str,
    time_zone: str,
    password_file: str | None,
    as_json: bool,
) -> None:
    """Create the user NAME (at least 4 characters of a-z, 0-9, _ and -)."""
    new = users.NewUser(
        username=name,
        password_hash="",
        email=email,
        first_name=first_name,
        last_name=last_name,
        time_zone=time_zone,
        role="admin" if admin else "user",
    )
    new.password_hash = _hashed(settings, read_password(password_file))
    with open_catalog(settings, create=True) as catalog:
        catalog.write(users.create, new, COMMAND_LINE)
        row = catalog.read(users.get, name)
    if as_json:
        print_json(_public(row))
    else:
        click.echo(f"Created the user {row.username} ({row.role}).")


@user.command("list", epilog=LIST_EXAMPLES)
@json_option
@with_settings
def list_users(settings: Settings, as_json: bool) -> None:
    """List every user."""
    with open_catalog(settings) as catalog:
        found = catalog.read(users.list_all)
    if as_json:
        print_json([_public(row) for row in found])
        return
    print_table(
        ("USER", "ROLE", "STATE", "NAME", "E-MAIL", "TIME ZONE", "CREATED"),
        [
            (
                row.username,
                row.role,
                "enabled" if row.enabled else "disabled",
                f"{row.first_name} {row.last_name}".strip() or "-",
                row.email or "-",
                row.time_zone,
                local_time(row.created),
            )
            for row in found
        ],
        empty="There are no users yet; `wotkit user create NAME` makes one.",
    )


@user.command(epilog=CHANGE_EXAMPLES)
@click.argument("name")
@password_option
@with_settings
def password(settings: Settings, name: str, password_file: str | None) -> None:
    """Give the user NAME another password; the old one is refused at the next request."""
    with open_catalog(settings) as catalog:
        catalog.read(users.get, name)
        hashed = _hashed(settings, read_password(password_file, prompt="New password"))
        catalog.write(users.set_password, name, hashed, COMMAND_LINE)
    click.echo(f"Changed the password of {name}.")


@user.command(epilog=LINK_EXAMPLES)
@click.argument("name")
@click.option("--url", help="Address of the server's pages, if not that of the settings.")
@with_settings
def link(settings: Settings, name: str, url: str | None) -> None:
    """Print a link with which the user NAME chooses a new password, once.

    Sessions and the access of applications end when it is used.
    """
    from wotkit.catalog import links

    secret = passwords.make_secret()
    seconds = settings.web.link_seconds

    def make() -> None:
        user_id = users.get(name).id
        secret_hash = passwords.hash_secret(secret)
        links.make(links.PASSWORD, secret_hash, seconds=seconds, user_id=user_id)
        audit.record(COMMAND_LINE, "user.link", name)

    with open_catalog(settings) as catalog:
        catalog.write(make)
    server = settings.server
    address = url or server.public_url or f"http://{server.host}:{server.port}"
    click.echo(f"{address.rstrip('/')}/password/{secret}")


@user.command(epilog=ENABLED_EXAMPLES)
@click.argument("name")
@with_settings
def disable(settings: Settings, name: str) -> None:
    """Disable the account NAME: its password and keys are refused at the next request."""
    with open_catalog(settings) as catalog:
        catalog.write(users.set_enabled, name, enabled=False, actor=COMMAND_LINE)
    click.echo(f"Disabled {name}; `wotkit user enable {name}` undoes it.")


@user.command(epilog=ENABLED_EXAMPLES)
@click.argument("name")
@with_settings
def enable(settings: Settings, name: str) -> None:
    """Enable the account NAME again."""
    with open_catalog(settings) as catalog:
        catalog.write(users.set_enabled, name, enabled=True, actor=COMMAND_LINE)
    click.echo(f"Enabled {name}.")


def _hashed(settings: Settings, chosen: str) -> str:
    passwords.check_choice(chosen, settings.auth.password_min_length)
    return passwords.hash_password(chosen, settings.auth.bcrypt_cost)


def _public(row: UserRow) -> dict[str, Any]:
    return {
        "username": row.username,
        "id": row.id,
        "role": row.role,
        "enabled": row.enabled,
        "first_name": row.first_name,
        "last_name": row.last_name,
        "email": row.email,
        "time_zone": row.time_zone,
        "created": iso_time(row.created),
    }
