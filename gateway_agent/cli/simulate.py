"""`gateway-agent simulate`."""

import heapq
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from gateway_agent.cli.common import EXIT_CONFIG, ExampleCommand, config_option, load_or_exit
from gateway_agent.clock import Clock, iso_time
from gateway_agent.config import Config
from gateway_agent.credentials import CredentialSource
from gateway_agent.durations import parse_duration
from gateway_agent.inputs import Context, Input, create_input
from gateway_agent.logs import start_logging
from gateway_agent.pipeline import Agent
from gateway_agent.reading import Sample, make_reading
from gateway_agent.simulation import simulated
from gateway_agent.spool import SpoolLockedError, UnsuitableSpoolError
from gateway_agent.status import read_status

_STOP: Final = {signal.SIGTERM, signal.SIGINT}


@click.command(
    cls=ExampleCommand,
    epilog="gateway-agent simulate --for 2m\ngateway-agent simulate --dry",
)
@config_option
@click.option("--dry", is_flag=True, help="Print the readings instead of sending them.")
@click.option("--for", "duration", metavar="TIME", help="How long, else until Ctrl-C.")
@click.option(
    "--real-names",
    is_flag=True,
    help="Into the configuration's own sensors, not into ones called …-simulated.",
)
def simulate(config_file: Path, duration: str | None, *, dry: bool, real_names: bool) -> None:
    """Run the configuration without its hardware: made-up values for all of its sensors.

    For seeing data before anything is wired. No device is opened and no actuator is touched. The
    values go to sensors of their own, `…-simulated`, through a spool of its own; the agent may
    run beside it.
    """
    config = simulated(load_or_exit(config_file), real_names=real_names)
    try:
        seconds = parse_duration(duration) if duration is not None else float("inf")
    except ValueError as error:
        raise click.UsageError(f"--for {error}") from error
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)  # so that only _Until sees them
    click.echo("Simulated values, nothing is measured.", err=True)
    until = _Until(seconds)
    if dry:
        _print(config, until)
    else:
        _send(config, until)


class _Until:
    """Waits for a signal to stop, or for the end of the time."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def __call__(self, most: float) -> bool:
        """Wait at most so many seconds; True when it is time to stop."""
        left = max(0.0, self._end - time.monotonic())
        if signal.sigtimedwait(_STOP, min(most, left)) is not None:
            return True
        return time.monotonic() >= self._end


def _send(config: Config, until: _Until) -> None:
    start_logging()
    credentials = CredentialSource(os.environ, config.platform.credentials_file)
    try:
        healthy = Agent(config, credentials).run(until)
    except (SpoolLockedError, UnsuitableSpoolError, OSError) as error:
        click.echo(f"gateway-agent: {error}", err=True)
        raise SystemExit(1 if isinstance(error, SpoolLockedError) else EXIT_CONFIG) from error
    spool = read_status(config)["spool"]
    click.echo(
        f"{spool['acknowledged']} simulated readings stored so far, {spool['depth']} wait, "
        f"{spool['dead_letters']} refused"
    )
    raise SystemExit(0 if healthy and not spool["dead_letters"] else 1)


def _print(config: Config, until: _Until) -> None:
    """Every input at its interval, as the agent would read it."""
    context = Context(config.gateway.id, threading.Event())
    clock = Clock()
    plan: list[tuple[float, int]] = []
    inputs: list[tuple[Input, float]] = []
    for settings in config.inputs:
        source = create_input(settings, context)
        source.open()
        heapq.heappush(plan, (time.monotonic(), len(inputs)))
        inputs.append((source, settings.interval))
    while True:
        due, number = heapq.heappop(plan)
        if until(max(0.0, due - time.monotonic())):
            return
        source, interval = inputs[number]
        for line in _lines(source, clock):
            click.echo(line)
        heapq.heappush(plan, (due + interval, number))


def _lines(source: Input, clock: Clock) -> Iterator[str]:
    samples = [item for item in source.read() if isinstance(item, Sample)]
    units = {
        (spec.name, field.name): field.units for spec in source.sensors() for field in spec.fields
    }
    for sample in samples:
        reading = make_reading(sample, clock.stamp())
        values = json.loads(reading.fields).items()
        shown = [f"{name}={value}{units.get((sample.sensor, name), '')}" for name, value in values]
        yield f"{iso_time(reading.stamp.wall_us)}  {sample.sensor}  {'  '.join(shown)}"
