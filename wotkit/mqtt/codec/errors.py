"""What can be wrong with bytes that should be MQTT; each error has the reason code to send."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from wotkit.mqtt.codec.reasons import Reason

if TYPE_CHECKING:
    from wotkit.mqtt.codec.packets import Packet


class CodecError(Exception):
    """The connection cannot go on (MQTT 5, section 4.13; 3.1.1, section 4.8)."""

    default: ClassVar[Reason] = Reason.UNSPECIFIED_ERROR

    def __init__(self, message: str, reason: Reason | None = None) -> None:
        super().__init__(message)
        self.reason = self.default if reason is None else reason
        """The code for a CONNACK or DISCONNECT of version 5."""
        self.before: list[Packet] = []
        """The packets that came before the bad one in the same bytes, in order."""


class MalformedPacket(CodecError):
    """The bytes cannot be parsed as the standard says."""

    default = Reason.MALFORMED_PACKET


class ProtocolError(CodecError):
    """The packet can be parsed, and says what is not allowed."""

    default = Reason.PROTOCOL_ERROR


class UnsupportedVersion(ProtocolError):
    """A CONNECT of another protocol or version: CONNACK 0x84, or 0x01 as in 3.1.1."""

    default = Reason.UNSUPPORTED_PROTOCOL_VERSION


class PacketTooLarge(CodecError):
    """The packet is larger than the limit; told by its header, before the rest is read."""

    default = Reason.PACKET_TOO_LARGE
