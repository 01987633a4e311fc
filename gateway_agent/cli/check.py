"""`gateway-agent check`."""

import os
from pathlib import Path

import click

from gateway_agent.cli.common import ExampleCommand, config_option, load_or_exit
from gateway_agent.config import Config
from gateway_agent.credentials import CredentialsError, CredentialSource
from gateway_agent.outputs.client import PlatformClient
from gateway_agent.outputs.trial import try_key


@click.command(
    cls=ExampleCommand,
    epilog=("gateway-agent check --config demo-agent.toml"),
)
@config_option
@click.option("--offline", is_flag=True, help="Do not try the key on the platform.")
def check(config_file: Path, *, offline: bool) -> None:
    """Check the configuration, the credentials, the spool's folder and the platform.

    Every mistake is printed. Exit code 0: ready to run; 78: the file has mistakes; 1: something
    around it is wrong.
    """
    config = load_or_exit(config_file)
    inputs = ", ".join(settings.name for settings in config.inputs)
    click.echo(f"ok     configuration: gateway {config.gateway.id}, inputs {inputs}")
    problems = [_check_credentials(config), _check_spool(config)]
    if not offline and problems[0] is None:
        problems.append(_check_platform(config))
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
    finally:
        client.close()
    if problem:
        return f"platform: {problem}"
    click.echo(f"ok     platform: {config.platform.http} takes the key")
    return None
