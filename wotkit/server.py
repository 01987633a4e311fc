"""Runs the server: gunicorn looks after the worker, uvicorn serves in it."""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import gc
import logging
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import uvicorn
import uvicorn_worker
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from wotkit import logs
from wotkit.edge import FIXED_HEADERS
from wotkit.errors import WotkitError
from wotkit.readings.sqlite_library import stop_counting_memory
from wotkit.readings.store import StoreError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from wotkit.edge import Edge
    from wotkit.mqtt.listening import Bound
    from wotkit.settings import Settings

LOCK_NAME: Final = "server.lock"
BOOT_SECONDS: Final = 60
GC_ALLOCATIONS: Final = 20_000
"""Objects made, beyond those freed, before the garbage collector looks at the young ones."""

_PR_SET_PDEATHSIG: Final = 1
"""prctl(2)"""

_log: Final = logging.getLogger(__name__)


class AlreadyRunning(Exception):
    """Another server uses this data folder."""


class TooManyWorkers(Exception):
    """SQLite allows one worker."""


class Server(uvicorn.Server):
    """A uvicorn server that first of all lets go who waits for something to happen."""

    def __init__(self, config: uvicorn.Config, app: Edge) -> None:
        super().__init__(config)
        self._app = app
        app.connections.open = self.server_state.connections

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, without waiting for requests that would only wait themselves."""
        await self._app.stop_waiting()
        await super().shutdown(sockets)


class Worker(uvicorn_worker.UvicornWorker):  # type: ignore[misc]  # shipped without types
    """A uvicorn server under gunicorn, with the settings of this one."""

    CONFIG_KWARGS: Final[dict[str, Any]] = {
        "loop": "uvloop",
        "ws_per_message_deflate": False,
        "lifespan": "on",
        "server_header": False,
        "access_log": False,
        "headers": [(name.decode(), value.decode()) for name, value in FIXED_HEADERS],
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings: Settings = self.app.settings
        logs.start(settings.log)
        proxies = settings.server.trusted_proxies
        self.config.proxy_headers = bool(proxies)
        self.config.forwarded_allow_ips = ",".join(proxies)
        self.config.timeout_graceful_shutdown = settings.server.stop_seconds

    def run(self) -> None:
        """Serve, with a garbage collector that leaves alone what was there from the start.

        What a request makes is freed by reference counts; the default thresholds would walk every
        module and class again and again under load.
        """
        # as the application: in a worker only
        from wotkit.http_protocol import MAX_MESSAGE_BYTES, Protocol, websocket_protocol

        self.config.http = Protocol
        self.config.ws = websocket_protocol
        self.config.ws_max_size = MAX_MESSAGE_BYTES
        _end_with_the_main_process()
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_ALLOCATIONS, *gc.get_threshold()[1:])
        super().run()

    async def _serve(self) -> None:
        """Do as the base class does, with a server of our own."""
        self.config.app = self.wsgi
        server = Server(self.config, self.wsgi)
        self._install_sigquit_handler()
        await server.serve(self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def _install_sigquit_handler(self) -> None:
        """Let SIGQUIT end the worker in order, as gunicorn sends it after Ctrl-C.

        The base class only notes it, and the worker would be killed at the end of its time.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGQUIT, os.kill, os.getpid(), signal.SIGTERM)


def _end_with_the_main_process() -> None:
    """Have the kernel stop this worker, in order, when the main process is killed.

    Else nobody would look after it, and it would keep the port and the data folder against the
    next start.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Application(BaseApplication):  # type: ignore[misc]  # shipped without types
    """What gunicorn needs to know."""

    def __init__(
        self, settings: Settings, bound: Sequence[Bound], on_ready: Callable[[str], None]
    ) -> None:
        self.settings = settings
        self._bound = bound
        self._on_ready = on_ready
        super().__init__()

    def load_config(self) -> None:
        """Take gunicorn's configuration from the settings."""
        server = self.settings.server
        host = f"[{server.host}]" if ":" in server.host else server.host
        options = {
            "bind": f"{host}:{server.port}",
            "workers": server.workers,
            "worker_class": Worker,
            "backlog": server.backlog,
            "keepalive": server.keep_alive_seconds,
            "graceful_timeout": server.stop_seconds + 1,
            "timeout": BOOT_SECONDS,
            "proc_name": "wotkit",
            "loglevel": "warning",
            "control_socket_disable": True,
            "when_ready": self._ready,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the application; called in each worker."""
        from wotkit.app import create_app  # the process that watches the workers stays small

        stop_counting_memory()
        try:
            return create_app(self.settings, self._bound)
        except (StoreError, WotkitError) as error:
            _log.error("the server cannot start: %s", error)
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def _ready(self, arbiter: Any) -> None:
        host, port = arbiter.LISTENERS[0].sock.getsockname()[:2]
        self._on_ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")


def run(settings: Settings, bound: Sequence[Bound], on_ready: Callable[[str], None]) -> None:
    """Serve until a signal says stop; ends the process.

    Args:
        settings: all of them.
        bound: sockets on which MQTT is served.
        on_ready: called once with the address, when connections are taken.

    Raises:
        TooManyWorkers: SQLite allows one.
        AlreadyRunning: another server uses the data folder.
    """
    if settings.server.workers > 1:
        raise TooManyWorkers(
            "SQLite allows one worker: set server.workers to 1. More of them need PostgreSQL."
        )
    folder = settings.data_folder
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _only_server(folder):
        logs.start(settings.log)
        Application(settings, bound, on_ready).run()


@contextmanager
def _only_server(folder: Path) -> Iterator[None]:
    """Hold the data folder's lock; children inherit it, so it ends with the last of them."""
    with (folder / LOCK_NAME).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"another WoTKit server runs on {folder}; stop it first, or use another --data"
            ) from None
        yield
