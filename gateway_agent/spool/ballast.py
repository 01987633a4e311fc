"""Disk space kept back, to be given up first when the disk is full."""

import os
from pathlib import Path
from typing import Final

_MARGIN: Final = 3
"""Taken back only when this many times its size is free: others need room too."""


class Ballast:
    """A file without meaning beside the spool.

    On a full disk SQLite cannot even delete, since a deletion is first written to its log.
    Removing this file makes the room that the deletion needs.
    """

    def __init__(self, spool: Path, size: int) -> None:
        self._file = spool.with_name(spool.name + ".ballast")
        self._size = size

    @property
    def is_held(self) -> bool:
        """Whether the space is kept back now."""
        try:
            return self._file.stat().st_size >= self._size
        except OSError:
            return False

    def shortage(self) -> int:
        """Bytes that must become free before the space can be kept back; 0 if it can now."""
        try:
            disk = os.statvfs(self._file.parent)
        except OSError:
            return self._size * _MARGIN
        return max(0, self._size * _MARGIN - disk.f_bavail * disk.f_frsize)

    def take(self) -> bool:
        """Keep the space back unless the disk is too full for that; True if it is held then."""
        if self.is_held:
            return True
        try:
            if self.shortage():
                return False
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                os.posix_fallocate(descriptor, 0, self._size)
            finally:
                os.close(descriptor)
        except OSError:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Give the space up. Does nothing when it is not held or the disk is read-only."""
        try:
            self._file.unlink(missing_ok=True)
        except OSError:
            return
