"""A real mosquitto, which may be stopped, killed and started again on its port."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from typing import TYPE_CHECKING, Self

from tests.ports import free_port
from tests.system.server_process import wait_until

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
CONFIGURATION = """\
listener {port} 127.0.0.1
user root
persistence true
persistence_location {folder}/
autosave_interval 1
autosave_on_changes true
max_queued_messages 0
max_inflight_messages 1000
log_dest file {folder}/mosquitto.log
log_type all
pid_file {folder}/mosquitto.pid
{access}
"""
SECONDS = 10


class Mosquitto:
    """A broker that keeps what it has queued, also through a restart."""

    def __init__(self, folder: Path, access: str = "allow_anonymous true") -> None:
        folder.mkdir()
        self.folder = folder
        self.mqtt_port = free_port()
        self._file = folder / "mosquitto.conf"
        self._file.write_text(
            CONFIGURATION.format(port=self.mqtt_port, folder=folder, access=access)
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.mqtt_port}"

    @property
    def pid_file(self) -> Path:
        return self.folder / "mosquitto.pid"

    @property
    def log(self) -> str:
        return (self.folder / "mosquitto.log").read_text(errors="replace")

    def start(self) -> None:
        self._process = subprocess.Popen(
            [PROGRAM, "-c", str(self._file)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._listens, SECONDS, "a broker that listens")

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log[-2000:]
        try:
            socket.create_connection(("127.0.0.1", self.mqtt_port), 1).close()
        except OSError:
            return False
        return True

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(SECONDS)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()
