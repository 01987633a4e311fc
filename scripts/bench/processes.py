"""Programs under test: started, watched and ended by their process ids."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

START_SECONDS: Final = 60
STOP_SECONDS: Final = 20
MEBIBYTE: Final = 1 << 20


class Memory(NamedTuple):
    """Memory of a process tree, in MiB."""

    rss: float
    """Resident; pages that processes share count for each of them."""
    pss: float
    """Proportional: a page shared by two counts half for each."""


class Program:
    """A program with all its children; it writes into ``log``."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            # a session of its own: Ctrl-C reaches the benchmark alone, which then ends it in order
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._parent = psutil.Process(self._process.pid)

    def wait_for(self, pattern: str) -> str:
        """Return the first group of ``pattern`` once the log has it."""
        found: re.Match[str] | None = None

        def logged() -> bool:
            nonlocal found
            found = re.search(pattern, self.log.read_text(errors="replace"))
            return found is not None

        self.wait_until(logged)
        assert found is not None
        return found[1]

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Wait for ``ready``.

        Raises:
            SystemExit: the program ended, or took too long.
        """
        ends = time.monotonic() + START_SECONDS
        while not ready():
            if self._process.poll() is not None or time.monotonic() > ends:
                said = self.log.read_text(errors="replace")[-2000:]
                raise SystemExit(f"{self._process.args!r} did not start:\n{said}")
            time.sleep(0.05)

    def tree(self) -> list[psutil.Process]:
        """Return the program and its children."""
        return [self._parent, *self._parent.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Return the processor time that the tree has used."""
        total = 0.0
        for process in self.tree():
            times = process.cpu_times()
            total += times.user + times.system
        return total

    def memory(self) -> Memory:
        """Return the memory that the tree uses."""
        found = [process.memory_full_info() for process in self.tree()]
        return Memory(
            sum(info.rss for info in found) / MEBIBYTE, sum(info.pss for info in found) / MEBIBYTE
        )

    def pause(self) -> None:
        """Stop the program without ending it, so that it does nothing in the background."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self._process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End the tree in order, or else by force."""
        if self._process.poll() is not None:
            return
        tree = self.tree()
        self.resume()
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
