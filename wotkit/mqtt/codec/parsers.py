"""Which parser reads a packet, found by its first byte (section 2.1)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from wotkit.mqtt.codec import connecting, publishing, reasons, subscribing
from wotkit.mqtt.codec.errors import CodecError, MalformedPacket, ProtocolError
from wotkit.mqtt.codec.packets import PubAck, PubComp, PubRec, PubRel, Sender, Type, Version
from wotkit.mqtt.codec.publishing import DUP, QOS, Parser
from wotkit.mqtt.codec.wire import Cursor

if TYPE_CHECKING:
    from wotkit.mqtt.codec.connecting import CursorParser
    from wotkit.mqtt.codec.packets import Packet

CONNECT: Final = Type.CONNECT << 4

_FROM_BOTH: Final = frozenset(
    {Type.PUBLISH, Type.PUBACK, Type.PUBREC, Type.PUBREL, Type.PUBCOMP, Type.AUTH}
)
_FROM_CLIENT: Final = _FROM_BOTH | {
    *(Type.SUBSCRIBE, Type.UNSUBSCRIBE, Type.PINGREQ, Type.DISCONNECT),
}
_FROM_SERVER: Final = _FROM_BOTH | {
    *(Type.CONNACK, Type.SUBACK, Type.UNSUBACK, Type.PINGRESP),
}
_FLAGGED: Final = {Type.PUBREL, Type.SUBSCRIBE, Type.UNSUBSCRIBE}
_FLAGS: Final = 0b0010
"""The reserved flags of these three; all others have none."""
_LOW: Final = 0x0F


@cache
def body_parsers(version: Version, sender: Sender | None) -> tuple[Parser | None, ...]:
    """Return, for each first byte, what parses the body; None for those that may not be.

    CONNECT is not among them: its own beginning says which version it is in.
    """
    found = _parsers_5(sender) if version is Version.V5 else _parsers_311()
    allowed = set(found) & sent_by(version, sender)
    return tuple(
        found[Type(first >> 4)] if first >> 4 in allowed and _legal(first) else None
        for first in range(256)
    )


def sent_by(version: Version, sender: Sender | None) -> frozenset[Type]:
    """Return the types of packets that a sender may send (table 2-1)."""
    if sender is Sender.CLIENT:
        return _FROM_CLIENT
    if sender is None:
        return _FROM_CLIENT | _FROM_SERVER
    return _FROM_SERVER | {Type.DISCONNECT} if version is Version.V5 else _FROM_SERVER


def refusal(first: int, version: Version | None) -> CodecError:
    """Return why no packet may begin with this byte, here."""
    number = first >> 4
    if number == 0 or (number == Type.AUTH and version is Version.V311):
        return MalformedPacket(f"there is no packet of type {number}")
    name = Type(number).name
    if number != Type.CONNECT and version is None:
        return ProtocolError(f"the first packet is {name}, not CONNECT")
    if not _legal(first):
        return MalformedPacket(f"the flags of {name} may not be {first & _LOW:#06b}")
    if number == Type.CONNECT:
        return ProtocolError("there is a second CONNECT")
    return ProtocolError(f"{name} may not be sent by this side")


def _legal(first: int) -> bool:
    """Return whether the flags are those of the type ([MQTT-2.1.3-1]; 3.1.1: [MQTT-2.2.2-1])."""
    number, flags = first >> 4, first & _LOW
    if number == Type.PUBLISH:
        # [MQTT-3.3.1-4], [MQTT-3.3.1-2]
        return flags & QOS != QOS and (flags & QOS != 0 or not flags & DUP)
    return flags == (_FLAGS if number in _FLAGGED else 0)


def _with_cursor(parse: CursorParser) -> Parser:
    def parse_body(data: bytes, _first: int, at: int, stop: int) -> Packet:
        return parse(Cursor(data, at, stop))

    return parse_body


def _parsers_311() -> dict[Type, Parser]:
    return {
        Type.CONNACK: _with_cursor(connecting.connack_311),
        Type.PUBLISH: publishing.publish_311,
        Type.PUBACK: publishing.ack_311(PubAck),
        Type.PUBREC: publishing.ack_311(PubRec),
        Type.PUBREL: publishing.ack_311(PubRel),
        Type.PUBCOMP: publishing.ack_311(PubComp),
        Type.SUBSCRIBE: _with_cursor(subscribing.subscribe_311),
        Type.SUBACK: _with_cursor(subscribing.suback_311),
        Type.UNSUBSCRIBE: _with_cursor(subscribing.unsubscribe_311),
        Type.UNSUBACK: _with_cursor(subscribing.unsuback_311),
        Type.PINGREQ: _with_cursor(connecting.ping_req),
        Type.PINGRESP: _with_cursor(connecting.ping_resp),
        Type.DISCONNECT: _with_cursor(connecting.disconnect_311),
    }


def _parsers_5(sender: Sender | None) -> dict[Type, Parser]:
    by_client = sender is Sender.CLIENT
    answers = reasons.PUBLISH_FROM_CLIENT if by_client else reasons.PUBLISH_FROM_ANY
    ends = {
        None: (reasons.DISCONNECT, reasons.AUTH),
        Sender.CLIENT: (reasons.DISCONNECT_FROM_CLIENT, reasons.AUTH_FROM_CLIENT),
        Sender.SERVER: (reasons.DISCONNECT_FROM_SERVER, reasons.AUTH_FROM_SERVER),
    }
    disconnect, auth = ends[sender]
    return {
        Type.CONNACK: _with_cursor(connecting.connack_5),
        Type.PUBLISH: publishing.publish_5_from_client if by_client else publishing.publish_5,
        Type.PUBACK: publishing.ack_5(PubAck, answers),
        Type.PUBREC: publishing.ack_5(PubRec, answers),
        Type.PUBREL: publishing.ack_5(PubRel, reasons.RELEASE),
        Type.PUBCOMP: publishing.ack_5(PubComp, reasons.RELEASE),
        Type.SUBSCRIBE: _with_cursor(subscribing.subscribe_5),
        Type.SUBACK: _with_cursor(subscribing.suback_5),
        Type.UNSUBSCRIBE: _with_cursor(subscribing.unsubscribe_5),
        Type.UNSUBACK: _with_cursor(subscribing.unsuback_5),
        Type.PINGREQ: _with_cursor(connecting.ping_req),
        Type.PINGRESP: _with_cursor(connecting.ping_resp),
        Type.DISCONNECT: _with_cursor(connecting.disconnect_5(disconnect, sender)),
        Type.AUTH: _with_cursor(connecting.auth(auth)),
    }
