"""SIGHUP: reading the configuration again, and telling what of it has changed."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from gateway_agent.config import Config, ConfigError, load_config
from gateway_agent.inputs import InputConfig

ChangedConfig = Callable[[], Config | None]
"""The configuration to go on with, once after each request; None when there is none."""


class ConfigWatch:
    """Reads the configuration again when it is asked to."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._asked = False
        self._log = logging.getLogger(__name__)

    def ask(self) -> None:
        """Have the next `take` read the file."""
        self._asked = True

    def take(self) -> Config | None:
        """The configuration if it was asked for and has no mistake; every mistake is logged."""
        if not self._asked:
            return None
        self._asked = False
        try:
            return load_config(self._file)
        except ConfigError as error:
            for line in error.lines():
                self._log.error("configuration not taken, the old one stays problem=%r", line)
            return None


def fingerprint(config: InputConfig) -> object:
    """Equal for sections that make the same input; a user's own class counts by its file."""
    file = getattr(config, "path", None)
    if config.type != "python" or not isinstance(file, Path):
        return config
    try:
        code = file.read_bytes()
    except OSError:
        code = b""
    return asdict(config), hashlib.sha256(code).hexdigest()
