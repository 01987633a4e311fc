"""The server's secret key: made at the first start, readable by its owner only."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from wotkit.config import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from wotkit.settings import Settings

FILE_NAME: Final = "secret.key"


def secret_key(settings: Settings, folder: Path) -> str:
    """Return the secret key of the settings, or else of the data folder, made when missing.

    Raises:
        ConfigError: its file is empty.
    """
    if settings.auth.secret_key:
        return settings.auth.secret_key
    path = folder / FILE_NAME
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        _make(path)
    key = path.read_text(encoding="ascii").strip()
    if not key:
        raise ConfigError([f"{path} is empty; delete it to have a new key made"])
    return key


def _make(path: Path) -> None:
    """Write a new key, whole or not at all; of several processes that start at once, one does."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(new, path)
    finally:
        new.unlink()
