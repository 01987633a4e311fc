"""Puts a file out of the spool's way without throwing it away."""

import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final

_KEPT: Final = 2
_SUFFIXES: Final = ("", "-wal", "-shm")


def set_aside(path: Path, why: str = "corrupt") -> Path:
    """Rename a spool file and its logs to `{name}.{why}-{time}`; the newest two are kept.

    Returns the new name. Raises OSError when the folder cannot be changed.
    """
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for number in count(1):
        target = path.with_name(f"{path.name}.{why}-{moment}-{number}")
        if not target.exists():
            break
    for suffix in _SUFFIXES:
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    _forget_oldest(path, why, target)
    return target


def _forget_oldest(path: Path, why: str, newest: Path) -> None:
    """Keep `newest`, whatever a clock that jumps says of its age, and the newest of the others."""
    kept = [
        file
        for file in path.parent.glob(f"{path.name}.{why}-*")
        if not file.name.endswith(_SUFFIXES[1:]) and file != newest
    ]
    kept.sort(key=lambda file: (file.stat().st_mtime, file.name))
    for file in kept[: 1 - _KEPT]:
        for suffix in _SUFFIXES:
            with suppress(OSError):
                file.with_name(file.name + suffix).unlink()
