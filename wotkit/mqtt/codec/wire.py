"""The data types of MQTT (section 1.5 of both standards), read with a cursor and written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wotkit.mqtt.codec.errors import MalformedPacket, ProtocolError

if TYPE_CHECKING:
    from wotkit.mqtt.codec.reasons import Codes, Reason

MOST_REMAINING: Final = 268_435_455
"""The largest value of a variable byte integer, and so of a packet's remaining length."""
MOST_TEXT: Final = 65_535
"""The most bytes of a text or of binary data; also the largest packet id."""
SEVEN_BITS: Final = 0x7F
MORE: Final = 0x80
"""The bit that says that another byte of a variable byte integer follows."""
_LARGEST_SHIFT: Final = 21


class Cursor:
    """Reads the values of one packet, from ``at`` up to ``stop``.

    Every method raises :class:`MalformedPacket` when the packet ends before the value does.
    """

    __slots__ = ("at", "data", "stop")

    def __init__(self, data: bytes, at: int, stop: int) -> None:
        self.data = data
        self.at = at
        self.stop = stop

    def bytes_(self, size: int) -> bytes:
        """Read so many bytes as they are."""
        at = self.at
        end = at + size
        if end > self.stop:
            raise MalformedPacket("the packet ends within a value")
        self.at = end
        return self.data[at:end]

    def rest(self) -> bytes:
        """Read all that is left."""
        at, self.at = self.at, self.stop
        return self.data[at : self.stop]

    def u8(self) -> int:
        """Read one byte."""
        at = self.at
        if at >= self.stop:
            raise MalformedPacket("the packet ends where a byte should be")
        self.at = at + 1
        return self.data[at]

    def u16(self) -> int:
        """Read a two byte integer."""
        at = self.at
        if at + 2 > self.stop:
            raise MalformedPacket("the packet ends within a number")
        self.at = at + 2
        return self.data[at] << 8 | self.data[at + 1]

    def u32(self) -> int:
        """Read a four byte integer."""
        return int.from_bytes(self.bytes_(4), "big")

    def packet_id(self) -> int:
        """Read a packet id, which is never 0 ([MQTT-2.2.1-3]; 3.1.1: [MQTT-2.3.1-1])."""
        number = self.u16()
        if not number:
            raise ProtocolError("a packet id is 0")
        return number

    def varint(self) -> int:
        """Read a variable byte integer in its shortest form ([MQTT-1.5.5-1])."""
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & SEVEN_BITS) << shift
            if byte < MORE:
                break
            if shift == _LARGEST_SHIFT:
                raise MalformedPacket("a variable byte integer has more than four bytes")
            shift += 7
        if shift and not byte:
            raise MalformedPacket("a variable byte integer is longer than it need be")
        return value

    def reason(self, codes: Codes) -> Reason:
        """Read a reason code that the packet may have."""
        return reason_of(codes, self.u8())

    def text(self) -> str:
        """Read a UTF-8 encoded string ([MQTT-1.5.4-1], [MQTT-1.5.4-2]; 3.1.1: [MQTT-1.5.3-1])."""
        # without the methods above: a packet may have thousands of texts
        start = self.at + 2
        if start > self.stop:
            raise MalformedPacket("the packet ends within a text's length")
        data = self.data
        end = start + (data[start - 2] << 8 | data[start - 1])
        if end > self.stop:
            raise MalformedPacket("the packet ends within a text")
        self.at = end
        try:
            value = data[start:end].decode()
        except UnicodeDecodeError:
            raise MalformedPacket("a text is not well-formed UTF-8") from None
        if "\0" in value:
            raise MalformedPacket("a text contains the null character")
        return value

    def binary(self) -> bytes:
        """Read binary data with its length."""
        return self.bytes_(self.u16())

    def end(self) -> None:
        """Make sure that nothing is left.

        Raises:
            MalformedPacket: the packet is longer than what it contains.
        """
        if self.at != self.stop:
            raise MalformedPacket("there are bytes after the end of the packet's contents")


def reason_of(codes: Codes, byte: int) -> Reason:
    """Return the reason that a packet tells; ProtocolError for one that it may not have."""
    found = codes.get(byte)
    if found is None:
        raise ProtocolError(f"the reason code {byte:#04x} is not one of this packet")
    return found


def varint(value: int) -> bytes:
    """Return a variable byte integer (section 1.5.5; 3.1.1: 2.2.3)."""
    if 0 <= value <= SEVEN_BITS:
        return bytes((value,))
    if not 0 <= value <= MOST_REMAINING:
        raise ValueError(f"a variable byte integer is at most {MOST_REMAINING}, not {value}")
    found = bytearray()
    while value > SEVEN_BITS:
        found.append(value & SEVEN_BITS | MORE)
        value >>= 7
    found.append(value)
    return bytes(found)


def text(value: str) -> bytes:
    """Return a text with its length; ValueError for one that cannot be sent."""
    if "\0" in value:
        raise ValueError("a text contains the null character")
    return binary(value.encode())


def binary(value: bytes) -> bytes:
    """Return binary data with its length; ValueError for too much of it."""
    if len(value) > MOST_TEXT:
        raise ValueError(f"a text has at most {MOST_TEXT} bytes, not {len(value)}")
    return len(value).to_bytes(2, "big") + value


def u16(value: int) -> bytes:
    """Return a two byte integer; ValueError for one that does not fit."""
    if not 0 <= value <= MOST_TEXT:
        raise ValueError(f"{value} does not fit into two bytes")
    return value.to_bytes(2, "big")


def counted(value: int) -> bytes:
    """Return a packet id or topic alias; ValueError for 0 and for one that does not fit."""
    if not 0 < value <= MOST_TEXT:
        raise ValueError(f"packet ids and topic aliases are from 1 to {MOST_TEXT}, not {value}")
    return value.to_bytes(2, "big")
