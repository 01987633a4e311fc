"""Kill the server while gateways publish: what was acknowledged is there, and QoS 2 only once."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import pytest

from tests.mqtt.conftest import OPTIONS, V5, V311, Client, MqttServer, prepare
from tests.mqtt.mqtt_wire import MqttWire
from tests.ports import free_port
from tests.system.server_process import wait_until
from wotkit.mqtt.codec import ConnectProperties, PubComp, Publish, PubRec, PubRel, Version

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.server_process import Key
    from wotkit.mqtt.codec import Packet

KILLS = [2, pytest.param(10, marks=pytest.mark.slow)]
CLIENTS = 10
EACH = 150
"""Publishes a second of each client."""
WINDOW = 20


class Publisher:
    """A gateway with a common client, which publishes again what was not acknowledged."""

    def __init__(self, number: int, server: MqttServer, key: Key) -> None:
        version = V5 if number % 2 else V311
        self._client = Client(server, key, version, client_id=f"gw{number}", expiry=3600)
        self._client.paho.reconnect_delay_set(0.1, 0.2)  # type: ignore[arg-type]  # takes any number
        self._client.paho.max_inflight_messages_set(WINDOW)
        self._client.paho.on_publish = self._note
        self._first = number * 1_000_000
        self._of: dict[int, int] = {}
        self.sent: list[int] = []
        self.acknowledged: set[int] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._publish_all)

    def start(self) -> None:
        self._client.start()
        self._thread.start()

    def finish(self) -> None:
        """Publish no more, and wait until all is acknowledged."""
        self._stopping.set()
        self._thread.join()
        wait_until(lambda: len(self.acknowledged) == len(self.sent), 60, "all acknowledged")
        self._client.stop()

    def _publish_all(self) -> None:
        topic = self._client.topic("sensors/roof/data")
        began, count = time.monotonic(), 0
        while not self._stopping.wait(max(0.0, began + count / EACH - time.monotonic())):
            if len(self.sent) - len(self.acknowledged) < WINDOW:
                value = self._first + len(self.sent)
                self.sent.append(value)
                self._of[self._client.paho.publish(topic, str(value), 1).mid] = value
            count += 1

    def _note(self, _client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        assert not reason.is_failure
        while mid not in self._of:  # the publishing thread has just sent it
            time.sleep(0.001)
        self.acknowledged.add(self._of.pop(mid))


class StrictPublisher:
    """A gateway that does all that QoS 2 asks of it (MQTT 5, section 4.3.3)."""

    def __init__(self, number: int, server: MqttServer, key: Key) -> None:
        self._number, self._key, self._port = number, key, server.mqtt_port
        self.sent: list[int] = []
        self.acknowledged: set[int] = set()
        self._under_way: dict[int, bool] = {}
        """Packet id to whether it was received and only has to be released."""
        self._of: dict[int, int] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        self._stopping.set()
        self._thread.join(60)
        assert len(self.acknowledged) == len(self.sent)

    def _run(self) -> None:
        self._began = time.monotonic()
        while self._under_way or not self._stopping.is_set():
            with suppress(OSError), MqttWire(self._port, Version.V5) as wire:
                kept = ConnectProperties(session_expiry_interval=3600)
                name = f"strict{self._number}"
                wire.connect(self._key, name, clean_start=False, properties=kept)
                for packet_id, received in self._under_way.items():
                    again = self._publish(packet_id, dup=True)
                    wire.send(PubRel(packet_id) if received else again)
                self._go_on(wire)
            time.sleep(0.1)

    def _go_on(self, wire: MqttWire) -> None:
        wire.socket.settimeout(0.02)
        while self._under_way or not self._stopping.is_set():
            self._publish_more(wire)
            with suppress(TimeoutError):
                packet = wire.next()
                if packet is None:
                    return
                self._hear(wire, packet)

    def _hear(self, wire: MqttWire, packet: Packet) -> None:
        assert isinstance(packet, PubRec | PubComp)
        if isinstance(packet, PubRec):
            self._under_way[packet.packet_id] = True
            wire.send(PubRel(packet.packet_id))
        elif self._under_way.pop(packet.packet_id, False):
            self.acknowledged.add(self._of.pop(packet.packet_id))

    def _publish_more(self, wire: MqttWire) -> None:
        due = (time.monotonic() - self._began) * EACH - len(self.sent)
        while due > 0 and len(self._under_way) < WINDOW and not self._stopping.is_set():
            packet_id = len(self.sent) % 60_000 + 1
            self._of[packet_id] = self._number * 1_000_000 + len(self.sent)
            self.sent.append(self._of[packet_id])
            self._under_way[packet_id] = False
            wire.send(self._publish(packet_id))
            due -= 1

    def _publish(self, packet_id: int, *, dup: bool = False) -> Publish:
        topic = f"wotkit/{self._key.key_id}/sensors/roof/data"
        return Publish(topic, b"%d" % self._of[packet_id], 2, packet_id, dup=dup)


class Storm:
    """Several of them."""

    def __init__(
        self, server: MqttServer, key: Key, kind: type[Publisher | StrictPublisher]
    ) -> None:
        self.publishers = [kind(number, server, key) for number in range(CLIENTS)]

    def __enter__(self) -> Self:
        for publisher in self.publishers:
            publisher.start()
        return self

    def __exit__(self, *_: object) -> None:
        for publisher in self.publishers:
            publisher.finish()

    def acknowledged(self) -> int:
        return sum(len(publisher.acknowledged) for publisher in self.publishers)

    def wait_for_more(self, count: int) -> None:
        before = self.acknowledged()
        wait_until(lambda: self.acknowledged() > before + count, 60, "readings stored")


@pytest.mark.parametrize("kills", KILLS)
@pytest.mark.parametrize("kind", [Publisher, StrictPublisher])
@pytest.mark.timeout(400)
def test_every_acknowledged_reading_is_there_after_kills(
    tmp_path: Path, kind: type[Publisher | StrictPublisher], kills: int
) -> None:
    options = [*OPTIONS[:-1], str(free_port())]
    with MqttServer(tmp_path / "data", *options) as server:
        prepare(server)
        with Storm(server, server.add_key("alice"), kind) as storm:
            for _ in range(kills):
                storm.wait_for_more(1500)
                time.sleep(random.uniform(0, 0.3))
                server.kill_all()
                server.start()
            storm.wait_for_more(500)
        stored = Counter(server.stored())
    sent = {value for publisher in storm.publishers for value in publisher.sent}
    assert stored.keys() == sent
    doubled = sum(stored.values()) - len(sent)
    print(f"{len(sent)} acknowledged, {doubled} stored again after {kills} kills")
    assert doubled <= (kills * CLIENTS * WINDOW if kind is Publisher else 0)
