"""``wotkit serve``: the server."""

from __future__ import annotations

import errno
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from wotkit.catalog import users
from wotkit.cli.checkups import answers_as_wotkit, why_not_bound
from wotkit.cli.options import assignments, config_options, load, open_catalog, set_option
from wotkit.demo import DemoImpossible, guide, prepare
from wotkit.readings.sqlite import FILE_NAME, SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

    from wotkit.catalog import Catalog
    from wotkit.config import ServerSettings, Settings
    from wotkit.demo import Demo

EXAMPLES = """\b
Examples:
  wotkit serve --data ./wotkit-data
  wotkit serve --host 0.0.0.0 --port 9000 --set log.level=debug
  wotkit serve --demo
"""
EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # only compared
"""Addresses that are all of a machine's, and one of them to call it by."""


@click.command(epilog=EXAMPLES)
@click.option("--host", metavar="ADDRESS", help="Address to listen on (server.host).")
@click.option("--port", metavar="PORT", help="TCP port of HTTP (server.port).")
@click.option("--workers", metavar="COUNT", help="Worker processes (server.workers).")
@click.option("--demo", is_flag=True, help="With a user, a key and sensors to try.")
@set_option
@config_options
def serve(
    host: str | None,
    port: str | None,
    workers: str | None,
    demo: bool,
    pairs: tuple[str, ...],
    data: str | None,
    config_file: Path | None,
) -> None:
    """Run the server until Ctrl-C or SIGTERM."""
    overrides: dict[str, Any] = dict(assignments(pairs))
    given = {"server.host": host, "server.port": port, "server.workers": workers}
    overrides |= {name: value for name, value in given.items() if value is not None}
    settings = load(data, config_file, overrides).settings
    require_free_port(settings.server)
    with open_catalog(settings, create=True) as catalog:
        made = _make_demo(catalog, settings) if demo else None
        first_steps = "" if made else _first_steps(catalog, settings)

    def on_ready(address: str) -> None:
        reached = reached_at(settings.server, address)
        click.echo(f"WoTKit at {reached}, data in {settings.data_folder}; Ctrl-C stops it.")
        said = guide.text(made, reached) if made else first_steps
        if said:
            click.echo(f"\n{said}\n")

    # only this command needs the web server, which takes long to load
    from wotkit import server

    try:
        server.run(settings, on_ready)
    except (server.AlreadyRunning, server.TooManyWorkers) as error:
        raise click.ClickException(str(error)) from error


def require_free_port(server: ServerSettings) -> None:
    """Check that a server can listen where the settings say.

    Raises:
        ClickException: saying which option to change.
    """
    host, port = server.host, server.port
    problem = why_not_bound(host, port)
    if problem is None:
        return
    if problem.errno == errno.EADDRINUSE:
        holder = "a WoTKit server" if answers_as_wotkit(host, port) else "another program"
        raise click.ClickException(
            f"port {port} of {host} is taken by {holder}; choose another with --port "
            "(the setting server.port)"
        )
    if problem.errno == errno.EACCES:
        raise click.ClickException(
            f"port {port} is for root only; choose one above 1023 with --port"
        )
    raise click.ClickException(
        f"cannot listen at {host}: {problem.strerror}; choose another address with --host "
        "(the setting server.host)"
    )


def reached_at(server: ServerSettings, address: str) -> str:
    """Return under which address clients on this machine reach a server that listens there."""
    if server.public_url:
        return server.public_url.rstrip("/")
    port = address.rpartition(":")[2]
    host = EVERYWHERE.get(server.host, server.host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _first_steps(catalog: Catalog, settings: Settings) -> str:
    if catalog.read(users.list_all):
        return ""
    return (
        "There are no users yet. Create the first one, now or while the server runs:\n"
        f"  wotkit user create NAME --admin --data {settings.data_folder}"
    )


def _make_demo(catalog: Catalog, settings: Settings) -> Demo:
    folder = settings.data_folder
    store = SqliteStore(folder / FILE_NAME, busy_seconds=settings.storage.busy_seconds)
    with closing(store):
        try:
            return prepare(catalog, store, folder, bcrypt_cost=settings.auth.bcrypt_cost)
        except DemoImpossible as error:
            raise click.ClickException(str(error)) from error
