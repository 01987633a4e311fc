"""Reason codes (MQTT 5, section 2.4): what they mean, and which packets may carry them."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Reason(IntEnum):
    """Why something was done or refused; 0x80 and above are failures."""

    SUCCESS = 0x00
    """Also: normal disconnection, granted QoS 0."""
    GRANTED_QOS_1 = 0x01
    GRANTED_QOS_2 = 0x02
    DISCONNECT_WITH_WILL_MESSAGE = 0x04
    NO_MATCHING_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION_EXISTED = 0x11
    CONTINUE_AUTHENTICATION = 0x18
    RE_AUTHENTICATE = 0x19
    UNSPECIFIED_ERROR = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    CLIENT_IDENTIFIER_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    BANNED = 0x8A
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_IDENTIFIER_IN_USE = 0x91
    PACKET_IDENTIFIER_NOT_FOUND = 0x92
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    MESSAGE_RATE_TOO_HIGH = 0x96
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    PAYLOAD_FORMAT_INVALID = 0x99
    RETAIN_NOT_SUPPORTED = 0x9A
    QOS_NOT_SUPPORTED = 0x9B
    USE_ANOTHER_SERVER = 0x9C
    SERVER_MOVED = 0x9D
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E
    CONNECTION_RATE_EXCEEDED = 0x9F
    MAXIMUM_CONNECT_TIME = 0xA0
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2


FAILURE: Final = 0x80
"""The first code that tells of a failure."""

Codes = dict[int, Reason]


def _codes(*numbers: int) -> Codes:
    return {number: Reason(number) for number in numbers}


CONNACK: Final = _codes(
    *(0x00, *range(0x80, 0x8B), 0x8C, 0x90, 0x95, 0x97),
    *(*range(0x99, 0x9E), 0x9F),
)
"""Table 3-1."""
PUBLISH_FROM_CLIENT: Final = _codes(0x00, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)
"""What a client may answer a PUBLISH with, in PUBACK and PUBREC."""
PUBLISH_FROM_ANY: Final = PUBLISH_FROM_CLIENT | _codes(0x10)
"""Tables 3-4 and 3-5; "no matching subscribers" is the server's."""
RELEASE: Final = _codes(0x00, 0x92)
"""PUBREL and PUBCOMP, tables 3-6 and 3-7."""
SUBACK: Final = _codes(
    *(0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2),
)
"""Table 3-8."""
UNSUBACK: Final = _codes(0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91)
"""Table 3-9."""
_DISCONNECT_BOTH: Final = _codes(0x80, 0x81, 0x82, 0x83, 0x90, *range(0x93, 0x9A))
DISCONNECT_FROM_CLIENT: Final = _codes(0x00, 0x04) | _DISCONNECT_BOTH
"""The client's rows of table 3-10."""
DISCONNECT_FROM_SERVER: Final = _DISCONNECT_BOTH | _codes(
    *(0x00, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F),
    *range(0x9A, 0xA3),
)
"""The server's rows of table 3-10, 0x8C of table 2-6, and 0x00: servers in use end so."""
DISCONNECT: Final = DISCONNECT_FROM_CLIENT | DISCONNECT_FROM_SERVER
AUTH_FROM_CLIENT: Final = _codes(0x18, 0x19)
AUTH_FROM_SERVER: Final = _codes(0x00, 0x18)
AUTH: Final = AUTH_FROM_CLIENT | AUTH_FROM_SERVER
"""Table 3-11."""

CONNACK_311: Final = {
    0: Reason.SUCCESS,
    1: Reason.UNSUPPORTED_PROTOCOL_VERSION,
    2: Reason.CLIENT_IDENTIFIER_NOT_VALID,
    3: Reason.SERVER_UNAVAILABLE,
    4: Reason.BAD_USER_NAME_OR_PASSWORD,
    5: Reason.NOT_AUTHORIZED,
}
"""The return codes of 3.1.1 (its table 3.1) as what they are called in version 5."""
_RETURN_CODES: Final = {reason: code for code, reason in CONNACK_311.items()} | {
    Reason.BANNED: 5,
    Reason.BAD_AUTHENTICATION_METHOD: 5,
}
_UNAVAILABLE: Final = 3

SUBACK_311: Final = _codes(0x00, 0x01, 0x02, 0x80)
"""The return codes of 3.1.1, section 3.9.3."""


def connack_return_code(reason: Reason) -> int:
    """Return the code of a CONNACK of 3.1.1; what has none of its own is "server unavailable"."""
    return _RETURN_CODES.get(reason, _UNAVAILABLE)


def suback_return_code(reason: Reason) -> int:
    """Return the code in a SUBACK of 3.1.1, which knows one failure only."""
    return min(reason, FAILURE)
