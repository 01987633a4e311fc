"""The properties of MQTT 5 (section 2.2.2): their types, which packets have them, how they travel.

There is a type for the properties of each kind of packet, and its fields are the properties that
the packet may have. None means that a property is absent, which is not the same as 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, TypeVar

import msgspec

from wotkit.mqtt.codec import wire
from wotkit.mqtt.codec.errors import MalformedPacket, ProtocolError
from wotkit.mqtt.codec.filters import valid_topic
from wotkit.mqtt.codec.reasons import Reason
from wotkit.mqtt.codec.wire import Cursor

if TYPE_CHECKING:
    from collections.abc import Callable

UserProperties = tuple[tuple[str, str], ...]
"""Names and values, in order; a name may stand more than once."""


class Properties(msgspec.Struct, frozen=True, gc=False):
    """What all the types below have in common."""


P = TypeVar("P", bound=Properties)


class ConnectProperties(Properties, frozen=True, gc=False):
    """Section 3.1.2.11; intervals in seconds."""

    session_expiry_interval: int | None = None
    receive_maximum: int | None = None
    maximum_packet_size: int | None = None
    topic_alias_maximum: int | None = None
    request_response_information: bool | None = None
    request_problem_information: bool | None = None
    authentication_method: str | None = None
    authentication_data: bytes | None = None
    user_properties: UserProperties = ()


class WillProperties(Properties, frozen=True, gc=False):
    """Section 3.1.3.2; intervals in seconds."""

    will_delay_interval: int | None = None
    payload_format_indicator: int | None = None
    message_expiry_interval: int | None = None
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    user_properties: UserProperties = ()


class ConnAckProperties(Properties, frozen=True, gc=False):
    """Section 3.2.2.3; intervals in seconds."""

    session_expiry_interval: int | None = None
    receive_maximum: int | None = None
    maximum_qos: int | None = None
    retain_available: bool | None = None
    maximum_packet_size: int | None = None
    assigned_client_identifier: str | None = None
    topic_alias_maximum: int | None = None
    reason_string: str | None = None
    wildcard_subscription_available: bool | None = None
    subscription_identifiers_available: bool | None = None
    shared_subscription_available: bool | None = None
    server_keep_alive: int | None = None
    response_information: str | None = None
    server_reference: str | None = None
    authentication_method: str | None = None
    authentication_data: bytes | None = None
    user_properties: UserProperties = ()


class PublishProperties(Properties, frozen=True, gc=False):
    """Section 3.3.2.3; the expiry interval in seconds."""

    payload_format_indicator: int | None = None
    message_expiry_interval: int | None = None
    topic_alias: int | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    subscription_identifiers: tuple[int, ...] = ()
    content_type: str | None = None
    user_properties: UserProperties = ()


class AckProperties(Properties, frozen=True, gc=False):
    """Of PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK, such as section 3.4.2.2."""

    reason_string: str | None = None
    user_properties: UserProperties = ()


class SubscribeProperties(Properties, frozen=True, gc=False):
    """Section 3.8.2.1."""

    subscription_identifier: int | None = None
    user_properties: UserProperties = ()


class UnsubscribeProperties(Properties, frozen=True, gc=False):
    """Section 3.10.2.1."""

    user_properties: UserProperties = ()


class DisconnectProperties(Properties, frozen=True, gc=False):
    """Section 3.14.2.2; the interval in seconds, and never sent by a server."""

    session_expiry_interval: int | None = None
    reason_string: str | None = None
    server_reference: str | None = None
    user_properties: UserProperties = ()


class AuthProperties(Properties, frozen=True, gc=False):
    """Section 3.15.2.2."""

    authentication_method: str | None = None
    authentication_data: bytes | None = None
    reason_string: str | None = None
    user_properties: UserProperties = ()


class Property(NamedTuple):
    """How a property is called, and how its value is read and written.

    One that repeats is read as a list of it and those that follow, and written one by one.
    """

    identifier: int
    name: str
    read: Callable[[Cursor], Any]
    write: Callable[[Any], bytes]
    smallest: int | None = None
    largest: int | None = None
    repeats: bool = False

    def check(self, value: Any) -> None:
        """Raise :class:`ProtocolError` for a number that the property may not have."""
        if self.smallest is not None and value < self.smallest:
            raise ProtocolError(f"{self.name} may not be {value}")
        if self.largest is not None and value > self.largest:
            raise ProtocolError(f"{self.name} may not be {value}")


def _u32(value: int) -> bytes:
    try:
        return value.to_bytes(4, "big")
    except OverflowError:
        raise ValueError(f"{value} does not fit into four bytes") from None


def _pair(cursor: Cursor) -> tuple[str, str]:
    return cursor.text(), cursor.text()


def _identifier(cursor: Cursor) -> int:
    value = cursor.varint()
    if not value:
        raise ProtocolError("a subscription identifier is 0")
    return value


def _run(identifier: int, read: Callable[[Cursor], Any]) -> Callable[[Cursor], list[Any]]:
    """Return what reads a property and those of the same kind that follow: there may be many."""

    def read_run(cursor: Cursor) -> list[Any]:
        data, end = cursor.data, cursor.stop
        found = [read(cursor)]
        while cursor.at < end and data[cursor.at] == identifier:
            cursor.at += 1
            found.append(read(cursor))
        return found

    return read_run


def _write_pair(pair: tuple[str, str]) -> bytes:
    name, value = pair
    return wire.text(name) + wire.text(value)


def _flag(cursor: Cursor) -> bool:
    value = cursor.u8()
    if value > 1:
        raise ProtocolError(f"a property that is 0 or 1 may not be {value}")
    return value == 1


def _u8(value: int) -> bytes:
    return bytes((value,))


def _alias(cursor: Cursor) -> int:
    value = cursor.u16()
    if not value:
        raise ProtocolError("a topic alias is 0", Reason.TOPIC_ALIAS_INVALID)
    return value


def _topic(cursor: Cursor) -> str:
    topic = cursor.text()
    if not valid_topic(topic):
        raise MalformedPacket("a response topic is empty or has wildcards")
    return topic


def _write_topic(topic: str) -> bytes:
    if not valid_topic(topic):
        raise ValueError("a response topic is empty or has wildcards")
    return wire.text(topic)


def _numbers(read: Callable[[Cursor], int], write: Callable[[int], bytes]) -> Any:
    def of(
        identifier: int, name: str, smallest: int | None = None, largest: int | None = None
    ) -> Property:
        return Property(identifier, name, read, write, smallest, largest)

    return of


_BYTE: Final = _numbers(Cursor.u8, _u8)
_TWO: Final = _numbers(Cursor.u16, wire.u16)
_FOUR: Final = _numbers(Cursor.u32, _u32)
_FLAG: Final = _numbers(_flag, _u8)


def _repeated(
    identifier: int,
    name: str,
    read: Callable[[Cursor], Any],
    write: Callable[[Any], bytes],
    smallest: int | None = None,
) -> Property:
    return Property(identifier, name, _run(identifier, read), write, smallest, repeats=True)


def _text(identifier: int, name: str) -> Property:
    return Property(identifier, name, Cursor.text, wire.text)


def _binary(identifier: int, name: str) -> Property:
    return Property(identifier, name, Cursor.binary, wire.binary)


PROPERTIES: Final = (
    _BYTE(0x01, "payload_format_indicator", largest=1),
    _FOUR(0x02, "message_expiry_interval"),
    _text(0x03, "content_type"),
    Property(0x08, "response_topic", _topic, _write_topic),
    _binary(0x09, "correlation_data"),
    _repeated(0x0B, "subscription_identifiers", _identifier, wire.varint, smallest=1),
    Property(0x0B, "subscription_identifier", _identifier, wire.varint, smallest=1),
    _FOUR(0x11, "session_expiry_interval"),
    _text(0x12, "assigned_client_identifier"),
    _TWO(0x13, "server_keep_alive"),
    _text(0x15, "authentication_method"),
    _binary(0x16, "authentication_data"),
    _FLAG(0x17, "request_problem_information"),
    _FOUR(0x18, "will_delay_interval"),
    _FLAG(0x19, "request_response_information"),
    _text(0x1A, "response_information"),
    _text(0x1C, "server_reference"),
    _text(0x1F, "reason_string"),
    _TWO(0x21, "receive_maximum", smallest=1),
    _TWO(0x22, "topic_alias_maximum"),
    Property(0x23, "topic_alias", _alias, wire.counted),
    _BYTE(0x24, "maximum_qos", largest=1),
    _FLAG(0x25, "retain_available"),
    _repeated(0x26, "user_properties", _pair, _write_pair),
    _FOUR(0x27, "maximum_packet_size", smallest=1),
    _FLAG(0x28, "wildcard_subscription_available"),
    _FLAG(0x29, "subscription_identifiers_available"),
    _FLAG(0x2A, "shared_subscription_available"),
)
"""Table 2-4. Which packets have them is told by the fields of the types above."""

_KNOWN: Final = {found.identifier for found in PROPERTIES}


_TYPES: Final[tuple[type[Properties], ...]] = (
    *(ConnectProperties, WillProperties, ConnAckProperties, PublishProperties, AckProperties),
    *(SubscribeProperties, UnsubscribeProperties, DisconnectProperties, AuthProperties),
)
_EMPTY: Final[dict[type[Properties], Any]] = {kind: kind() for kind in _TYPES}
_ALLOWED: Final = {
    kind: {found.identifier: found for found in PROPERTIES if found.name in kind.__struct_fields__}
    for kind in _TYPES
}


def empty(kind: type[P]) -> P:
    """Return the one value that stands for no properties, by which it is told quickly."""
    found: P = _EMPTY[kind]
    return found


def read(cursor: Cursor, kind: type[P]) -> P:
    """Read a property block.

    Raises:
        MalformedPacket: an unknown property, one of another packet, or a value cut short.
        ProtocolError: a property that stands twice, or a value that it may not have.
    """
    size = cursor.varint()
    if not size:
        return empty(kind)
    outer, end = cursor.stop, cursor.at + size
    if end > outer:
        raise MalformedPacket("the properties are longer than the packet")
    cursor.stop = end
    allowed = _ALLOWED[kind]
    found: dict[str, Any] = {}
    while cursor.at < end:
        identifier = cursor.u8()
        wanted = allowed.get(identifier) or _refuse(identifier)
        value = wanted.read(cursor)
        if wanted.repeats:
            found.setdefault(wanted.name, []).extend(value)
            continue
        wanted.check(value)
        if wanted.name in found:
            raise ProtocolError(f"the property {wanted.name} stands twice")
        found[wanted.name] = value
    cursor.stop = outer
    return kind(
        **{name: tuple(value) if type(value) is list else value for name, value in found.items()}
    )


def write(properties: Properties) -> bytes:
    """Return a property block with its length; ValueError for a value that cannot be sent."""
    kind = type(properties)
    if properties is _EMPTY[kind]:
        return b"\0"
    parts: list[bytes] = []
    for wanted in _ALLOWED[kind].values():
        value = getattr(properties, wanted.name)
        if value is None:
            continue
        for item in value if wanted.repeats else (value,):
            try:
                wanted.check(item)
            except ProtocolError as error:
                raise ValueError(str(error)) from None
            parts.append(wanted.identifier.to_bytes(1, "big") + wanted.write(item))
    block = b"".join(parts)
    return wire.varint(len(block)) + block


def _refuse(identifier: int) -> NoReturn:
    if identifier in _KNOWN:
        raise MalformedPacket(f"the property {identifier:#04x} is not one of this packet")
    raise MalformedPacket(f"there is no property {identifier:#04x}")
