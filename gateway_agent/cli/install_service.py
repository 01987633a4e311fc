"""`gateway-agent install-service`."""

import grp
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import click

from gateway_agent.cli.common import ExampleCommand, config_option, load_or_exit
from gateway_agent.config import Config
from gateway_agent.service_unit import (
    DEVICE_GROUPS,
    STATE_DIRECTORY,
    UNIT_NAME,
    Service,
    render_unit,
)

_UNITS: Final = Path("/etc/systemd/system")
_SYSTEMD_RUNS: Final = Path("/run/systemd/system")
_OTHERS_READ: Final = 0o004
_OTHERS_ENTER: Final = 0o001


@click.command(
    "install-service",
    cls=ExampleCommand,
    epilog="gateway-agent install-service --print\nsudo gateway-agent install-service",
)
@config_option
@click.option("--print", "print_only", is_flag=True, help="Show the unit, and change nothing.")
@click.option("--user", default="gateway-agent", show_default=True, help="Made if it is missing.")
@click.option(
    "--unit-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=_UNITS,
    show_default=True,
    help="Where the unit goes.",
)
def install_service(config_file: Path, user: str, unit_dir: Path, *, print_only: bool) -> None:
    """Have systemd run the agent: a unit, a user without rights, a folder for the spool.

    The files of the configuration are given to that user to read. It is started by
    `systemctl enable --now gateway-agent`.
    """
    config = load_or_exit(config_file)
    if print_only:
        click.echo(render_unit(_service(config, user, user)), nl=False)
        return
    if os.geteuid() != 0:
        raise click.ClickException("only root can install a service; --print shows the unit")
    try:
        account = _account(user)
        service = _service(config, user, grp.getgrgid(account.pw_gid).gr_name)
        _give_files(config, account)
        unit_dir.mkdir(parents=True, exist_ok=True)
        (unit_dir / UNIT_NAME).write_text(render_unit(service), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"wrote {unit_dir / UNIT_NAME}")
    for warning in _warnings(config):
        click.echo(f"note: {warning}", err=True)
    if unit_dir == _UNITS and _SYSTEMD_RUNS.exists():
        _run("systemctl", "daemon-reload")
    click.echo("Start it: systemctl enable --now gateway-agent")


def _service(config: Config, user: str, group: str) -> Service:
    known = {each.gr_name for each in grp.getgrall()}
    return Service(
        (sys.executable, "-m", "gateway_agent"),
        config.file.absolute(),
        user,
        group,
        [name for name in DEVICE_GROUPS if name in known],
        config.spool.path.absolute().parent,
    )


def _account(user: str) -> pwd.struct_passwd:
    """The user, who is made if there is none of that name."""
    try:
        return pwd.getpwnam(user)
    except KeyError:
        home = str(STATE_DIRECTORY)
        _run("useradd", "--system", "--user-group", "--home-dir", home, "--shell", _nologin(), user)
        click.echo(f"made the user {user}")
        return pwd.getpwnam(user)


def _nologin() -> str:
    return shutil.which("nologin", path="/usr/sbin:/sbin:/usr/bin:/bin") or "/bin/false"


def _give_files(config: Config, account: pwd.struct_passwd) -> None:
    """Let the user read the configuration, own its key, and write where the spool is."""
    _let_read(config.file, account.pw_gid)
    key = config.platform.credentials_file
    if key is not None and key.exists():
        os.chown(key, account.pw_uid, account.pw_gid)
        key.chmod(0o600)
    folder = config.spool.path.parent
    folder.mkdir(parents=True, exist_ok=True)
    if folder.resolve() != config.file.absolute().parent.resolve():
        os.chown(folder, account.pw_uid, account.pw_gid)
    for file in folder.glob(f"{config.spool.path.name}*"):
        os.chown(file, account.pw_uid, account.pw_gid, follow_symlinks=False)


def _let_read(file: Path, group: int) -> None:
    """Let a group read a file and enter its folder, where not everybody may."""
    for path, everybody, added in (
        (file, _OTHERS_READ, 0o040),
        (file.absolute().parent, _OTHERS_ENTER, 0o010),
    ):
        mode = path.stat().st_mode
        if not mode & everybody:
            os.chown(path, -1, group)
            path.chmod((mode | added) & 0o7777)


def _warnings(config: Config) -> list[str]:
    found = []
    python = Path(sys.executable).absolute()
    for folder in reversed(python.parents):
        if not folder.stat().st_mode & _OTHERS_ENTER:
            found.append(f"{folder} is closed to other users, and {python} is inside it")
            break
    if config.spool.path.absolute().parent == config.file.absolute().parent:
        found.append(f"the spool is beside the configuration; {STATE_DIRECTORY}/spool.db is better")
    return found


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True)  # noqa: S603 - words of this module and a user's name
    except (OSError, subprocess.CalledProcessError) as error:
        raise click.ClickException(f"{' '.join(command)}: {error}") from error
