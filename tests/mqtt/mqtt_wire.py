"""One MQTT connection without anything a client library does by itself."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Self

from wotkit.mqtt.codec import ConnAck, Connect, Decoder, Publish, Sender, Version, encode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.system.server_process import Key
    from wotkit.mqtt.codec import Packet

SECONDS = 20


class MqttWire:
    """Sends packets, of which several may go at once, and takes those that come."""

    def __init__(self, port: int, version: Version = Version.V311) -> None:
        self.version = version
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self._decoder = Decoder(version, sender=Sender.SERVER)
        self._packets: list[Packet] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *packets: Packet) -> None:
        self.socket.sendall(b"".join([encode(packet, self.version) for packet in packets]))

    def next(self) -> Packet | None:
        """Return the next packet; None when the connection has ended."""
        while not self._packets:
            data = self.socket.recv(65_536)
            if not data:
                return None
            self._packets += self._decoder.feed(data)
        return self._packets.pop(0)

    def take(self, kind: type[Any], count: int) -> list[Any]:
        """Return so many packets, all of one kind."""
        found = [self.next() for _ in range(count)]
        assert {type(each) for each in found} <= {kind}, found
        return found

    def hear_nothing(self, seconds: float) -> None:
        """Assert that nothing comes for so long."""
        self.socket.settimeout(seconds)
        try:
            found = self.next()
        except TimeoutError:
            return
        finally:
            self.socket.settimeout(SECONDS)
        raise AssertionError(found)

    def connect(self, key: Key, client_id: str, **options: Any) -> ConnAck:
        """Say who this is, and return the answer.

        Raises:
            ConnectionError: there is none.
        """
        self.send(hello(key, client_id, self.version, **options))
        answer = self.next()
        if answer is None:
            raise ConnectionError
        assert isinstance(answer, ConnAck), answer
        return answer


def hello(key: Key, client_id: str, version: Version = Version.V311, **options: Any) -> Connect:
    return Connect(
        client_id,
        version,
        username=key.key_id,
        password=key.key_password.encode(),
        **options,
    )


def publishes(key: Key, numbers: range, *, padding: int = 0, qos: int = 1) -> bytes:
    """As many readings of a roof, of version 3.1.1."""
    topic = f"wotkit/{key.key_id}/sensors/roof/data"
    note = ', "message": "' + "x" * padding + '"' if padding else ""
    payloads = [f'{{"value": {number}{note}}}'.encode() for number in numbers]
    return b"".join(
        encode(Publish(topic, payload, qos, number % 65_535 + 1 if qos else 0), Version.V311)
        for number, payload in zip(numbers, payloads, strict=True)
    )


def ids(packets: Iterable[Any]) -> list[int]:
    return [packet.packet_id for packet in packets]
