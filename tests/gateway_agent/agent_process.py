"""Runs the real agent as a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from gateway_agent.config import load_config
from gateway_agent.status import Document, read_status


class AgentProcess:
    """`gateway-agent run` with a configuration file; its log goes to `agent.log` beside that."""

    def __init__(self, config: Path, environment: dict[str, str] | None = None) -> None:
        self.config = config
        self.log = config.with_name("agent.log")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway_agent", "run", "--config", str(config)],
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
            )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process.poll() is None:
            self.kill()

    def kill(self) -> None:
        """What a power cut does to a process."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(30)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop; its exit code."""
        self._process.send_signal(number)
        return self._process.wait(30)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def says(self, text: str) -> bool:
        """Whether its log has this text."""
        return text in self.log.read_text()

    def wait(self) -> int:
        return self._process.wait(30)

    def status(self) -> Document:
        return read_status(load_config(self.config))

    def resident_mib(self) -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))

    def wait_until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, self.log.read_text()[-2000:]
            assert self._process.poll() is None, self.log.read_text()[-2000:]
            time.sleep(0.02)
