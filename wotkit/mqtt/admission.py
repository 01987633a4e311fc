"""How a client comes in: CONNECT, its credentials, its session, CONNACK.

Nothing of a session is touched before the credentials are verified. Of two clients with the same id
that come at once, one comes in after the other and takes its place.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakValueDictionary

from wotkit.auth.standing import OfKey
from wotkit.catalog import mqtt_sessions
from wotkit.catalog.identity import KEY_ID
from wotkit.errors import TooManySessions, WotkitError
from wotkit.mqtt import refusals
from wotkit.mqtt.codec import ConnAck, ConnAckProperties, Publish, Reason, Version
from wotkit.mqtt.outgoing import LARGEST_ID, Outgoing
from wotkit.mqtt.session import Session
from wotkit.mqtt.topics import publishable

if TYPE_CHECKING:
    from wotkit.auth.authenticator import Authenticator
    from wotkit.catalog.identity import Identity
    from wotkit.mqtt.codec import Connect
    from wotkit.mqtt.connection import Connection
    from wotkit.mqtt.service import Service

NEVER: Final = 0xFFFFFFFF
"""The session expiry that means for ever (MQTT 5, section 3.1.2.11.2)."""
RETRY_SECONDS: Final = 1.0
LONGEST_RETRY_SECONDS: Final = 30.0

_log: Final = logging.getLogger(__name__)


class Verified(NamedTuple):
    """Whose credentials hold."""

    standing: OfKey
    identity: Identity
    revision: int
    """The catalog's revision before they were verified."""


class Arrival(NamedTuple):
    """A client that comes in."""

    connection: Connection
    packet: Connect
    verified: Verified
    client_id: str
    expiry: int
    """Seconds for which its session is kept after it."""
    keep_alive: int
    """Seconds."""

    @property
    def key_id(self) -> str:
        """The id of its key."""
        return self.verified.standing.key_id

    @property
    def client(self) -> tuple[str, str]:
        """By what it is known: a client id belongs to a key."""
        return self.key_id, self.client_id


