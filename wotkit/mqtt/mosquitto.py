"""Lets a mosquitto without a plugin know the keys: a password file and a file of access rules.

Both are renamed into place, so mosquitto never reads half of one, and it is told to read them anew
(SIGHUP); then it also ends connections of keys that hold no more.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from wotkit import times
from wotkit.auth import passwords
from wotkit.catalog import mosquitto_keys
from wotkit.errors import WotkitError
from wotkit.mqtt.topics import ROOT, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wotkit.catalog.database import Catalog
    from wotkit.catalog.mosquitto_keys import MosquittoKey
    from wotkit.catalog.watch import Watch
    from wotkit.mqtt.broker import Broker
    from wotkit.settings import MqttSettings

PASSWORDS: Final = "passwords"
ACL: Final = "acl"
MODE: Final = 0o640
PAUSE_SECONDS: Final = 1.0
"""How often the files are written at most."""

_RULES: Final = (
    ("write", f"sensors/+/{Kind.DATA.value}"),
    ("write", Kind.DATA.value),
    ("write", Kind.INGEST.value),
    ("write", Kind.RESULTS.value),
    ("readwrite", Kind.STATUS.value),
    ("read", Kind.ACK.value),
    ("read", Kind.ERRORS.value),
    ("read", f"{Kind.COMMANDS.value}/+"),
)
"""What a key may do with the topics that begin with its id; readings of others are not there."""
_BRIDGE_RULES: Final = (
    ("read", "#"),
    ("write", f"+/{Kind.ACK.value}"),
    ("write", f"+/{Kind.ERRORS.value}"),
    ("write", f"+/{Kind.COMMANDS.value}/#"),
)

_log: Final = logging.getLogger(__name__)


class Exported(NamedTuple):
    """What was written."""

    changed: bool
    keys: int
    unknown: int
    """Keys without a hash, which mosquitto will refuse."""


def export(
    folder: Path, keys: Sequence[MosquittoKey], broker: Broker | None, settings: MqttSettings
) -> Exported:
    """Write both files, where they differ from what is there.

    Raises:
        OSError: they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PASSWORDS
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = [f"{key.id}:{key.hash}" for key in keys if key.hash is not None]
    known = len(lines)
    if broker is not None and broker.user:
        lines.insert(0, _own_line(broker, before.splitlines(), settings))
    changed = _replace(path, "".join(f"{line}\n" for line in lines))
    changed |= _replace(folder / ACL, _rules(broker))
    return Exported(changed, known, len(keys) - known)


def tell(pid_file: str) -> bool:
    """Have mosquitto read its files anew; return whether it could be told."""
    try:
        os.kill(int(Path(pid_file).read_text(encoding="ascii")), signal.SIGHUP)
    except (OSError, ValueError) as error:
        _log.warning("mosquitto cannot be told to read its files anew: %s", error)
        return False
    return True


class Exporter:
    """Keeps the files up to date while the server runs."""

    def __init__(
        self, settings: MqttSettings, catalog: Catalog, watch: Watch, broker: Broker | None
    ) -> None:
        """Take a watch of its own."""
        self._settings = settings
        self._catalog = catalog
        self._watch = watch
        self._broker = broker
        self._seen = -1
        self._next_end: int | None = None
        """When the next key expires."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; to be called in the event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._watch.close()

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except (WotkitError, OSError) as error:
                _log.warning("mosquitto's files are written later: %s", error)
            except Exception:  # noqa: BLE001  # the next time may be better
                _log.exception("mosquitto's files are not written")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _look(self) -> None:
        """Write the files where the keys may have changed."""
        revision, now = self._watch.revision(), times.now()
        over = self._next_end is not None and self._next_end <= now
        if revision == self._seen and not over:
            return
        keys = await self._catalog.reading(mosquitto_keys.holding)
        loop = asyncio.get_running_loop()
        folder = Path(self._settings.export_mosquitto)
        done = await loop.run_in_executor(None, export, folder, keys, self._broker, self._settings)
        if done.changed and self._settings.mosquitto_pid_file:
            tell(self._settings.mosquitto_pid_file)
        self._seen = revision
        self._next_end = min((key.expires for key in keys if key.expires is not None), default=None)


def _rules(broker: Broker | None) -> str:
    lines = [f"pattern {access} {ROOT}/%u/{topic}" for access, topic in _RULES]
    if broker is not None and broker.user:
        lines += ["", f"user {broker.user}"]
        lines += [f"topic {access} {ROOT}/{topic}" for access, topic in _BRIDGE_RULES]
    return "".join(f"{line}\n" for line in lines)


def _own_line(broker: Broker, before: Iterable[str], settings: MqttSettings) -> str:
    """Return the line of the bridge's own account: the one that is there, if it still holds."""
    for line in before:
        name, _, hashed = line.partition(":")
        if name == broker.user and passwords.has_mosquitto_hash(broker.password, hashed):
            return line
    return f"{broker.user}:{passwords.hash_for_mosquitto(broker.password, settings)}"


def _replace(path: Path, text: str) -> bool:
    """Put a file in its place, whole and durable; return whether it is another one."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    new = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123  # with its mode from the start
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    return True
