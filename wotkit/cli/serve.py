"""``wotkit serve``: the server."""

from __future__ import annotations

import errno
import os
import traceback
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click
import msgspec

from wotkit.cli.failures import said_by
from wotkit.cli.options import assignments, config_options, load, open_catalog, set_option

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wotkit.catalog import Catalog
    from wotkit.mqtt.listening import Bound
    from wotkit.settings import ServerSettings, Settings

EXAMPLES = """\b
Examples:
  wotkit serve --data ./wotkit-data
  wotkit serve --host 0.0.0.0 --port 9000 --set log.level=debug
  wotkit serve --demo
"""
EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # only compared
"""Addresses that are all of a machine's, and one of them to call it by."""

LINK_SECONDS = 7 * 86_400.0
"""For which the link to create the administrator works; each start makes a new one."""

ADDRESS = "{address}"
"""Stands for where the server is reached, which is known when it runs."""


@click.command(epilog=EXAMPLES)
@click.option("--host", metavar="ADDRESS", help="Address to listen on (server.host).")
@click.option("--port", metavar="PORT", help="TCP port of HTTP (server.port).")
@click.option("--mqtt-port", metavar="PORT", help="TCP port of MQTT (mqtt.port).")
@click.option("--workers", metavar="COUNT", help="Worker processes (server.workers).")
@click.option("--demo", is_flag=True, help="With a user, a key and sensors to try.")
@set_option
@config_options
def serve(
    host: str | None,
    port: str | None,
    mqtt_port: str | None,
    workers: str | None,
    demo: bool,
    pairs: tuple[str, ...],
    data: str | None,
    config_file: Path | None,
) -> None:
    """Run the server until Ctrl-C or SIGTERM."""
    overrides: dict[str, Any] = dict(assignments(pairs))
    given = {
        "server.host": host,
        "server.port": port,
        "mqtt.port": mqtt_port,
        "server.workers": workers,
    }
    overrides |= {name: value for name, value in given.items() if value is not None}
    if demo:
        overrides.setdefault("web.registration", "open")
    settings = load(data, config_file, overrides).settings
    first_steps = _in_child(lambda: _prepare(settings, demo=demo))
    bound = _bind(settings)

    def on_ready(address: str) -> None:
        reached = reached_at(settings.server, address)
        click.echo(f"WoTKit at {reached}, data in {settings.data_folder}; Ctrl-C stops it.")
        for each in bound:
            click.echo(f"MQTT at {each.url}")
        if first_steps:
            click.echo(f"\n{first_steps.replace(ADDRESS, reached)}\n")

    # only this command needs the web server, which takes long to load
    from wotkit import server

    try:
        server.run(settings, bound, on_ready)
    except (server.AlreadyRunning, server.TooManyWorkers) as error:
        raise click.ClickException(str(error)) from error
    finally:
        for each in bound:
            each.socket.close()


def _bind(settings: Settings) -> list[Bound]:
    """Take the ports of MQTT.

    Raises:
        ClickException: one is in use, or the certificate cannot be read.
    """
    from wotkit.mqtt.listening import bind

    try:
        return bind(settings)
    except OSError as error:
        raise click.ClickException(
            f"MQTT cannot be served: {error.strerror or error}; choose another port with "
            "--mqtt-port, or switch it off with --set mqtt.enabled=false"
        ) from error


def _in_child(work: Callable[[], str]) -> str:
    """Return what ``work`` does in a process of its own.

    What it needed goes with that: this process is to look after the server for months, and to
    stay small.

    Raises:
        ClickException: saying what went wrong.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            with os.fdopen(writer, "wb") as file:
                file.write(msgspec.json.encode(_outcome(work)))
        finally:
            os._exit(0)  # nothing of the parent's is flushed or closed twice
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        outcome = file.read()
    os.waitpid(child, 0)
    if not outcome:  # it was interrupted, as this process may be
        raise click.Abort
    text, wrong = msgspec.json.decode(outcome, type=tuple[str, str])
    if wrong:
        raise click.ClickException(wrong)
    return text


def _outcome(work: Callable[[], str]) -> tuple[str, str]:
    """Return the text that ``work`` returns, or else what went wrong."""
    try:
        return work(), ""
    except click.ClickException as error:
        return "", error.message
    except Exception as error:  # noqa: BLE001  # the parent tells
        return "", said_by(error) or traceback.format_exc()


def _prepare(settings: Settings, *, demo: bool) -> str:
    """Check that the server can start; return what a person does first, if there is something."""
    require_free_port(settings.server)
    with open_catalog(settings, create=True) as catalog:
        return _make_demo(catalog, settings) if demo else _first_steps(catalog, settings)


def require_free_port(server: ServerSettings) -> None:
    """Check that a server can listen where the settings say.

    Raises:
        ClickException: saying which option to change.
    """
    from wotkit.cli.checkups import answers_as_wotkit, why_not_bound

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
    from wotkit.auth import passwords
    from wotkit.catalog import links, users

    if catalog.read(users.list_all):
        return ""
    secret = passwords.make_secret()
    catalog.write(links.replace, links.ADMIN, passwords.hash_secret(secret), LINK_SECONDS)
    return (
        "There are no users yet. Create the administrator in a browser; this link works once:\n"
        f"  {ADDRESS}/welcome/{secret}\n"
        "or on the command line, now or while the server runs:\n"
        f"  wotkit user create NAME --admin --data {settings.data_folder}"
    )


def _make_demo(catalog: Catalog, settings: Settings) -> str:
    from wotkit.demo import DemoImpossible, guide, prepare
    from wotkit.readings.sqlite import FILE_NAME, SqliteStore

    folder = settings.data_folder
    store = SqliteStore(folder / FILE_NAME, busy_seconds=settings.storage.busy_seconds)
    with closing(store):
        try:
            made = prepare(catalog, store, folder, bcrypt_cost=settings.auth.bcrypt_cost)
        except DemoImpossible as error:
            raise click.ClickException(str(error)) from error
    return guide.text(made, ADDRESS)
