"""All MQTT connections of this process: who may come in, what they share, how they end."""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from wotkit.auth.standing import OfKey
from wotkit.catalog import commands, mqtt_sessions
from wotkit.catalog.identity import KEY_ID
from wotkit.errors import TooManySessions, WotkitError
from wotkit.mqtt import refusals
from wotkit.mqtt.codec import (
    ConnAck,
    ConnAckProperties,
    Connect,
    Publish,
    Reason,
    Version,
    encode,
)
from wotkit.mqtt.outgoing import LARGEST_ID, Outgoing
from wotkit.mqtt.session import Session
from wotkit.mqtt.topics import publishable

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from wotkit.auth.authenticator import Authenticator
    from wotkit.catalog.database import Catalog
    from wotkit.catalog.identity import Identity
    from wotkit.control.channel import Channel
    from wotkit.ingest.accept import Ingest
    from wotkit.live.streams import Streams
    from wotkit.metrics import MqttMetrics
    from wotkit.mqtt.codec import Will
    from wotkit.mqtt.connection import Connection
    from wotkit.mqtt.holders import Holders
    from wotkit.mqtt.inbound import Inbound, Reply
    from wotkit.settings import MqttSettings

NEVER: Final = 0xFFFFFFFF
"""The session expiry that means for ever (MQTT 5, section 3.1.2.11.2)."""
STOP_SECONDS: Final = 2.0

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
        self._authenticator = authenticator
        self.pending = 0
        """Readings that wait for their commit."""
        self._connections: set[Connection] = set()
        self._clients: dict[tuple[str, str], Connection] = {}
        self._on_hold: set[Connection] = set()
        self._entering: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        """Held while a client comes in: of two with the same id one comes after the other."""
        self._wills: dict[tuple[str, str], tuple[asyncio.TimerHandle, Connection]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._acknowledged: list[tuple[int, int]] = []
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

    async def connect(self, connection: Connection, packet: Connect) -> None:
        """Answer CONNECT; nothing of a session is touched before the credentials are verified."""
        if connection.session is not None or connection.closing:
            connection.end(Reason.PROTOCOL_ERROR, "CONNECT is sent once")
            return
        if packet.properties.authentication_method is not None:
            self.refuse(connection, Reason.BAD_AUTHENTICATION_METHOD, refusals.NO_SUCH_METHOD)
            return
        revision = self.holders.revision
        try:
            standing, identity = await self._verified(packet, connection.address)
        except WotkitError as error:
            self.refuse(connection, refusals.reason_of_login(error), error.code.message)
            return
        if not connection.is_open():
            return
        if self.holders.connections_of(standing.key_id) >= self.settings.max_connections_per_key:
            self.refuse(connection, Reason.QUOTA_EXCEEDED, "the key has too many connections")
            return
        if packet.will is not None and publishable(standing.key_id, packet.will.topic) is None:
            self.refuse(connection, Reason.NOT_AUTHORIZED, "the will's topic is not the key's")
            return
        await self._let_in(connection, packet, standing, identity, revision)

    async def _verified(self, packet: Connect, address: str) -> tuple[OfKey, Identity]:
        """Return who connects; only keys do.

        Raises:
            Unauthenticated, TooManyLogins, Overloaded, StoreUnavailable: it may not.
        """
        name = packet.username or ""
        password = (packet.password or b"").decode("utf-8", "replace")
        if not KEY_ID.fullmatch(name):
            name = "0" * 16  # refused, counted and noted like any wrong key
        given = base64.b64encode(f"{name}:{password}".encode()).decode()
        identity = await self._authenticator.authenticate(f"Basic {given}", address)
        return OfKey(name, password), identity

    async def _let_in(
        self,
        connection: Connection,
        packet: Connect,
        standing: OfKey,
        identity: Identity,
        revision: int,
    ) -> None:
        assigned = None if packet.client_id else f"auto-{secrets.token_hex(8)}"
        client_id = packet.client_id or assigned or ""
        if assigned and packet.version is Version.V311 and not packet.clean_start:
            self.refuse(connection, Reason.CLIENT_IDENTIFIER_NOT_VALID, "")
            return
        client = (standing.key_id, client_id)
        lock = self._entering.setdefault(client, asyncio.Lock())
        async with lock:
            if connection.is_open():
                await self._admit(connection, packet, client, (standing, identity, revision))

    async def _admit(
        self,
        connection: Connection,
        packet: Connect,
        client: tuple[str, str],
        verified: tuple[OfKey, Identity, int],
    ) -> None:
        standing, identity, revision = verified
        expiry = self._expiry(packet)
        await self._take_over(client, clean=packet.clean_start)
        try:
            opened = await self._open(client, expiry, clean=packet.clean_start)
        except TooManySessions as error:
            self.refuse(connection, Reason.QUOTA_EXCEEDED, error.code.message)
            return
        except WotkitError as error:
            self.refuse(connection, Reason.SERVER_UNAVAILABLE, error.code.message)
            return
        if not connection.is_open():
            if opened is not None:
                self._later(self.catalog.writing(mqtt_sessions.leave_session, opened.id, expiry))
            return
        keep_alive = self._keep_alive(packet)
        self._enter(connection, packet, client, opened and opened.id, expiry)
        holder = self.holders.enter(standing, identity, revision, connection)
        session = connection.session
        assert session is not None
        connection.open(holder, session, packet, keep_alive)
        present = opened is not None and opened.present
        assigned = None if packet.client_id else client[1]
        self._welcome(connection, packet, present, expiry, keep_alive, assigned)
        if opened is not None and opened.present:
            await session.restore(identity, opened.subscriptions)
            session.deliver()

    def _enter(
        self,
        connection: Connection,
        packet: Connect,
        client: tuple[str, str],
        row: int | None,
        expiry: int,
    ) -> None:
        outgoing = Outgoing(
            connection.write,
            packet.version,
            receive_maximum=packet.properties.receive_maximum or LARGEST_ID,
            max_packet=packet.properties.maximum_packet_size,
            max_bytes=self.settings.max_unsent_bytes,
        )
        connection.session = Session(self, connection, outgoing, client[1], row=row, expiry=expiry)
        self._clients[client] = connection
        if packet.will is not None:
            connection.will = _message(packet.will)
            connection.will_delay = packet.will.properties.will_delay_interval or 0

    async def _take_over(self, client: tuple[str, str], *, clean: bool) -> None:
        """End a connection of the same client, which comes again.

        Its will is done, before anything that the client says now, unless it is to wait and the
        session goes on (section 3.1.2.5).
        """
        handle, speaker = self._wills.pop(client, (None, None))
        if handle is not None:
            handle.cancel()
        before = self._clients.pop(client, None)
        if before is not None:
            before.end(Reason.SESSION_TAKEN_OVER, "the client has connected again")
            if before.session is not None:
                before.session.close()
                if before.will is not None and not min(before.will_delay, before.session.expiry):
                    await self._speak(before)
            speaker = before
        if speaker is not None and clean:
            await self._speak(speaker)
        if speaker is not None:
            speaker.will = None

    async def _speak(self, connection: Connection) -> None:
        """Do what a connection's will says, once, while its client waits."""
        try:
            await self._publish_will(connection)
        except WotkitError as error:
            _log.warning("the will of a client is not done: %s", error)

    async def _open(
        self, client: tuple[str, str], expiry: int, *, clean: bool
    ) -> mqtt_sessions.Opened | None:
        """Return the client's session; None when nothing of it is kept."""
        if not expiry:
            known = await self.catalog.reading(mqtt_sessions.exists, *client)
            if not known:
                return None
            if clean:
                await self.catalog.writing(mqtt_sessions.drop_session, *client)
                return None
        return await self.catalog.writing(
            _open, *client, expiry, self.settings.max_sessions_per_key, clean
        )

    def _expiry(self, packet: Connect) -> int:
        asked = packet.properties.session_expiry_interval
        if packet.version is Version.V311:
            asked = 0 if packet.clean_start else NEVER
        return min(asked or 0, self.settings.max_session_seconds)

    def _keep_alive(self, packet: Connect) -> int:
        most = self.settings.max_keep_alive_seconds
        return min(packet.keep_alive, most) if packet.keep_alive else most

    def _welcome(
        self,
        connection: Connection,
        packet: Connect,
        present: bool,  # as it stands in the packet
        expiry: int,
        keep_alive: int,
        assigned: str | None,
    ) -> None:
        settings = self.settings
        properties = ConnAckProperties(
            session_expiry_interval=expiry,
            receive_maximum=settings.receive_maximum,
            maximum_packet_size=settings.max_packet_bytes,
            assigned_client_identifier=assigned,
            topic_alias_maximum=settings.max_topic_aliases,
            shared_subscription_available=False,
            subscription_identifiers_available=False,
            server_keep_alive=keep_alive if keep_alive != packet.keep_alive else None,
        )
        self.metrics.accepted += 1
        connection.send(ConnAck(Reason.SUCCESS, present, properties))

    def refuse(self, connection: Connection, reason: Reason, why: str) -> None:
        """Answer CONNECT with a refusal, and close."""
        if connection.closing:
            return
        connection.closing = True
        connection.ended = reason.name.lower()
        properties = ConnAckProperties(reason_string=why or None)
        try:
            answer = encode(ConnAck(reason, properties=properties), connection.version)
        except ValueError:
            answer = b""  # what came was no CONNECT, and a client is told nothing
        connection.write(answer)
        connection.transport.close()

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
        current = self._clients.get(client) is connection
        if current:
            del self._clients[client]
        if session.row is not None and current:
            self._later(
                self.catalog.writing(mqtt_sessions.leave_session, session.row, session.expiry)
            )
        if connection.will is not None:
            self._send_will(connection, client, min(connection.will_delay, session.expiry))

    def _send_will(self, connection: Connection, client: tuple[str, str], delay: float) -> None:
        """Do what a client said is to be done when it is gone without a word."""
        loop = asyncio.get_running_loop()

        def send() -> None:
            self._wills.pop(client, None)
            self._later(self._publish_will(connection))

        if delay and not self._stopping:
            self._wills[client] = loop.call_later(delay, send), connection
        else:
            send()

    async def _publish_will(self, connection: Connection) -> None:
        will, holder = connection.will, connection.holder
        connection.will = None
        if will is None:
            return
        assert holder is not None
        topic = publishable(holder.key_id, will.topic)
        identity = await self.catalog.reading(holder.standing.renew)
        if topic is None or identity is None:
            return
        if topic.kind.value == "data":
            await self.inbound.store(await self.inbound.readings(identity, topic, will.payload))
            return
        reply = await self.inbound.other(identity, topic, will.payload)
        if reply is not None:
            self.reply(connection, identity, reply)

    # What connections do for each other

    def reply(self, connection: Connection, identity: Identity, reply: Reply) -> None:
        """Send an answer to the client, or a status to all connections of its key."""
        if reply.kind.value != "status":
            if connection.session is not None:
                connection.session.send(reply.kind, reply.payload)
            return
        for (key_id, _), other in self._clients.items():
            if key_id == identity.key_id and other.session is not None:
                if other is connection and reply.kind in other.session.no_local:
                    continue
                other.session.send(reply.kind, reply.payload)

    def acknowledge(self, session: int, message: int) -> None:
        """Note that a client got a command, together with others."""
        self.metrics.commands_acknowledged += 1
        self._acknowledged.append((session, message))
        if not self._writing:
            self._writing = True
            self._later(self._write_acknowledged())

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

    def _later(self, work: Coroutine[Any, Any, Any]) -> None:
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
        for handle, connection in self._wills.values():
            handle.cancel()
            self._later(self._publish_will(connection))
        self._wills.clear()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_SECONDS)


def _message(will: Will) -> Publish:
    return Publish(will.topic, will.payload, will.qos)


def _open(
    key_id: str,
    client_id: str,
    expiry: int,
    most: int,
    clean: bool,  # by position
) -> mqtt_sessions.Opened:
    return mqtt_sessions.open_session(key_id, client_id, expiry, most, clean=clean)
