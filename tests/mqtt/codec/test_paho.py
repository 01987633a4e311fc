"""Packets of paho-mqtt, a client that others wrote: its real bytes, captured through a socket.

The other end is the codec as a server would use it, so paho reads our packets, too.
"""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
from paho.mqtt import client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from wotkit.mqtt.codec import (
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

if TYPE_CHECKING:
    from collections.abc import Iterator

V5 = Version.V5
TOPIC = "wotkit/0123456789abcdef/sensors/gewächshaus/data"
PROTOCOLS = {Version.V311: paho.MQTTv311, V5: paho.MQTTv5}
SECONDS = 10


def granted(packet: Subscribe) -> list[Packet]:
    reasons = tuple(Reason(wanted.qos) for wanted in packet.subscriptions)
    properties = PublishProperties(user_properties=(("k", "v"),), message_expiry_interval=9)
    return [
        SubAck(packet.packet_id, reasons),
        Publish(TOPIC, b"quick"),
        Publish(TOPIC, b"once", 1, 7, properties=properties),
        Publish(TOPIC, b"exactly once" * 100, 2, 8, retain=True),
    ]


def answers(packet: Packet) -> list[Packet]:
    """What a server says to a packet, with three messages for whoever subscribes."""
    found: list[Packet] = []
    match packet:
        case Connect():
            properties = ConnAckProperties(receive_maximum=20, topic_alias_maximum=5)
            found = [ConnAck(properties=properties)]
        case Publish(qos=1):
            found = [PubAck(packet.packet_id)]
        case Publish(qos=2):
            found = [PubRec(packet.packet_id)]
        case PubRel():
            found = [PubComp(packet.packet_id)]
        case PubRec():
            found = [PubRel(packet.packet_id)]
        case Subscribe():
            found = granted(packet)
        case Unsubscribe():
            found = [UnsubAck(packet.packet_id, (Reason.SUCCESS,) * len(packet.filters))]
        case PingReq():
            found = [PingResp()]
    return found


class Server:
    """Answers one client, and keeps what it sent."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.sent = b""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        decoder = Decoder()
        with connection:
            connection.settimeout(SECONDS)
            while data := connection.recv(7):
                self.sent += data
                for packet in decoder.feed(data):
                    self.packets.append(packet)
                    assert decoder.version is not None
                    for answer in answers(packet):
                        connection.sendall(encode(answer, decoder.version))

    def join(self) -> None:
        self._thread.join(SECONDS)
        self._listening.close()
        assert not self._thread.is_alive()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.join()


class Talk:
    """A conversation of paho with the server, step by step, without threads of paho's own."""

    def __init__(self, server: Server, version: Version) -> None:
        self.messages: list[paho.MQTTMessage] = []
        self._answered = 0
        self._server = server
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, "gateway-1", protocol=PROTOCOLS[version]
        )
        self.client.username_pw_set("0123456789abcdef", "pässword")
        for name in ("on_connect", "on_subscribe", "on_publish", "on_unsubscribe"):
            setattr(self.client, name, self._note)
        self.client.on_message = lambda _client, _data, message: self.messages.append(message)

    def _note(self, *_: Any) -> None:
        self._answered += 1

    def connect(self, **options: Any) -> None:
        self.client.connect("127.0.0.1", self._server.port, keepalive=60, **options)
        self.until(1)

    def until(self, answered: int, messages: int = 0) -> None:
        """Let paho read and write until it had so many answers and messages."""
        for _ in range(200):
            if self._answered >= answered and len(self.messages) >= messages:
                return
            self.client.loop(timeout=0.2)
        pytest.fail(f"paho had {self._answered} answers and {len(self.messages)} messages")

    def finish(self, **options: Any) -> list[Packet]:
        self.client.disconnect(**options)
        self.client.loop(timeout=0.2)
        self._server.join()
        return self._server.packets


def paho_properties(kind: int, **values: Any) -> Properties:
    found = Properties(kind)
    for name, value in values.items():
        setattr(found, name, value)
    return found


