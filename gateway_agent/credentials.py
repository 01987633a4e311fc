"""Where the key id and key password come from."""

import stat
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ENVIRONMENT: Final = "GATEWAY_AGENT_CREDENTIALS"
SYSTEMD_NAME: Final = "gateway-agent"


class CredentialsError(Exception):
    """There are no usable credentials; the message never contains any part of them."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key of the platform. The password stays out of every representation."""

    key_id: str
    key_password: str = field(repr=False)


def parse_credentials(text: str, origin: str) -> Credentials:
    """Read the one line `key_id:key_password`. Raises CredentialsError that names `origin`."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) != 1:
        raise CredentialsError(f"{origin}: expected one line key_id:key_password")
    key_id, colon, key_password = lines[0].partition(":")
    if not (key_id and colon and key_password):
        raise CredentialsError(f"{origin}: expected key_id:key_password")
    if not (key_id + key_password).isprintable() or not (key_id + key_password).isascii():
        raise CredentialsError(f"{origin}: contains characters that cannot be in a key")
    return Credentials(key_id, key_password)


class CredentialSource:
    """Reads the credentials anew whenever asked, so that a replaced file counts at once.

    Looked for in this order: the variable GATEWAY_AGENT_CREDENTIALS, the file `gateway-agent`
    in systemd's `$CREDENTIALS_DIRECTORY`, the configured file.
    """

    def __init__(self, environment: Mapping[str, str], file: Path | None) -> None:
        self._environment = environment
        self._inline = environment.get(ENVIRONMENT)
        self._file = file
        self._last = threading.local()
        directory = environment.get("CREDENTIALS_DIRECTORY")
        if directory and (Path(directory) / SYSTEMD_NAME).exists():
            self._file = Path(directory) / SYSTEMD_NAME

    def with_file(self, file: Path | None) -> "CredentialSource":
        """Another source with the same environment, for another configured file."""
        return CredentialSource(self._environment, file)

    @property
    def origin(self) -> str:
        """Where the credentials come from, for messages."""
        if self._inline is not None:
            return f"environment variable {ENVIRONMENT}"
        return str(self._file) if self._file else "nowhere"

    def read(self) -> Credentials:
        """The credentials as they are now. Raises CredentialsError."""
        self._last.used = None
        found = self._load()
        self._last.used = found
        return found

    def changed(self) -> bool:
        """Whether `read` would now give other credentials than it last did in this thread.

        Each thread that waits for a better key has to see the new one, whoever read it first.
        """
        try:
            return self._load() != getattr(self._last, "used", None)
        except CredentialsError:
            return False

    def _load(self) -> Credentials:
        if self._inline is not None:
            return parse_credentials(self._inline, self.origin)
        if self._file is None:
            raise CredentialsError(
                f"no credentials: set platform.credentials_file, or {ENVIRONMENT}, or use"
                f" systemd's LoadCredential={SYSTEMD_NAME}"
            )
        try:
            text = self._file.read_text(encoding="utf-8")
        except OSError as error:
            raise CredentialsError(f"{self._file}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise CredentialsError(f"{self._file}: is not text") from error
        return parse_credentials(text, str(self._file))

    def warning(self) -> str | None:
        """What is unsafe about the file, if anything: others may read it."""
        if self._inline is not None or self._file is None:
            return None
        try:
            mode = stat.S_IMODE(self._file.stat().st_mode)
        except OSError:
            return None
        if mode & 0o077:
            return f"{self._file} can be read by others (mode {mode:04o}); run chmod 600 on it"
        return None
