"""Properties (MQTT 5, section 2.2.2): in their packets only, once, whole, with their values."""

from __future__ import annotations

import pytest

from tests.mqtt.codec.test_malformed import MALFORMED, PROTOCOL, V5, packet, text
from wotkit.mqtt.codec import Decoder, MalformedPacket, ProtocolError

_ONE = "0001" + "61"
VALUES = {
    "payload_format_indicator": "0100",
    "message_expiry_interval": "0200000001",
    "content_type": "03" + _ONE,
    "response_topic": "08" + _ONE,
    "correlation_data": "09" + _ONE,
    "session_expiry_interval": "1100000001",
    "assigned_client_identifier": "12" + _ONE,
    "server_keep_alive": "130001",
    "authentication_method": "15" + _ONE,
    "authentication_data": "16" + _ONE,
    "request_problem_information": "1700",
    "will_delay_interval": "1800000001",
    "request_response_information": "1900",
    "response_information": "1a" + _ONE,
    "server_reference": "1c" + _ONE,
    "reason_string": "1f" + _ONE,
    "receive_maximum": "210001",
    "topic_alias_maximum": "220001",
    "topic_alias": "230001",
    "maximum_qos": "2400",
    "retain_available": "2500",
    "maximum_packet_size": "2700000001",
    "wildcard_subscription_available": "2800",
    "subscription_identifiers_available": "2900",
    "shared_subscription_available": "2a00",
    "subscription_identifier": "0b01",
    "user_properties": "26" + _ONE + _ONE,
}
"""A value of each property (table 2-4)."""

_ANSWER = {"reason_string", "user_properties"}
ALLOWED: dict[str, tuple[str, str, set[str]]] = {
    "CONNECT": (
        "10" + "{:02x}" + text("MQTT") + "0502003c", "0000",
        {"session_expiry_interval", "receive_maximum", "maximum_packet_size", "user_properties",
         "topic_alias_maximum", "request_response_information", "request_problem_information",
         "authentication_method", "authentication_data"},
    ),
    "will": (
        "10" + "{:02x}" + text("MQTT") + "0506003c" + "00" + "0000", _ONE + "0000",
        {"will_delay_interval", "payload_format_indicator", "message_expiry_interval",
         "content_type", "response_topic", "correlation_data", "user_properties"},
    ),
    "CONNACK": (
        "20{:02x}0000", "",
        {"session_expiry_interval", "receive_maximum", "maximum_qos", "retain_available",
         "maximum_packet_size", "assigned_client_identifier", "topic_alias_maximum",
         "wildcard_subscription_available", "subscription_identifiers_available",
         "shared_subscription_available", "server_keep_alive", "response_information",
         "server_reference", "authentication_method", "authentication_data", *_ANSWER},
    ),
    "PUBLISH": (
        "30{:02x}000161", "",
        {"payload_format_indicator", "message_expiry_interval", "topic_alias", "response_topic",
         "correlation_data", "user_properties", "subscription_identifier", "content_type"},
    ),
    "PUBACK": ("40{:02x}000100", "", _ANSWER),
    "PUBREC": ("50{:02x}000100", "", _ANSWER),
    "PUBREL": ("62{:02x}000100", "", _ANSWER),
    "PUBCOMP": ("70{:02x}000100", "", _ANSWER),
    "SUBSCRIBE": ("82{:02x}0001", _ONE + "00", {"subscription_identifier", "user_properties"}),
    "SUBACK": ("90{:02x}0001", "00", _ANSWER),
    "UNSUBSCRIBE": ("a2{:02x}0001", _ONE, {"user_properties"}),
    "UNSUBACK": ("b0{:02x}0001", "00", _ANSWER),
    "DISCONNECT": (
        "e0{:02x}00", "", {"session_expiry_interval", "server_reference", *_ANSWER},
    ),
    "AUTH": (
        "f0{:02x}18", "", {"authentication_method", "authentication_data", *_ANSWER},
    ),
}  # fmt: skip
"""What comes before and after the properties of each packet, and which it may have (table 2-4)."""