class Admission:
    """Lets clients in, or refuses them."""

    def __init__(self, service: Service, authenticator: Authenticator) -> None:
        self._service = service
        self._authenticator = authenticator
        self._doors: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        """Held while a client comes in, or it is noted that it has gone."""
        self._arriving: Counter[str] = Counter()
        """By key: clients that come in and do not count as its connections yet."""

    async def connect(self, connection: Connection, packet: Connect) -> None:
        """Answer CONNECT."""
        if connection.session is not None or connection.closing:
            connection.end(Reason.PROTOCOL_ERROR, "CONNECT is sent once")
            return
        if packet.properties.authentication_method is not None:
            connection.refuse(Reason.BAD_AUTHENTICATION_METHOD, refusals.NO_SUCH_METHOD)
            return
        try:
            verified = await self._verify(packet, connection.address)
        except WotkitError as error:
            connection.refuse(refusals.reason_of_login(error), error.code.message)
            return
        arrival = self._arrival(connection, packet, verified)
        if arrival is None:
            connection.refuse(Reason.CLIENT_IDENTIFIER_NOT_VALID)
            return
        if packet.will is not None and publishable(arrival.key_id, packet.will.topic) is None:
            connection.refuse(Reason.NOT_AUTHORIZED, "the will's topic is not the key's")
            return
        async with self.door(arrival.client):
            if connection.is_open():
                await self._let_in(arrival)

    async def leave(self, client: tuple[str, str], row: int, expiry: int) -> None:
        """Let the time of a session run whose client has gone, unless it has come again.

        Args:
            client: whose session it is.
            row: its id in the catalog.
            expiry: seconds for which it is kept from now on.
        """
        service, pause = self._service, RETRY_SECONDS
        while True:
            async with service.turns, self.door(client):
                now = service.clients.get(client)
                if now is not None and now.session is not None and now.session.row == row:
                    return
                try:
                    await service.catalog.writing(mqtt_sessions.leave_session, row, expiry)
                except WotkitError as error:
                    _log.warning("that a client has gone is not noted yet: %s", error)
                    seconds = max(error.retry_after or 0, pause)
                else:
                    return
            await asyncio.sleep(seconds)
            pause = min(2 * pause, LONGEST_RETRY_SECONDS)

    def door(self, client: tuple[str, str]) -> asyncio.Lock:
        """Return what is held while it changes which session is a client's."""
        return self._doors.setdefault(client, asyncio.Lock())

    async def _verify(self, packet: Connect, address: str) -> Verified:
        """Return who connects; only keys do.

        Raises:
            Unauthenticated, TooManyLogins, Overloaded, StoreUnavailable: it may not.
        """
        revision = self._service.holders.revision
        name = packet.username or ""
        password = (packet.password or b"").decode("utf-8", "replace")
        if not KEY_ID.fullmatch(name):
            name = "0" * 16  # refused, counted and noted like any wrong key
        given = base64.b64encode(f"{name}:{password}".encode()).decode()
        identity = await self._authenticator.authenticate(f"Basic {given}", address)
        return Verified(OfKey(name, password), identity, revision)

    def _arrival(
        self, connection: Connection, packet: Connect, verified: Verified
    ) -> Arrival | None:
        """Return what is asked for, within the limits; None: not without a client id."""
        settings = self._service.settings
        expiry = packet.properties.session_expiry_interval or 0
        if packet.version is Version.V311:
            expiry = 0 if packet.clean_start else NEVER
            if expiry and not packet.client_id:
                return None
        most = settings.max_keep_alive_seconds
        return Arrival(
            connection,
            packet,
            verified,
            client_id=packet.client_id or f"auto-{secrets.token_hex(8)}",
            expiry=min(expiry, settings.max_session_seconds),
            keep_alive=min(packet.keep_alive, most) if packet.keep_alive else most,
        )

    async def _let_in(self, arrival: Arrival) -> None:
        connection, key_id = arrival.connection, arrival.key_id
        if self._connections_beside(arrival) >= self._service.settings.max_connections_per_key:
            connection.refuse(Reason.QUOTA_EXCEEDED, "the key has too many connections")
            return
        self._arriving[key_id] += 1
        try:
            before = await self._take_over(arrival)
            opened = await self._open(arrival)
        except TooManySessions as error:
            connection.refuse(Reason.QUOTA_EXCEEDED, error.code.message)
            return
        except WotkitError as error:
            connection.refuse(Reason.SERVER_UNAVAILABLE, error.code.message)
            return
        finally:
            self._arriving[key_id] -= 1
            if not self._arriving[key_id]:
                del self._arriving[key_id]
        if connection.is_open():
            self._service.wills.forget(arrival.client, before)
            session = self._enter(arrival, opened)
            if opened is not None and opened.present:
                await session.restore(arrival.verified.identity, opened.subscriptions)
                session.deliver()
        elif opened is not None:
            self._service.later(self.leave(arrival.client, opened.id, arrival.expiry))

    def _connections_beside(self, arrival: Arrival) -> int:
        """Return how many connections the key has or is about to have, but this client's."""
        service, key_id = self._service, arrival.key_id
        own = arrival.client in service.clients
        return service.holders.connections_of(key_id) + self._arriving[key_id] - own

    async def _take_over(self, arrival: Arrival) -> Connection | None:
        """End a connection of the same client, which comes again, and return it.

        Its will is done, before anything that the client says now, unless it is to wait and the
        session goes on (section 3.1.2.5); then it waits until the client is let in.
        """
        service, clean = self._service, arrival.packet.clean_start
        before = service.clients.pop(arrival.client, None)
        if before is not None:
            before.end(Reason.SESSION_TAKEN_OVER, "the client has connected again")
            if before.holder is not None and before.session is not None:
                service.holders.leave(before.holder, before)
                before.session.close()
                if clean or not min(before.will_delay, before.session.expiry):
                    await service.wills.speak(before)
        elif clean:
            await service.wills.speak_now(arrival.client)
        return before

    async def _open(self, arrival: Arrival) -> mqtt_sessions.Opened | None:
        """Return the client's session; None when nothing of it is kept.

        Raises:
            TooManySessions, Overloaded, StoreUnavailable: it cannot have one.
        """
        catalog, clean = self._service.catalog, arrival.packet.clean_start
        if not arrival.expiry:
            known = await catalog.reading(mqtt_sessions.exists, *arrival.client)
            if not known:
                return None
            if clean:
                await catalog.writing(mqtt_sessions.drop_session, *arrival.client)
                return None
        most = self._service.settings.max_sessions_per_key
        return await catalog.writing(_open, *arrival.client, arrival.expiry, most, clean)

    def _enter(self, arrival: Arrival, opened: mqtt_sessions.Opened | None) -> Session:
        """Make the client one of those that are connected, and welcome it."""
        service, connection, packet = self._service, arrival.connection, arrival.packet
        outgoing = Outgoing(
            connection.write,
            packet.version,
            receive_maximum=packet.properties.receive_maximum or LARGEST_ID,
            max_packet=packet.properties.maximum_packet_size,
            max_bytes=service.settings.max_unsent_bytes,
        )
        row = None if opened is None else opened.id
        session = Session(
            service, connection, outgoing, arrival.client_id, row=row, expiry=arrival.expiry
        )
        if packet.will is not None:
            connection.will = Publish(packet.will.topic, packet.will.payload, packet.will.qos)
            connection.will_delay = packet.will.properties.will_delay_interval or 0
        holder = service.holders.enter(*arrival.verified, connection)
        connection.open(holder, session, packet, arrival.keep_alive)
        service.clients[arrival.client] = connection
        service.metrics.accepted += 1
        connection.send(self._welcome(arrival, present=opened is not None and opened.present))
        return session

    def _welcome(self, arrival: Arrival, *, present: bool) -> ConnAck:
        settings, packet = self._service.settings, arrival.packet
        shorter = arrival.keep_alive != packet.keep_alive
        properties = ConnAckProperties(
            session_expiry_interval=arrival.expiry,
            receive_maximum=settings.receive_maximum,
            maximum_packet_size=settings.max_packet_bytes,
            assigned_client_identifier=None if packet.client_id else arrival.client_id,
            topic_alias_maximum=settings.max_topic_aliases,
            shared_subscription_available=False,
            subscription_identifiers_available=False,
            server_keep_alive=arrival.keep_alive if shorter else None,
        )
        return ConnAck(Reason.SUCCESS, present, properties)


def _open(
    key_id: str,
    client_id: str,
    expiry: int,
    most: int,
    clean: bool,  # by position
) -> mqtt_sessions.Opened:
    return mqtt_sessions.open_session(key_id, client_id, expiry, most, clean=clean)
