"""The systemd unit of the agent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STATE_DIRECTORY: Final = Path("/var/lib/gateway-agent")
UNIT_NAME: Final = "gateway-agent.service"
DEVICE_GROUPS: Final = ("dialout", "gpio", "i2c", "spi", "video")
"""Groups that may use serial lines, pins, buses and the temperature of a Raspberry Pi."""

_PLAIN: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,:@=~"
)


@dataclass(frozen=True, slots=True)
class Service:
    """What the unit depends on."""

    command: Sequence[str]
    """The program and its first arguments."""
    config: Path
    user: str
    group: str
    groups: Sequence[str] = ()
    """Further groups of the user's, all of which must exist on the machine."""
    spool_folder: Path = STATE_DIRECTORY


def render_unit(service: Service) -> str:
    """The text of the unit file. Exit code 78, a wrong configuration, is not tried again."""
    return "\n".join(_lines(service)) + "\n"


def _lines(service: Service) -> Iterator[str]:
    yield "[Unit]"
    yield "Description=Gateway agent: sends what sensors measure to the platform"
    yield "Wants=network-online.target"
    yield "StartLimitIntervalSec=0"
    yield ""
    yield "[Service]"
    yield "Type=notify"
    words = [*service.command, "run", "--config", str(service.config)]
    yield f"ExecStart={' '.join(map(_quoted, words))}"
    yield "ExecReload=/bin/kill -HUP $MAINPID"
    yield f"User={service.user}"
    yield f"Group={service.group}"
    if service.groups:
        yield f"SupplementaryGroups={' '.join(service.groups)}"
    yield "StateDirectory=gateway-agent"
    yield "StateDirectoryMode=0750"
    if not service.spool_folder.is_relative_to(STATE_DIRECTORY):
        yield f"ReadWritePaths={_quoted(str(service.spool_folder))}"
    yield "UMask=0027"
    yield "# Fed only while the agent's own parts make progress; a device that hangs is none."
    yield "WatchdogSec=60"
    yield "Restart=always"
    yield "RestartSec=5"
    yield "# A mistake in the configuration, which trying again does not mend."
    yield "RestartPreventExitStatus=78"
    yield "TimeoutStopSec=30"
    yield "MemoryMax=128M"
    yield "TasksMax=256"
    yield "NoNewPrivileges=yes"
    yield "ProtectSystem=strict"
    yield "ProtectHome=read-only"
    yield "PrivateTmp=yes"
    yield "ProtectControlGroups=yes"
    yield "ProtectKernelModules=yes"
    yield "RestrictSUIDSGID=yes"
    yield "LockPersonality=yes"
    yield "# Not ProtectClock: it forbids to ask the kernel whether the clock is synchronized."
    yield ""
    yield "[Install]"
    yield "WantedBy=multi-user.target"


def _quoted(word: str) -> str:
    """A word of a command line as systemd reads it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if _PLAIN.issuperset(word) else f'"{escaped}"'
