"""Packets to bytes: :func:`encode`, and a shorter way for many acknowledgements."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import msgspec

from wotkit.mqtt.codec import properties, reasons, wire
from wotkit.mqtt.codec.connecting import (
    CLEAN_START,
    PASSWORD,
    PROTOCOL,
    USERNAME,
    WILL,
    WILL_RETAIN,
)
from wotkit.mqtt.codec.errors import PacketTooLarge
from wotkit.mqtt.codec.filters import SHARE, valid_filter, valid_topic
from wotkit.mqtt.codec.packets import (
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    Type,
    UnsubAck,
    Unsubscribe,
    Version,
    Will,
)
from wotkit.mqtt.codec.properties import AckProperties, PublishProperties
from wotkit.mqtt.codec.reasons import Reason
from wotkit.mqtt.codec.subscribing import MOST_HANDLING, MOST_QOS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wotkit.mqtt.codec.reasons import Codes

_PUBLISH: Final = Type.PUBLISH << 4
_PUBACK: Final = 0x4002_0000
"""A PUBACK without reason, without its packet id, as a number of four bytes."""
_SHORT_PUBACK: Final = b"\x40\x02"
_NO_ACK_PROPERTIES: Final = properties.empty(AckProperties)
_NO_PUBLISH_PROPERTIES: Final = properties.empty(PublishProperties)


def encode(packet: Packet, version: Version, max_packet: int | None = None) -> bytes:
    """Return the bytes of a packet; what 3.1.1 has no place for is left out.

    With ``max_packet`` (bytes, with the fixed header) an answer that would be larger goes without
    its reason string and user properties (such as [MQTT-3.4.2-2], [MQTT-3.4.2-3]).

    Raises:
        PacketTooLarge: it is larger than ``max_packet`` even so.
        ValueError: the packet says what may not be sent.
    """
    found = _ENCODERS[type(packet)](packet, version)
    if max_packet is None or len(found) <= max_packet:
        return found
    shorter = _without_explanation(packet)
    if shorter is None:
        raise PacketTooLarge(f"a packet of {len(found)} bytes; the limit is {max_packet}")
    return encode(shorter, version, max_packet)


def encode_pubacks(packet_ids: Sequence[int]) -> bytes:
    """Return one PUBACK (success) for each packet id, in order; the same in both versions.

    Raises:
        ValueError: a packet id is 0 or does not fit into two bytes.
    """
    if packet_ids and not 0 < min(packet_ids) <= max(packet_ids) <= wire.MOST_TEXT:
        raise ValueError("a packet id is 0 or does not fit into two bytes")
    return struct.pack(f">{len(packet_ids)}I", *[_PUBACK | number for number in packet_ids])


def _without_explanation(packet: Packet) -> Packet | None:
    """Return an answer without reason string and user properties; None if it has neither."""
    if not isinstance(packet, _EXPLAINED):
        return None
    found = packet.properties
    if found.reason_string is None and not found.user_properties:
        return None
    return msgspec.structs.replace(
        packet, properties=msgspec.structs.replace(found, reason_string=None, user_properties=())
    )


def _framed(first: int, body: bytes) -> bytes:
    return bytes((first,)) + wire.varint(len(body)) + body


def _connect(packet: Connect, version: Version) -> bytes:
    if packet.version is not version:
        raise ValueError(f"a CONNECT of {packet.version.name} cannot be sent as {version.name}")
    if packet.password is not None and packet.username is None and version is Version.V311:
        raise ValueError("3.1.1 has no password without a user name")
    found = packet.properties
    if found.authentication_data is not None and found.authentication_method is None:
        raise ValueError("authentication data without an authentication method")
    flags = CLEAN_START if packet.clean_start else 0
    tail = [wire.text(packet.client_id)]
    if packet.will is not None:
        flags |= WILL | packet.will.qos << 3 | (WILL_RETAIN if packet.will.retain else 0)
        tail += _will(packet.will, version)
    if packet.username is not None:
        flags |= USERNAME
        tail.append(wire.text(packet.username))
    if packet.password is not None:
        flags |= PASSWORD
        tail.append(wire.binary(packet.password))
    head = wire.text(PROTOCOL) + bytes((version, flags)) + wire.u16(packet.keep_alive)
    if version is Version.V5:
        head += properties.write(found)
    return _framed(Type.CONNECT << 4, head + b"".join(tail))


def _will(will: Will, version: Version) -> list[bytes]:
    if not valid_topic(will.topic):
        raise ValueError("the topic of the will is empty or has wildcards")
    _check_qos(will.qos)
    parts = [wire.text(will.topic), wire.binary(will.payload)]
    if version is Version.V5:
        parts.insert(0, properties.write(will.properties))
    return parts


def _check_qos(qos: int) -> None:
    if not 0 <= qos <= MOST_QOS:
        raise ValueError(f"a QoS is 0, 1 or 2, not {qos}")


def _check_reason(reason: int, codes: Codes) -> None:
    if reason not in codes:
        raise ValueError(f"the reason code {reason:#04x} is not one of this packet")


def _connack(packet: ConnAck, version: Version) -> bytes:
    _check_reason(packet.reason, reasons.CONNACK)
    if packet.reason and packet.session_present:
        raise ValueError("no session is present when the connection is refused")
    present = 1 if packet.session_present else 0
    if version is Version.V311:
        code = reasons.connack_return_code(packet.reason)
        return _framed(Type.CONNACK << 4, bytes((present, code)))
    body = bytes((present, packet.reason)) + properties.write(packet.properties)
    return _framed(Type.CONNACK << 4, body)


def _publish(packet: Publish, version: Version) -> bytes:
    topic, qos, payload = packet.topic, packet.qos, packet.payload
    name = topic.encode()
    if "\0" in topic or "#" in topic or "+" in topic or len(name) > wire.MOST_TEXT:
        raise ValueError("the topic is too long, or has a wildcard or the null character")
    head = len(name).to_bytes(2, "big") + name
    if qos:
        _check_qos(qos)
        head += wire.counted(packet.packet_id)
    elif packet.packet_id or packet.dup:
        raise ValueError("QoS 0 has neither a packet id nor duplicates")
    found = packet.properties
    if not topic and (version is Version.V311 or found.topic_alias is None):
        raise ValueError("the topic is empty, and there is no topic alias")
    if version is Version.V5:
        head += b"\0" if found is _NO_PUBLISH_PROPERTIES else properties.write(found)
    first = _PUBLISH | packet.dup << 3 | qos << 1 | packet.retain
    size = len(head) + len(payload)
    return b"".join((bytes((first,)), wire.varint(size), head, payload))


def _puback(packet: PubAck, version: Version) -> bytes:
    if not packet.reason and packet.properties is _NO_ACK_PROPERTIES:
        return _SHORT_PUBACK + wire.counted(packet.packet_id)
    return _ack(Type.PUBACK << 4, reasons.PUBLISH_FROM_ANY)(packet, version)


def _ack(first: int, codes: Codes) -> Callable[[Any, Version], bytes]:
    def encoded(packet: PubAck | PubRec | PubRel | PubComp, version: Version) -> bytes:
        _check_reason(packet.reason, codes)
        body = wire.counted(packet.packet_id)
        if version is Version.V5:
            block = properties.write(packet.properties)
            if block != b"\0":
                body += bytes((packet.reason,)) + block
            elif packet.reason:
                body += bytes((packet.reason,))
        return _framed(first, body)

    return encoded


def _subscribe(packet: Subscribe, version: Version) -> bytes:
    if not packet.subscriptions:
        raise ValueError("a SUBSCRIBE has at least one topic filter")
    body = wire.counted(packet.packet_id)
    if version is Version.V5:
        body += properties.write(packet.properties)
    parts = [_subscription(wanted, version) for wanted in packet.subscriptions]
    return _framed(Type.SUBSCRIBE << 4 | _FLAGS, body + b"".join(parts))


def _subscription(wanted: Subscription, version: Version) -> bytes:
    _check_qos(wanted.qos)
    if version is Version.V311:
        return _filter(wanted.filter, version) + bytes((wanted.qos,))
    if not 0 <= wanted.retain_handling <= MOST_HANDLING:
        raise ValueError("the retain handling is 0, 1 or 2")
    if wanted.no_local and wanted.filter.startswith(SHARE):
        raise ValueError("a shared subscription may not have the option no local")
    options = wanted.qos | wanted.no_local << 2 | wanted.retain_as_published << 3
    return _filter(wanted.filter, version) + bytes((options | wanted.retain_handling << 4,))


def _filter(topic_filter: str, version: Version) -> bytes:
    if not valid_filter(topic_filter, sharing=version is Version.V5):
        raise ValueError("a topic filter is empty or has a wildcard in a wrong place")
    return wire.text(topic_filter)


def _suback(packet: SubAck, version: Version) -> bytes:
    if not packet.reasons:
        raise ValueError("a SUBACK has at least one reason")
    for reason in packet.reasons:
        _check_reason(reason, reasons.SUBACK)
    body = wire.counted(packet.packet_id)
    if version is Version.V311:
        codes = bytes([reasons.suback_return_code(reason) for reason in packet.reasons])
        return _framed(Type.SUBACK << 4, body + codes)
    return _framed(
        Type.SUBACK << 4, body + properties.write(packet.properties) + bytes(packet.reasons)
    )


def _unsubscribe(packet: Unsubscribe, version: Version) -> bytes:
    if not packet.filters:
        raise ValueError("an UNSUBSCRIBE has at least one topic filter")
    body = wire.counted(packet.packet_id)
    if version is Version.V5:
        body += properties.write(packet.properties)
    parts = [_filter(wanted, version) for wanted in packet.filters]
    return _framed(Type.UNSUBSCRIBE << 4 | _FLAGS, body + b"".join(parts))


def _unsuback(packet: UnsubAck, version: Version) -> bytes:
    body = wire.counted(packet.packet_id)
    if version is Version.V311:
        return _framed(Type.UNSUBACK << 4, body)
    if not packet.reasons:
        raise ValueError("an UNSUBACK has at least one reason")
    for reason in packet.reasons:
        _check_reason(reason, reasons.UNSUBACK)
    return _framed(
        Type.UNSUBACK << 4, body + properties.write(packet.properties) + bytes(packet.reasons)
    )


def _ping_req(_packet: PingReq, _version: Version) -> bytes:
    return b"\xc0\x00"


def _ping_resp(_packet: PingResp, _version: Version) -> bytes:
    return b"\xd0\x00"


def _disconnect(packet: Disconnect, version: Version) -> bytes:
    _check_reason(packet.reason, reasons.DISCONNECT)
    if version is Version.V311:
        return b"\xe0\x00"
    block = properties.write(packet.properties)
    if block != b"\0":
        return _framed(Type.DISCONNECT << 4, bytes((packet.reason,)) + block)
    return _framed(Type.DISCONNECT << 4, bytes((packet.reason,)) if packet.reason else b"")


def _auth(packet: Auth, version: Version) -> bytes:
    _check_reason(packet.reason, reasons.AUTH)
    if version is Version.V311:
        raise ValueError("3.1.1 has no AUTH")
    block = properties.write(packet.properties)
    if packet.reason is Reason.SUCCESS and block == b"\0":
        return b"\xf0\x00"
    if packet.properties.authentication_method is None:
        raise ValueError("an AUTH has an authentication method")
    return _framed(Type.AUTH << 4, bytes((packet.reason,)) + block)


_FLAGS: Final = 0b0010
_EXPLAINED: Final = (
    *(ConnAck, PubAck, PubRec, PubRel, PubComp, SubAck, UnsubAck, Disconnect, Auth),
)
_ENCODERS: Final[dict[type[Packet], Callable[[Any, Version], bytes]]] = {
    Connect: _connect,
    ConnAck: _connack,
    Publish: _publish,
    PubAck: _puback,
    PubRec: _ack(Type.PUBREC << 4, reasons.PUBLISH_FROM_ANY),
    PubRel: _ack(Type.PUBREL << 4 | _FLAGS, reasons.RELEASE),
    PubComp: _ack(Type.PUBCOMP << 4, reasons.RELEASE),
    Subscribe: _subscribe,
    SubAck: _suback,
    Unsubscribe: _unsubscribe,
    UnsubAck: _unsuback,
    PingReq: _ping_req,
    PingResp: _ping_resp,
    Disconnect: _disconnect,
    Auth: _auth,
}
