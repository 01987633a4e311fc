"""How much is held and how long it takes, whatever arrives; nothing but codec errors is raised."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.mqtt.codec.strategies import cuts, packets, pieces
from wotkit.mqtt.codec import (
    CodecError,
    Connect,
    Decoder,
    Packet,
    PacketTooLarge,
    Publish,
    PublishProperties,
    Reason,
    Sender,
    Version,
    encode,
)

LIMIT = 64
STARTS = st.sampled_from(
    [None, *((version, sender) for version in Version for sender in (None, *Sender))]
)


def decoder_for(start: tuple[Version, Sender | None] | None, limit: int) -> Decoder:
    version, sender = start or (None, None)
    return Decoder(version, max_packet=limit, sender=sender)


def feed_all(decoder: Decoder, parts: list[bytes], limit: int) -> list[Packet]:
    """Feed everything, and see after each piece that no more than one packet is held."""
    got: list[Packet] = []
    reason = Reason.UNSPECIFIED_ERROR
    for part in parts:
        try:
            got += decoder.feed(part)
        except CodecError as error:
            got += error.before
            reason = error.reason
        assert decoder.held < max(limit, 6)
    assert reason >= Reason.UNSPECIFIED_ERROR
    return got


@settings(max_examples=300)
@given(STARTS, st.binary(max_size=300), cuts)
@example((Version.V5, None), bytes.fromhex("30ffffff7f"), [])
def test_random_bytes_raise_nothing_else(
    start: tuple[Version, Sender | None] | None, data: bytes, where: list[int]
) -> None:
    got = feed_all(decoder_for(start, LIMIT), pieces(data, where), LIMIT)
    assert got == feed_all(decoder_for(start, LIMIT), [data], LIMIT)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[Version, bytes]:
    """Packets of which some bytes were changed, taken away or put in."""
    version = draw(st.sampled_from(list(Version)))
    data = bytearray(encode(draw(packets(version)), version)[:400])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
    return version, bytes(data)


@settings(max_examples=200)
@given(damaged(), cuts)
def test_damaged_packets_raise_nothing_else_and_decode_to_what_can_be_sent(
    packet: tuple[Version, bytes], where: list[int]
) -> None:
    version, data = packet
    got = feed_all(Decoder(version, max_packet=500), pieces(data, where), 500)
    again = b"".join(encode(found, version) for found in got)
    assert Decoder(version).feed(again) == got


@pytest.mark.parametrize("version", list(Version))
def test_packet_of_exactly_the_limit_is_read(version: Version) -> None:
    sent = Publish("a", bytes(120))
    wire = encode(sent, version)
    for parts in ([wire], [wire[:1], wire[1:]], [wire[:2], wire[2:5], wire[5:]]):
        decoder = Decoder(version, max_packet=len(wire))
        assert [found for part in parts for found in decoder.feed(part)] == [sent]


@pytest.mark.parametrize("version", list(Version))
@pytest.mark.parametrize("size", [120, 200, 20_000, 3_000_000])
def test_packet_beyond_the_limit_is_refused_by_its_header(version: Version, size: int) -> None:
    wire = encode(Publish("a", bytes(size)), version)
    header = next(place for place in range(1, 6) if wire[place] < 0x80) + 1
    for parts in ([wire[:header]], [bytes((one,)) for one in wire[:header]]):
        decoder = Decoder(version, max_packet=len(wire) - 1)
        assert all(decoder.feed(part) == [] for part in parts[:-1])
        with pytest.raises(PacketTooLarge) as caught:
            decoder.feed(parts[-1])
        assert caught.value.reason is Reason.PACKET_TOO_LARGE
        assert decoder.held == 0


def test_limit_may_be_raised_once_the_client_is_known() -> None:
    decoder = Decoder(max_packet=100)
    decoder.feed(encode(Connect("a"), Version.V5))
    decoder.max_packet = 1_000
    sent = Publish("a", bytes(500))
    assert decoder.feed(encode(sent, Version.V5)) == [sent]


def peak_of(decoder: Decoder, parts: list[bytes]) -> int:
    tracemalloc.start()
    try:
        for part in parts:
            decoder.feed(part)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_packet_that_comes_slowly_takes_no_more_than_has_come() -> None:
    wire = encode(Publish("a", bytes(200_000)), Version.V5)
    parts = pieces(wire[:60_000], list(range(0, 60_000, 500)))
    assert peak_of(Decoder(Version.V5), parts) < 80_000


def test_claimed_size_takes_no_memory() -> None:
    assert peak_of(Decoder(Version.V5), [b"\x30\xff\xff\xff\x7f", b"\0\1a"]) < 5_000


def test_packet_in_tiny_pieces_is_not_copied_again_and_again() -> None:
    wire = encode(Publish("a", bytes(50_000)), Version.V5)
    counted = Counting(Version.V5)
    got = [found for place in range(len(wire)) for found in counted.feed(wire[place : place + 1])]
    assert len(got) == 1
    assert counted.looked_at < 10 * len(wire)


class Counting(Decoder):
    """Counts the bytes that are looked at for where the held packet ends."""

    looked_at = 0

    def _missing(self) -> int:
        self.looked_at += min(self.held, 5)
        return super()._missing()


def test_many_small_properties_grow_by_a_known_factor() -> None:
    pairs = (("", ""),) * 50_000
    wire = encode(Publish("a", properties=PublishProperties(user_properties=pairs)), Version.V5)
    assert peak_of(Decoder(Version.V5), [wire]) < 25 * len(wire)


@pytest.mark.parametrize("version", list(Version))
@given(data=st.data())
def test_cut_packet_yields_nothing_until_its_last_byte(
    version: Version, data: st.DataObject
) -> None:
    wire = encode(data.draw(packets(version)), version)
    decoder = Decoder(version)
    assert decoder.feed(wire[:-1]) == []
    assert decoder.held == len(wire) - 1
    assert len(decoder.feed(wire[-1:])) == 1
