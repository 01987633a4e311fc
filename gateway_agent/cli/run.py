"""`gateway-agent run`."""

import logging
import os
import select
import signal
import socket
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
_MOST_SIGNALS: Final = 1024


class Signals:
    """Hears the signals that the agent obeys.

    They are handled, not blocked: what is blocked is so for the programs too that inputs and
    actuators start, which then could only be killed.
    """

    def __init__(self) -> None:
        """To be made in the main thread, before any other starts."""
        self._woken, waker = socket.socketpair()
        self._waker = waker
        for end in (self._woken, waker):
            end.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        for number in _HEARD:
            signal.signal(number, lambda *_: None)

    def wait(self, seconds: float) -> set[int]:
        """Those that have come, waiting at most so many seconds for the first."""
        if not select.select([self._woken], [], [], max(0.0, seconds))[0]:
            return set()
        return set(self._woken.recv(_MOST_SIGNALS))


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
    watch = ConfigWatch(config_file)
    signals = Signals()

    def stop_requested(seconds: float) -> bool:
        heard = signals.wait(seconds)
        if signal.SIGHUP in heard:
            watch.ask()
        return not _STOP.isdisjoint(heard)

    credentials = CredentialSource(os.environ, config.platform.credentials_file)
    try:
        healthy = Agent(config, credentials, Notifier(os.environ)).run(stop_requested, watch.take)
    except (SpoolLockedError, UnsuitableSpoolError, OSError) as error:
        click.echo(f"gateway-agent: {error}", err=True)
        raise SystemExit(1 if isinstance(error, SpoolLockedError) else EXIT_CONFIG) from error
    raise SystemExit(0 if healthy else 1)