def with_properties(where: str, block: str) -> bytes:
    before, after, _ = ALLOWED[where]
    size = len(before.format(0) + block + after) // 2 - 1
    return bytes.fromhex(before.format(size) + f"{len(block) // 2:02x}" + block + after)


def _decode(data: bytes) -> None:
    packets = Decoder(V5).feed(data)
    assert len(packets) == 1


def _needed(where: str, name: str) -> str:
    """Return what a property needs beside it to be allowed."""
    if name != "authentication_method" and (where == "AUTH" or name == "authentication_data"):
        return VALUES["authentication_method"]
    return ""


@pytest.mark.parametrize("where", ALLOWED)
@pytest.mark.parametrize("name", VALUES)
def test_property_is_allowed_in_its_packets_only(where: str, name: str) -> None:
    block = _needed(where, name) + VALUES[name]
    data = with_properties(where, block)
    if name in ALLOWED[where][2]:
        _decode(data)
        _check_cuts(where, block)
    else:
        with pytest.raises(MalformedPacket, match="not one of this packet") as caught:
            _decode(data)
        assert caught.value.reason is MALFORMED


def _check_cuts(where: str, block: str) -> None:
    """A value that ends early is malformed, wherever it is cut ([MQTT-2.2.2-1])."""
    for end in range(2, len(block), 2):
        try:
            _decode(with_properties(where, block[:end]))
        except (MalformedPacket, ProtocolError):
            continue
        assert _is_whole(block[:end])


def _is_whole(block: str) -> bool:
    return block in {"", VALUES["authentication_method"]}


REPEATED = {("PUBLISH", "subscription_identifier")} | {
    (where, "user_properties") for where, (_, _, allowed) in ALLOWED.items() if allowed
}


@pytest.mark.parametrize(
    ("where", "name"), [(where, name) for where in ALLOWED for name in sorted(ALLOWED[where][2])]
)
def test_property_stands_once_but_for_two(where: str, name: str) -> None:
    data = with_properties(where, _needed(where, name) + VALUES[name] * 2)
    if (where, name) in REPEATED:
        _decode(data)
    else:
        with pytest.raises(ProtocolError, match="twice") as caught:
            _decode(data)
        assert caught.value.reason is PROTOCOL


@pytest.mark.parametrize(
    ("where", "block"),
    [
        ("CONNECT", "210000"),
        ("CONNACK", "210000"),
        ("CONNECT", "2700000000"),
        ("CONNACK", "2700000000"),
        ("CONNECT", "1702"),
        ("CONNECT", "1902"),
        ("CONNACK", "2402"),
        ("CONNACK", "2502"),
        ("CONNACK", "2802"),
        ("CONNACK", "2902"),
        ("CONNACK", "2a02"),
        ("PUBLISH", "0102"),
        ("will", "0102"),
    ],
)
def test_value_that_a_property_may_not_have_is_a_protocol_error(where: str, block: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        _decode(with_properties(where, block))
    assert caught.value.reason is PROTOCOL


@pytest.mark.parametrize("identifier", ["00", "04", "0a", "2b", "7f", "8b00", "8101"])
def test_unknown_property_is_malformed(identifier: str) -> None:
    with pytest.raises(MalformedPacket, match="no property"):
        _decode(with_properties("PUBACK", identifier + "0001"))


@pytest.mark.parametrize(
    ("length", "says"),
    [
        ("8000", "longer than it need be"),
        ("80808000", "longer than it need be"),
        ("ffffffff", "four bytes"),
        ("8080808001", "four bytes"),
        ("80", "ends"),
    ],
)
def test_property_length_that_is_no_variable_byte_integer_is_malformed(
    length: str, says: str
) -> None:
    body = "000161" + length
    with pytest.raises(MalformedPacket, match=says):
        _decode(bytes.fromhex(packet(0x30, body)))
