"""MQTT 3.1.1 and 5 without sockets and clocks: bytes to packets, and packets to bytes.

A :class:`Decoder` takes bytes as they arrive and returns packets; :func:`encode` turns a packet
into bytes. Both know both directions. What the standards forbid within one packet is refused here;
what depends on earlier packets, such as a packet id that is in use, is a matter of the session.

Sources: MQTT Version 3.1.1 (OASIS Standard, 29 October 2014) and MQTT Version 5.0 (OASIS Standard,
7 March 2019). This package imports nothing of wotkit.
"""

from __future__ import annotations

from wotkit.mqtt.codec.aliases import TopicAliases
from wotkit.mqtt.codec.decoder import Decoder
from wotkit.mqtt.codec.encoding import encode, encode_pubacks
from wotkit.mqtt.codec.errors import (
    CodecError,
    MalformedPacket,
    PacketTooLarge,
    ProtocolError,
    UnsupportedVersion,
)
from wotkit.mqtt.codec.filters import Shared, matches, shared, valid_filter, valid_topic
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
    Sender,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Version,
    Will,
)
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
)
from wotkit.mqtt.codec.reasons import Reason

__all__ = [
    "AckProperties",
    "Auth",
    "AuthProperties",
    "CodecError",
    "ConnAck",
    "ConnAckProperties",
    "Connect",
    "ConnectProperties",
    "Decoder",
    "Disconnect",
    "DisconnectProperties",
    "MalformedPacket",
    "Packet",
    "PacketTooLarge",
    "PingReq",
    "PingResp",
    "ProtocolError",
    "PubAck",
    "PubComp",
    "PubRec",
    "PubRel",
    "Publish",
    "PublishProperties",
    "Reason",
    "Sender",
    "Shared",
    "SubAck",
    "Subscribe",
    "SubscribeProperties",
    "Subscription",
    "TopicAliases",
    "UnsubAck",
    "Unsubscribe",
    "UnsubscribeProperties",
    "UnsupportedVersion",
    "Version",
    "Will",
    "WillProperties",
    "encode",
    "encode_pubacks",
    "matches",
    "shared",
    "valid_filter",
    "valid_topic",
]
