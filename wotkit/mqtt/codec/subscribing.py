"""SUBSCRIBE, UNSUBSCRIBE and their acknowledgements (sections 3.8 to 3.11), from bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from wotkit.mqtt.codec import properties, reasons
from wotkit.mqtt.codec.errors import MalformedPacket, ProtocolError
from wotkit.mqtt.codec.filters import SHARE, valid_filter
from wotkit.mqtt.codec.packets import SubAck, Subscribe, Subscription, UnsubAck, Unsubscribe
from wotkit.mqtt.codec.properties import AckProperties, SubscribeProperties, UnsubscribeProperties
from wotkit.mqtt.codec.wire import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from wotkit.mqtt.codec.reasons import Codes, Reason
    from wotkit.mqtt.codec.wire import Cursor

MOST_QOS: Final = 2
MOST_HANDLING: Final = 2
NO_LOCAL: Final = 0b0100
RETAIN_AS_PUBLISHED: Final = 0b1000
_RESERVED_5: Final = 0b1100_0000

Item = TypeVar("Item")


def _subscription_311(cursor: Cursor) -> Subscription:
    found, options = cursor.text(), cursor.u8()
    if options > MOST_QOS:
        # 3.1.1, section 3.8.3: [MQTT-3-8.3-4]
        raise MalformedPacket("a requested QoS is not 0, 1 or 2")
    if not valid_filter(found, sharing=False):
        raise MalformedPacket("a topic filter is empty or has a wildcard in a wrong place")
    return Subscription(found, options)


def _subscription_5(cursor: Cursor) -> Subscription:
    found, options = cursor.text(), cursor.u8()
    qos, handling = options & 0b11, options >> 4 & 0b11
    if options & _RESERVED_5:
        # [MQTT-3.8.3-5]
        raise MalformedPacket("reserved bits of subscription options are set")
    if qos > MOST_QOS or handling > MOST_HANDLING:
        raise ProtocolError("a requested QoS or retain handling is 3")
    if not valid_filter(found):
        raise MalformedPacket("a topic filter is empty or has a wildcard in a wrong place")
    no_local = options & NO_LOCAL != 0
    if no_local and found.startswith(SHARE):
        # [MQTT-3.8.3-4]
        raise ProtocolError("a shared subscription may not have the option no local")
    return Subscription(found, qos, no_local, options & RETAIN_AS_PUBLISHED != 0, handling)


def subscribe_311(cursor: Cursor) -> Subscribe:
    return Subscribe(cursor.packet_id(), _several(cursor, _subscription_311))


def subscribe_5(cursor: Cursor) -> Subscribe:
    packet_id = cursor.packet_id()
    found = properties.read(cursor, SubscribeProperties)
    return Subscribe(packet_id, _several(cursor, _subscription_5), found)


def unsubscribe_311(cursor: Cursor) -> Unsubscribe:
    return Unsubscribe(cursor.packet_id(), _several(cursor, _filter_311))


def unsubscribe_5(cursor: Cursor) -> Unsubscribe:
    packet_id = cursor.packet_id()
    found = properties.read(cursor, UnsubscribeProperties)
    return Unsubscribe(packet_id, _several(cursor, _filter_5), found)


def _filter_311(cursor: Cursor) -> str:
    return _filter(cursor, sharing=False)


def _filter_5(cursor: Cursor) -> str:
    return _filter(cursor, sharing=True)


def _filter(cursor: Cursor, *, sharing: bool) -> str:
    found = cursor.text()
    if not valid_filter(found, sharing=sharing):
        raise MalformedPacket("a topic filter is empty or has a wildcard in a wrong place")
    return found


def _several(cursor: Cursor, read: Callable[[Cursor], Item]) -> tuple[Item, ...]:
    """Read up to the packet's end; at least one ([MQTT-3.8.3-2], [MQTT-3.10.3-2])."""
    found = []
    while cursor.at < cursor.stop:
        found.append(read(cursor))
    if not found:
        raise ProtocolError("a packet without the topic filters it is for")
    return tuple(found)


def _reasons(cursor: Cursor, codes: Codes) -> tuple[Reason, ...]:
    found = tuple([reason_of(codes, byte) for byte in cursor.rest()])
    if not found:
        raise ProtocolError("an acknowledgement without reason codes")
    return found


def suback_311(cursor: Cursor) -> SubAck:
    return SubAck(cursor.packet_id(), _reasons(cursor, reasons.SUBACK_311))


def suback_5(cursor: Cursor) -> SubAck:
    packet_id, found = cursor.packet_id(), properties.read(cursor, AckProperties)
    return SubAck(packet_id, _reasons(cursor, reasons.SUBACK), found)


def unsuback_311(cursor: Cursor) -> UnsubAck:
    packet_id = cursor.packet_id()
    cursor.end()
    return UnsubAck(packet_id)


def unsuback_5(cursor: Cursor) -> UnsubAck:
    packet_id, found = cursor.packet_id(), properties.read(cursor, AckProperties)
    return UnsubAck(packet_id, _reasons(cursor, reasons.UNSUBACK), found)
