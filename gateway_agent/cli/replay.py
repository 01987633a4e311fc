"""`gateway-agent replay`."""

import sqlite3
from pathlib import Path

import click

from gateway_agent.cli.common import ExampleCommand, config_option, load_or_exit
from gateway_agent.clock import parse_time
from gateway_agent.spool import SpoolLock, SpoolLockedError
from gateway_agent.spool.replay import replay_dead_letters


@click.command(
    cls=ExampleCommand,
    epilog="gateway-agent replay --dead\ngateway-agent replay --from 2026-11-01",
)
@config_option
@click.option("--dead", is_flag=True, help="All readings that the platform refused.")
@click.option("--from", "since", metavar="TIME", help="Only those measured since then (ISO 8601).")
def replay(config_file: Path, *, dead: bool, since: str | None) -> None:
    """Have refused readings, which are kept as dead letters, sent again by the next run.

    Stop the agent first. What is refused again becomes a dead letter again.
    """
    config = load_or_exit(config_file)
    if not dead and since is None:
        raise click.UsageError("say --dead, or --from TIME")
    try:
        since_us = 0 if since is None else parse_time(since)
    except ValueError as error:
        raise click.UsageError(f"--from {error}") from error
    if not config.spool.path.exists():
        raise click.ClickException(f"there is no spool {config.spool.path}")
    lock = SpoolLock(config.spool.path)
    try:
        lock.acquire()
    except SpoolLockedError as error:
        raise click.ClickException("the agent runs; stop it first") from error
    try:
        count = replay_dead_letters(config.spool.path, since_us)
    except sqlite3.Error as error:
        raise click.ClickException(f"{config.spool.path}: {error}") from error
    finally:
        lock.release()
    click.echo(f"{count} readings wait to be sent again")
