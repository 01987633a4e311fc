"""The examples of the standards, byte by byte, and packets written down by hand."""

from __future__ import annotations

import pytest

from wotkit.mqtt.codec import (
    AckProperties,
    Auth,
    AuthProperties,
    ConnAck,
    ConnAckProperties,
    Connect,
    ConnectProperties,
    Decoder,
    Disconnect,
    DisconnectProperties,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PublishProperties,
    PubRec,
    PubRel,
    Reason,
    SubAck,
    Subscribe,
    SubscribeProperties,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Version,
    Will,
    WillProperties,
    encode,
)
from wotkit.mqtt.codec.wire import Cursor, text, varint

V311, V5 = Version.V311, Version.V5


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        # table 1-1 of version 5, table 2.4 of 3.1.1
        (0, "00"),
        (127, "7f"),
        (128, "8001"),
        (16_383, "ff7f"),
        (16_384, "808001"),
        (2_097_151, "ffff7f"),
        (2_097_152, "80808001"),
        (268_435_455, "ffffff7f"),
        # the text of 3.1.1, section 2.2.3
        (64, "40"),
        (321, "c102"),
    ],
)
def test_variable_byte_integer_of_the_tables(value: int, wire: str) -> None:
    assert varint(value).hex() == wire
    data = bytes.fromhex(wire)
    assert Cursor(data, 0, len(data)).varint() == value


@pytest.mark.parametrize("value", [-1, 268_435_456])
def test_variable_byte_integer_out_of_range_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="at most"):
        varint(value)


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        # section 1.5.4 (3.1.1: 1.5.3): A and U+2A6D4
        ("A\U0002a6d4", "000541f0aa9b94"),
        # [MQTT-1.5.4-3]: U+FEFF is kept
        ("\ufeffa", "0004efbbbf61"),
        ("", "0000"),
        ("\u0001\u007f\ufdd0", "000501" + "7f" + "efb790"),
    ],
)
def test_text_of_the_standards(value: str, wire: str) -> None:
    assert text(value).hex() == wire
    data = bytes.fromhex(wire)
    assert Cursor(data, 0, len(data)).text() == value


_MQTT = "00044d515454"
_PAIR = "26" + "00016b" + "000176"
_K_V = (("k", "v"),)

