"""`gateway-agent check`."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import click

from gateway_agent.cli.common import ExampleCommand, config_option, load_or_exit
from gateway_agent.config import Config
from gateway_agent.credentials import CredentialsError, CredentialSource
from gateway_agent.durations import parse_duration
from gateway_agent.outputs.client import PlatformClient
from gateway_agent.outputs.trial import missing_scopes, try_key
from gateway_agent.probe import Measurement, probe
from gateway_agent.spool import SpoolLock

_HEADING = ("input", "sensor", "field", "value", "units", "took", "error")


@click.command(
    cls=ExampleCommand,
    epilog="gateway-agent check --config demo-agent.toml\ngateway-agent check --probe",
)
@config_option
@click.option("--offline", is_flag=True, help="Do not try the key on the platform.")
@click.option("--probe", "do_probe", is_flag=True, help="Read every point of every input once.")
@click.option(
    "--limit", default="10s", show_default=True, help="With --probe: how long an input may take."
)
def check(config_file: Path, limit: str, *, offline: bool, do_probe: bool) -> None:
    """Check the configuration, the credentials, the spool's folder and the platform.

    Every mistake is printed. With --probe the inputs are read too, all at once, and a table says
    what came; nothing of it is stored, and no actuator is touched. Exit code 0: all is well; 78:
    the file has mistakes; 1: something around it is wrong, or a point has no value.
    """
    config = load_or_exit(config_file)
    try:
        seconds = parse_duration(limit)
    except ValueError as error:
        raise click.UsageError(f"--limit {error}") from error
    inputs = ", ".join(settings.name for settings in config.inputs)
    actuators = ", ".join(settings.sensor for settings in config.actuators)
    click.echo(
        f"ok     configuration: gateway {config.gateway.id}, inputs {inputs}"
        + (f", actuators {actuators}" if actuators else "")
    )
    problems = [_check_credentials(config), _check_spool(config)]
    if not offline and problems[0] is None:
        problems.append(_check_platform(config))
    if do_probe:
        problems.append(_probe(config, seconds))
    if any(problems):
        for problem in filter(None, problems):
            click.echo(f"wrong  {problem}", err=True)
        raise SystemExit(1)


def _check_credentials(config: Config) -> str | None:
    source = CredentialSource(os.environ, config.platform.credentials_file)
    try:
        key = source.read()
    except CredentialsError as error:
        return f"credentials: {error}"
    if warning := source.warning():
        return f"credentials: {warning}"
    click.echo(f"ok     credentials: key {key.key_id} from {source.origin}")
    return None


def _check_spool(config: Config) -> str | None:
    folder = config.spool.path.parent
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        return f"spool: {existing} is not writable"
    click.echo(f"ok     spool: {config.spool.path}")
    return None


def _check_platform(config: Config) -> str | None:
    try:
        client = PlatformClient(
            config.platform, CredentialSource(os.environ, config.platform.credentials_file)
        )
    except OSError as error:
        return f"platform: {config.platform.ca_file}: {error.strerror}"
    try:
        problem = try_key(client)
        missing = [] if problem else missing_scopes(client, _scopes(config))
    finally:
        client.close()
    if problem:
        return f"platform: {problem}"
    if "write" in missing:
        return "platform: the key may not write; give it the scope write"
    if "control" in missing:
        return "platform: actuators need a key with the scope control"
    if missing:
        return (
            f"platform: auto_create needs a key with the scope {' and '.join(missing)}; "
            "or set auto_create = false"
        )
    click.echo(f"ok     platform: {config.platform.http} takes the key")
    return None


def _scopes(config: Config) -> list[str]:
    """What the key must allow for this configuration."""
    scopes = ["write"]
    if config.actuators:
        scopes.append("control")
    if config.platform.auto_create:
        scopes += ["read", "manage"]
    return scopes


def _probe(config: Config, limit: float) -> str | None:
    if SpoolLock(config.spool.path).is_held():
        return "inputs: the agent runs and has the devices; stop it before you probe them"
    logging.getLogger().addHandler(logging.NullHandler())  # the table says what is wrong
    measurements = probe(config, limit)
    for line in _table(measurements):
        click.echo(line)
    failed = sorted({each.input for each in measurements if each.error is not None})
    return f"inputs: {', '.join(failed)}" if failed else None


def _table(measurements: Sequence[Measurement]) -> list[str]:
    """The measurements in columns, each as wide as what stands in it."""
    rows = [_HEADING, *map(_cells, measurements)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADING))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _cells(measurement: Measurement) -> tuple[str, ...]:
    value = "" if measurement.value is None else str(measurement.value)
    return (
        *(measurement.input, measurement.sensor, measurement.field, value, measurement.units),
        *(f"{measurement.seconds:.2f} s", " ".join((measurement.error or "").split())),
    )
