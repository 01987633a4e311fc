"""The server's secret key: made at the first start, readable by its owner only."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from wotkit.config import Settings

FILE_NAME: Final = "secret.key"


def secret_key(settings: Settings, folder: Path) -> str:
    """Return the secret key of the settings, or else of the data folder, made when missing."""
    if settings.auth.secret_key:
        return settings.auth.secret_key
    path = folder / FILE_NAME
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    key = secrets.token_hex(32)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key + "\n")
        file.flush()
        os.fsync(file.fileno())
    return key