EXAMPLES: list[tuple[str, Version, Packet, str]] = [
    (
        "3.1.1, section 3.1.2: CONNECT with user name, password, will QoS 1 and clean session",
        V311,
        Connect("c", V311, True, 10, "u", b"p", Will("w", b"m", 1)),
        "1019" + _MQTT + "04ce000a" + "000163" + "000177" + "00016d" + "000175" + "000170",
    ),
    (
        "section 3.1.2: the same in version 5, with a session expiry interval of 10 seconds",
        V5,
        Connect(
            "c", V5, True, 10, "u", b"p", Will("w", b"m", 1),
            ConnectProperties(session_expiry_interval=10),
        ),
        "1020" + _MQTT + "05ce000a" + "05110000000a" + "000163" + "00" + "000177" + "00016d"
        + "000175" + "000170",
    ),
    ("CONNECT with nothing", V311, Connect("", V311), "100c" + _MQTT + "040200000000"),
    ("CONNECT that goes on with a session", V5, Connect("c", V5, False, 60),
     "100e" + _MQTT + "0500003c" + "00" + "000163"),
    ("CONNECT with a retained will and its properties", V5,
     Connect("c", V5, will=Will("w", b"", 2, True, WillProperties(will_delay_interval=5))),
     "1019" + _MQTT + "05360000" + "00" + "000163" + "05" + "1800000005" + "000177" + "0000"),
    ("CONNECT with every property", V5,
     Connect("", V5, properties=ConnectProperties(1, 2, 3, 4, True, False, "m", b"d", _K_V)),
     "1030" + _MQTT + "05020000" + "23" + "1100000001" + "15" + "00016d" + "16" + "000164"
     + "1700" + "1901" + "210002" + "220004" + _PAIR + "2700000003" + "0000"),
    ("CONNACK", V311, ConnAck(), "20020000"),
    ("CONNACK with a session", V311, ConnAck(session_present=True), "20020100"),
    ("CONNACK, bad user name or password", V311, ConnAck(Reason.BAD_USER_NAME_OR_PASSWORD),
     "20020004"),
    ("CONNACK", V5, ConnAck(), "2003000000"),
    ("CONNACK, not authorized", V5,
     ConnAck(Reason.NOT_AUTHORIZED, properties=ConnAckProperties(reason_string="no")),
     "2008008705" + "1f00026e6f"),
    ("CONNACK of a server that can do little", V5,
     ConnAck(session_present=True, properties=ConnAckProperties(
         maximum_qos=1, retain_available=False, shared_subscription_available=False,
         server_keep_alive=300)),
     "200c010009" + "13012c" + "2401" + "2500" + "2a00"),
    ("3.1.1, section 3.3.2: PUBLISH to a/b with packet id 10", V311,
     Publish("a/b", b"", 1, 10), "3207" + "0003612f62" + "000a"),
    ("section 3.3.2: the same in version 5", V5, Publish("a/b", b"", 1, 10),
     "3208" + "0003612f62" + "000a" + "00"),
    ("PUBLISH with QoS 0, retained", V311, Publish("a", b"hi", retain=True), "3105000161" + "6869"),
    ("PUBLISH with QoS 2, sent again", V5, Publish("a", b"hi", 2, 258, dup=True),
     "3c08000161" + "0102" + "00" + "6869"),
    ("PUBLISH with every property", V5,
     Publish("", b"", properties=PublishProperties(1, 2, 3, "r", b"c", (1, 128), "t", _K_V)),
     "3025" + "0000" + "22" + "0101" + "0200000002" + "03" + "000174" + "08" + "000172" + "09"
     + "000163" + "0b01" + "0b8001" + "230003" + _PAIR),
    ("PUBACK", V311, PubAck(10), "4002000a"),
    ("PUBACK, success", V5, PubAck(10), "4002000a"),
    ("PUBACK, no matching subscribers", V5, PubAck(10, Reason.NO_MATCHING_SUBSCRIBERS),
     "4003000a10"),
    ("PUBACK, payload format invalid", V5,
     PubAck(10, Reason.PAYLOAD_FORMAT_INVALID, AckProperties("x", _K_V)),
     "400f000a990b" + "1f000178" + _PAIR),
    ("PUBACK, success with a user property", V5, PubAck(10, properties=AckProperties(None, _K_V)),
     "400b000a0007" + _PAIR),
    ("PUBREC", V311, PubRec(1), "50020001"),
    ("PUBREL", V311, PubRel(1), "62020001"),
    ("PUBCOMP", V311, PubComp(1), "70020001"),
    ("PUBREC, quota exceeded", V5, PubRec(1, Reason.QUOTA_EXCEEDED), "5003000197"),
    ("PUBREL, packet id not found", V5, PubRel(1, Reason.PACKET_IDENTIFIER_NOT_FOUND),
     "6203000192"),
    ("PUBCOMP", V5, PubComp(1), "70020001"),
    ("3.1.1, section 3.8.3: SUBSCRIBE to a/b with QoS 1 and c/d with QoS 2", V311,
     Subscribe(10, (Subscription("a/b", 1), Subscription("c/d", 2))),
     "820e" + "000a" + "0003612f62" + "01" + "0003632f64" + "02"),
    ("section 3.8.3: the same in version 5", V5,
     Subscribe(10, (Subscription("a/b", 1), Subscription("c/d", 2))),
     "820f" + "000a" + "00" + "0003612f62" + "01" + "0003632f64" + "02"),
    ("SUBSCRIBE with every option", V5,
     Subscribe(1, (Subscription("+/#", 2, True, True, 2),), SubscribeProperties(300, _K_V)),
     "8213" + "0001" + "0a" + "0bac02" + _PAIR + "00032b2f23" + "2e"),
    ("3.1.1, section 3.9.3: SUBACK with QoS 0, QoS 2 and a failure", V311,
     SubAck(10, (Reason.SUCCESS, Reason.GRANTED_QOS_2, Reason.UNSPECIFIED_ERROR)),
     "9005" + "000a" + "000280"),
    ("SUBACK, topic filter invalid", V5,
     SubAck(10, (Reason.GRANTED_QOS_1, Reason.TOPIC_FILTER_INVALID)), "9005" + "000a" + "00018f"),
    ("3.1.1, section 3.10.3: UNSUBSCRIBE from a/b and c/d", V311,
     Unsubscribe(10, ("a/b", "c/d")), "a20c" + "000a" + "0003612f62" + "0003632f64"),
    ("section 3.10.3: the same in version 5", V5, Unsubscribe(10, ("a/b", "c/d")),
     "a20d" + "000a" + "00" + "0003612f62" + "0003632f64"),
    ("UNSUBACK", V311, UnsubAck(10), "b002000a"),
    ("UNSUBACK, no subscription existed", V5, UnsubAck(10, (Reason.NO_SUBSCRIPTION_EXISTED,)),
     "b004000a0011"),
    ("PINGREQ", V311, PingReq(), "c000"),
    ("PINGRESP", V5, PingResp(), "d000"),
    ("DISCONNECT", V311, Disconnect(), "e000"),
    ("DISCONNECT, normal", V5, Disconnect(), "e000"),
    ("DISCONNECT, with will message", V5, Disconnect(Reason.DISCONNECT_WITH_WILL_MESSAGE),
     "e00104"),
    ("DISCONNECT that ends a session", V5,
     Disconnect(properties=DisconnectProperties(session_expiry_interval=0)), "e00700051100000000"),
    ("AUTH, success", V5, Auth(), "f000"),
    ("AUTH, continue", V5,
     Auth(Reason.CONTINUE_AUTHENTICATION, AuthProperties("SCRAM", b"\x01")),
     "f00e18" + "0c" + "150005" + "534352414d" + "160001" + "01"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("version", "packet", "wire"),
    [pytest.param(*rest, id=f"{rest[0].name}-{says}") for says, *rest in EXAMPLES],
)
def test_packet_is_these_bytes_and_these_bytes_are_the_packet(
    version: Version, packet: Packet, wire: str
) -> None:
    assert encode(packet, version).hex() == wire
    assert Decoder(version).feed(bytes.fromhex(wire)) == [packet]


@pytest.mark.parametrize(
    ("wire", "packet"),
    [
        ("400400010000", PubAck(1)),
        ("4003000100", PubAck(1)),
        ("e0020000", Disconnect()),
        ("e00100", Disconnect()),
    ],
)
def test_longer_forms_of_the_same_are_read(wire: str, packet: Packet) -> None:
    assert Decoder(V5).feed(bytes.fromhex(wire)) == [packet]
