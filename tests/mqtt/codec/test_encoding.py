"""What may not be sent is refused before it is; what is too large goes without its explanation."""

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
    PacketTooLarge,
    PubAck,
    PubComp,
    Publish,
    PublishProperties,
    Reason,
    SubAck,
    Subscribe,
    SubscribeProperties,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Version,
    Will,
    encode,
    encode_pubacks,
)

V311, V5 = Version.V311, Version.V5
BOTH = (V311, V5)
LONG = "ä" * 32_768


@pytest.mark.parametrize(
    ("packet", "versions"),
    [
        (Connect("a", V5), (V311,)),
        (Connect("a", V311), (V5,)),
        (Connect("a", V311, password=b"x"), (V311,)),
        (Connect(properties=ConnectProperties(authentication_data=b"x")), (V5,)),
        (Connect("a\0"), (V5,)),
        (Connect("\ud800"), (V5,)),
        (Connect(LONG), (V5,)),
        (Connect(keep_alive=65_536), (V5,)),
        (Connect(keep_alive=-1), (V5,)),
        (Connect(username="a", password=bytes(65_536)), (V5,)),
        (Connect(will=Will("a/#")), (V5,)),
        (Connect(will=Will("")), (V5,)),
        (Connect(will=Will("a", qos=3)), (V5,)),
        (Connect(properties=ConnectProperties(receive_maximum=0)), (V5,)),
        (Connect(properties=ConnectProperties(receive_maximum=65_536)), (V5,)),
        (Connect(properties=ConnectProperties(session_expiry_interval=2**32)), (V5,)),
        (Connect(properties=ConnectProperties(session_expiry_interval=-1)), (V5,)),
        (ConnAck(Reason.NO_SUBSCRIPTION_EXISTED), BOTH),
        (ConnAck(Reason.BANNED, session_present=True), BOTH),
        (ConnAck(properties=ConnAckProperties(maximum_qos=2)), (V5,)),
        (ConnAck(properties=ConnAckProperties(maximum_packet_size=0)), (V5,)),
        (Publish("a/+"), BOTH),
        (Publish("#"), BOTH),
        (Publish("a\0"), BOTH),
        (Publish("\ud800"), BOTH),
        (Publish(LONG), BOTH),
        (Publish(""), BOTH),
        (Publish("", properties=PublishProperties(topic_alias=1)), (V311,)),
        (Publish("a", qos=1), BOTH),
        (Publish("a", qos=3, packet_id=1), BOTH),
        (Publish("a", qos=2, packet_id=65_536), BOTH),
        (Publish("a", packet_id=1), BOTH),
        (Publish("a", dup=True), BOTH),
        (Publish("a", properties=PublishProperties(topic_alias=0)), (V5,)),
        (Publish("a", properties=PublishProperties(response_topic="a/+")), (V5,)),
        (Publish("a", properties=PublishProperties(payload_format_indicator=2)), (V5,)),
        (Publish("a", properties=PublishProperties(subscription_identifiers=(0,))), (V5,)),
        (Publish("a", properties=PublishProperties(subscription_identifiers=(2**28,))), (V5,)),
        (Publish("a", properties=PublishProperties(user_properties=(("a", "\0"),))), (V5,)),
        (Publish("a", bytes(268_435_453)), (V311,)),
        (PubAck(0), BOTH),
        (PubAck(65_536), BOTH),
        (PubAck(1, Reason.PACKET_IDENTIFIER_NOT_FOUND), BOTH),
        (PubComp(1, Reason.QUOTA_EXCEEDED), BOTH),
        (Subscribe(1, ()), BOTH),
        (Subscribe(0, (Subscription("a"),)), BOTH),
        (Subscribe(1, (Subscription("a", 3),)), BOTH),
        (Subscribe(1, (Subscription(""),)), BOTH),
        (Subscribe(1, (Subscription("a#"),)), BOTH),
        (Subscribe(1, (Subscription("a", retain_handling=3),)), (V5,)),
        (Subscribe(1, (Subscription("$share/g/a", no_local=True),)), (V5,)),
        (Subscribe(1, (Subscription("$share/g"),)), (V5,)),
        (
            Subscribe(1, (Subscription("a"),), SubscribeProperties(subscription_identifier=0)),
            (V5,),
        ),
        (SubAck(1, ()), BOTH),
        (SubAck(1, (Reason.NO_SUBSCRIPTION_EXISTED,)), BOTH),
        (Unsubscribe(1, ()), BOTH),
        (Unsubscribe(1, ("a+",)), BOTH),
        (UnsubAck(0), BOTH),
        (UnsubAck(1), (V5,)),
        (UnsubAck(1, (Reason.GRANTED_QOS_1,)), (V5,)),
        (Disconnect(Reason.GRANTED_QOS_1), BOTH),
        (Auth(), (V311,)),
        (Auth(Reason.CONTINUE_AUTHENTICATION), (V5,)),
        (Auth(Reason.NOT_AUTHORIZED, AuthProperties("a")), (V5,)),
    ],
)
def test_what_may_not_be_sent_is_refused(packet: Packet, versions: tuple[Version, ...]) -> None:
    for version in versions:
        with pytest.raises(ValueError, match=r".") as caught:
            encode(packet, version)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("numbers", [[0], [65_536], [1, -1], [1, 2**16]])
def test_many_pubacks_refuse_what_is_no_packet_id(numbers: list[int]) -> None:
    with pytest.raises(ValueError, match="packet id"):
        encode_pubacks(numbers)


WHY = "because " * 20
PAIRS = (("name", "value"),)


@pytest.mark.parametrize(
    ("packet", "short"),
    [
        (
            PubAck(1, Reason.QUOTA_EXCEEDED, AckProperties(WHY, PAIRS)),
            PubAck(1, Reason.QUOTA_EXCEEDED),
        ),
        (PubAck(1, properties=AckProperties(WHY)), PubAck(1)),
        (
            ConnAck(Reason.BANNED, properties=ConnAckProperties(reason_string=WHY)),
            ConnAck(Reason.BANNED),
        ),
        (
            SubAck(1, (Reason.GRANTED_QOS_1,), AckProperties(user_properties=PAIRS * 5)),
            SubAck(1, (Reason.GRANTED_QOS_1,)),
        ),
        (
            Disconnect(
                Reason.SERVER_MOVED,
                DisconnectProperties(server_reference="there", reason_string=WHY),
            ),
            Disconnect(Reason.SERVER_MOVED, DisconnectProperties(server_reference="there")),
        ),
    ],
)
def test_answer_beyond_the_limit_goes_without_explanation(packet: Packet, short: Packet) -> None:
    whole = encode(packet, V5)
    assert encode(packet, V5, len(whole)) == whole
    found = encode(packet, V5, len(whole) - 1)
    assert Decoder(V5).feed(found) == [short]
    assert len(found) < len(whole)


@pytest.mark.parametrize(
    "packet",
    [
        Publish("a", bytes(100)),
        Publish("a", properties=PublishProperties(user_properties=PAIRS * 5)),
        SubAck(1, (Reason.GRANTED_QOS_1,) * 40),
        SubAck(1, (Reason.GRANTED_QOS_1,) * 40, AckProperties(WHY)),
    ],
)
def test_packet_beyond_the_limit_is_not_sent(packet: Packet) -> None:
    with pytest.raises(PacketTooLarge) as caught:
        encode(packet, V5, 30)
    assert caught.value.reason is Reason.PACKET_TOO_LARGE
