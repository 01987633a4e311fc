"""The command line `gateway-agent`: one module for each command."""

import click

from gateway_agent import __version__
from gateway_agent.cli.check import check
from gateway_agent.cli.common import ExampleGroup
from gateway_agent.cli.drain import drain
from gateway_agent.cli.init import init
from gateway_agent.cli.install_service import install_service
from gateway_agent.cli.replay import replay
from gateway_agent.cli.run import run
from gateway_agent.cli.simulate import simulate
from gateway_agent.cli.status import status


@click.group(
    cls=ExampleGroup,
    epilog="gateway-agent init\ngateway-agent check\ngateway-agent run",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="gateway-agent")
def main() -> None:
    """Read sensors, keep every reading on disk, send it until the platform has stored it."""


main.add_command(init)
main.add_command(check)
main.add_command(run)
main.add_command(status)
main.add_command(drain)
main.add_command(replay)
main.add_command(install_service)
main.add_command(simulate)
