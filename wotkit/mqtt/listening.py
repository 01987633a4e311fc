"""The sockets of MQTT: bound by the main process, served by the workers.

So the main process can say which port it took, clients find a listening port while a worker is
replaced, and a server to which no client ever connects does not load what serves them.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import TYPE_CHECKING, Final, NamedTuple

from wotkit.errors import WotkitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wotkit.mqtt.service import Service
    from wotkit.settings import MqttSettings, Settings

DEFAULT_PORT: Final = 1883
"""Where it is in use, and nobody asked for it by name, another one is taken."""

RETRY_SECONDS: Final = 0.5

_log: Final = logging.getLogger(__name__)


class Bound(NamedTuple):
    """A socket that listens."""

    socket: socket.socket
    tls: bool

    @property
    def url(self) -> str:
        """Where clients connect."""
        host, port = self.socket.getsockname()[:2]
        scheme = "mqtts" if self.tls else "mqtt"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def bind(settings: Settings) -> list[Bound]:
    """Take the ports; none where MQTT is switched off.

    Raises:
        OSError: a port is in use, or the certificate or its key cannot be read.
    """
    mqtt = settings.mqtt
    if not mqtt.enabled:
        return []
    host = mqtt.host or settings.server.host
    found = [Bound(_bind(host, mqtt.port, mqtt.backlog), tls=False)]
    if mqtt.tls_certificate:
        tls_context(mqtt)
        found.append(Bound(_bind(host, mqtt.tls_port, mqtt.backlog), tls=True))
    return found


def tls_context(settings: MqttSettings) -> ssl.SSLContext:
    """Return what TLS connections are made with.

    Raises:
        OSError: the certificate or its key cannot be read.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings.tls_certificate, settings.tls_key or None)
    return context


def _bind(host: str, port: int, backlog: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError:
        if port != DEFAULT_PORT:
            raise
    return socket.create_server((host, 0), family=family, backlog=backlog)


class Listening:
    """Serves bound sockets in this process, from the first connection on."""

    def __init__(
        self, bound: Sequence[Bound], settings: MqttSettings, make: Callable[[], Service]
    ) -> None:
        """Take what makes the service; it is called in the event loop, once."""
        self._bound = bound
        self._settings = settings
        self._make = make
        self._servers: list[asyncio.Server] = []
        self._beginning: asyncio.Task[Service] | None = None
        self._stopped = False

    def start(self) -> None:
        """Wait for the first connection."""
        loop = asyncio.get_running_loop()
        for each in self._bound:
            each.socket.setblocking(False)
            loop.add_reader(each.socket.fileno(), self._begin_soon)

    async def service(self) -> Service | None:
        """Return what serves connections, made when it is first needed; None: it is switched off.

        For connections that come another way than by the sockets.
        """
        if self._stopped or not self._settings.enabled:
            return None
        return await asyncio.shield(self._begin_soon())

    async def stop(self) -> None:
        """Take no more connections, and end those there are."""
        if self._stopped:
            return
        self._stopped = True
        self._wait_no_more()
        if self._beginning is None:
            return
        (service,) = await asyncio.gather(self._beginning, return_exceptions=True)
        for server in self._servers:
            server.close()
        if not isinstance(service, BaseException):
            await service.stop()
            await service.holders.close()

    def _begin_soon(self) -> asyncio.Task[Service]:
        self._wait_no_more()
        if self._beginning is None:
            self._beginning = asyncio.get_running_loop().create_task(self._begin())
        return self._beginning

    def _wait_no_more(self) -> None:
        loop = asyncio.get_running_loop()
        for each in self._bound:
            loop.remove_reader(each.socket.fileno())

    async def _begin(self) -> Service:
        from wotkit.mqtt.connection import Connection  # in memory only where clients connect

        service = self._make()
        await self._let_begin(service)
        loop = asyncio.get_running_loop()
        seconds = self._settings.connect_seconds
        for each in self._bound:
            context = tls_context(self._settings) if each.tls else None
            self._servers.append(
                await loop.create_server(
                    lambda: Connection(service),
                    sock=each.socket.dup(),
                    ssl=context,
                    ssl_handshake_timeout=None if context is None else seconds,
                    backlog=self._settings.backlog,
                )
            )
        return service

    async def _let_begin(self, service: Service) -> None:
        """Have the service begin as soon as the catalog has time; clients wait until then."""
        while True:
            try:
                await service.begin()
            except WotkitError as error:
                if self._stopped:
                    raise
                _log.warning("MQTT is served later: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return
