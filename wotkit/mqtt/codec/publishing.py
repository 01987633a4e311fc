"""PUBLISH and its acknowledgements (sections 3.3 to 3.7), from bytes.

These are most of what a server reads, so the ordinary ones are parsed by hand. A parser is called
with the bytes, the packet's first byte, and where its body begins and stops. The bytes hold the
whole body, so an index that was compared with ``stop`` is safe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from wotkit.mqtt.codec import properties
from wotkit.mqtt.codec.errors import MalformedPacket, ProtocolError
from wotkit.mqtt.codec.packets import Packet, PubAck, PubComp, Publish, PubRec, PubRel
from wotkit.mqtt.codec.properties import AckProperties, PublishProperties
from wotkit.mqtt.codec.wire import Cursor, reason_of

if TYPE_CHECKING:
    from wotkit.mqtt.codec.reasons import Codes

Parser = Callable[[bytes, int, int, int], Packet]

DUP: Final = 0b1000
QOS: Final = 0b0110
RETAIN: Final = 0b0001

_ID_ONLY: Final = 2
_ID_AND_REASON: Final = 3
_SHORTEST: Final = 3
"""Bytes of a PUBLISH: the topic's length, and a character or (version 5) the properties' length."""
_EMPTY: Final = properties.empty(PublishProperties)

Ack = TypeVar("Ack", PubAck, PubRec, PubRel, PubComp)


def _publish_topic(data: bytes, start: int, end: int, stop: int) -> str:
    """Return the topic between two indexes ([MQTT-3.3.2-1], [MQTT-3.3.2-2])."""
    if end > stop:
        raise MalformedPacket("the packet ends within its topic")
    try:
        topic = data[start:end].decode()
    except UnicodeDecodeError:
        raise MalformedPacket("the topic is not well-formed UTF-8") from None
    if "\0" in topic or "#" in topic or "+" in topic:
        raise MalformedPacket("the topic contains a wildcard or the null character")
    return topic


def _publish_id(data: bytes, at: int, stop: int) -> int:
    """Return the packet id of a PUBLISH with a QoS above 0 ([MQTT-2.2.1-3])."""
    if at + 2 > stop:
        raise MalformedPacket("the packet ends within its packet id")
    packet_id = data[at] << 8 | data[at + 1]
    if not packet_id:
        raise ProtocolError("the packet id is 0")
    return packet_id


def publish_311(data: bytes, first: int, at: int, stop: int) -> Publish:
    if stop - at < _SHORTEST:
        raise MalformedPacket("a PUBLISH without a topic")
    end = at + 2 + (data[at] << 8 | data[at + 1])
    topic = _publish_topic(data, at + 2, end, stop)
    if not topic:
        raise MalformedPacket("the topic is empty")
    qos = (first & QOS) >> 1
    packet_id = 0
    if qos:
        packet_id = _publish_id(data, end, stop)
        end += 2
    return Publish(
        topic, data[end:stop], qos, packet_id, first & RETAIN != 0, first & DUP != 0, _EMPTY
    )


def publish_5(data: bytes, first: int, at: int, stop: int) -> Publish:
    if stop - at < _SHORTEST:
        raise MalformedPacket("a PUBLISH without a topic or without properties")
    end = at + 2 + (data[at] << 8 | data[at + 1])
    topic = _publish_topic(data, at + 2, end, stop)
    qos = (first & QOS) >> 1
    packet_id = 0
    if qos:
        packet_id = _publish_id(data, end, stop)
        end += 2
    if end >= stop:
        raise MalformedPacket("the packet ends where its properties should be")
    if data[end]:
        cursor = Cursor(data, end, stop)
        found = properties.read(cursor, PublishProperties)
        end = cursor.at
    else:
        found = _EMPTY
        end += 1
    if not topic and found.topic_alias is None:
        raise ProtocolError("the topic is empty, and there is no topic alias")
    return Publish(
        topic, data[end:stop], qos, packet_id, first & RETAIN != 0, first & DUP != 0, found
    )


def publish_5_from_client(data: bytes, first: int, at: int, stop: int) -> Publish:
    found = publish_5(data, first, at, stop)
    if found.properties.subscription_identifiers:
        # [MQTT-3.3.4-6]
        raise ProtocolError("a client may not send subscription identifiers")
    return found


def ack_311(kind: type[Ack]) -> Parser:
    def parse(data: bytes, _first: int, at: int, stop: int) -> Packet:
        if stop - at != _ID_ONLY:
            raise MalformedPacket("an acknowledgement is a packet id and nothing else")
        return kind(_publish_id(data, at, stop))

    return parse


def ack_5(kind: type[Ack], codes: Codes) -> Parser:
    def parse(data: bytes, _first: int, at: int, stop: int) -> Packet:
        packet_id = _publish_id(data, at, stop)
        size = stop - at
        if size == _ID_ONLY:
            return kind(packet_id)
        reason = reason_of(codes, data[at + 2])
        if size == _ID_AND_REASON:
            return kind(packet_id, reason)
        cursor = Cursor(data, at + _ID_AND_REASON, stop)
        found = properties.read(cursor, AckProperties)
        cursor.end()
        return kind(packet_id, reason, found)

    return parse
