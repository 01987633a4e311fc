"""`gateway-agent drain`."""

import os
import time
from dataclasses import replace
from pathlib import Path

import click

from gateway_agent.cli.common import EXIT_CONFIG, ExampleCommand, config_option, load_or_exit
from gateway_agent.credentials import CredentialSource
from gateway_agent.durations import parse_duration
from gateway_agent.logs import start_logging
from gateway_agent.pipeline import Agent
from gateway_agent.spool import SpoolLockedError, UnsuitableSpoolError

_STEP = 0.1


@click.command(
    cls=ExampleCommand,
    epilog="gateway-agent drain --timeout 5m",
)
@config_option
@click.option("--timeout", default="1m", show_default=True, help="How long to try.")
def drain(config_file: Path, timeout: str) -> None:
    """Deliver what waits in the spool, without reading anything new.

    For before a machine is taken away. Stop the agent first. Exit code 0: nothing waits any more.
    """
    config = replace(load_or_exit(config_file), inputs=(), actuators=())
    try:
        seconds = parse_duration(timeout)
    except ValueError as error:
        raise click.UsageError(f"--timeout {error}") from error
    start_logging()
    deadline = time.monotonic() + seconds

    def is_over(most: float) -> bool:
        end = min(time.monotonic() + most, deadline)
        while is_waiting() and time.monotonic() < end:
            time.sleep(_STEP)
        return not is_waiting() or time.monotonic() >= deadline

    def is_waiting() -> bool:
        return bool(agent.waiting or agent.spool_trouble)

    try:
        credentials = CredentialSource(os.environ, config.platform.credentials_file)
        agent = Agent(config, credentials)
        healthy = agent.run(is_over)
    except (SpoolLockedError, UnsuitableSpoolError, OSError) as error:
        click.echo(f"gateway-agent: {error}", err=True)
        raise SystemExit(1 if isinstance(error, SpoolLockedError) else EXIT_CONFIG) from error
    if agent.spool_trouble is not None:
        click.echo(f"gateway-agent: spool cannot be read: {agent.spool_trouble}", err=True)
        raise SystemExit(1)
    click.echo(f"{agent.waiting} readings wait")
    raise SystemExit(0 if healthy and not agent.waiting else 1)
