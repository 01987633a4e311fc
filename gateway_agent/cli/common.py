"""What the commands share: where the configuration is, and how a mistake in it is told."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from gateway_agent.config import Config, ConfigError, load_config

EXIT_CONFIG: Final = 78
"""What sysexits calls EX_CONFIG: a service manager should not start the agent again."""
EXIT_NOT_RUNNING: Final = 3
"""What service scripts answer for a program that does not run."""

Command = TypeVar("Command", bound=Callable[..., Any])


class ExampleCommand(click.Command):
    """A command whose epilog is an example, printed as it is."""

    def format_epilog(
        self,
        ctx: click.Context,  # noqa: ARG002 - click calls it with this
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the example below the options."""
        _write_example(self.epilog, formatter)


class ExampleGroup(click.Group):
    """A group of commands whose epilog is an example, printed as it is."""

    def format_epilog(
        self,
        ctx: click.Context,  # noqa: ARG002 - click calls it with this
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the example below the commands."""
        _write_example(self.epilog, formatter)


def default_config_path() -> Path:
    """/etc/gateway-agent for root, the XDG configuration folder for anybody else."""
    if os.geteuid() == 0:
        return Path("/etc/gateway-agent/config.toml")
    return _user_folder("XDG_CONFIG_HOME", ".config") / "config.toml"


def default_spool_path() -> Path:
    """/var/lib/gateway-agent for root, the XDG state folder for anybody else."""
    if os.geteuid() == 0:
        return Path("/var/lib/gateway-agent/spool.db")
    return _user_folder("XDG_STATE_HOME", ".local/state") / "spool.db"


def config_option(command: Command) -> Command:
    """Add `--config FILE` to a command."""
    return click.option(
        "--config",
        "config_file",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        default=default_config_path,
        show_default="in /etc/gateway-agent or ~/.config/gateway-agent",
        help="The configuration file.",
    )(command)


def load_or_exit(file: Path) -> Config:
    """Read the configuration; on mistakes print every one of them and exit with 78."""
    try:
        return load_config(file)
    except ConfigError as error:
        for line in error.lines():
            click.echo(line, err=True)
        if not file.exists():
            click.echo("Run `gateway-agent init` to make one.", err=True)
        raise SystemExit(EXIT_CONFIG) from error


def _user_folder(variable: str, default: str) -> Path:
    configured = os.environ.get(variable, "")
    base = Path(configured) if configured.startswith("/") else Path.home() / default
    return base / "gateway-agent"


def _write_example(example: str | None, formatter: click.HelpFormatter) -> None:
    with formatter.section("Example"):
        for line in (example or "").splitlines():
            formatter.write(f"  {line}\n")
