"""The real server as processes of its own, and the commands beside it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from click.testing import CliRunner

from tests.ports import free_port
from tests.system.wire import Credentials, Wire
from wotkit.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PASSWORD = "correct horse battery"
"""Of the users that are made here."""
START_SECONDS = 15
STOP_SECONDS = 10
"""What a stop may take, from the signal to the end of every process."""
WOTKIT = (sys.executable, "-m", "wotkit.cli")


class Key(NamedTuple):
    """A key as its owner has it: the two halves of basic authentication."""

    key_id: str
    key_password: str


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for something that must happen soon."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(0.02)


class ServerProcess:
    """``wotkit serve`` on one data folder; it may be killed and started again.

    It keeps its port, so that clients find it after a restart. Its output and its log, of all
    starts, go to files beside the data folder or elsewhere.
    """

    def __init__(
        self,
        data: Path,
        *options: str,
        environment: Mapping[str, str] | None = None,
        log_folder: Path | None = None,
    ) -> None:
        self.data = data
        self.port = free_port()
        self.started_in = 0.0
        """Seconds until the last start took connections."""
        self._options = options
        self._environment = dict(environment or {})
        beside = log_folder or data.parent
        self._output = beside / "server.out"
        self._log = beside / "server.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill_all()
        print(self.log[-3000:])  # shown where a test fails

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        """What the last start has printed."""
        return self._output.read_text(encoding="utf-8")

    @property
    def log(self) -> str:
        """The log of all starts."""
        return self._log.read_text(encoding="utf-8")

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process and do not wait."""
        command = [*WOTKIT, "serve", "--port", str(self.port), "--data", str(self.data)]
        with self._output.open("wb") as output, self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self._options],
                stdout=output,
                stderr=log,
                env={**os.environ, **self._environment},
                start_new_session=True,
            )
        return self.process

    def start(self) -> None:
        """Start, and wait until connections are taken and answered."""
        began = time.monotonic()
        process = self.launch()
        while "WoTKit at" not in self.said:
            assert process.poll() is None, self.log[-2000:]
            assert time.monotonic() - began < START_SECONDS, self.log[-2000:]
            time.sleep(0.01)
        with self.wire() as wire:
            assert wire.get("/healthz").status == 200
        self.started_in = time.monotonic() - began

    def wire(self, caller: Credentials = None) -> Wire:
        """Return a connection to the server."""
        return Wire(self.port, caller)

    def worker(self) -> int:
        """Return the worker's process id; the main process may be between two of them."""
        found: list[int] = []

        def has_worker() -> bool:
            found[:] = children(self._running().pid)
            return bool(found)

        wait_until(has_worker, START_SECONDS, "a worker")
        return found[0]

    def resident_mib(self) -> float:
        """Return the resident memory of the worker."""
        status = Path(f"/proc/{self.worker()}/status").read_text(encoding="utf-8")
        found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        assert found is not None
        return int(found[1]) / 1024

    def kill_worker(self) -> None:
        """``kill -9`` of the worker alone; the main process starts another."""
        os.kill(self.worker(), signal.SIGKILL)

    def kill_all(self) -> None:
        """``kill -9`` of every process of the server, as far as one runs."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(STOP_SECONDS)
        wait_until(lambda: not group_lives(self.process.pid), STOP_SECONDS, "dead")

    def tell(self, number: signal.Signals = signal.SIGTERM, *, group: bool = False) -> None:
        """Signal the main process, or as a terminal does every process."""
        send = os.killpg if group else os.kill
        send(self._running().pid, number)

    def wait(self) -> int:
        """Wait for the end of every process and return the exit status of the main one."""
        process = self._running()
        status = process.wait(STOP_SECONDS)
        wait_until(lambda: not group_lives(process.pid), 5, "ended with its worker")
        return status

    def stop(self, number: signal.Signals = signal.SIGTERM, *, group: bool = False) -> int:
        """Stop in order; the exit status."""
        self.tell(number, group=group)
        return self.wait()

    def command(self, *arguments: str, stdin: str = "") -> str:
        """Run ``wotkit`` on the data folder, beside the server, and return what it printed.

        In this process, which saves the start of another; :func:`run_wotkit` is the whole thing.
        """
        found = CliRunner().invoke(main, [*arguments, "--data", str(self.data)], input=stdin)
        assert found.exit_code == 0, found.output
        return found.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.command(*arguments, "--json"))

    def add_user(self, name: str, *options: str) -> None:
        self.command(
            "user", "create", name, "--password-file", "-", *options, stdin=PASSWORD + "\n"
        )

    def add_key(self, user: str, *options: str) -> Key:
        made = self.json("key", "create", "--user", user, "--name", "gateway", *options)
        return Key(made["key_id"], made["key_password"])

    def _running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None
        return self.process


def run_wotkit(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*WOTKIT, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def children(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
        return [int(child) for child in listed.split()]
    return []


def group_lives(group: int) -> bool:
    """Return whether any process of a group still runs, or a thread of one (proc_pid_stat(5)).

    The main thread of a process may be a zombie while another still waits for the disk, and
    keeps the process's files and ports.
    """
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, found, threads = fields[0], int(fields[2]), int(fields[17])
        if found == group and (state != "Z" or threads > 1):
            return True
    return False
