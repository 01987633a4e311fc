"""One agent for one spool."""

import fcntl
import os
from pathlib import Path


class SpoolLockedError(Exception):
    """Another agent has this spool; the message says which process."""


class SpoolLock:
    """A lock file beside the spool, held as long as the agent runs; the kernel frees it."""

    def __init__(self, spool: Path) -> None:
        self._file = spool.with_name(spool.name + ".lock")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock and write this process's id into it.

        Raises SpoolLockedError when another agent runs, OSError when the folder is not writable.
        """
        self._file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise SpoolLockedError(f"another agent (process {holder}) uses this spool") from error
        self._descriptor = descriptor
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            return  # a full disk: the lock holds all the same

    def release(self) -> None:
        """Let another agent have the spool."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def is_held(self) -> bool:
        """Whether some process holds the lock now."""
        try:
            descriptor = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False
