"""One connection of a client: packets in, packets out, each publish acknowledged after its commit.

Packets are handled in their order. Nearly all can be handled at once; the first that has to wait
for something, such as the catalog, is handled by a task, and those behind it wait. Readings of all
publishes that arrive together are committed together.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from wotkit.errors import Overloaded, RateLimited, StoreUnavailable, WotkitError
from wotkit.mqtt import refusals
from wotkit.mqtt.acknowledgements import Acknowledgements
from wotkit.mqtt.codec import (
    AckProperties,
    CodecError,
    Connect,
    Decoder,
    Disconnect,
    DisconnectProperties,
    PingReq,
    PingResp,
    ProtocolError,
    PubAck,
    Publish,
    PubRec,
    PubRel,
    Reason,
    Subscribe,
    TopicAliases,
    Unsubscribe,
    Version,
    encode,
    encode_pubacks,
)
from wotkit.mqtt.topics import Kind, publishable

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from wotkit.catalog.identity import Identity
    from wotkit.mqtt.acknowledgements import Place
    from wotkit.mqtt.codec import Packet
    from wotkit.mqtt.holders import Holder
    from wotkit.mqtt.service import Service
    from wotkit.mqtt.session import Session
    from wotkit.mqtt.topics import Topic
    from wotkit.readings.store import NewReading

TOPICS: Final = 1000
"""Topics of a connection that are remembered; beyond it all are forgotten and parsed again."""
RETRY_SECONDS: Final = 1.0
FIRST_PACKET_BYTES: Final = 65_536
"""The largest packet of who has not said who it is."""
GRACE: Final = 1.5
"""How many times its keep-alive a client may be silent (section 3.1.2.10)."""

_log: Final = logging.getLogger(__name__)
_PING: Final = encode(PingResp(), Version.V311)


class Transport(Protocol):
    """Where bytes go: TCP, TLS or a WebSocket."""

    def write(self, data: bytes) -> None:
        """Send bytes, or keep them until they can be sent."""
        ...

    def close(self) -> None:
        """Close when all is sent."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...

    def pause_reading(self) -> None:
        """Hand out no more bytes."""
        ...

    def resume_reading(self) -> None:
        """Hand out bytes again."""
        ...

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known of the other side."""
        ...


class Connection(asyncio.Protocol):
    """The server's side of a connection."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._metrics = service.metrics
        self._loop = asyncio.get_running_loop()
        limit = min(service.settings.max_packet_bytes, FIRST_PACKET_BYTES)
        self._decoder = Decoder(max_packet=limit)
        self.version = Version.V311
        self.holder: Holder | None = None
        self.session: Session | None = None
        self.will: Publish | None = None
        self.will_delay = 0
        self._packets: deque[Packet | CodecError] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._acknowledgements = Acknowledgements(self.write)
        self._aliases = TopicAliases(0)
        self._topics: dict[str, Topic] = {}
        self._readings: list[NewReading] = []
        self._packet_ids: list[int] = []
        self._place: Place | None = None
        self._paused = False
        self._held = False
        self._max_outgoing: int | None = None
        self.closing = False
        self.ended = "lost"
        """Why it has ended, for those who count; without a word, if nothing else is known."""
        self._lost = False
        self._heard = self._loop.time()
        self._silence = 0.0
        self._stalled: asyncio.TimerHandle | None = None
        self._reading = asyncio.Event()
        self._reading.set()
        self._timer: asyncio.TimerHandle | None = None

    # What the transport tells

    def connection_made(self, transport: Any) -> None:
        """Begin; the client has some seconds to say who it is."""
        self.transport: Transport = transport
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else "unknown"
        self._service.entered(self)
        self._timer = self._loop.call_later(self._service.settings.connect_seconds, self.abort)

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        self._heard = self._loop.time()
        self._metrics.bytes_in += len(data)
        try:
            self._packets.extend(self._decoder.feed(data))
        except CodecError as error:
            self._packets.extend(error.before)
            self._packets.append(error)
        if self._worker is None:
            self._run()
        self._throttle()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """Let what was read be handled, also the last readings of one that left, then end."""
        self._lost = True
        self._reading.set()
        self._cancel_timers()
        if self._worker is None:
            self._leave()

    def pause_writing(self) -> None:
        """Note that the client does not read, so nothing is read from it; it has some seconds."""
        self._reading.clear()
        self._throttle()
        self._stalled = self._loop.call_later(self._service.settings.stall_seconds, self.abort)

    def resume_writing(self) -> None:
        """Note that it reads again."""
        self._reading.set()
        self._throttle()
        if self._stalled is not None:
            self._stalled.cancel()

    def is_open(self) -> bool:
        """Return whether it still goes on, which may change while something is waited for."""
        return not self.closing

    @property
    def reachable(self) -> bool:
        """Whether there is a client to send something to, as far as is known."""
        return not (self.closing or self._lost)

    async def drained(self) -> None:
        """Wait until the client reads what it was sent, or is gone."""
        await self._reading.wait()

    # What others may do

    def write(self, data: bytes) -> None:
        """Send bytes, unless there is nobody any more."""
        if not self._lost:
            self._metrics.bytes_out += len(data)
            self.transport.write(data)

    def send(self, packet: Packet) -> None:
        """Send a packet, without its explanation where the client takes no packets that large."""
        try:
            self.write(encode(packet, self.version, self._max_outgoing))
        except CodecError:
            self.abort()

    def open(self, holder: Holder, session: Session, connect: Connect, keep_alive: int) -> None:
        """Go on as this client, who was let in."""
        settings = self._service.settings
        self.holder, self.session = holder, session
        self._decoder.max_packet = settings.max_packet_bytes
        self._aliases = TopicAliases(settings.max_topic_aliases)
        self._silence = keep_alive * GRACE
        self._max_outgoing = connect.properties.maximum_packet_size
        if self._timer is not None:
            self._timer.cancel()
        self._watch()

    def revoke(self) -> None:
        """Close: the key does not hold any more."""
        self.end(Reason.ADMINISTRATIVE_ACTION, "the key is revoked, has expired or was changed")

    def end(self, reason: Reason, why: str = "") -> None:
        """Close, and tell a client of version 5 why."""
        if self.closing:
            return
        self.closing = True
        self.ended = reason.name.lower()
        if self.version is Version.V5 and self.session is not None:
            properties = DisconnectProperties(reason_string=why or None)
            self.send(Disconnect(reason, properties))
        self.transport.close()
        self._loop.call_later(1.0, self.abort)

    def abort(self) -> None:
        """Close at once."""
        if not self._lost:
            if not self.closing:
                self.ended = "cut_off"
            self.closing = True
            self.transport.abort()

    def release(self) -> None:
        """Read again, after the whole server had too much to do."""
        self._held = False
        self._throttle()

    # Packets

    def _run(self) -> None:
        """Handle packets until one has to wait."""
        packets = self._packets
        while packets:
            packet = packets.popleft()
            step = self._handle(packet)
            if step is not None:
                self._submit()
                self._worker = self._loop.create_task(self._wait_for(step))
                return
        self._submit()
        if self._lost:
            self._leave()

    def _leave(self) -> None:
        """End, after the client has gone and all that it sent is handled."""
        self.closing = True
        self._cancel_timers()
        self._service.left(self)

    def _cancel_timers(self) -> None:
        for timer in (self._timer, self._stalled):
            if timer is not None:
                timer.cancel()

    async def _wait_for(self, step: Coroutine[Any, Any, None]) -> None:
        try:
            try:
                await step
            except CodecError as error:
                self._fail(error)
        except Exception:  # noqa: BLE001  # one connection ends, the others go on
            _log.exception("a packet from %s could not be handled", self.address)
            self.end(Reason.UNSPECIFIED_ERROR)
            self._loop.call_later(1.0, self.abort)
        self._worker = None
        self._run()
        self._throttle()

    def _handle(self, packet: Packet | CodecError) -> Coroutine[Any, Any, None] | None:
        """Handle a packet; return what has to be waited for."""
        if type(packet) is Publish and self.session is not None and not self.closing:
            try:
                return self._publish(packet)
            except CodecError as error:
                packet = error
        if isinstance(packet, CodecError):
            self._fail(packet)
            return None
        return self._other(packet)

    def _other(self, packet: Packet) -> Coroutine[Any, Any, None] | None:
        if type(packet) is Connect:
            self.version = packet.version
            return self._service.connect(self, packet)
        if self.session is None or self.closing:
            return None
        match packet:
            case PingReq():
                self.write(_PING)
            case PubAck(packet_id=packet_id) | PubRec(packet_id=packet_id):
                self.session.acknowledged(packet_id)
            case PubRel():
                return self.session.release(packet.packet_id)
            case Subscribe():
                return self.session.subscribe(packet)
            case Unsubscribe():
                return self.session.unsubscribe(packet)
            case Disconnect():
                self._disconnect(packet)
            case _:
                self._fail(ProtocolError(f"{type(packet).__name__} is not expected"))
        return None

    def _disconnect(self, packet: Disconnect) -> None:
        assert self.session is not None
        seconds = packet.properties.session_expiry_interval
        if seconds is not None:
            if not self.session.expiry and seconds:
                self._fail(ProtocolError("a session without expiry gets none at the end"))
                return
            self.session.expiry = min(seconds, self._service.settings.max_session_seconds)
        if packet.reason is not Reason.DISCONNECT_WITH_WILL_MESSAGE:
            self.will = None
        self._submit()
        self.closing = True
        self.ended = "client"
        self.transport.close()

    def _fail(self, error: CodecError) -> None:
        """End the connection for what the client sent."""
        if self.closing:
            return
        if self.session is None:
            self._service.refuse(self, error.reason, str(error))
        else:
            self.end(error.reason, str(error))

    # Publishes

    def _publish(self, packet: Publish) -> Coroutine[Any, Any, None] | None:
        """Take a message; its readings are committed with others that came at the same time."""
        name = packet.topic
        if packet.properties.topic_alias is not None:
            name = self._aliases.topic(packet)
            packet = msgspec.structs.replace(packet, topic=name)
        assert self.holder is not None
        topic = self._topics.get(name) or self._learn(name)
        if topic is None:
            self._forbid(packet, name)
            return None
        limit = self._service.settings.receive_maximum
        if self._acknowledgements.under_way >= limit and packet.qos and self.version is Version.V5:
            raise ProtocolError("too many publishes at once", Reason.RECEIVE_MAXIMUM_EXCEEDED)
        identity = self._service.holders.current(self.holder)
        if identity is None or packet.qos > 1 or topic.kind is not Kind.DATA:
            return self._slowly(packet, topic)
        try:
            readings = self._service.inbound.quick(identity, topic, packet.payload)
        except RateLimited:
            return self._slowly(packet, topic)
        except WotkitError as error:
            self._refused(packet, name, error)
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

    def _learn(self, name: str) -> Topic | None:
        assert self.holder is not None
        topic = publishable(self.holder.key_id, name)
        if topic is not None:
            if len(self._topics) >= TOPICS:
                self._topics.clear()
            self._topics[name] = topic
        return topic

    def _forbid(self, packet: Publish, name: str) -> None:
        """Refuse a topic that is not the key's; 3.1.1 has no way but to disconnect."""
        assert self.holder is not None
        self._metrics.publishes["forbidden"] += 1
        _log.warning("key %s may not publish to %r", self.holder.key_id, name[:200])
        if self.version is not Version.V5 or not packet.qos:
            raise ProtocolError("the key may not publish to this topic", Reason.NOT_AUTHORIZED)
        self._answer(packet, Reason.NOT_AUTHORIZED, "the key may not publish to this topic")

    def _refused(self, packet: Publish, name: str, error: WotkitError) -> None:
        """Acknowledge what will never become valid, and say why."""
        self._metrics.publishes["refused"] += 1
        if packet.qos and self.version is Version.V5:
            developer = refusals.user_properties_of(error)
            reason = refusals.reason_of(error)
            self._answer(packet, reason, error.code.message, developer)
        elif packet.qos:
            self._answer(packet, Reason.SUCCESS)
        assert self.session is not None
        self.session.send_error(name, packet, error)

    def _answer(
        self,
        packet: Publish,
        reason: Reason,
        why: str = "",
        user: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Acknowledge a publish that is not among those committed together."""
        if not packet.qos:
            return
        self._submit()
        kind = PubAck if packet.qos == 1 else PubRec
        properties = AckProperties(reason_string=why or None, user_properties=user)
        answer = kind(packet.packet_id, reason, properties)
        place = self._acknowledgements.place()
        self._acknowledgements.ready(place, encode(answer, self.version, self._max_outgoing))

    def _submit(self) -> None:
        """Have the readings that came together committed together."""
        readings, ids, place = self._readings, self._packet_ids, self._place
        if not readings:
            return
        self._readings, self._packet_ids, self._place = [], [], None
        self._service.pending += len(readings)
        if place is not None:
            place.since = self._heard
        self._commit(readings, ids, place)

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
        self._service.settle(len(readings))
        self._metrics.publishes["stored"] += len(readings)  # one reading each: see Inbound.quick
        if place is not None:
            self._acknowledgements.ready(place, encode_pubacks(ids))
            self._metrics.acknowledgement.observe(self._loop.time() - place.since, len(ids))
        self._throttle()

    def _again(
        self,
        readings: list[NewReading],
        ids: list[int],
        place: Place | None,
        error: BaseException,
    ) -> None:
        """Try later: without an acknowledgement the client keeps them, so may we while it waits."""
        if self._lost or not isinstance(error, Overloaded | StoreUnavailable):
            self._service.settle(len(readings))
            self.abort()
            return
        seconds = error.retry_after or RETRY_SECONDS
        self._loop.call_later(seconds, self._commit, readings, ids, place)

    async def _slowly(self, packet: Publish, topic: Topic) -> None:
        """Take a message for which something has to be waited for."""
        since = self._heard
        while True:
            assert self.holder is not None
            assert self.session is not None
            identity = self._service.holders.current(self.holder)
            if identity is None:
                identity = await self._service.holders.renew(self.holder)
                if identity is None:
                    return
            try:
                await self._take(identity, packet, topic)
            except (RateLimited, Overloaded, StoreUnavailable) as error:
                if self._lost:
                    return  # nobody was told that it is stored
                await asyncio.sleep(error.retry_after or RETRY_SECONDS)
                continue
            except WotkitError as error:
                self._refused(packet, packet.topic, error)
            if packet.qos:
                self._metrics.acknowledgement.observe(self._loop.time() - since)
            return

    async def _take(self, identity: Identity, packet: Publish, topic: Topic) -> None:
        assert self.session is not None
        if packet.qos > 1 and packet.packet_id in self.session.received:
            if not packet.dup:
                raise ProtocolError("the packet id is in use")
            self._metrics.publishes["repeated"] += 1
            self._answer(packet, Reason.SUCCESS)  # it was lost on its way
            return
        if topic.kind is Kind.DATA:
            readings = await self._service.inbound.readings(identity, topic, packet.payload)
            if packet.qos > 1:
                await self.session.store_once(readings, packet)
            else:
                await self._service.inbound.store(readings)
        else:
            reply = await self._service.inbound.other(identity, topic, packet.payload)
            if reply is not None:
                self._service.reply(self, identity, reply)
        if packet.qos > 1:
            self.session.received.add(packet.packet_id)
        self._metrics.publishes["stored" if topic.kind is Kind.DATA else "handled"] += 1
        self._answer(packet, Reason.SUCCESS)

    # Pressure and time

    def _throttle(self) -> None:
        """Read no more while too much waits here or in the whole server."""
        settings = self._service.settings
        if self._service.crowded and not self._held and self._acknowledgements.under_way:
            self._held = True
            self._service.hold(self)
        waiting = len(self._packets) + self._acknowledgements.under_way
        # of somebody who is not known yet nothing is kept beyond what has come with CONNECT
        most = 0 if self.session is None else settings.receive_maximum
        pause = self._held or waiting > most or not self._reading.is_set()
        if pause and not self._paused and not self._lost:
            self._paused = True
            self.transport.pause_reading()
        elif self._paused and not pause and not self._lost:
            self._paused = False
            self._heard = self._loop.time()  # what it sent meanwhile was not read
            self.transport.resume_reading()

    def _watch(self) -> None:
        """Look after the client's keep-alive."""
        if not self._paused and self._loop.time() - self._heard > self._silence:
            self.end(Reason.KEEP_ALIVE_TIMEOUT, "nothing was heard")
            return
        if not self.closing:
            self._timer = self._loop.call_later(self._silence / 4, self._watch)
