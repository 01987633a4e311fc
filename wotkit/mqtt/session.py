"""The session of a connected client: its subscriptions, and what it gets because of them.

What must outlive the connection, subscriptions and the commands that wait, is in the catalog
(:mod:`wotkit.catalog.mqtt_sessions`); a session that ends with its connection has a row there only
while it subscribes to commands.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from wotkit import strict_json, times
from wotkit.catalog import commands, mqtt_sessions
from wotkit.catalog.identity import READ
from wotkit.catalog.sensor_query import SensorQuery
from wotkit.errors import NotFound, Overloaded, StoreUnavailable, WotkitError
from wotkit.live.items import READING, End
from wotkit.mqtt import refusals
from wotkit.mqtt.codec import (
    ProtocolError,
    PubComp,
    Publish,
    PublishProperties,
    Reason,
    SubAck,
    UnsubAck,
)
from wotkit.mqtt.outgoing import Full
from wotkit.mqtt.topics import Kind, name_of, subscribable
from wotkit.readings.store import Kind as Outcome
from wotkit.readings.store import Resend

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wotkit.catalog.identity import Identity
    from wotkit.catalog.mqtt_sessions import Subscribed
    from wotkit.live.stream import Stream
    from wotkit.mqtt.codec import Subscribe, Subscription, Unsubscribe
    from wotkit.mqtt.connection import Connection
    from wotkit.mqtt.outgoing import Outgoing
    from wotkit.mqtt.service import Service
    from wotkit.mqtt.topics import Topic
    from wotkit.readings.store import NewReading

RETRY_SECONDS: Final = 1.0
_log: Final = logging.getLogger(__name__)


class Session:
    """What a client has beside its connection; to be used on the event loop's thread."""

    def __init__(
        self,
        service: Service,
        connection: Connection,
        outgoing: Outgoing,
        client_id: str,
        *,
        row: int | None,
        expiry: int,
    ) -> None:
        self._service = service
        self._connection = connection
        self._outgoing = outgoing
        self.client_id = client_id
        self.row = row
        """Its id in the catalog, if it is there."""
        self.expiry = expiry
        """Seconds for which it is kept after the connection."""
        self.received: set[int] = set()
        """Packet ids of QoS 2 that the client has not released."""
        self._granted: dict[str, int] = {}
        self._kinds: dict[Kind, int] = {}
        """The QoS with which a topic without a sensor is subscribed to."""
        self._live: dict[str, tuple[Stream, asyncio.Task[None]]] = {}
        self.no_local: set[Kind] = set()
        """What the client is not to get of what it has published itself ([MQTT-3.8.3-3])."""
        self._commands: dict[str, int] = {}
        """The QoS with which each filter of commands is subscribed to."""
        self._last_command = 0
        self._earlier: set[int] = set()
        """Commands before the last one that a new subscription asks for."""
        self._delivering: asyncio.Task[None] | None = None
        self._more = False

    # Subscriptions

    async def restore(self, identity: Identity, subscriptions: list[Subscribed]) -> None:
        """Go on with the subscriptions of before."""
        for one in subscriptions:
            topic = subscribable(self._key_id, one.filter)
            if topic is None:
                continue
            try:
                await self._begin(identity, topic, one.filter, one.qos)
            except WotkitError as error:
                _log.info("a subscription to %r does not go on: %s", one.filter, error)

    async def subscribe(self, packet: Subscribe) -> None:
        """Answer SUBSCRIBE: a reason for each filter.

        Raises:
            ProtocolError: it has an identifier, which CONNACK rules out (section 3.2.2.3.12).
        """
        if packet.properties.subscription_identifier is not None:
            raise ProtocolError(
                "there are no subscription identifiers",
                Reason.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED,
            )
        reasons, before = [], set(self._granted)
        for asked in packet.subscriptions:
            try:
                reasons.append(await self._subscribe(asked.filter, min(asked.qos, 1)))
                self._note_options(asked)
            except NotFound:
                reasons.append(Reason.NOT_AUTHORIZED)
            except WotkitError as error:
                busy = error.retry_after is not None
                reasons.append(Reason.QUOTA_EXCEEDED if busy else Reason.NOT_AUTHORIZED)
        self._connection.send(SubAck(packet.packet_id, tuple(reasons)))
        for asked, reason in zip(packet.subscriptions, reasons, strict=True):
            if reason < Reason.UNSPECIFIED_ERROR:
                old = asked.filter in before
                retained = not asked.retain_handling or (asked.retain_handling == 1 and not old)
                await self._welcome(asked.filter, retained=retained)

    def _note_options(self, asked: Subscription) -> None:
        topic = subscribable(self._key_id, asked.filter)
        if topic is not None and asked.no_local:
            self.no_local.add(topic.kind)
        elif topic is not None:
            self.no_local.discard(topic.kind)

    async def unsubscribe(self, packet: Unsubscribe) -> None:
        """Answer UNSUBSCRIBE."""
        reasons = []
        for topic_filter in packet.filters:
            known = self._granted.pop(topic_filter, None) is not None
            self._end(topic_filter)
            if self.row is not None:  # which may keep one that could not go on
                forget = partial(mqtt_sessions.unsubscribe, self.row, topic_filter)
                known |= bool(await self._patiently(partial(self._service.catalog.writing, forget)))
            reasons.append(Reason.SUCCESS if known else Reason.NO_SUBSCRIPTION_EXISTED)
        self._connection.send(UnsubAck(packet.packet_id, tuple(reasons)))

    async def _subscribe(self, topic_filter: str, qos: int) -> Reason:
        if topic_filter.startswith("$share/"):
            return Reason.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
        topic = subscribable(self._key_id, topic_filter)
        if topic is None:
            return Reason.NOT_AUTHORIZED
        is_new = topic_filter not in self._granted
        if is_new and len(self._granted) >= self._service.settings.max_subscriptions:
            return Reason.QUOTA_EXCEEDED
        identity = await self._identity()
        if identity is None or not self._connection.is_open():  # its session is another's by now
            return Reason.NOT_AUTHORIZED
        if topic.kind is Kind.COMMANDS:
            row = await self._need_row()
            if row is None:
                return Reason.NOT_AUTHORIZED
            earlier = await self._service.catalog.writing(
                mqtt_sessions.subscribe_commands, identity, row, topic_filter, topic.sensor, qos
            )
            self._earlier.update(each for each in earlier if each <= self._last_command)
        await self._begin(identity, topic, topic_filter, qos)
        if topic.kind is not Kind.COMMANDS and self.expiry and self.row is not None:
            # only what was granted is kept, or refused filters would fill the catalog
            await self._service.catalog.writing(
                mqtt_sessions.subscribe, self.row, topic_filter, qos
            )
        return Reason(qos)

    async def _begin(self, identity: Identity, topic: Topic, topic_filter: str, qos: int) -> None:
        if not self._connection.is_open():
            return  # what follows the session is another connection by now
        self._end(topic_filter)
        self._granted.pop(topic_filter, None)
        if topic.kind is Kind.LIVE:
            await self._follow(identity, topic_filter, topic)
        elif topic.kind is Kind.COMMANDS:
            self._commands[topic_filter] = qos
            assert self.row is not None
            self._service.channel.follow(self.row, self.deliver)
        else:
            self._kinds[topic.kind] = qos
        self._granted[topic_filter] = qos

    def _end(self, topic_filter: str) -> None:
        """End what runs for a filter."""
        live = self._live.pop(topic_filter, None)
        if live is not None:
            live[0].close()  # a task that has not begun would not
            live[1].cancel()
        self._commands.pop(topic_filter, None)
        topic = subscribable(self._key_id, topic_filter)
        if topic is not None and topic.kind not in {Kind.LIVE, Kind.COMMANDS}:
            self._kinds.pop(topic.kind, None)

    async def _welcome(self, topic_filter: str, *, retained: bool) -> None:
        """Send what is there already for a new subscription."""
        topic = subscribable(self._key_id, topic_filter)
        if topic is None:
            return
        if topic.kind is Kind.COMMANDS:
            self.deliver()
        elif topic.kind is Kind.STATUS and retained:
            found = await self._service.catalog.reading(mqtt_sessions.status, self._key_id)
            if found is not None and found[0]:  # an empty one takes it back ([MQTT-3.3.1-6])
                self.send(Kind.STATUS, found[0].encode(), retain=True)

    async def _need_row(self) -> int | None:
        """Return the row of the session, which may have needed none before.

        None when the client has come again: the row of that session is not for this one.
        """
        if self.row is None:
            most = self._service.settings.max_sessions_per_key
            async with self._service.admission.door((self._key_id, self.client_id)):
                if not self._connection.is_open():
                    return None
                opened = await self._service.catalog.writing(
                    _open, self._key_id, self.client_id, self.expiry, most
                )
                self.row = opened.id
        return self.row

    # What the client gets

    def send(
        self,
        kind: Kind,
        payload: bytes,
        *,
        retain: bool = False,
        properties: PublishProperties | None = None,
    ) -> None:
        """Send something on one of the key's own topics, if the client has subscribed to it."""
        qos = self._kinds.get(kind)
        if qos is None or not self._connection.reachable:
            return
        message = Publish(
            name_of(self._key_id, kind),
            payload,
            qos,
            retain=retain,
            properties=properties or PublishProperties(),
        )
        self._publish(message)

    def send_error(self, topic: str, packet: Publish, error: WotkitError) -> None:
        """Tell what was refused, if the client wants to know."""
        if Kind.ERRORS not in self._kinds:
            return
        correlation = packet.properties.correlation_data
        body: dict[str, Any] = {"error": refusals.shape_of(error), "topic": topic}
        if packet.qos:
            body["packetId"] = packet.packet_id
        self.send(
            Kind.ERRORS,
            strict_json.encode(body),
            properties=PublishProperties(correlation_data=correlation),
        )

    def acknowledged(self, packet_id: int) -> None:
        """Note a PUBACK, and send what waited for it."""
        try:
            command = self._outgoing.acknowledged(packet_id)
        except KeyError:
            return  # of a connection before this one
        if command is not None and self.row is not None:
            self._service.acknowledge(self.row, command)
        if self._more:
            self.deliver()

    def deliver(self) -> None:
        """Send commands that wait, as many as the client takes; more when it acknowledges."""
        self._more = True
        if self._delivering is None and self._connection.reachable:
            self._delivering = asyncio.get_running_loop().create_task(self._deliver())

    async def _deliver(self) -> None:
        try:
            while self._more and self._connection.reachable:
                room = self._room
                if room <= 0:
                    return
                self._more = False
                await self._deliver_some(room)
        except WotkitError as error:
            _log.warning("commands cannot be read now: %s", error)
            loop = asyncio.get_running_loop()
            loop.call_later(error.retry_after or RETRY_SECONDS, self.deliver)
        finally:
            self._delivering = None

    @property
    def _commands_qos(self) -> int:
        return max(self._commands.values(), default=0)

    @property
    def _room(self) -> int:
        """How many commands the client takes now: none is to wait here, where it would expire."""
        room = self._service.settings.commands_in_flight - self._outgoing.commands
        return min(room, self._outgoing.free) if self._commands_qos else room

    async def _deliver_some(self, room: int) -> None:
        identity = await self._identity()
        if identity is None or self.row is None:
            return
        earlier = sorted(self._earlier)[:room]
        after = 0 if earlier else self._last_command
        unwritten = self._service.unwritten.copy()
        found = await self._service.catalog.reading(
            commands.pending, identity, self.row, after, room + 1, earlier
        )
        self._more = self._more or len(found) > room or bool(earlier)
        for command in found[:room]:
            if self._room <= 0:  # something else was sent meanwhile
                self._more = True
                return
            self._earlier.discard(command.id)
            self._last_command = max(self._last_command, command.id)
            if (self.row, command.id) in unwritten:
                continue  # the client has it from a connection before this one
            self._service.metrics.commands_sent += 1
            self._send_command(command)
        self._earlier.difference_update(earlier)

    def _send_command(self, command: commands.Command) -> None:
        left = command.seconds_left()
        if left == 0:
            return
        body: dict[str, Any] = {"id": command.id, "sensor": command.sensor}
        body["message"] = strict_json.decode(command.body.encode())
        if command.expires is not None:
            body["expires"] = times.to_iso(command.expires)
        message = Publish(
            name_of(self._key_id, Kind.COMMANDS, command.sensor),
            strict_json.encode(body),
            self._commands_qos,
            properties=PublishProperties(message_expiry_interval=left),
        )
        done = not self._commands_qos
        if not self._publish(message, command.id):
            # too large for the client: it counts as sent ([MQTT-3.1.2-25]), if it does not expire
            done = command.expires is None and self._connection.is_open()
        if done and self.row is not None:
            self._service.acknowledge(self.row, command.id)

    def _publish(self, message: Publish, command: int | None = None) -> bool:
        try:
            return self._outgoing.publish(message, command)
        except Full:
            self._connection.end(Reason.QUOTA_EXCEEDED, "too much waits to be acknowledged")
            return False

    # Live readings

    async def _follow(self, identity: Identity, topic_filter: str, topic: Topic) -> None:
        identity.require(READ)
        assert topic.sensor is not None
        assert self._connection.holder is not None
        streams = self._service.streams
        wanted, names = await streams.select(identity, [topic.sensor], SensorQuery())
        stream = await streams.open(
            self._connection.holder.standing,
            wanted,
            names,
            account=str(identity.user_id),
            abort=self._connection.abort,
        )
        task = asyncio.get_running_loop().create_task(self._pass_on(stream, topic))
        self._live[topic_filter] = (stream, task)

    async def _pass_on(self, stream: Stream, topic: Topic) -> None:
        """Send the readings of a stream, until it ends or the subscription does."""
        name = name_of(self._key_id, Kind.LIVE, topic.sensor)
        try:
            async for items in stream:
                for item in items:
                    if item.event == READING:
                        self._publish(Publish(name, item.data.encode()))
                await self._connection.drained()
            if stream.code is End.SLOW_READER:
                self._connection.end(Reason.QUOTA_EXCEEDED, "readings are not read fast enough")
        finally:
            stream.close()

    # QoS 2

    async def store_once(self, readings: list[NewReading], packet: Publish) -> None:
        """Store what a publish of QoS 2 holds, once, also when it comes again after a crash.

        A client that has lost its own state begins with packet ids that it never released. What
        comes with one of these is new, unless it says that it comes again and is the same.

        Raises:
            Overloaded, StoreUnavailable: try again later.
        """
        inbound = self._service.inbound
        if self.row is None or not self.expiry:
            await inbound.store(readings)
            return
        fingerprint = hashlib.sha256(packet.topic.encode() + b"\0" + packet.payload).digest()
        resend = Resend(self._caller, str(packet.packet_id), fingerprint)
        kind = await inbound.store(readings, resend)
        if kind is Outcome.MISMATCH or (kind is Outcome.REPLAYED and not packet.dup):
            await self._service.ingest.forget(resend.caller, resend.key)
            await inbound.store(readings, resend)

    async def release(self, packet_id: int) -> None:
        """Answer PUBREL: the packet id may be used for something else from now on."""
        self.received.discard(packet_id)
        if self.row is not None and self.expiry:
            forget = partial(self._service.ingest.forget, self._caller, str(packet_id))
            await self._patiently(forget)
        self._connection.send(PubComp(packet_id))

    @property
    def _caller(self) -> str:
        return f"mqtt:{self.row}"

    # The end

    def close(self) -> None:
        """End what runs for the session."""
        for topic_filter in tuple(self._live):
            self._end(topic_filter)
        if self._delivering is not None:
            self._delivering.cancel()
        if self.row is not None:
            self._service.channel.unfollow(self.row, self.deliver)

    @property
    def _key_id(self) -> str:
        assert self._connection.holder is not None
        return self._connection.holder.key_id

    async def _patiently(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do something as soon as there is time for it, as long as the client waits."""
        while True:
            try:
                return await work()
            except (Overloaded, StoreUnavailable) as error:
                if not self._connection.reachable:
                    return None
                await asyncio.sleep(error.retry_after or RETRY_SECONDS)

    async def _identity(self) -> Identity | None:
        holder = self._connection.holder
        assert holder is not None
        return self._service.holders.current(holder) or await self._service.holders.renew(holder)


def _open(key_id: str, client_id: str, expiry: int, most: int) -> mqtt_sessions.Opened:
    return mqtt_sessions.open_session(key_id, client_id, expiry, most, clean=True)
