"""CONNECT, CONNACK, pings, DISCONNECT and AUTH (sections 3.1, 3.2, 3.12 to 3.15), from bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from wotkit.mqtt.codec import properties, reasons
from wotkit.mqtt.codec.errors import MalformedPacket, ProtocolError, UnsupportedVersion
from wotkit.mqtt.codec.filters import valid_topic
from wotkit.mqtt.codec.packets import (
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    Sender,
    Version,
    Will,
)
from wotkit.mqtt.codec.properties import (
    AuthProperties,
    ConnAckProperties,
    ConnectProperties,
    DisconnectProperties,
    WillProperties,
)
from wotkit.mqtt.codec.reasons import Codes, Reason
from wotkit.mqtt.codec.wire import Cursor, reason_of

CursorParser = Callable[[Cursor], Packet]

PROTOCOL: Final = "MQTT"
USERNAME: Final = 0b1000_0000
PASSWORD: Final = 0b0100_0000
WILL_RETAIN: Final = 0b0010_0000
WILL_QOS: Final = 0b0001_1000
WILL: Final = 0b0000_0100
CLEAN_START: Final = 0b0000_0010
_RESERVED: Final = 0b0000_0001

_VERSIONS: Final = {int(version): version for version in Version}
_PING_REQ: Final = PingReq()
_PING_RESP: Final = PingResp()


def version_of(cursor: Cursor) -> Version:
    """Read the beginning of a CONNECT: which version of the protocol the rest is in.

    Raises:
        UnsupportedVersion: neither 3.1.1 nor 5 ([MQTT-3.1.2-1], [MQTT-3.1.2-2]).
    """
    name = cursor.bytes_(cursor.u16())
    if name != PROTOCOL.encode():
        raise UnsupportedVersion("the protocol is not MQTT, or an early version of it")
    level = cursor.u8()
    version = _VERSIONS.get(level)
    if version is None:
        raise UnsupportedVersion(f"the protocol level is {level}, neither 4 (3.1.1) nor 5")
    return version


def connect(cursor: Cursor, version: Version) -> Connect:
    """Read what follows the version in a CONNECT (section 3.1)."""
    flags = cursor.u8()
    _check_flags(flags, version)
    keep_alive = cursor.u16()
    in_5 = version is Version.V5
    found = (
        properties.read(cursor, ConnectProperties) if in_5 else properties.empty(ConnectProperties)
    )
    if found.authentication_data is not None and found.authentication_method is None:
        # section 3.1.2.11.10
        raise ProtocolError("authentication data without an authentication method")
    client_id = cursor.text()
    will = _will(cursor, flags, version) if flags & WILL else None
    username = cursor.text() if flags & USERNAME else None
    password = cursor.binary() if flags & PASSWORD else None
    cursor.end()
    clean_start = flags & CLEAN_START != 0
    return Connect(client_id, version, clean_start, keep_alive, username, password, will, found)


def _check_flags(flags: int, version: Version) -> None:
    if flags & _RESERVED:
        # [MQTT-3.1.2-3]
        raise MalformedPacket("the reserved connect flag is set")
    if flags & WILL_QOS == WILL_QOS:
        # [MQTT-3.1.2-14]
        raise MalformedPacket("the QoS of the will is 3")
    if not flags & WILL and flags & (WILL_QOS | WILL_RETAIN):
        # [MQTT-3.1.2-13], [MQTT-3.1.2-15]
        raise MalformedPacket("there is a QoS or a retain flag for a will, and no will")
    if version is Version.V311 and flags & PASSWORD and not flags & USERNAME:
        # [MQTT-3.1.2-22] of 3.1.1
        raise MalformedPacket("there is a password, and no user name")


def _will(cursor: Cursor, flags: int, version: Version) -> Will:
    in_5 = version is Version.V5
    found = properties.read(cursor, WillProperties) if in_5 else properties.empty(WillProperties)
    topic = cursor.text()
    if not valid_topic(topic):
        raise MalformedPacket("the topic of the will is empty or has wildcards")
    payload = cursor.binary()
    return Will(topic, payload, (flags & WILL_QOS) >> 3, flags & WILL_RETAIN != 0, found)


def connack_311(cursor: Cursor) -> ConnAck:
    """Read a CONNACK of 3.1.1 (section 3.2)."""
    session_present = _session_present(cursor)
    reason = cursor.reason(reasons.CONNACK_311)
    cursor.end()
    return _connack(ConnAck(reason, session_present))


def connack_5(cursor: Cursor) -> ConnAck:
    """Read a CONNACK of version 5 (section 3.2)."""
    session_present = _session_present(cursor)
    reason = cursor.reason(reasons.CONNACK)
    found = properties.read(cursor, ConnAckProperties)
    cursor.end()
    return _connack(ConnAck(reason, session_present, found))


def _session_present(cursor: Cursor) -> bool:
    flags = cursor.u8()
    if flags > 1:
        # [MQTT-3.2.2-1]
        raise MalformedPacket("reserved connect acknowledge flags are set")
    return flags == 1


def _connack(found: ConnAck) -> ConnAck:
    if found.reason and found.session_present:
        # [MQTT-3.2.2-6]; 3.1.1: [MQTT-3.2.2-4]
        raise ProtocolError("a session is present although the connection was refused")
    return found


def ping_req(cursor: Cursor) -> PingReq:
    cursor.end()
    return _PING_REQ


def ping_resp(cursor: Cursor) -> PingResp:
    cursor.end()
    return _PING_RESP


def disconnect_311(cursor: Cursor) -> Disconnect:
    cursor.end()
    return Disconnect()


def disconnect_5(codes: Codes, sender: Sender | None) -> CursorParser:
    def parse(cursor: Cursor) -> Disconnect:
        if cursor.at == cursor.stop:
            return Disconnect()
        reason = cursor.reason(codes)
        if cursor.at == cursor.stop:
            return Disconnect(reason)
        found = properties.read(cursor, DisconnectProperties)
        cursor.end()
        if sender is Sender.SERVER and found.session_expiry_interval is not None:
            # [MQTT-3.14.2-2]
            raise ProtocolError("a server may not send a session expiry interval here")
        return Disconnect(reason, found)

    return parse


def auth(codes: Codes) -> CursorParser:
    def parse(cursor: Cursor) -> Auth:
        if cursor.at == cursor.stop:
            return Auth(reason_of(codes, Reason.SUCCESS))
        reason = cursor.reason(codes)
        found = properties.read(cursor, AuthProperties)
        cursor.end()
        if found.authentication_method is None:
            raise ProtocolError("an AUTH without an authentication method")
        return Auth(reason, found)

    return parse
