"""Runs a program for an input: its own process group, a deadline, bounded output."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

MOST_OUTPUT: Final = 1024 * 1024
"""Bytes that a program may write before it is ended."""
_KEPT_COMPLAINTS: Final = 300
_READ_SIZE: Final = 65_536
_SLICE: Final = 0.2
_GRACE: Final = 1.0
_PRIVATE: Final = ("GATEWAY_AGENT_", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_")
"""Beginnings of variables that programs do not get: they hold or lead to the platform's key."""


class Program:
    """A running program with its output. One thread at a time, but for `end`."""

    def __init__(self, command: Sequence[str], folder: Path | None) -> None:
        """Start it. Raises OSError when that is not possible."""
        self._process = subprocess.Popen(  # noqa: S603 - what the owner of the configuration wrote
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={k: v for k, v in os.environ.items() if not k.startswith(_PRIVATE)},
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._output = self._process.stdout.fileno()
        self._complaints = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        self._selector.register(self._process.stderr, selectors.EVENT_READ)

    @property
    def complaint(self) -> str:
        """The end of what it wrote to standard error, on one line."""
        return " ".join(self._complaints.decode("utf-8", "replace").split())

    def read(self, timeout: float) -> bytes | None:
        """Output that has come, empty after `timeout` seconds without; None when it has ended."""
        deadline = time.monotonic() + timeout
        while self._selector.get_map():
            events = self._selector.select(max(0.0, deadline - time.monotonic()))
            for key, _ in events:
                data = os.read(key.fd, _READ_SIZE)
                if not data:
                    self._selector.unregister(key.fileobj)
                elif key.fd == self._output:
                    return data
                else:
                    self._complaints = (self._complaints + data)[-_KEPT_COMPLAINTS:]
            if not events or time.monotonic() >= deadline:
                return b""
        return None

    def wait(self, timeout: float) -> int:
        """Its exit code. Raises TimeoutError when it still runs after `timeout` seconds."""
        try:
            return self._process.wait(max(0.0, timeout))
        except subprocess.TimeoutExpired as error:
            raise TimeoutError("the program closed its output and goes on") from error

    def end(self) -> None:
        """Let go of its output; if it still runs, end its process group, asking first."""
        if self._process.returncode is None:
            self._signal(signal.SIGTERM)
            deadline = time.monotonic() + _GRACE
            while not self._has_ended() and time.monotonic() < deadline:
                time.sleep(_GRACE / 50)
            self._signal(signal.SIGKILL)
            self._process.wait()
        self._selector.close()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _has_ended(self) -> bool:
        """Whether it is a zombie, which stays one: so its number cannot become another's."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def run(
    command: Sequence[str], folder: Path | None, timeout: float, stopping: Callable[[], bool]
) -> str:
    """Run a program to its end and return its output.

    Raises ValueError when it fails, writes too much or more than `timeout` seconds pass, OSError
    when it cannot be started, InterruptedError when `stopping` says so.
    """
    program = Program(command, folder)
    try:
        output = b"".join(_output(program, timeout, stopping))
        code = program.wait(_GRACE)
    except TimeoutError as error:
        raise ValueError(f"{error}") from error
    finally:
        program.end()
    if code != 0:
        reason = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
        raise ValueError(f"the program {reason}: {program.complaint}".rstrip(": "))
    return output.decode("utf-8", "replace")


def _output(program: Program, timeout: float, stopping: Callable[[], bool]) -> Iterator[bytes]:
    deadline = time.monotonic() + timeout
    size = 0
    while (data := program.read(_SLICE)) is not None:
        if stopping():
            raise InterruptedError("the agent stops")
        if time.monotonic() >= deadline:
            raise TimeoutError(f"the program takes longer than {timeout:g} s")
        size += len(data)
        if size > MOST_OUTPUT:
            raise ValueError(f"the program writes more than {MOST_OUTPUT} bytes")
        yield data
