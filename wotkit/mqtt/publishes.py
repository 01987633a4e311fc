"""What one client publishes, each message acknowledged after its commit.

Readings of all messages that arrive together are committed together. What has to wait for something
besides, and what will be stored once only, goes a slower way, one message after the other.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from wotkit.errors import Overloaded, RateLimited, StoreUnavailable, WotkitError
from wotkit.mqtt import refusals
from wotkit.mqtt.acknowledgements import Acknowledgements
from wotkit.mqtt.codec import (
    AckProperties,
    ProtocolError,
    PubAck,
    PubRec,
    Reason,
    TopicAliases,
    Version,
    encode,
    encode_pubacks,
)
from wotkit.mqtt.topics import Kind, publishable

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from wotkit.catalog.identity import Identity
    from wotkit.mqtt.acknowledgements import Place
    from wotkit.mqtt.codec import Publish
    from wotkit.mqtt.connection import Connection
    from wotkit.mqtt.holders import Holder
    from wotkit.mqtt.service import Service
    from wotkit.mqtt.session import Session
    from wotkit.mqtt.topics import Topic
    from wotkit.readings.store import NewReading

TOPICS: Final = 1000
"""Topics of a client that are remembered; beyond it all are forgotten and parsed again."""
RETRY_SECONDS: Final = 1.0

_log: Final = logging.getLogger(__name__)


class Publishes:
    """The inbound messages of a client that was let in."""

    def __init__(
        self, service: Service, connection: Connection, holder: Holder, session: Session
    ) -> None:
        self._service = service
        self._metrics = service.metrics
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._version = connection.version
        self._holder = holder
        self._session = session
        self._acknowledgements = Acknowledgements(connection.write)
        self._aliases = TopicAliases(service.settings.max_topic_aliases)
        self._topics: dict[str, Topic] = {}
        self._readings: list[NewReading] = []
        self._packet_ids: list[int] = []
        self._place: Place | None = None
        self._forbidden = False
        """Whether something was: only the first is logged, or one client would fill the log."""
        self._unanswered = 0
        """Readings of QoS 0 that wait for their commit."""

    @property
    def under_way(self) -> int:
        """How many wait for their acknowledgement or, where they get none, for their commit."""
        return self._acknowledgements.under_way + self._unanswered

    def take(self, packet: Publish) -> Coroutine[Any, Any, None] | None:
        """Take a message; return what has to be waited for before the next one.

        Its readings are committed with those of others at the next :meth:`submit`.

        Raises:
            CodecError: the client may not send this, now or at all.
        """
        name = packet.topic
        if packet.properties.topic_alias is not None:
            name = self._aliases.topic(packet)
            packet = msgspec.structs.replace(packet, topic=name)
        topic = self._topics.get(name) or self._learn(name)
        if topic is None:
            self._forbid(packet, name)
            return None
        limit = self._service.settings.receive_maximum
        if self._acknowledgements.under_way >= limit and packet.qos and self._version is Version.V5:
            raise ProtocolError("too many publishes at once", Reason.RECEIVE_MAXIMUM_EXCEEDED)
        identity = self._service.holders.current(self._holder)
        if identity is None or packet.qos > 1 or topic.kind is not Kind.DATA:
            return self._slowly(packet, topic)
        try:
            readings = self._service.inbound.quick(identity, topic, packet.payload)
        except RateLimited:
            return self._slowly(packet, topic)
        except WotkitError as error:
            self._refuse(packet, name, error)
            return None
        if readings is None:
            return self._slowly(packet, topic)
        self._readings += readings
        if packet.qos:
            self._packet_ids.append(packet.packet_id)
            if self._place is None:
                self._place = self._acknowledgements.place()
            else:
                self._acknowledgements.more(self._place)
        return None

    def submit(self) -> None:
        """Have the readings that came together committed together."""
        readings, ids, place = self._readings, self._packet_ids, self._place
        if not readings:
            return
        self._readings, self._packet_ids, self._place = [], [], None
        self._service.pending += len(readings)
        self._unanswered += len(readings) - len(ids)  # one reading each: see Inbound.quick
        if place is not None:
            place.since = self._connection.heard
        self._commit(readings, ids, place)

    # Topics and answers

    def _learn(self, name: str) -> Topic | None:
        topic = publishable(self._holder.key_id, name)
        if topic is not None:
            if len(self._topics) >= TOPICS:
                self._topics.clear()
            self._topics[name] = topic
        return topic

    def _forbid(self, packet: Publish, name: str) -> None:
        """Refuse a topic that is not the key's; 3.1.1 has no way but to disconnect."""
        self._metrics.publishes["forbidden"] += 1
        level = logging.DEBUG if self._forbidden else logging.WARNING
        _log.log(level, "key %s may not publish to %r", self._holder.key_id, name[:200])
        self._forbidden = True
        if self._version is not Version.V5 or not packet.qos:
            raise ProtocolError("the key may not publish to this topic", Reason.NOT_AUTHORIZED)
        self._answer(packet, Reason.NOT_AUTHORIZED, "the key may not publish to this topic")

    def _refuse(self, packet: Publish, name: str, error: WotkitError) -> None:
        """Acknowledge what will never become valid, and say why."""
        self._metrics.publishes["refused"] += 1
        if packet.qos and self._version is Version.V5:
            developer = refusals.user_properties_of(error)
            reason = refusals.reason_of(error)
            self._answer(packet, reason, error.code.message, developer)
        elif packet.qos:
            self._answer(packet, Reason.SUCCESS)
        self._session.send_error(name, packet, error)

    def _answer(
        self,
        packet: Publish,
        reason: Reason,
        why: str = "",
        user: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Acknowledge a message that is not among those committed together."""
        if not packet.qos:
            return
        self.submit()
        kind = PubAck if packet.qos == 1 else PubRec
        properties = AckProperties()
        if self._connection.explains:
            properties = AckProperties(reason_string=why or None, user_properties=user)
        answer = kind(packet.packet_id, reason, properties)
        place = self._acknowledgements.place()
        most = self._connection.max_outgoing
        self._acknowledgements.ready(place, encode(answer, self._version, most))

    # The quick way: many together

    def _commit(self, readings: list[NewReading], ids: list[int], place: Place | None) -> None:
        try:
            future = self._service.ingest.submit(readings)
        except Overloaded as error:
            self._again(readings, ids, place, error)
            return
        future.add_done_callback(partial(self._committed, readings, ids, place))

    def _committed(
        self,
        readings: list[NewReading],
        ids: list[int],
        place: Place | None,
        future: asyncio.Future[Any],
    ) -> None:
        error = future.exception()
        if error is not None:
            self._again(readings, ids, place, error)
            return
        self._settle(readings, ids)
        self._metrics.publishes["stored"] += len(readings)
        if place is not None:
            self._acknowledgements.ready(place, encode_pubacks(ids))
            self._metrics.acknowledgement.observe(self._loop.time() - place.since, len(ids))
        self._connection.throttle()

    def _again(
        self,
        readings: list[NewReading],
        ids: list[int],
        place: Place | None,
        error: BaseException,
    ) -> None:
        """Try later: without an acknowledgement the client keeps them, so may we while it waits."""
        if self._connection.lost or not isinstance(error, Overloaded | StoreUnavailable):
            self._settle(readings, ids)
            self._connection.abort()
            return
        seconds = error.retry_after or RETRY_SECONDS
        self._loop.call_later(seconds, self._commit, readings, ids, place)

    def _settle(self, readings: list[NewReading], ids: list[int]) -> None:
        """Note that readings wait no more."""
        self._unanswered -= len(readings) - len(ids)
        self._service.settle(len(readings))

    # The slow way: one by one

    async def _slowly(self, packet: Publish, topic: Topic) -> None:
        """Take a message for which something has to be waited for."""
        since = self._connection.heard
        while True:
            try:
                identity = self._service.holders.current(self._holder)
                if identity is None:
                    identity = await self._service.holders.renew(self._holder)
                    if identity is None:
                        return
                await self._store(identity, packet, topic)
            except (RateLimited, Overloaded, StoreUnavailable) as error:
                if self._connection.lost:
                    return  # nobody was told that it is stored
                await asyncio.sleep(error.retry_after or RETRY_SECONDS)
                continue
            except WotkitError as error:
                self._refuse(packet, packet.topic, error)
            if packet.qos:
                self._metrics.acknowledgement.observe(self._loop.time() - since)
            return

    async def _store(self, identity: Identity, packet: Publish, topic: Topic) -> None:
        """Do what a message asks for, and acknowledge it."""
        session, inbound = self._session, self._service.inbound
        if packet.qos > 1 and packet.packet_id in session.received:
            if not packet.dup:
                raise ProtocolError("the packet id is in use")
            self._metrics.publishes["repeated"] += 1
            self._answer(packet, Reason.SUCCESS)  # it was lost on its way
            return
        if topic.kind is Kind.DATA:
            readings = await inbound.readings(identity, topic, packet.payload)
            if packet.qos > 1:
                await session.store_once(readings, packet)
            else:
                await inbound.store(readings)
        else:
            reply = await inbound.other(identity, topic, packet.payload)
            if reply is not None:
                self._service.reply(self._connection, identity, reply)
        if packet.qos > 1:
            session.received.add(packet.packet_id)
        self._metrics.publishes["stored" if topic.kind is Kind.DATA else "handled"] += 1
        self._answer(packet, Reason.SUCCESS)
