"""Behind a real mosquitto: nothing is lost, whoever is restarted or killed, and answers arrive."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.mqtt.conftest import SECONDS, Client, MqttServer, prepare, stalled_commits
from tests.mqtt.mosquitto_process import Mosquitto
from tests.mqtt.mqtt_wire import MqttWire, publishes
from tests.ports import free_port
from tests.system.server_process import Key, wait_until
from wotkit.mqtt.codec import PubAck

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NO_SUCH_SENSOR = 1101


def bridged(folder: Path, broker: Mosquitto, *options: str) -> MqttServer:
    """A server that reads from a broker and speaks no MQTT itself."""
    settings = {
        "auth.bcrypt_cost": "4",
        "mqtt.enabled": "false",
        "mqtt.broker_url": broker.url,
    }
    sets = [word for pair in settings.items() for word in ("--set", "=".join(pair))]
    return MqttServer(folder / "data", *sets, *options)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker") / "mosquitto") as found:
        yield found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, broker: Mosquitto) -> Iterator[MqttServer]:
    with bridged(tmp_path_factory.mktemp("bridge"), broker) as found:
        prepare(found)
        wait_until(lambda: "connected to the broker" in found.log, SECONDS, "connected")
        yield found


@pytest.fixture
def key(server: MqttServer) -> Key:
    return server.add_key("alice")


@pytest.fixture
def gateway(broker: Mosquitto, key: Key) -> Iterator[Client]:
    with Client(broker, key) as found:  # type: ignore[arg-type]  # it has a port, too
        yield found


def latest(server: MqttServer, key: Key, sensor: str = "roof") -> dict[str, Any]:
    with server.wire(key) as wire:
        answer = wire.get(f"/api/v2/sensors/{sensor}/latest")
    found: dict[str, Any] = answer.json() if answer.status == 200 else {}
    return found


@pytest.mark.parametrize(
    ("rest", "payload", "field", "value"),
    [
        ("sensors/roof/data", '{"value": 101}', "value", 101),
        ("sensors/alice.roof/data", "102.5", "value", 102.5),
        ("sensors/roof/data", '[{"value": 1}, {"value": 103}]', "value", 103),
        ("sensors/alice/roof/data", '{"value": 104}', "value", 104),
        ("data", '{"sensor": "roof", "value": 105}', "value", 105),
    ],
    ids=["object", "number", "list", "dots made levels", "sensor in the reading"],
)
def test_reading_at_the_broker_is_stored(
    server: MqttServer,
    gateway: Client,
    key: Key,
    rest: str,
    payload: str,
    field: str,
    value: float,
) -> None:
    gateway.publish(rest, payload)
    wait_until(lambda: latest(server, key).get(field) == value, SECONDS, "stored")


def test_what_is_refused_is_told_with_the_correlation_data(gateway: Client) -> None:
    gateway.subscribe("errors")
    properties = Properties(PacketTypes.PUBLISH)
    properties.CorrelationData = b"17"
    topic = gateway.topic("sensors/nothing/data")
    gateway.paho.publish(topic, '{"value": 1}', 1, properties=properties)
    told = gateway.next()
    body = json.loads(told.payload)
    assert body["error"]["code"] == NO_SUCH_SENSOR
    assert body["topic"] == topic
    assert told.properties is not None
    assert told.properties.CorrelationData == b"17"


def test_list_with_one_bad_reading_stores_nothing(
    server: MqttServer, gateway: Client, key: Key
) -> None:
    gateway.subscribe("errors")
    gateway.publish("sensors/roof/data", '[{"value": 991}, {"value": "warm"}]')
    assert json.loads(gateway.next().payload)["error"]["moreInfo"].keys() == {"1.value"}
    gateway.publish("sensors/roof/data", '{"value": 992}')
    wait_until(lambda: latest(server, key).get("value") == 992, SECONDS, "stored")
    assert 991 not in server.stored()


def test_batch_is_answered_and_stored_once(server: MqttServer, gateway: Client) -> None:
    gateway.subscribe("ack")
    readings = [{"seq": seq, "sensor": "roof", "value": 7000 + seq} for seq in (1, 2)]
    readings.append({"seq": 3, "sensor": "nothing", "value": 1})
    body = json.dumps({"stream": "test", "readings": readings})
    for _ in range(2):
        gateway.publish("ingest", body)
        answer = json.loads(gateway.next().payload)
        assert answer["acked_through"] == 3
        assert [item["seq"] for item in answer["rejected"]] == [3]
    assert [value for value in server.stored() if value in {7001, 7002}] == [7001, 7002]


def test_messages_of_a_revoked_key_are_dropped(
    server: MqttServer, broker: Mosquitto, key: Key
) -> None:
    revoked = server.add_key("alice")
    with Client(broker, revoked) as client, Client(broker, key) as other:  # type: ignore[arg-type]
        client.publish("sensors/roof/data", '{"value": 551}')
        wait_until(lambda: 551 in server.stored(), SECONDS, "stored")
        server.command("key", "revoke", revoked.key_id)
        client.publish("sensors/roof/data", '{"value": 552}')
        other.publish("sensors/roof/data", '{"value": 553}')
        wait_until(lambda: 553 in server.stored(), SECONDS, "stored")
    assert 552 not in server.stored()


def test_key_without_the_scope_is_told_so(server: MqttServer, broker: Mosquitto) -> None:
    reader = server.add_key("alice", "--scope", "read")
    with Client(broker, reader) as client:  # type: ignore[arg-type]  # it has a port, too
        client.subscribe("errors")
        client.publish("sensors/roof/data", '{"value": 661}')
        assert json.loads(client.next().payload)["error"]["status"] == 403
    assert 661 not in server.stored()


def send(server: MqttServer, key: Key, **pairs: Any) -> None:
    with server.wire(key) as wire:
        assert wire.post("/api/v1/sensors/pump/message", pairs).status == 200


def test_command_reaches_a_gateway_that_has_published(
    server: MqttServer, gateway: Client, key: Key
) -> None:
    gateway.subscribe("commands/#")
    gateway.publish("status", "online")
    wait_until(lambda: sessions(server, key) == 1, SECONDS, "a session for its commands")
    send(server, key, speed=3)
    message = gateway.next()
    body = json.loads(message.payload)
    assert message.topic == gateway.topic("commands/alice.pump")
    assert body["message"] == {"speed": 3}
    send(server, key, speed=4, expires=60)
    message = gateway.next()
    body = json.loads(message.payload)
    assert body["message"] == {"speed": 4}
    assert body["expires"].endswith("Z")
    assert message.properties is not None
    assert 20 <= message.properties.MessageExpiryInterval <= 60
    wait_until(lambda: waiting(server, key) == 0, SECONDS, "acknowledged")
    gateway.publish("results", json.dumps({"id": body["id"], "state": "done"}))

    def is_acknowledged() -> bool:
        with server.wire(key) as wire:
            path = f"/api/v1/sensors/pump/message/{body['id']}"
            return bool(wire.get(path).json()["status"] == "ACKNOWLEDGED")

    wait_until(is_acknowledged, SECONDS, "the result")


def test_gateway_at_the_broker_appears_and_its_will_speaks_for_it(
    server: MqttServer, broker: Mosquitto, key: Key
) -> None:
    def status() -> str:
        with server.wire(key) as wire:
            answer = wire.get("/api/v2/gateways/behind-the-broker")
        return str(answer.json()["status"]) if answer.status == 200 else "unknown"

    will = '{"gateway": "behind-the-broker", "status": "offline"}'
    gateway = Client(broker, key, will=will)  # type: ignore[arg-type]  # it has a port, too
    gateway.start()
    gateway.publish("status", will.replace("offline", "online"))
    wait_until(lambda: status() == "online", SECONDS, "online")
    socket = gateway.paho.socket()
    assert socket is not None
    gateway.paho.loop_stop()
    socket.close()  # without a word
    wait_until(lambda: status() == "offline", SECONDS, "offline")


def test_command_without_subscriber_waits_until_the_gateway_is_back(
    server: MqttServer, gateway: Client, key: Key
) -> None:
    gateway.publish("status", "online")
    wait_until(lambda: sessions(server, key) == 1, SECONDS, "a session for its commands")
    send(server, key, speed=5)  # a plain one, which nobody gets
    send(server, key, speed=6, expires=60)
    wait_until(lambda: waiting(server, key) == 1, SECONDS, "the one that expires waits")
    gateway.subscribe("commands/+")
    gateway.publish("status", "online")
    assert json.loads(gateway.next().payload)["message"] == {"speed": 6}
    wait_until(lambda: waiting(server, key) == 0, SECONDS, "acknowledged")


def sessions(server: MqttServer, key: Key) -> int:
    return count(server, "mqtt_session WHERE key_id = ?", key)


def waiting(server: MqttServer, key: Key) -> int:
    table = "mqtt_delivery JOIN mqtt_session ON mqtt_session.id = session_id WHERE key_id = ?"
    return count(server, table, key)


def count(server: MqttServer, where: str, key: Key) -> int:
    with sqlite3.connect(f"file:{server.data}/catalog.db?mode=ro", uri=True) as connection:
        (found,) = connection.execute(f"SELECT count(*) FROM {where}", (key.key_id,)).fetchone()
    return int(found)


def test_mosquittos_own_programs_work(server: MqttServer, broker: Mosquitto, key: Key) -> None:
    at = ("-h", "127.0.0.1", "-p", str(broker.mqtt_port), "-u", key.key_id, "-q", "1")
    topic = f"wotkit/{key.key_id}/sensors/roof/data"
    command = ["mosquitto_pub", *at, "-t", topic, "-m", '{"value": 881}']
    subprocess.run(command, check=True, timeout=SECONDS)
    wait_until(lambda: 881 in server.stored(), SECONDS, "stored")


class Publisher:
    """Publishes numbers with QoS 1, and knows which the broker has acknowledged."""

    def __init__(self, broker: Mosquitto, key: Key) -> None:
        self.client = Client(broker, key, client_id="publisher", expiry=3600)  # type: ignore[arg-type]
        self.client.paho.reconnect_delay_set(1, 1)
        self.client.paho.max_inflight_messages_set(100)
        self.numbers: dict[int, int] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._publish)

    def start(self) -> None:
        self.client.start()
        self._thread.start()

    def _publish(self) -> None:
        number = 0
        topic = self.client.topic("sensors/roof/data")
        while not self._end.is_set():
            number += 1
            sent = self.client.paho.publish(topic, b'{"value": %d}' % number, 1)
            self.numbers[sent.mid] = number
            time.sleep(0.002)

    @property
    def acknowledged(self) -> set[int]:
        return {self.numbers[mid] for mid in tuple(self.client.acknowledged) if mid in self.numbers}

    def stop(self) -> None:
        """Publish no more, and wait until the broker has everything."""
        self._end.set()
        self._thread.join()
        wait_until(lambda: len(self.acknowledged) == len(self.numbers), 30, "all at the broker")
        self.client.stop()


def test_restart_of_the_broker_leaves_no_gap(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker, bridged(tmp_path, broker) as server:
        prepare(server)
        publisher = Publisher(broker, server.add_key("alice"))
        publisher.start()
        for _ in range(2):
            time.sleep(0.7)
            broker.restart()
        time.sleep(0.7)
        publisher.stop()
        missing = published_but_not_stored(publisher, server)
        assert not missing, (len(publisher.numbers), sorted(missing)[:20])


def test_killed_server_loses_nothing_of_the_broker(tmp_path: Path) -> None:
    kills = int(os.environ.get("BRIDGE_KILLS", "2"))
    with Mosquitto(tmp_path / "broker") as broker, bridged(tmp_path, broker) as server:
        prepare(server)
        publisher = Publisher(broker, server.add_key("alice"))
        publisher.start()
        for number in range(kills):
            time.sleep(0.6)
            if number % 2:
                server.kill_worker()
            else:
                server.kill_all()
                server.start()
        time.sleep(0.3)
        publisher.stop()
        missing = published_but_not_stored(publisher, server)
        assert not missing, (len(publisher.numbers), sorted(missing)[:20])


def published_but_not_stored(publisher: Publisher, server: MqttServer) -> set[int]:
    wanted = publisher.acknowledged
    assert len(wanted) > 100
    deadline = time.monotonic() + 30
    while (missing := wanted - set(server.stored())) and time.monotonic() < deadline:
        time.sleep(0.1)
    return missing


def test_server_in_order_stops_and_goes_on_where_it_was(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker, bridged(tmp_path, broker) as server:
        prepare(server)
        key = server.add_key("alice")
        wait_until(lambda: "connected to the broker" in server.log, SECONDS, "connected")
        server.stop()
        with Client(broker, key) as gateway:  # type: ignore[arg-type]  # it has a port, too
            for number in range(50):
                gateway.publish("sensors/roof/data", str(number))
        server.start()
        wait_until(lambda: len(server.stored()) == 50, SECONDS, "what came meanwhile")
        assert server.stored() == list(range(50))
        assert "Traceback" not in server.log


def test_wrong_password_at_the_broker_is_told_in_the_log(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path / "broker", "allow_anonymous false") as broker,
        bridged(tmp_path, broker, "--set", "mqtt.broker_user=x") as server,
    ):
        wait_until(lambda: "no connection to the broker" in server.log, SECONDS, "told")
        assert "Not authorized" in server.log
        with server.wire() as wire:
            assert wire.get("/readyz").status == 200


def test_messages_of_qos_0_take_bounded_memory_while_commits_stall(tmp_path: Path) -> None:
    limits = ("--set", "storage.busy_seconds=1", "--set", "ingest.queue_readings=2000")
    with Mosquitto(tmp_path / "broker") as broker, bridged(tmp_path, broker, *limits) as server:
        prepare(server)
        key = server.add_key("alice")
        wait_until(lambda: "connected to the broker" in server.log, SECONDS, "connected")
        with MqttWire(broker.mqtt_port) as wire:
            wire.connect(key, "gw")
            wire.socket.sendall(publishes(key, range(1)))
            wire.take(PubAck, 1)
            wait_until(lambda: server.stored() == [0], SECONDS, "stored")
            before = server.resident_mib()
            data = publishes(key, range(1, 1001), padding=1000, qos=0)
            with stalled_commits(server):
                for _ in range(60):  # 65 MB
                    wire.socket.sendall(data)
                    time.sleep(0.01)
                wait_until(lambda: "are dropped" in server.log, SECONDS, "dropped")
                assert server.resident_mib() - before < 100
            wait_until(lambda: len(server.stored()) > 1000, SECONDS, "what had room is stored")


def test_what_waited_at_the_broker_is_stored_many_at_a_time(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker, bridged(tmp_path, broker) as server:
        prepare(server)
        key = server.add_key("alice")
        wait_until(lambda: "connected to the broker" in server.log, SECONDS, "connected")
        with MqttWire(broker.mqtt_port) as wire:
            wire.connect(key, "gw")
            with stalled_commits(server):
                wire.socket.sendall(publishes(key, range(500)))
                wire.take(PubAck, 500)
                time.sleep(0.5)  # the bridge has them too
            wait_until(lambda: len(server.stored()) == 500, SECONDS, "stored")
        assert server.stored() == list(range(500))
        with server.wire() as http:
            text = http.get("/metrics").body.decode()
        (commits,) = re.findall(r"^wotkit_ingest_batch_readings_count (\S+)$", text, re.MULTILINE)
        assert float(commits) < 100


def test_bridge_goes_on_when_the_file_of_its_authority_cannot_be_read(tmp_path: Path) -> None:
    settings = (
        "auth.bcrypt_cost=4", "mqtt.enabled=false", f"mqtt.broker_url=mqtts://127.0.0.1:{free_port()}",
        f"mqtt.broker_ca={tmp_path / 'renewed.pem'}",
    )  # fmt: skip
    options = [word for each in settings for word in ("--set", each)]
    with MqttServer(tmp_path / "data", *options) as server:
        wait_until(lambda: server.log.count("tried again in") > 1, SECONDS, "tried again")


def test_key_that_gets_no_session_is_not_asked_about_with_every_message(
    tmp_path: Path, broker: Mosquitto
) -> None:
    settings = (
        "auth.bcrypt_cost=4", "mqtt.max_sessions_per_key=1",
        f"mqtt.broker_url={broker.url}", f"mqtt.broker_client_id={tmp_path.name}",
    )  # fmt: skip
    options = [word for each in settings for word in ("--set", each)]
    with MqttServer(tmp_path / "data", "--mqtt-port", "0", *options) as server:
        prepare(server)
        wait_until(lambda: "connected to the broker" in server.log, SECONDS, "connected")
        key = server.add_key("alice")
        with (
            Client(server, key, client_id="gw", expiry=600),
            Client(broker, key) as gateway,  # type: ignore[arg-type]  # it has a port, too
        ):
            for number in range(20):
                gateway.publish("sensors/roof/data", str(number))
                wait_until(lambda n=number: n in server.stored(), SECONDS, "stored")
        assert server.log.count("gets no commands for now") == 1
