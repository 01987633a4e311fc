"""What is encoded is decoded to the same, in whatever pieces it arrives."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mqtt.codec.strategies import (
    BY_VERSION,
    FROM_CLIENTS,
    cuts,
    ids,
    packets,
    pieces,
    publish_properties,
)
from wotkit.mqtt.codec import (
    AckProperties,
    ConnAck,
    Connect,
    Decoder,
    MalformedPacket,
    Packet,
    PubAck,
    Publish,
    PublishProperties,
    Reason,
    Sender,
    SubAck,
    UnsubAck,
    Version,
    encode,
    encode_pubacks,
)

KINDS = [(version, name) for version, kinds in BY_VERSION.items() for name in kinds]
BOTH = pytest.mark.parametrize("version", list(Version))


@pytest.mark.parametrize(("version", "name"), KINDS)
@settings(max_examples=40)
@given(data=st.data())
def test_every_packet_comes_back_the_same_in_any_pieces(
    version: Version, name: str, data: st.DataObject
) -> None:
    sent = data.draw(st.lists(BY_VERSION[version][name], min_size=1, max_size=4))
    wire = b"".join(encode(packet, version) for packet in sent)
    decoder = Decoder(version)
    got: list[Packet] = []
    for piece in pieces(wire, data.draw(cuts)):
        got += decoder.feed(piece)
    assert got == sent
    assert decoder.held == 0


@BOTH
@settings(max_examples=40)
@given(data=st.data())
def test_mixed_packets_come_back_byte_by_byte(version: Version, data: st.DataObject) -> None:
    sent = data.draw(st.lists(packets(version), min_size=1, max_size=3))
    wire = b"".join(encode(packet, version) for packet in sent)[:4_000]
    decoder = Decoder(version)
    got = [found for byte in wire for found in decoder.feed(bytes((byte,)))]
    assert got == sent[: len(got)]
    assert b"".join(encode(packet, version) for packet in got) == wire[: len(wire) - decoder.held]


@BOTH
@settings(max_examples=40)
@given(data=st.data())
def test_server_learns_the_version_from_connect(version: Version, data: st.DataObject) -> None:
    kinds = BY_VERSION[version]
    sent = [data.draw(kinds["connect"])]
    sent += data.draw(st.lists(st.one_of(*(kinds[name] for name in FROM_CLIENTS)), max_size=4))
    sent = [_as_from_client(packet) for packet in sent]
    wire = b"".join(encode(packet, version) for packet in sent)
    decoder = Decoder()
    assert decoder.version is None
    got = [found for piece in pieces(wire, data.draw(cuts)) for found in decoder.feed(piece)]
    assert got == sent
    assert decoder.version is version


def _as_from_client(packet: Packet) -> Packet:
    if isinstance(packet, Publish) and packet.properties.subscription_identifiers:
        return Publish(packet.topic or "a", packet.payload, packet.qos, packet.packet_id)
    return packet


@given(given_properties=publish_properties, later=st.lists(ids, max_size=100))
def test_properties_of_any_length_leave_what_follows_alone(
    given_properties: PublishProperties, later: list[int]
) -> None:
    sent = Publish("a", b"x", properties=given_properties)
    wire = encode(sent, Version.V5) + encode_pubacks(later)
    assert Decoder(Version.V5).feed(wire) == [sent, *map(PubAck, later)]


def test_property_block_of_a_megabyte_is_read() -> None:
    sent = Publish(
        "a", properties=PublishProperties(user_properties=(("name", "v" * 65_535),) * 16)
    )
    assert Decoder(Version.V5).feed(encode(sent, Version.V5)) == [sent]


@BOTH
@given(numbers=st.lists(ids, max_size=300))
def test_many_pubacks_are_the_same_as_each_alone(version: Version, numbers: list[int]) -> None:
    assert encode_pubacks(numbers) == b"".join(encode(PubAck(one), version) for one in numbers)


def test_pieces_that_hold_several_packets_yield_all_of_them() -> None:
    one = Publish("a", b"1" * 300, 1, 1)
    wire = encode(one, Version.V5) * 3
    decoder = Decoder(Version.V5)
    assert decoder.feed(wire[:10]) == []
    assert decoder.feed(wire[10:-10]) == [one, one]
    assert decoder.held == len(wire) // 3 - 10
    assert decoder.feed(wire[-10:]) == [one]


def test_error_keeps_the_packets_that_came_before() -> None:
    good = Publish("a", b"1", 1, 1)
    decoder = Decoder(Version.V311, sender=Sender.CLIENT)
    with pytest.raises(MalformedPacket) as caught:
        decoder.feed(encode(good, Version.V311) * 2 + b"\0\0")
    assert caught.value.before == [good, good]
    assert decoder.feed(encode(good, Version.V311)) == []
    assert decoder.held == 0


@pytest.mark.parametrize(
    ("packet", "wire"),
    [
        (PubAck(1, Reason.QUOTA_EXCEEDED, AckProperties("why")), "40020001"),
        (ConnAck(Reason.QUOTA_EXCEEDED), "20020003"),
        (ConnAck(Reason.BANNED), "20020005"),
        (SubAck(1, (Reason.NOT_AUTHORIZED, Reason.GRANTED_QOS_1)), "900400018001"),
        (UnsubAck(1, (Reason.SUCCESS,)), "b0020001"),
        (Publish("a", properties=PublishProperties(topic_alias=1)), "3003000161"),
    ],
)
def test_what_3_1_1_has_no_place_for_is_left_out(packet: Packet, wire: str) -> None:
    assert encode(packet, Version.V311).hex() == wire


def test_password_without_user_name_is_for_version_5() -> None:
    sent = Connect("a", Version.V5, password=b"secret")
    assert Decoder().feed(encode(sent, Version.V5)) == [sent]
