"""The packets of MQTT 3.1.1 and 5, as values that never change.

One set of types serves both versions: what 3.1.1 has no place for keeps its default when decoded
and is left out when encoded. Times are in seconds, sizes in bytes.
"""

from __future__ import annotations

from enum import Enum, IntEnum

import msgspec

from wotkit.mqtt.codec.properties import (
    AckProperties,
    AuthProperties,
    ConnAckProperties,
    ConnectProperties,
    DisconnectProperties,
    PublishProperties,
    SubscribeProperties,
    UnsubscribeProperties,
    WillProperties,
    empty,
)
from wotkit.mqtt.codec.reasons import Reason


class Version(IntEnum):
    """The protocol level in CONNECT."""

    V311 = 4
    V5 = 5


class Sender(Enum):
    """Who sends what is decoded."""

    CLIENT = "client"
    SERVER = "server"


class Will(msgspec.Struct, frozen=True, gc=False):
    """The message that the server publishes when the client is gone."""

    topic: str
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    properties: WillProperties = empty(WillProperties)


class Connect(msgspec.Struct, frozen=True, gc=False):
    """CONNECT (section 3.1): a client asks for a connection."""

    client_id: str = ""
    version: Version = Version.V5
    clean_start: bool = True
    """In 3.1.1: clean session."""
    keep_alive: int = 0
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None
    properties: ConnectProperties = empty(ConnectProperties)


class ConnAck(msgspec.Struct, frozen=True, gc=False):
    """CONNACK (section 3.2). In 3.1.1 a reason without a return code is "server unavailable"."""

    reason: Reason = Reason.SUCCESS
    session_present: bool = False
    properties: ConnAckProperties = empty(ConnAckProperties)


class Publish(msgspec.Struct, frozen=True, gc=False):
    """PUBLISH (section 3.3): a message."""

    topic: str
    """Empty only in version 5, where a topic alias stands for it."""
    payload: bytes = b""
    qos: int = 0
    packet_id: int = 0
    """0 with QoS 0, where there is none."""
    retain: bool = False
    dup: bool = False
    properties: PublishProperties = empty(PublishProperties)


class PubAck(msgspec.Struct, frozen=True, gc=False):
    """PUBACK (section 3.4): the answer to a PUBLISH with QoS 1."""

    packet_id: int
    reason: Reason = Reason.SUCCESS
    properties: AckProperties = empty(AckProperties)


class PubRec(msgspec.Struct, frozen=True, gc=False):
    """PUBREC (section 3.5): the first answer to a PUBLISH with QoS 2."""

    packet_id: int
    reason: Reason = Reason.SUCCESS
    properties: AckProperties = empty(AckProperties)


class PubRel(msgspec.Struct, frozen=True, gc=False):
    """PUBREL (section 3.6): the answer to PUBREC."""

    packet_id: int
    reason: Reason = Reason.SUCCESS
    properties: AckProperties = empty(AckProperties)


class PubComp(msgspec.Struct, frozen=True, gc=False):
    """PUBCOMP (section 3.7): the end of a delivery with QoS 2."""

    packet_id: int
    reason: Reason = Reason.SUCCESS
    properties: AckProperties = empty(AckProperties)


class Subscription(msgspec.Struct, frozen=True, gc=False):
    """A topic filter with what is asked for it (section 3.8.3)."""

    filter: str
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0
    """0: send retained messages, 1: only if the subscription is new, 2: do not."""


class Subscribe(msgspec.Struct, frozen=True, gc=False):
    """SUBSCRIBE (section 3.8)."""

    packet_id: int
    subscriptions: tuple[Subscription, ...]
    properties: SubscribeProperties = empty(SubscribeProperties)


class SubAck(msgspec.Struct, frozen=True, gc=False):
    """SUBACK (section 3.9): a reason for each subscription, in their order."""

    packet_id: int
    reasons: tuple[Reason, ...]
    properties: AckProperties = empty(AckProperties)


class Unsubscribe(msgspec.Struct, frozen=True, gc=False):
    """UNSUBSCRIBE (section 3.10)."""

    packet_id: int
    filters: tuple[str, ...]
    properties: UnsubscribeProperties = empty(UnsubscribeProperties)


class UnsubAck(msgspec.Struct, frozen=True, gc=False):
    """UNSUBACK (section 3.11); in 3.1.1 without reasons."""

    packet_id: int
    reasons: tuple[Reason, ...] = ()
    properties: AckProperties = empty(AckProperties)


class PingReq(msgspec.Struct, frozen=True, gc=False):
    """PINGREQ (section 3.12): the client is still there."""


class PingResp(msgspec.Struct, frozen=True, gc=False):
    """PINGRESP (section 3.13): the server is, too."""


class Disconnect(msgspec.Struct, frozen=True, gc=False):
    """DISCONNECT (section 3.14); in 3.1.1 sent by clients, without a reason."""

    reason: Reason = Reason.SUCCESS
    properties: DisconnectProperties = empty(DisconnectProperties)


class Auth(msgspec.Struct, frozen=True, gc=False):
    """AUTH (section 3.15), in version 5 only."""

    reason: Reason = Reason.SUCCESS
    properties: AuthProperties = empty(AuthProperties)


Packet = (
    Connect
    | ConnAck
    | Publish
    | PubAck
    | PubRec
    | PubRel
    | PubComp
    | Subscribe
    | SubAck
    | Unsubscribe
    | UnsubAck
    | PingReq
    | PingResp
    | Disconnect
    | Auth
)


class Type(IntEnum):
    """The types of packets (section 2.1.2), as they stand in the upper half of the first byte."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15
