"""A real RabbitMQ as Debian packages it, in a folder of its own, without its system service."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import Self

from tests.ports import free_port
from tests.system.server_process import group_lives, wait_until

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
CONFIGURATION = """\
listeners.tcp.default = 127.0.0.1:{amqp}
mqtt.listeners.tcp.default = 127.0.0.1:{mqtt}
mqtt.allow_anonymous = false
log.console = true
"""
PLUGINS = "[rabbitmq_mqtt,rabbitmq_auth_backend_http].\n"
START_SECONDS = 120
STOP_SECONDS = 30


class RabbitMq:
    """A broker whose configuration says whom it asks who may do what."""

    def __init__(self, folder: Path, asks: str) -> None:
        folder.mkdir()
        self.mqtt_port = free_port()
        self._log = folder / "rabbitmq.log"
        self._names = free_port()
        configuration = folder / "rabbitmq.conf"
        configuration.write_text(CONFIGURATION.format(amqp=free_port(), mqtt=self.mqtt_port) + asks)
        (folder / "plugins").write_text(PLUGINS)
        (folder / "environment.conf").touch()
        self._environment = {
            **os.environ,
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(self._names),
            "RABBITMQ_NODENAME": f"test{self._names}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONFIG_FILE": str(configuration),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "environment.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        # the daemon of names is started here, so that it ends with the test
        self._start("epmd", "-port", str(self._names))
        wait_until(lambda: _listens(self._names), 10, "names")
        broker = self._start(str(PROGRAM))

        def is_up() -> bool:
            assert broker.poll() is None, self.log[-3000:]
            return re.search("startup complete", self.log) is not None

        wait_until(is_up, START_SECONDS, "a RabbitMQ")
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_SECONDS)
            wait_until(lambda pid=process.pid: not group_lives(pid), STOP_SECONDS, "dead")

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        self._processes.append(process)
        return process


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
