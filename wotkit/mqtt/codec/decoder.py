"""Bytes as they arrive, to packets: where each begins and ends, and how much is held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wotkit.mqtt.codec import connecting
from wotkit.mqtt.codec.errors import CodecError, MalformedPacket, PacketTooLarge
from wotkit.mqtt.codec.packets import Connect, Packet, Sender, Version
from wotkit.mqtt.codec.parsers import CONNECT, body_parsers, refusal
from wotkit.mqtt.codec.wire import MORE, MOST_REMAINING, SEVEN_BITS, Cursor

if TYPE_CHECKING:
    from wotkit.mqtt.codec.publishing import Parser

MOST_HEADER: Final = 5
"""Bytes of the longest fixed header: the type, and a remaining length of four bytes."""
LARGEST: Final = MOST_REMAINING + MOST_HEADER

_NOTHING_YET: Final[tuple[Parser | None, ...]] = (None,) * 256


class Decoder:
    """Turns the bytes of one connection into packets, in whatever pieces they arrive.

    It holds at most one packet that is not complete, and never more of it than has arrived. A
    packet beyond the limit is refused by its header.
    """

    __slots__ = ("_failed", "_held", "_long_header", "_parsers", "_sender", "max_packet", "version")

    def __init__(
        self,
        version: Version | None = None,
        *,
        max_packet: int = LARGEST,
        sender: Sender | None = None,
    ) -> None:
        """Decode what a sender sends; without one, what either side may send.

        Without a version this is a server's side: the first packet must be CONNECT
        ([MQTT-3.1.0-1]), which tells the version, and there may be no other ([MQTT-3.1.0-2]).
        ``max_packet`` is in bytes, with the fixed header, as in MQTT 5, section 3.1.2.11.4.
        """
        self.version = version
        """None until it is known; it is, once a CONNECT is, even if that is refused."""
        self._sender = Sender.CLIENT if version is None else sender
        self.max_packet = max_packet
        """In bytes; may be raised later, as when the client has authenticated itself."""
        self._parsers = _NOTHING_YET if version is None else body_parsers(version, sender)
        self._held = bytearray()
        self._long_header = False
        self._failed = False

    @property
    def held(self) -> int:
        """How many bytes of a packet have come that is not complete."""
        return len(self._held)

    def feed(self, data: bytes) -> list[Packet]:
        """Take bytes and return the packets that are complete now, in order.

        Raises:
            MalformedPacket: the bytes are not MQTT.
            ProtocolError: a packet says what it may not, or may not be sent here.
            UnsupportedVersion: CONNECT asks for a version other than 3.1.1 and 5.
            PacketTooLarge: a packet is larger than the limit.
                Each has the packets that came before it as ``before``. Nothing is decoded after an
                error: there, the answer is an empty list.
        """
        packets: list[Packet] = []
        if self._failed:
            return packets
        try:
            at = self._complete(data, packets) if self._held else 0
            at = self._take(data, at, packets)
        except CodecError as error:
            self._failed = True
            self._held.clear()
            error.before = packets
            raise
        if at < len(data):
            self._held += data[at:] if at else data
        return packets

    def _take(self, data: bytes, at: int, packets: list[Packet]) -> int:
        """Parse all packets that are complete; return where the next one begins."""
        end, limit, parsers = len(data), self.max_packet, self._parsers
        while at < end:
            first = data[at]
            parse = parsers[first] or self._other(first)
            if at + 1 == end:
                break
            body = at + 2
            size = data[at + 1]
            if size > SEVEN_BITS:
                size, body = self._long_size(data, at, end)
                if size < 0:
                    break
            stop = body + size
            if stop - at > limit:
                raise PacketTooLarge(f"a packet of {stop - at} bytes; the limit is {limit}")
            if stop > end:
                break
            packets.append(parse(data, first, body, stop))
            at = stop
            if first == CONNECT:
                parsers = self._parsers
        return at

    def _long_size(self, data: bytes, at: int, end: int) -> tuple[int, int]:
        """Return the remaining length, -1 if it has not come yet, and where the body begins."""
        value = shift = 0
        for place in range(at + 1, min(at + MOST_HEADER, end)):
            byte = data[place]
            value |= (byte & SEVEN_BITS) << shift
            shift += 7
            if byte < MORE:
                if not byte:
                    self._note_long_header()
                return value, place + 1
        if end - at >= MOST_HEADER:
            raise MalformedPacket("the remaining length has more than four bytes")
        return -1, end

    def _note_long_header(self) -> None:
        """Refuse a remaining length that is longer than it need be in version 5 ([MQTT-1.5.5-1]).

        3.1.1 does not forbid it, and there are clients that reserve a fixed number of bytes.
        """
        if self.version is Version.V5:
            raise MalformedPacket("the remaining length has more bytes than it needs")
        self._long_header = True

    def _complete(self, data: bytes, packets: list[Packet]) -> int:
        """Fill the packet that is held, and parse it; return how many bytes that took."""
        held, at = self._held, 0
        missing = self._missing()
        while missing and at < len(data):
            part = data[at : at + missing]
            held += part
            at += len(part)
            # 1 may mean that the header is not whole; more is what the packet lacks
            missing = missing - len(part) if missing > 1 else self._missing()
        if not missing:
            packet = bytes(held)
            held.clear()
            self._take(packet, 0, packets)
        return at

    def _missing(self) -> int:
        """Return how many bytes the packet lacks; 1 as long as its header does not say."""
        # a header and not more, so what is looked at again and again is short
        header = bytes(self._held[:MOST_HEADER])
        if len(header) == 1:
            return 1
        size, body = header[1], 2
        if size > SEVEN_BITS:
            size, body = self._long_size(header, 0, len(header))
            if size < 0:
                return 1
        if body + size > self.max_packet:
            raise PacketTooLarge(f"a packet of {body + size} bytes; the limit is {self.max_packet}")
        return body + size - len(self._held)

    def _other(self, first: int) -> Parser:
        """Return the parser of CONNECT, where it may be sent; raise for anything else."""
        connecting_now = self.version is None or self._sender is None
        if first == CONNECT and connecting_now:
            return self._connect
        raise refusal(first, self.version)

    def _connect(self, data: bytes, _first: int, at: int, stop: int) -> Connect:
        cursor = Cursor(data, at, stop)
        version = connecting.version_of(cursor)
        self.version = version
        self._parsers = body_parsers(version, self._sender)
        if self._long_header:
            self._note_long_header()
        return connecting.connect(cursor, version)
