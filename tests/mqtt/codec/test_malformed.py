"""Every way in which the standards say that a packet is wrong, and the reason code it earns.

Statements without a version stand in both standards; their numbers are those of version 5, and
those of 3.1.1 where only that one has them.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from wotkit.mqtt.codec import (
    CodecError,
    Decoder,
    MalformedPacket,
    ProtocolError,
    Reason,
    Sender,
    UnsupportedVersion,
    Version,
    encode,
)
from wotkit.mqtt.codec.packets import Connect, PubAck

V311, V5 = Version.V311, Version.V5
MALFORMED, PROTOCOL = Reason.MALFORMED_PACKET, Reason.PROTOCOL_ERROR
CLIENT, SERVER = Sender.CLIENT, Sender.SERVER


class Case(NamedTuple):
    says: str
    hex: str
    versions: tuple[Version | None, ...] = (V311, V5)
    error: type[CodecError] = MalformedPacket
    reason: Reason | None = None
    sender: Sender | None = None


def text(value: str | bytes) -> str:
    raw = value.encode() if isinstance(value, str) else value
    return (len(raw).to_bytes(2, "big") + raw).hex()


def packet(first: int, body: str) -> str:
    assert len(body) // 2 < 128
    return bytes((first, len(body) // 2)).hex() + body


def connect(flags: int, payload: str, *, level: int = 4, properties: str = "") -> str:
    block = bytes((len(properties) // 2,)).hex() + properties if level == 5 else ""
    return packet(0x10, text("MQTT") + f"{level:02x}{flags:02x}003c" + block + payload)


def connect_5(properties: str, flags: int = 2, payload: str = "0000") -> str:
    return connect(flags, payload, level=5, properties=properties)


def publish_5(properties: str, topic: str = "a") -> str:
    return packet(0x30, text(topic) + bytes((len(properties) // 2,)).hex() + properties)


HEADERS = [
    Case("section 2.1.2: packet type 0 is reserved", "0000"),
    Case("section 2.1.2: in 3.1.1 packet type 15 is reserved", "f000", (V311,)),
    *(
        Case(f"MQTT-2.1.3-1, 3.1.1 MQTT-2.2.2-2: reserved flags of {name}", first + "00")
        for name, first in {
            "CONNECT": "11",
            "CONNACK": "21",
            "PUBACK": "41",
            "PUBREC": "52",
            "PUBREL, MQTT-3.6.1-1": "60",
            "PUBCOMP": "78",
            "SUBSCRIBE, MQTT-3.8.1-1": "80",
            "SUBACK": "91",
            "UNSUBSCRIBE, MQTT-3.10.1-1": "a0",
            "UNSUBACK": "b4",
            "PINGREQ": "c1",
            "PINGRESP": "d1",
            "DISCONNECT, MQTT-3.14.1-1": "e1",
        }.items()
    ),
    Case("MQTT-3.15.1-1: reserved flags of AUTH", "f100", (V5,)),
    Case("section 1.5.5, 3.1.1 2.2.3: a remaining length of five bytes", "30ffffffff01"),
    Case("section 1.5.5: four bytes that say that more follows", "3080808080"),
    Case("MQTT-1.5.5-1: a remaining length longer than need be", "308500" + "0001610031", (V5,)),
    Case("MQTT-1.5.5-1: the same in a CONNECT", "108d00" + connect_5("")[4:], (None,)),
    Case("section 3.12: PINGREQ with a body", "c00100"),
    Case("section 3.13: PINGRESP with a body", "d00100"),
    Case("section 3.14: DISCONNECT of 3.1.1 with a body", "e00100", (V311,)),
]

TEXTS = [
    *(
        Case(f"{says}, in {where}", made, versions)
        for says, raw in {
            "MQTT-1.5.4-1, 3.1.1 MQTT-1.5.3-1: a surrogate": b"\xed\xa0\x80",
            "MQTT-1.5.4-1: a pair of surrogates, each encoded": b"\xed\xa0\x81\xed\xb0\x80",
            "MQTT-1.5.4-1: an overlong slash": b"\xc0\xaf",
            "MQTT-1.5.4-1: beyond U+10FFFF": b"\xf4\x90\x80\x80",
            "MQTT-1.5.4-1: half a character": b"\xf0\xaa\x9b",
            "MQTT-1.5.4-1: a byte that never occurs": b"\xff",
            "MQTT-1.5.4-2, 3.1.1 MQTT-1.5.3-2: the null character": b"a\0b",
            "MQTT-1.5.4-1: the null character in two bytes": b"\xc0\x80",
        }.items()
        for where, made, versions in (
            ("MQTT-3.3.2-1 topic", packet(0x30, text(raw)), (V311,)),
            ("MQTT-3.3.2-1 topic", packet(0x30, text(raw) + "00"), (V5,)),
            ("MQTT-3.8.3-1 filter", packet(0x82, "0001" + text(raw) + "00"), (V311,)),
            ("MQTT-3.8.3-1 filter", packet(0x82, "000100" + text(raw) + "00"), (V5,)),
            ("MQTT-3.10.3-1 filter", packet(0xA2, "0001" + text(raw)), (V311,)),
            ("MQTT-3.10.3-1 filter", packet(0xA2, "000100" + text(raw)), (V5,)),
            ("MQTT-3.1.3-4 client id", connect(2, text(raw)), (None,)),
            ("MQTT-3.1.3-4 client id", connect(2, text(raw), level=5), (None,)),
            ("MQTT-3.1.3-10 will topic", connect(6, "0000" + text(raw) + "0000"), (None,)),
            ("MQTT-3.1.3-11 user name", connect(0x82, "0000" + text(raw)), (None,)),
            ("MQTT-3.3.2-13 response topic", publish_5("08" + text(raw)), (V5,)),
            ("MQTT-3.3.2-19 content type", publish_5("03" + text(raw)), (V5,)),
            ("MQTT-1.5.7-1 name", publish_5("26" + text(raw) + "0000"), (V5,)),
            ("MQTT-1.5.7-1 value", publish_5("260000" + text(raw)), (V5,)),
        )
    ),
]

CONNECTS = [
    Case("MQTT-3.1.2-1: another protocol", packet(0x10, text("MQTS") + "0402003c0000"), (None,),
         UnsupportedVersion, Reason.UNSUPPORTED_PROTOCOL_VERSION),
    Case("MQTT-3.1.2-1: its name in lower case", packet(0x10, text("mqtt") + "0402003c0000"),
         (None,), UnsupportedVersion, Reason.UNSUPPORTED_PROTOCOL_VERSION),
    Case("MQTT-3.1.2-2: version 3.1", packet(0x10, text("MQIsdp") + "0302003c0000"), (None,),
         UnsupportedVersion, Reason.UNSUPPORTED_PROTOCOL_VERSION),
    Case("MQTT-3.1.2-2: level 6", connect(2, "0000", level=6), (None,),
         UnsupportedVersion, Reason.UNSUPPORTED_PROTOCOL_VERSION),
    Case("MQTT-3.1.2-2: a bridge's level 0x84", connect(2, "0000", level=0x84), (None,),
         UnsupportedVersion, Reason.UNSUPPORTED_PROTOCOL_VERSION),
    *(
        case
        for level in (4, 5)
        for case in (
            Case("MQTT-3.1.2-3: the reserved flag", connect(3, "0000", level=level), (None,)),
            Case("MQTT-3.1.2-14: will QoS 3",
                 connect(0x1E, "0000" + "00" * (level - 4) + "0001610000", level=level), (None,)),
            Case("MQTT-3.1.2-13: will QoS 1 and no will", connect(0x0A, "0000", level=level),
                 (None,)),
            Case("MQTT-3.1.2-15: will retain and no will", connect(0x22, "0000", level=level),
                 (None,)),
            Case("MQTT-3.1.3-3: no client id", connect(2, "", level=level), (None,)),
            Case("MQTT-3.1.2-9: no will topic", connect(6, "0000", level=level), (None,)),
            Case("MQTT-3.1.2-9: no will message",
                 connect(6, "0000" + "00" * (level - 4) + "000161", level=level), (None,)),
            Case("MQTT-3.1.2-19: no user name", connect(0x82, "0000", level=level), (None,)),
            Case("MQTT-3.1.2-21: no password", connect(0xC2, "0000000161", level=level), (None,)),
            Case("MQTT-3.1.2-18: a user name without its flag",
                 connect(2, "0000000161", level=level), (None,)),
            Case("section 1.5.4: a client id longer than the packet",
                 connect(2, "000561", level=level), (None,)),
            Case("MQTT-4.7.0-1: a wildcard in the will topic",
                 connect(6, "0000" + "00" * (level - 4) + text("a/#") + "0000", level=level),
                 (None,)),
            Case("MQTT-4.7.3-1: an empty will topic",
                 connect(6, "0000" + "00" * (level - 4) + "00000000", level=level), (None,)),
        )
    ),
    Case("MQTT-3.1.2-22 of 3.1.1: a password without a user name",
         connect(0x42, "0000000161"), (None,)),
    Case("section 3.1: an empty CONNECT", "1000", (None,)),
    Case("section 3.1: CONNECT cut after its flags",
         packet(0x10, text("MQTT") + "0402"), (None,)),
    Case("section 3.1.2.11: no property length", packet(0x10, text("MQTT") + "0502003c"),
         (None,)),
    Case("section 3.1.2.11.10: authentication data without a method", connect_5("16000161"),
         (None,), ProtocolError, PROTOCOL),
    Case("MQTT-3.1.0-1: the first packet is not CONNECT", "c000", (None,), ProtocolError, PROTOCOL),
    Case("MQTT-3.1.0-2: a second CONNECT", connect(2, "0000") * 2, (None,), ProtocolError,
         PROTOCOL),
]  # fmt: skip

CONNACKS = [
    Case("MQTT-3.2.2-1: reserved acknowledge flags", "20020200", (V311,)),
    Case("MQTT-3.2.2-1: reserved acknowledge flags", "2003020000", (V5,)),
    Case("MQTT-3.2.2-4 of 3.1.1: refused with a session", "20020105", (V311,), ProtocolError),
    Case("MQTT-3.2.2-6: refused with a session", "2003018700", (V5,), ProtocolError),
    Case("section 3.2.2.3 of 3.1.1: return code 6", "20020006", (V311,), ProtocolError),
    Case("MQTT-3.2.2-8: a reason of PUBACK", "2003001000", (V5,), ProtocolError),
    Case("section 3.2: cut short", "200100"),
    Case("section 3.2: more than its contents", "2003000000", (V311,)),
    Case("section 3.2: more than its contents", "200400000000", (V5,)),
]

PUBLISHES = [
    Case("MQTT-3.3.1-4: QoS 3", "3607" + "000161000100" + "31"),
    Case("MQTT-3.3.1-2: QoS 0 sent again", "3804" + "00016100"),
    Case("MQTT-2.2.1-3, 3.1.1 MQTT-2.3.1-1: packet id 0", "3206" + "0001610000" + "00",
         error=ProtocolError, reason=PROTOCOL),
    Case("MQTT-2.2.1-3: packet id 0 with QoS 2", "3406" + "0001610000" + "00",
         error=ProtocolError, reason=PROTOCOL),
    Case("section 3.3.2.2: no packet id", "3203" + "000161"),
    Case("section 3.3.2.2: half a packet id", "3204" + "00016100"),
    Case("MQTT-3.3.2-1: no topic", "3000"),
    Case("MQTT-3.3.2-1: half a topic length", "300100"),
    Case("MQTT-3.3.2-1: a topic longer than the packet", "3005" + "0009616100"),
    Case("MQTT-3.3.2-1: a topic longer than the packet", "3005" + "0009616161", (V311,)),
    Case("MQTT-3.3.2-2: # in a topic", "3005" + "0002612300"),
    Case("MQTT-3.3.2-2: + in a topic", "3005" + "00022b2f00"),
    Case("MQTT-4.7.3-1: an empty topic", "3003" + "000031", (V311,)),
    Case("section 3.3.2.1: an empty topic without an alias", publish_5("", ""), (V5,),
         ProtocolError, PROTOCOL),
    Case("section 3.3.2.3: no property length", "3003" + "000161", (V5,)),
    Case("section 3.3.2.3: properties longer than the packet", "3005" + "0001610526", (V5,)),
    Case("MQTT-3.3.2-8: topic alias 0", publish_5("230000"), (V5,), ProtocolError,
         Reason.TOPIC_ALIAS_INVALID),
    Case("MQTT-3.3.2-14: a wildcard in the response topic", publish_5("080001" + "23"), (V5,)),
    Case("MQTT-4.7.3-1: an empty response topic", publish_5("080000"), (V5,)),
    Case("MQTT-3.3.4-6: a client's subscription identifier", publish_5("0b01"), (V5,),
         ProtocolError, PROTOCOL, CLIENT),
    Case("section 3.3.2.3.8: subscription identifier 0", publish_5("0b00"), (V5,), ProtocolError,
         PROTOCOL),
]  # fmt: skip

ACKNOWLEDGEMENTS = [
    *(
        case
        for first, name in ((0x40, "PUBACK"), (0x50, "PUBREC"), (0x62, "PUBREL"), (0x70, "PUBCOMP"))
        for case in (
            Case(f"section 3.4.2: {name} without a packet id", packet(first, "")),
            Case(f"section 3.4.2: {name} with half a packet id", packet(first, "00")),
            Case(f"MQTT-2.2.1-5: {name} of packet id 0", packet(first, "0000"),
                 error=ProtocolError, reason=PROTOCOL),
            Case(f"section 3.4.2: {name} of 3.1.1 with more", packet(first, "000100"), (V311,)),
            Case(f"MQTT-3.4.2-1: {name} with a reason of DISCONNECT", packet(first, "00018e"),
                 (V5,), ProtocolError, PROTOCOL),
            Case(f"section 3.4.2.2: {name} with properties cut short", packet(first, "00010005"),
                 (V5,)),
            Case(f"section 3.4.2.2: {name} with bytes after its properties",
                 packet(first, "0001000000"), (V5,)),
        )
    ),
    Case("section 3.4.2.1: a client without matching subscribers", "4003000110", (V5,),
         ProtocolError, PROTOCOL, CLIENT),
    Case("section 3.5.2.1: a client without matching subscribers", "5003000110", (V5,),
         ProtocolError, PROTOCOL, CLIENT),
]  # fmt: skip

SUBSCRIBES = [
    Case("MQTT-3.8.3-2, 3.1.1 MQTT-3.8.3-3: no topic filter", "82020001", (V311,), ProtocolError,
         PROTOCOL),
    Case("MQTT-3.8.3-2: no topic filter", "8203000100", (V5,), ProtocolError, PROTOCOL),
    Case("MQTT-2.2.1-3: packet id 0", "8206" + "000000016100", (V311,), ProtocolError, PROTOCOL),
    Case("MQTT-2.2.1-3: packet id 0", "8207" + "00000000016100", (V5,), ProtocolError, PROTOCOL),
    Case("MQTT-3-8.3-4 of 3.1.1: QoS 3", "8206" + "000100016103", (V311,)),
    Case("MQTT-3-8.3-4 of 3.1.1: reserved bits", "8206" + "000100016104", (V311,)),
    Case("section 3.8.3.1: QoS 3", "8207" + "00010000016103", (V5,), ProtocolError, PROTOCOL),
    Case("section 3.8.3.1: retain handling 3", "8207" + "00010000016130", (V5,), ProtocolError,
         PROTOCOL),
    Case("MQTT-3.8.3-5: reserved bits", "8207" + "00010000016140", (V5,)),
    Case("MQTT-3.8.3-5: reserved bits", "8207" + "00010000016180", (V5,)),
    Case("MQTT-3.8.3-4: no local on a shared subscription",
         packet(0x82, "000100" + text("$share/g/a") + "04"), (V5,), ProtocolError, PROTOCOL),
    Case("section 3.8.3: no options", "8205" + "0001000161", (V311,)),
    Case("section 3.8.3: no options", "8206" + "000100000161", (V5,)),
    *(
        Case(f"{says}, {made}", made, (version,))
        for says, wrong in (
            ("MQTT-4.7.3-1: an empty filter", ""),
            ("MQTT-4.7.1-1: # is not last", "a/#/b"),
            ("MQTT-4.7.1-1: # is not alone in its level", "a/b#"),
            ("MQTT-4.7.1-1: two of them", "##"),
            ("MQTT-4.7.1-2: + is not alone in its level", "a+/b"),
            ("MQTT-4.7.1-2: + is not alone in the last level", "a/+b"),
        )
        for version, made in (
            (V311, packet(0x82, "0001" + text(wrong) + "00")),
            (V5, packet(0x82, "000100" + text(wrong) + "00")),
            (V311, packet(0xA2, "0001" + text(wrong))),
            (V5, packet(0xA2, "000100" + text(wrong))),
        )
    ),
    *(
        Case(says, packet(0x82, "000100" + text(wrong) + "00"), (V5,))
        for says, wrong in (
            ("MQTT-4.8.2-1: a share without a name", "$share//a"),
            ("MQTT-4.8.2-1: a share without anything", "$share/"),
            ("MQTT-4.8.2-2: a share without a filter", "$share/g"),
            ("MQTT-4.8.2-2: a share with an empty filter", "$share/g/"),
            ("MQTT-4.8.2-2: a share named #", "$share/#/a"),
            ("MQTT-4.8.2-2: a share named a+", "$share/a+/a"),
        )
    ),
    Case("section 3.8.2.1.2: subscription identifier 0", "8209" + "0001020b00" + "00016100", (V5,),
         ProtocolError, PROTOCOL),
    Case("section 3.8.2.1.2: two of them", "820b" + "0001040b010b02" + "00016100", (V5,),
         ProtocolError, PROTOCOL),
    Case("MQTT-3.10.3-2: UNSUBSCRIBE without a filter", "a2020001", (V311,), ProtocolError,
         PROTOCOL),
    Case("MQTT-3.10.3-2: UNSUBSCRIBE without a filter", "a203000100", (V5,), ProtocolError,
         PROTOCOL),
    Case("MQTT-2.2.1-3: UNSUBSCRIBE with packet id 0", "a205" + "0000000161", (V311,),
         ProtocolError, PROTOCOL),
    Case("MQTT-3.9.3-2 of 3.1.1: a return code that does not exist", "9003000103", (V311,),
         ProtocolError),
    Case("MQTT-3.9.3-2: a reason that SUBACK does not have", "900400010011", (V5,), ProtocolError),
    Case("MQTT-3.8.4-6: SUBACK without reasons", "90020001", (V311,), ProtocolError),
    Case("MQTT-3.8.4-6: SUBACK without reasons", "9003000100", (V5,), ProtocolError),
    Case("MQTT-2.2.1-6: SUBACK of packet id 0", "9003000000", (V311,), ProtocolError),
    Case("section 3.11 of 3.1.1: UNSUBACK with more", "b003000100", (V311,)),
    Case("MQTT-3.11.3-2: a reason that UNSUBACK does not have", "b00400010001", (V5,),
         ProtocolError),
    Case("section 3.11.3: UNSUBACK without reasons", "b003000100", (V5,), ProtocolError),
]  # fmt: skip

ENDS = [
    Case("MQTT-3.14.2-1: a reason that DISCONNECT does not have", "e00110", (V5,), ProtocolError),
    Case("section 3.14.2.1: a client that is shutting down", "e0018b", (V5,), ProtocolError,
         PROTOCOL, CLIENT),
    Case("section 3.14.2.1: a server that has a will", "e00104", (V5,), ProtocolError, PROTOCOL,
         SERVER),
    Case("MQTT-3.14.2-2: a server's session expiry interval", "e007000511" + "00000001", (V5,),
         ProtocolError, PROTOCOL, SERVER),
    Case("section 3.14.2.2: DISCONNECT with bytes after it", "e0030000ff", (V5,)),
    Case("MQTT-3.15.2-1: a reason that AUTH does not have", "f00180", (V5,), ProtocolError),
    Case("section 3.15.2.1: a client that says success", "f000", (V5,), ProtocolError, PROTOCOL,
         CLIENT),
    Case("section 3.15.2.1: a server that authenticates again", "f00619" + "0415000161", (V5,),
         ProtocolError, PROTOCOL, SERVER),
    Case("section 3.15.2.2.2: AUTH without a method", "f0021800", (V5,), ProtocolError, PROTOCOL),
    Case("section 3.15.2.2: AUTH with a reason and nothing else", "f00118", (V5,)),
]  # fmt: skip

DIRECTIONS = [
    *(
        Case(f"table 2.1: a client may not send {name}", made, (V311, V5), ProtocolError, PROTOCOL,
             CLIENT)
        for name, made in {
            "CONNACK": "20020000", "SUBACK": "9003000100", "UNSUBACK": "b0020001",
            "PINGRESP": "d000",
        }.items()
    ),
    *(
        Case(f"table 2.1: a server may not send {name}", made, (V311, V5), ProtocolError, PROTOCOL,
             SERVER)
        for name, made in {
            "CONNECT": "1000", "SUBSCRIBE": "8206000100016100", "UNSUBSCRIBE": "a2050001000161",
            "PINGREQ": "c000",
        }.items()
    ),
    Case("table 2.1 of 3.1.1: a server may not send DISCONNECT", "e000", (V311,), ProtocolError,
         PROTOCOL, SERVER),
]  # fmt: skip


def feed(case: Case, version: Version | None, step: int) -> CodecError:
    data = bytes.fromhex(case.hex)
    decoder = Decoder(version, sender=case.sender)
    try:
        for at in range(0, len(data), step):
            decoder.feed(data[at : at + step])
    except CodecError as error:
        return error
    pytest.fail(f"nothing is wrong with {case.hex}")


@pytest.mark.parametrize(
    ("case", "version"),
    [
        pytest.param(case, version, id=f"{version and version.name}-{case.says}")
        for case in (
            *(*HEADERS, *TEXTS, *CONNECTS, *CONNACKS, *PUBLISHES, *ACKNOWLEDGEMENTS, *SUBSCRIBES),
            *(*ENDS, *DIRECTIONS),
        )
        for version in case.versions
    ],
)
def test_what_the_standards_forbid_is_refused(case: Case, version: Version | None) -> None:
    for step in (1, 1_000):
        error = feed(case, version, step)
        assert type(error) is case.error
        default = MALFORMED if case.error is MalformedPacket else PROTOCOL
        assert error.reason is (case.reason or default)


def test_longer_remaining_length_is_accepted_from_clients_of_3_1_1() -> None:
    sent = Connect("a", V311)
    wire = encode(sent, V311)
    padded = bytes((wire[0], wire[1] | 0x80, 0x80, 0)) + wire[2:]
    decoder = Decoder()
    assert decoder.feed(padded) == [sent]
    assert decoder.feed(bytes.fromhex("40820001f2")) == [PubAck(0x1F2)]


def test_version_is_known_even_when_the_connect_is_refused() -> None:
    decoder = Decoder()
    with pytest.raises(MalformedPacket):
        decoder.feed(bytes.fromhex(connect(3, "0000", level=5)))
    assert decoder.version is V5


@pytest.mark.parametrize("text_of_http", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00", b"SSH-2"])
def test_other_protocols_are_refused_at_the_first_byte(text_of_http: bytes) -> None:
    decoder = Decoder()
    with pytest.raises(CodecError):
        decoder.feed(text_of_http[:1])
    assert decoder.held == 0
