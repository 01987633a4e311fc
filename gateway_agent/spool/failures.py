"""What kinds of failure a spool file has."""

import errno
import os
import sqlite3
from pathlib import Path
from typing import Final

_CORRUPT: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NEARLY_NOTHING: Final = 256 * 1024


class SpoolFullError(Exception):
    """The disk is so full that nothing can be written or given up; later it may work."""


class UnsuitableSpoolError(Exception):
    """The file is sound but not this agent's; the message says whose."""


def is_corrupt(error: BaseException) -> bool:
    """Whether the file's content is damaged, or is no database at all."""
    return _primary_code(error) in _CORRUPT


def is_disk_full(error: BaseException, path: Path) -> bool:
    """Whether the failure came from a lack of space.

    SQLite names some such failures an input/output error, so the disk itself is asked too.
    """
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    code = _primary_code(error)
    if code == sqlite3.SQLITE_FULL:
        return True
    if code not in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}:
        return False
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _NEARLY_NOTHING


def _primary_code(error: BaseException) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