def test_packets_of_paho_in_3_1_1_are_understood(server: Server) -> None:
    talk = Talk(server, Version.V311)
    talk.client.will_set(f"{TOPIC}/status", "offline", qos=1, retain=True)
    talk.connect()
    talk.client.publish(TOPIC, b"0")
    talk.client.publish(TOPIC, b"1" * 300, qos=1)
    talk.client.publish(TOPIC, b"2", qos=2, retain=True)
    talk.client.subscribe([("a/#", 1), ("b/+", 2)])
    talk.until(5, messages=3)
    talk.client.unsubscribe(["a/#", "b/+"])
    talk.until(6)
    packets = talk.finish()
    assert [message.payload for message in talk.messages] == [
        *(b"quick", b"once"),
        b"exactly once" * 100,
    ]
    will = Will(f"{TOPIC}/status", b"offline", 1, retain=True)
    assert packets[0] == Connect(
        *("gateway-1", Version.V311, True, 60, "0123456789abcdef"), "pässword".encode(), will
    )
    assert packets[1:5] == [
        Publish(TOPIC, b"0"),
        Publish(TOPIC, b"1" * 300, 1, 2),
        Publish(TOPIC, b"2", 2, 3, retain=True),
        Subscribe(4, (Subscription("a/#", 1), Subscription("b/+", 2))),
    ]
    assert {PubRel(3), PubAck(7), PubRec(8), PubComp(8)} <= set(packets[5:])
    assert packets[-2:] == [Unsubscribe(5, ("a/#", "b/+")), Disconnect()]
    again = b"".join(encode(packet, Version.V311) for packet in packets)
    assert again == server.sent


def test_packets_of_paho_in_5_are_understood(server: Server) -> None:
    talk = Talk(server, V5)
    talk.client.will_set(
        f"{TOPIC}/status",
        "offline",
        properties=paho_properties(PacketTypes.WILLMESSAGE, WillDelayInterval=30),
    )
    talk.connect(
        clean_start=False,
        properties=paho_properties(
            PacketTypes.CONNECT,
            SessionExpiryInterval=3600,
            ReceiveMaximum=100,
            UserProperty=("k", "v"),
        ),
    )
    talk.client.publish(
        TOPIC,
        b'{"value": 1}',
        qos=1,
        properties=paho_properties(
            PacketTypes.PUBLISH,
            TopicAlias=3,
            MessageExpiryInterval=60,
            ContentType="application/json",
            PayloadFormatIndicator=1,
            ResponseTopic="r",
            CorrelationData=b"\0\1",
            UserProperty=[("a", "1"), ("a", "2")],
        ),
    )
    talk.client.subscribe(
        [("a/#", SubscribeOptions(1, noLocal=True, retainAsPublished=True, retainHandling=2))],
        properties=paho_properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=300),
    )
    talk.until(3, messages=3)
    talk.client.unsubscribe("a/#")
    talk.until(4)
    end = paho_properties(PacketTypes.DISCONNECT, SessionExpiryInterval=0)
    packets = talk.finish(properties=end)
    received = {message.payload: message.properties for message in talk.messages}
    assert received[b"once"].UserProperty == [("k", "v")]
    assert received[b"once"].MessageExpiryInterval == 9
    assert packets[0] == Connect(
        *("gateway-1", V5, False, 60, "0123456789abcdef"),
        "pässword".encode(),
        Will(f"{TOPIC}/status", b"offline", properties=WillProperties(will_delay_interval=30)),
        ConnectProperties(3600, 100, user_properties=(("k", "v"),)),
    )
    sent = PublishProperties(
        *(1, 60, 3, "r", b"\0\1", (), "application/json"), user_properties=(("a", "1"), ("a", "2"))
    )
    assert packets[1:3] == [
        Publish(TOPIC, b'{"value": 1}', 1, 1, properties=sent),
        Subscribe(
            *(2, (Subscription("a/#", 1, True, True, 2),)),
            SubscribeProperties(subscription_identifier=300),
        ),
    ]
    assert {PubAck(7), PubRec(8), PubComp(8)} <= set(packets[3:])
    ending = DisconnectProperties(session_expiry_interval=0)
    assert packets[-2:] == [Unsubscribe(3, ("a/#",)), Disconnect(properties=ending)]
