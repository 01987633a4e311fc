"""`gateway-agent init`: a short conversation, or all of it by options."""

import contextlib
import os
import secrets
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click

from gateway_agent.cli.common import (
    ExampleCommand,
    config_option,
    default_config_path,
    default_spool_path,
)
from gateway_agent.cli.offers import WITHOUT_QUESTIONS
from gateway_agent.cli.questions import Answers, Given, WrongKey, settle
from gateway_agent.cli.template import render_config
from gateway_agent.credentials import CredentialsError
from gateway_agent.inputs import MissingLibraryError, find_kind

_PRIVATE: Final = 0o600
_PUBLIC: Final = 0o644
_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_FILE_OR_STDIN: Final = click.Path(path_type=Path, allow_dash=True)


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
@click.option("--mqtt", metavar="URL", help="Address of the platform's MQTT, to send over that.")
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
@click.option(
    "--input",
    "kinds",
    multiple=True,
    type=click.Choice((*WITHOUT_QUESTIONS, "all")),
    help="Take what is found of this kind, without a question; may be repeated. all: wherever a "
    "sensor is likely.",
)
@click.option(
    "--root",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path("/"),
    help="Where the machine's dev and sys are, for a container.",
)
@click.option("--offline", is_flag=True, help="Do not try address and key on the platform.")
@click.option("--yes", is_flag=True, help="Ask nothing, and replace files that exist.")
def init(
    config_file: Path,
    output: Path | None,
    url: str | None,
    mqtt: str | None,
    key_id: str | None,
    key_password_file: Path | None,
    key_file: Path | None,
    gateway_id: str | None,
    spool: Path | None,
    kinds: tuple[str, ...],
    root: Path,
    *,
    offline: bool,
    yes: bool,
) -> None:
    """Write the configuration and a credentials file (mode 0600), after trying the key.

    Asks for what the options do not say, and offers what it finds on this machine. The key's
    password is never taken from an argument.
    """
    given = Given(
        *(url, mqtt, key_id, key_password_file, key_file, gateway_id, kinds),
        root=root,
        offline=offline,
    )
    target = (output or config_file).absolute()
    try:
        answers = settle(given, yes=yes)
    except WrongKey as error:
        raise click.ClickException(f"{error}\nNothing was written.") from error
    except (ValueError, CredentialsError) as error:
        raise click.ClickException(str(error)) from error
    try:
        _write_files(target, spool, answers, replace=yes)
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
    is_default = target == default_config_path()
    option = "" if is_default else f" --config {_shown(output or config_file)}"
    _tell_what_next(answers, option)


def _tell_what_next(answers: Answers, option: str) -> None:
    inputs = answers.inputs
    if not inputs:
        click.echo("No input was chosen: write an [[input]] section before the start.")
    extras = {"gateway-mqtt"} if answers.mqtt and find_spec("paho") is None else set()
    for section in inputs:
        try:
            find_kind(str(section.settings["type"]))
        except MissingLibraryError as error:
            extras.add(str(error).rpartition("[")[2].rstrip("]"))
    if extras:
        click.echo(f"Install what this needs: pip install 'wotkit[{','.join(sorted(extras))}]'")
    if any(section.settings["type"] != "system" for section in inputs):
        click.echo(f"Read every input once with: gateway-agent check --probe{option}")
    click.echo(f"Start the agent with: gateway-agent run{option}")


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
        mqtt=answers.mqtt,
        credentials_file=credentials_file,
        spool=(spool or default_spool).absolute(),
        folder=target.parent,
        inputs=answers.inputs,
        may_register=answers.may_register,
    )
    line = f"{answers.key.key_id}:{answers.key.key_password}\n"
    _write(credentials_file, line, _PRIVATE, replace=replace)
    _write(target, text, _PUBLIC, replace=replace)


def _write(file: Path, text: str, mode: int, *, replace: bool) -> None:
    """Write a file of that mode; one with other content is kept as `.old` when replaced."""
    if file.exists():
        before = file.read_text(encoding="utf-8", errors="replace")
        if before == text:
            file.chmod(mode)
            click.echo(f"{_shown(file)} is as it should be.")
            return
        if not replace and not _may_replace(file):
            raise click.ClickException(f"{_shown(file)} exists; --yes replaces it")
        _write_whole(file.with_name(file.name + ".old"), before, mode)
    file.parent.mkdir(parents=True, exist_ok=True)
    _write_whole(file, text, mode)
    click.echo(f"Wrote {_shown(file)}")


def _write_whole(file: Path, text: str, mode: int) -> None:
    """Write so that the file is the old one or the new one whatever happens, never a part.

    It stays the property of whose it was: of the service's user, when root replaces its key.
    """
    owner = file.stat() if file.exists() else None
    fresh = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            if owner is not None and os.geteuid() == 0:
                os.fchown(stream.fileno(), owner.st_uid, owner.st_gid)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise


def _may_replace(file: Path) -> bool:
    return sys.stdin.isatty() and click.confirm(f"{_shown(file)} exists. Replace it?")


def _shown(file: Path) -> str:
    """The file as one would type it here."""
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)
