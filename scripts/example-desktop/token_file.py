"""Where the tokens are kept: a file that only its owner can read."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from server import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Saved:
    """One sign-in."""

    server: str
    """The one address that these tokens are for."""
    client_id: str
    access_token: str
    refresh_token: str
    expires_at: float
    """Seconds since 1970 until which the access token is good."""


def default_path() -> Path:
    """Return the file for whoever names none (XDG base directories)."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "wotkit-spark" / "token.json"


class TokenFile:
    """Reads and replaces the file as a whole, so that a crash leaves the old one or the new."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Saved | None:
        """Return what is kept, if there is anything.

        Raises:
            Trouble: the file is damaged.
        """
        try:
            return Saved(**json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise Trouble(f"{self._path} is damaged. Remove it and run login.") from error

    def write(self, saved: Saved) -> None:
        """Replace the file; it is on the disk when this returns."""
        self._make_folder()
        # mkstemp makes a file of mode 0600: at no moment can others read it
        number, name = tempfile.mkstemp(dir=self._path.parent, prefix=f"{self._path.name}.")
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                json.dump(asdict(saved), file)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def remove(self) -> None:
        """Forget the tokens."""
        self._path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs of this program from refreshing at the same moment."""
        self._make_folder()
        # beside the file, since the file itself is replaced; it stays, empty
        lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _make_folder(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
