"""One connection of a client: packets in, packets out, in their order.

Nearly all can be handled at once; the first that has to wait for something, such as the catalog, is
handled by a task, and those behind it wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from wotkit.mqtt.codec import (
    CodecError,
    ConnAck,
    ConnAckProperties,
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
    Unsubscribe,
    Version,
    encode,
)
from wotkit.mqtt.publishes import Publishes

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from wotkit.mqtt.codec import Packet
    from wotkit.mqtt.holders import Holder
    from wotkit.mqtt.service import Service
    from wotkit.mqtt.session import Session

FIRST_PACKET_BYTES: Final = 65_536
"""The largest packet of who has not said who it is."""
GRACE: Final = 1.5
"""How many times its keep-alive a client may be silent (section 3.1.2.10)."""
CLOSING_SECONDS: Final = 1.0
"""How long the client may take to read the rest before it is cut off."""

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
        self._publishes: Publishes | None = None
        """Once the client is let in."""
        self._paused = False
        self._held = False
        self.max_outgoing: int | None = None
        """The largest packet that the client takes, in bytes; None: it has not said."""
        self.explains = True
        """Whether the client wants to know why it is refused something (section 3.1.2.11.7)."""
        self.closing = False
        self.ended = "lost"
        """Why it has ended, for those who count; without a word, if nothing else is known."""
        self.lost = False
        """Whether there is nobody at the other end any more."""
        self.heard = self._loop.time()
        """When the last bytes came, in the event loop's time."""
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
        self.heard = self._loop.time()
        self._metrics.bytes_in += len(data)
        try:
            self._packets.extend(self._decoder.feed(data))
        except CodecError as error:
            self._packets.extend(error.before)
            self._packets.append(error)
        if self._worker is None:
            self._run()
        self.throttle()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """Let what was read be handled, also the last readings of one that left, then end."""
        self.lost = True
        self._reading.set()
        self._cancel_timers()
        if self._worker is None:
            self._leave()

    def pause_writing(self) -> None:
        """Note that the client does not read, so nothing is read from it; it has some seconds."""
        self._reading.clear()
        self.throttle()
        self._stalled = self._loop.call_later(self._service.settings.stall_seconds, self.abort)

    def resume_writing(self) -> None:
        """Note that it reads again."""
        self._reading.set()
        self.throttle()
        if self._stalled is not None:
            self._stalled.cancel()

    def is_open(self) -> bool:
        """Return whether it still goes on, which may change while something is waited for."""
        return not self.closing

    @property
    def reachable(self) -> bool:
        """Whether there is a client to send something to, as far as is known."""
        return not (self.closing or self.lost)

    async def drained(self) -> None:
        """Wait until the client reads what it was sent, or is gone."""
        await self._reading.wait()

    # What others may do

    def write(self, data: bytes) -> None:
        """Send bytes, unless there is nobody any more."""
        if not self.lost:
            self._metrics.bytes_out += len(data)
            self.transport.write(data)

    def send(self, packet: Packet) -> None:
        """Send a packet, without its explanation where the client takes no packets that large."""
        try:
            self.write(encode(packet, self.version, self.max_outgoing))
        except CodecError:
            self.abort()

    def refuse(self, reason: Reason, why: str = "") -> None:
        """Answer CONNECT with a refusal, and close."""
        if self.closing:
            return
        self.closing = True
        self.ended = reason.name.lower()
        properties = ConnAckProperties(reason_string=why or None)
        with suppress(ValueError):  # what came was no CONNECT, and a client is told nothing
            self.write(encode(ConnAck(reason, properties=properties), self.version))
        self.transport.close()

    def open(self, holder: Holder, session: Session, connect: Connect, keep_alive: int) -> None:
        """Go on as this client, who was let in."""
        settings = self._service.settings
        self.holder, self.session = holder, session
        self._decoder.max_packet = settings.max_packet_bytes
        self._silence = keep_alive * GRACE
        self.max_outgoing = connect.properties.maximum_packet_size
        self.explains = connect.properties.request_problem_information is not False
        self._publishes = Publishes(self._service, self, holder, session)
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
        self._loop.call_later(CLOSING_SECONDS, self.abort)

    def abort(self) -> None:
        """Close at once."""
        if not self.lost:
            if not self.closing:
                self.ended = "cut_off"
            self.closing = True
            self.transport.abort()

    def release(self) -> None:
        """Read again, after the whole server had too much to do."""
        self._held = False
        self.throttle()

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
        if self.lost:
            self._leave()

    def _submit(self) -> None:
        if self._publishes is not None:
            self._publishes.submit()

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
            self._loop.call_later(CLOSING_SECONDS, self.abort)
        self._worker = None
        self._run()
        self.throttle()

    def _handle(self, packet: Packet | CodecError) -> Coroutine[Any, Any, None] | None:
        """Handle a packet; return what has to be waited for."""
        if type(packet) is Publish and self._publishes is not None and not self.closing:
            try:
                return self._publishes.take(packet)
            except CodecError as error:
                packet = error
        if isinstance(packet, CodecError):
            self._fail(packet)
            return None
        return self._other(packet)

    def _other(self, packet: Packet) -> Coroutine[Any, Any, None] | None:
        if type(packet) is Connect:
            self.version = packet.version
            return self._service.admission.connect(self, packet)
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
        self._loop.call_later(CLOSING_SECONDS, self.abort)  # it may not read what waits for it

    def _fail(self, error: CodecError) -> None:
        """End the connection for what the client sent."""
        if self.closing:
            return
        if self.session is None:
            self.refuse(error.reason, str(error))
        else:
            self.end(error.reason, str(error))

    # Pressure and time

    def throttle(self) -> None:
        """Read no more while too much waits here or in the whole server."""
        settings = self._service.settings
        under_way = self._publishes.under_way if self._publishes is not None else 0
        if self._service.crowded and not self._held and under_way:
            self._held = True
            self._service.hold(self)
        waiting = len(self._packets) + under_way
        # of somebody who is not known yet nothing is kept beyond what has come with CONNECT
        most = 0 if self.session is None else settings.receive_maximum
        pause = self._held or waiting > most or not self._reading.is_set()
        if pause and not self._paused and not self.lost:
            self._paused = True
            self.transport.pause_reading()
        elif self._paused and not pause and not self.lost:
            self._paused = False
            self.heard = self._loop.time()  # what it sent meanwhile was not read
            self.transport.resume_reading()

    def _watch(self) -> None:
        """Look after the client's keep-alive."""
        if not self._paused and self._loop.time() - self.heard > self._silence:
            self.end(Reason.KEEP_ALIVE_TIMEOUT, "nothing was heard")
            return
        if not self.closing:
            self._timer = self._loop.call_later(self._silence / 4, self._watch)
