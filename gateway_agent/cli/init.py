"""`gateway-agent init`: a short conversation, or all of it by options."""

import os
import re
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from gateway_agent.cli.common import (
    ExampleCommand,
    config_option,
    default_config_path,
    default_spool_path,
)
from gateway_agent.cli.template import render_config
from gateway_agent.config import GATEWAY_ID, PlatformConfig
from gateway_agent.credentials import (
    ENVIRONMENT,
    Credentials,
    CredentialsError,
    CredentialSource,
    parse_credentials,
)
from gateway_agent.outputs.client import PlatformClient
from gateway_agent.outputs.trial import try_key
from gateway_agent.settings import http_url

_PRIVATE: Final = 0o600
_PUBLIC: Final = 0o644
_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_FILE_OR_STDIN: Final = click.Path(path_type=Path, allow_dash=True)


@dataclass(frozen=True, slots=True)
class Given:
    """What the options said; None is asked for."""

    url: str | None
    key_id: str | None
    key_password_file: Path | None
    key_file: Path | None
    gateway_id: str | None


@dataclass(frozen=True, slots=True)
class Answers:
    """All that is needed to write the files."""

    address: str
    key: Credentials
    gateway_id: str


@click.command(
    cls=ExampleCommand,
    epilog=(
        "gateway-agent init\n"
        "gateway-agent init --config demo-agent.toml --url http://127.0.0.1:8080/api \\\n"
        "    --key-id 0123456789abcdef --key-password-file password.txt"
    ),
)
@config_option
@click.option("--output", metavar="FILE", type=_FILE, help="The same as --config.")
@click.option("--url", metavar="URL", help="Address of the platform's API.")
@click.option("--key-id", metavar="ID", help="The key's id.")
@click.option(
    "--key-password-file",
    metavar="FILE",
    type=_FILE_OR_STDIN,
    help="File with the key's password; - reads standard input.",
)
@click.option(
    "--key-file",
    metavar="FILE",
    type=_FILE_OR_STDIN,
    help="File with one line key_id:key_password; - reads standard input.",
)
@click.option("--id", "gateway_id", metavar="NAME", help="Name of this gateway, else the host's.")
@click.option(
    "--spool",
    metavar="FILE",
    type=_FILE,
    help="Where readings wait, else in /var/lib or beside the configuration.",
)
@click.option("--offline", is_flag=True, help="Do not try the key on the platform.")
@click.option("--yes", is_flag=True, help="Ask nothing, and replace files that exist.")
def init(
    config_file: Path,
    output: Path | None,
    url: str | None,
    key_id: str | None,
    key_password_file: Path | None,
    key_file: Path | None,
    gateway_id: str | None,
    spool: Path | None,
    *,
    offline: bool,
    yes: bool,
) -> None:
    """Write the configuration and a credentials file (mode 0600), after trying the key.

    Asks for what the options do not say. The key's password is never taken from an argument.
    """
    given = Given(url, key_id, key_password_file, key_file, gateway_id)
    target = (output or config_file).absolute()
    try:
        answers = _settle_answers(given, yes=yes)
    except (ValueError, CredentialsError) as error:
        raise click.ClickException(str(error)) from error
    if not offline:
        _try(answers)
    try:
        _write_files(target, spool, answers, replace=yes)
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
    is_default = target == default_config_path()
    option = "" if is_default else f" --config {_shown(output or config_file)}"
    click.echo(f"Start the agent with: gateway-agent run{option}")


def _settle_answers(given: Given, *, yes: bool) -> Answers:
    """Address, key and gateway id from options, or from a conversation about the rest."""
    has_key = given.key_file or (given.key_id and given.key_password_file)
    may_ask = not yes and not (given.url and has_key)
    if not may_ask and not (given.url and has_key):
        raise ValueError("--yes needs --url, and --key-file or --key-id with --key-password-file")
    address = http_url(given.url or click.prompt("Address of the platform's API"))
    key = _settle_key(given)
    suggested = gateway_id_from(socket.gethostname())
    name = given.gateway_id
    if name is None:
        name = click.prompt("Name of this gateway", default=suggested) if may_ask else suggested
    if not re.fullmatch(GATEWAY_ID, name):
        raise ValueError(
            f"{name!r} cannot name a gateway: 1 to 40 of a-z, 0-9, _ and -, first a letter or _"
        )
    return Answers(address, key, name)


def _settle_key(given: Given) -> Credentials:
    if given.key_file:
        return parse_credentials(_read(given.key_file), str(given.key_file))
    key_id = given.key_id or click.prompt("Key id")
    if given.key_password_file:
        origin, password = str(given.key_password_file), _read(given.key_password_file).strip()
    else:
        origin, password = "the key", click.prompt("Key password", hide_input=True)
    return parse_credentials(f"{key_id}:{password}", origin)


def gateway_id_from(hostname: str) -> str:
    """A gateway id as near to the host's name as its characters allow."""
    name = re.sub(r"[^a-z0-9_-]+", "-", hostname.partition(".")[0].lower()).strip("-")
    if not re.match(r"[a-z_]", name):
        name = f"gateway-{name}".rstrip("-")
    return name[:40]


def _try(answers: Answers) -> None:
    line = f"{answers.key.key_id}:{answers.key.key_password}"
    source = CredentialSource({ENVIRONMENT: line}, None)
    client = PlatformClient(PlatformConfig(http=answers.address), source)
    try:
        problem = try_key(client)
    finally:
        client.close()
    if problem:
        raise click.ClickException(f"{answers.address}: {problem}\nNothing was written.")
    click.echo(f"{answers.address} takes the key.")


def _write_files(target: Path, spool: Path | None, answers: Answers, *, replace: bool) -> None:
    """The credentials first, so that no configuration points to a file that is not there."""
    if target == default_config_path():
        credentials_file = target.with_name("credentials")
        default_spool = default_spool_path()
    else:
        credentials_file = target.with_name(f"{target.stem}.credentials")
        default_spool = target.with_name(f"{target.stem}.spool.db")
    text = render_config(
        gateway_id=answers.gateway_id,
        http=answers.address,
        credentials_file=credentials_file,
        spool=(spool or default_spool).absolute(),
        folder=target.parent,
    )
    line = f"{answers.key.key_id}:{answers.key.key_password}\n"
    _write(credentials_file, line, _PRIVATE, replace=replace)
    _write(target, text, _PUBLIC, replace=replace)


def _read(file: Path) -> str:
    if str(file) == "-":
        return sys.stdin.read()
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(f"{file}: cannot be read") from error


def _write(file: Path, text: str, mode: int, *, replace: bool) -> None:
    """Write a file of that mode; one with other content is kept as `.old` when replaced."""
    if file.exists():
        if file.read_text(encoding="utf-8", errors="replace") == text:
            file.chmod(mode)
            click.echo(f"{_shown(file)} is as it should be.")
            return
        if not replace and not _may_replace(file):
            raise click.ClickException(f"{_shown(file)} exists; --yes replaces it")
        file.replace(file.with_name(file.name + ".old"))
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    click.echo(f"Wrote {_shown(file)}")


def _may_replace(file: Path) -> bool:
    return sys.stdin.isatty() and click.confirm(f"{_shown(file)} exists. Replace it?")


def _shown(file: Path) -> str:
    """The file as one would type it here."""
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)
