"""Whether a spool file is still where it was opened, and how it comes back there.

Somebody may delete or replace the file while the agent has it open. The open file lives on without
a name, and everything in it would be gone with the next restart.
"""

import errno
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

from gateway_agent.spool.aside import set_aside

PAGE_SIZE: Final = 4096
_ROOM_FOR_OTHERS: Final = 2 * 1024 * 1024
"""Bytes that stay free: a copy that fills the disk would stop everything else on the machine."""


def finish(path: Path) -> None:
    """Do what a power cut has left of `Place.put_back`, before the file is opened. Raises OSError.

    A whole copy without a file in its place is the spool: what stood there was moved, and no more.
    """
    fresh = _fresh(path)
    if not fresh.exists():
        return
    unfinished = fresh.with_name(fresh.name + "-journal")
    if path.exists() or unfinished.exists():
        fresh.unlink()
        unfinished.unlink(missing_ok=True)
    else:
        fresh.replace(path)


class Place:
    """A path, and which files were there when the database was opened."""

    def __init__(self, path: Path) -> None:
        """To be made when the database is open and was written to, so that its log exists."""
        self._path = path
        self._wal = path.with_name(path.name + "-wal")
        self._found = {file: _identity(file) for file in (path, self._wal)}

    def is_kept(self) -> bool:
        """Whether the same files are still there, as far as can be told."""
        try:
            return all(_identity(file) == found for file, found in self._found.items())
        except OSError:
            return True

    def put_back(self, db: sqlite3.Connection) -> Path | None:
        """Put a copy of the open database where it was; what has taken its place is kept.

        Returns where the latter is now, None if there was nothing. The connection is of no use
        afterwards. Raises sqlite3.Error or OSError, and then the connection is as good as before.
        """
        fresh = _fresh(self._path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _copy(db, fresh)
            aside = self._clear()
            fresh.replace(self._path)
        except BaseException:
            with suppress(OSError):
                fresh.unlink()
            raise
        _sync_folder(self._path.parent)
        return aside

    def _clear(self) -> Path | None:
        """Make room. The log that is ours goes, since it would spoil any other file."""
        if self._found[self._wal] == _identity(self._wal) or not self._path.exists():
            self._wal.unlink(missing_ok=True)
        self._path.with_name(self._path.name + "-shm").unlink(missing_ok=True)
        return set_aside(self._path, "replaced") if self._path.exists() else None


def _fresh(path: Path) -> Path:
    return path.with_name(path.name + ".fresh")


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _copy(db: sqlite3.Connection, target: Path) -> None:
    """A whole copy, on the disk when this returns, in one file without a log."""
    target.unlink(missing_ok=True)
    size = db.execute("PRAGMA page_count").fetchone()[0] * PAGE_SIZE
    disk = os.statvfs(target.parent)
    if disk.f_bavail * disk.f_frsize < size + _ROOM_FOR_OTHERS:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
    copy = sqlite3.connect(target, isolation_level=None)
    try:
        db.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
    finally:
        copy.close()
    descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make names durable, where the file system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
