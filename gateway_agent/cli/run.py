"""`gateway-agent run`."""

import logging
import os
import signal
from pathlib import Path
from typing import Final

import click

from gateway_agent.cli.common import EXIT_CONFIG, ExampleCommand, config_option, load_or_exit
from gateway_agent.credentials import CredentialSource
from gateway_agent.logs import start_logging
from gateway_agent.notify import Notifier
from gateway_agent.pipeline import Agent
from gateway_agent.reload import ConfigWatch
from gateway_agent.spool import SpoolLockedError, UnsuitableSpoolError

_STOP: Final = {signal.SIGTERM, signal.SIGINT}
_HEARD: Final = {*_STOP, signal.SIGHUP}


@click.command(
    cls=ExampleCommand,
    epilog=("gateway-agent run --config demo-agent.toml"),
)
@config_option
@click.option("--verbose", is_flag=True, help="Log more.")
def run(config_file: Path, *, verbose: bool) -> None:
    """Read the inputs and deliver their readings until SIGTERM or Ctrl-C.

    SIGHUP has it read the configuration again, and go on with it unless it has a mistake.
    """
    config = load_or_exit(config_file)
    start_logging(logging.DEBUG if verbose else logging.INFO)
    # Blocked before any thread starts, so that only stop_requested sees them.
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    watch = ConfigWatch(config_file)

    def stop_requested(seconds: float) -> bool:
        heard = signal.sigtimedwait(_HEARD, seconds)
        if heard is not None and heard.si_signo == signal.SIGHUP:
            watch.ask()
        return heard is not None and heard.si_signo in _STOP

    credentials = CredentialSource(os.environ, config.platform.credentials_file)
    try:
        healthy = Agent(config, credentials, Notifier(os.environ)).run(stop_requested, watch.take)
    except (SpoolLockedError, UnsuitableSpoolError, OSError) as error:
        click.echo(f"gateway-agent: {error}", err=True)
        raise SystemExit(1 if isinstance(error, SpoolLockedError) else EXIT_CONFIG) from error
    raise SystemExit(0 if healthy else 1)
