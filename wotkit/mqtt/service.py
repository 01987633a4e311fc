"""All MQTT connections of this process: who may come in, what they share, how they end."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from wotkit.catalog import commands, mqtt_sessions
from wotkit.errors import WotkitError
from wotkit.mqtt.admission import Admission
from wotkit.mqtt.codec import Reason
from wotkit.mqtt.wills import Wills

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from wotkit.auth.authenticator import Authenticator
    from wotkit.catalog.database import Catalog
    from wotkit.catalog.identity import Identity
    from wotkit.control.channel import Channel
    from wotkit.ingest.accept import Ingest
    from wotkit.live.streams import Streams
    from wotkit.metrics import MqttMetrics
    from wotkit.mqtt.connection import Connection
    from wotkit.mqtt.holders import Holders
    from wotkit.mqtt.inbound import Inbound, Reply
    from wotkit.settings import MqttSettings

STOP_SECONDS: Final = 2.0
TURNS: Final = 2
"""Fewer than the catalog has threads: while it is locked, those who read it find one."""

_log: Final = logging.getLogger(__name__)


class Service:
    """What connections share; to be used on the event loop's thread."""

    def __init__(
        self,
        settings: MqttSettings,
        catalog: Catalog,
        authenticator: Authenticator,
        holders: Holders,
        ingest: Ingest,
        inbound: Inbound,
        channel: Channel,
        streams: Streams,
        metrics: MqttMetrics,
    ) -> None:
        self.settings = settings
        self.catalog = catalog
        self.holders = holders
        self.ingest = ingest
        self.inbound = inbound
        self.channel = channel
        self.streams = streams
        self.metrics = metrics
        self.admission = Admission(self, authenticator)
        self.wills = Wills(self)
        self.pending = 0
        """Readings that wait for their commit."""
        self._connections: set[Connection] = set()
        self.clients: dict[tuple[str, str], Connection] = {}
        """The connection of each client that was let in."""
        self._on_hold: set[Connection] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._acknowledged: list[tuple[int, int]] = []
        self.unwritten: set[tuple[int, int]] = set()
        """Sessions and commands that are acknowledged, which the catalog does not know yet."""
        self.turns = asyncio.Semaphore(TURNS)
        """What is to be noted of clients that have gone waits for one of these, however many go."""
        self._writing = False
        self._stopping = False
        self._empty = asyncio.Event()
        """Whether no connection is left."""
        metrics.watch(lambda: len(self._connections), lambda: self.pending)

    @property
    def count(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    # Coming and going

    async def begin(self) -> None:
        """Let the time of sessions run that were connected when the server ended before."""
        await self.catalog.writing(mqtt_sessions.leave_all)

    def entered(self, connection: Connection) -> None:
        """Note a new connection; there is a limit."""
        self._connections.add(connection)
        self._empty.clear()
        if len(self._connections) > self.settings.max_connections or self._stopping:
            connection.abort()

    def left(self, connection: Connection) -> None:
        """Note that a connection has ended and all that it brought is handled."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        self.metrics.end(connection.ended)
        if not self._connections:
            self._empty.set()
        self._on_hold.discard(connection)
        session, holder = connection.session, connection.holder
        if session is None or holder is None:
            return
        session.close()
        self.holders.leave(holder, connection)
        client = (holder.key_id, session.client_id)
        if self.clients.get(client) is connection:
            del self.clients[client]
        if session.row is not None:
            self.later(self.admission.leave(client, session.row, session.expiry))
        if connection.will is not None:
            delay = 0 if self._stopping else min(connection.will_delay, session.expiry)
            self.wills.leave(connection, client, delay)

    # What connections do for each other

    def reply(self, connection: Connection, identity: Identity, reply: Reply) -> None:
        """Send an answer to the client, or a status to all connections of its key."""
        if reply.kind.value != "status":
            if connection.session is not None:
                connection.session.send(reply.kind, reply.payload)
            return
        for (key_id, _), other in self.clients.items():
            if key_id == identity.key_id and other.session is not None:
                if other is connection and reply.kind in other.session.no_local:
                    continue
                other.session.send(reply.kind, reply.payload)

    def acknowledge(self, session: int, message: int) -> None:
        """Note that a client got a command, together with others."""
        self.metrics.commands_acknowledged += 1
        self._acknowledged.append((session, message))
        self.unwritten.add((session, message))
        if not self._writing:
            self._writing = True
            self.later(self._write_acknowledged())

    async def _write_acknowledged(self) -> None:
        try:
            while self._acknowledged:
                pairs, self._acknowledged = self._acknowledged, []
                try:
                    await self.catalog.writing(commands.acknowledge, pairs)
                except WotkitError as error:
                    self._acknowledged = pairs + self._acknowledged
                    _log.warning("that commands arrived is not noted yet: %s", error)
                    await asyncio.sleep(error.retry_after or 1)
                else:
                    self.unwritten.difference_update(pairs)
        finally:
            self._writing = False

    # Pressure

    @property
    def crowded(self) -> bool:
        """Whether too many readings wait for their commit."""
        return self.pending > self.settings.max_pending

    def hold(self, connection: Connection) -> None:
        """Let a connection read again when there is room."""
        self._on_hold.add(connection)

    def settle(self, readings: int) -> None:
        """Note that readings wait no more."""
        self.pending -= readings
        if self._on_hold and self.pending <= self.settings.max_pending // 2:
            held, self._on_hold = self._on_hold, set()
            for connection in held:
                connection.release()

    # The end

    def later(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something for which nobody waits; what fails is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.warning("something was not done after a connection: %s", task.exception())

    async def stop(self) -> None:
        """Tell every client that the server stops, and finish what they sent."""
        self._stopping = True
        for connection in tuple(self._connections):
            connection.end(Reason.SERVER_SHUTTING_DOWN, "the server is stopping")
        if self._connections:
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await self._empty.wait()
        for connection in tuple(self._connections):
            connection.abort()
        await asyncio.sleep(0)
        self.wills.end()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
