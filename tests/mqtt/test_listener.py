"""Gateways with a common client: readings in, errors and commands out, sessions kept."""

from __future__ import annotations

import json
import os
import socket
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.mqtt.conftest import V5, V311, VERSIONS, Client, MqttServer
from tests.system.server_process import PASSWORD, wait_until
from wotkit.mqtt.codec import Connect, Disconnect, Publish, Version, encode

if TYPE_CHECKING:
    from tests.system.server_process import Key

ALICE = ("alice", PASSWORD)
INVALID, FORBIDDEN = 0x99, 0x87


def readings(server: MqttServer, sensor: str = "roof") -> list[Any]:
    answer = httpx.get(f"{server.url}/api/v1/sensors/alice.{sensor}/data", auth=ALICE)
    found: list[Any] = answer.json()
    return found


@VERSIONS
@pytest.mark.parametrize("qos", [1, 2])
def test_acknowledged_reading_is_stored(
    server: MqttServer, key: Key, version: Any, qos: int
) -> None:
    value = time.time()
    with Client(server, key, version) as client:
        assert client.publish("sensors/roof/data", json.dumps({"value": value}), qos) == 0
        assert server.stored()[-1] == value


@VERSIONS
@pytest.mark.parametrize(
    ("topic", "payload", "field", "expected"),
    [
        ("sensors/roof/data", "21.5", "value", [21.5]),
        ("sensors/roof/data", '"all well"', "message", ["all well"]),
        ("sensors/roof/data", "all well", "message", ["all well"]),
        ("sensors/alice.roof/data", '[{"value": 1}, {"value": 2}]', "value", [1, 2]),
        ("data", '[{"sensor":"roof","value":3},{"sensor":"pump","value":4}]', "value", [3, 4]),
    ],
)  # fmt: skip
def test_payload_may_have_every_form(
    server: MqttServer, key: Key, version: Any, topic: str, payload: str, field: str, expected: Any
) -> None:
    with Client(server, key, version) as client:
        assert client.publish(topic, payload) == 0
    assert server.stored(field)[-len(expected) :] == expected


def test_qos_0_is_stored_too(server: MqttServer, key: Key) -> None:
    with Client(server, key) as client:
        client.paho.publish(client.topic("sensors/roof/data"), "77.25", 0)
        wait_until(lambda: server.stored()[-1] == 77.25, 5, "stored")


@VERSIONS
@pytest.mark.parametrize(
    ("topic", "payload", "code", "reason"),
    [
        ("sensors/roof/data", '{"value": "warm"}', 1201, INVALID),
        ("sensors/roof/data", "{", 1207, INVALID),
        ("sensors/roof/data", '[{"value": 1}, {"value": "warm"}]', 1201, INVALID),
        ("sensors/cellar/data", "1", 1101, FORBIDDEN),
        ("data", '[{"value": 1}]', 1201, INVALID),
    ],
)
def test_what_is_refused_is_acknowledged_told_and_not_stored(
    server: MqttServer, key: Key, version: Any, topic: str, payload: str, code: int, reason: int
) -> None:
    before = len(server.stored())
    with Client(server, key, version) as client:
        client.subscribe("errors")
        assert client.publish(topic, payload) == (reason if version == V5 else 0)
        told = json.loads(client.next().payload)
    assert told["topic"] == client.topic(topic)
    assert told["error"]["code"] == code
    assert told["error"]["developerMessage"]
    assert len(server.stored()) == before


def test_batch_of_a_gateway_is_answered_item_by_item(server: MqttServer, key: Key) -> None:
    body = {
        "stream": "gw-1",
        "readings": [
            {"seq": 1, "sensor": "roof", "value": 100.5},
            {"seq": 2, "sensor": "roof", "value": "warm"},
            {"seq": 3, "sensor": "roof", "value": 101.5},
        ],
    }
    with Client(server, key) as client:
        client.subscribe("ack")
        for _ in range(2):
            assert client.publish("ingest", json.dumps(body)) == 0
            answer = json.loads(client.next().payload)
            assert answer["stream"] == "gw-1"
            assert answer["acked_through"] == 3
        assert [one["seq"] for one in answer["rejected"]] == [2]
    assert server.stored()[-2:] == [100.5, 101.5]


def test_foreign_topics_are_refused(server: MqttServer, key: Key) -> None:
    other = server.add_key("charlie")
    with Client(server, key) as client:
        foreign = f"wotkit/{other.key_id}"
        for topic_filter in ("#", "wotkit/#", "wotkit/+/ack", f"{foreign}/ack", "$SYS/#"):
            client.paho.subscribe(topic_filter, 1)
            assert client.granted.get(timeout=5) == [FORBIDDEN]
        sent = client.paho.publish(f"{foreign}/data", "1", 1)
        wait_until(lambda: sent.mid in client.acknowledged, 5, "answered")
        assert client.acknowledged[sent.mid] == FORBIDDEN


def test_foreign_publish_disconnects_an_old_client(server: MqttServer, key: Key) -> None:
    with Client(server, key, V311) as client:
        client.paho.publish("wotkit/other/data", "1", 1)
        assert client.disconnected.get(timeout=5)


@VERSIONS
def test_wrong_password_is_refused_and_the_victim_notices_nothing(
    server: MqttServer, key: Key, version: Any
) -> None:
    with Client(server, key, version, client_id="gw") as victim:
        wrong = Client(server, key._replace(key_password="x" * 32), version, client_id="gw")
        reason, _ = wrong.start()
        assert reason.is_failure
        wrong.stop()
        assert victim.publish("sensors/roof/data", "1") == 0
        assert victim.disconnected.empty()


def test_client_that_comes_again_takes_its_session_over(server: MqttServer, key: Key) -> None:
    with Client(server, key, client_id="twin") as first, Client(server, key, client_id="twin"):
        assert first.disconnected.get(timeout=5).value == 0x8E
        first.paho.loop_stop()
    charlies = server.add_key("charlie")
    with Client(server, key, client_id="same") as mine, Client(server, charlies, client_id="same"):
        assert mine.publish("sensors/roof/data", "1") == 0


def test_revoked_key_is_disconnected_at_once(server: MqttServer) -> None:
    key = server.add_key("alice")
    with Client(server, key) as client:
        server.command("key", "revoke", key.key_id)
        assert client.disconnected.get(timeout=5).value == 0x98
        client.paho.loop_stop()
    again = Client(server, key)
    reason, _ = again.start()
    assert reason.is_failure
    again.stop()


@VERSIONS
def test_command_reaches_its_gateway_and_the_result_its_sender(
    server: MqttServer, key: Key, version: Any
) -> None:
    url = f"{server.url}/api/v1/sensors/alice.pump/message"

    def asked(prefix: str = "/api/v1") -> Any:
        path = f"{prefix}/sensors/alice.pump/message/{command['id']}"
        return httpx.get(f"{server.url}{path}", auth=ALICE).json()

    with Client(server, key, version) as client:
        assert client.subscribe("commands/#") == [1]
        sent = httpx.post(url, json={"on": "1", "expires": 60}, auth=ALICE)
        assert sent.status_code in {200, 201}, sent.text
        message = client.next()
        assert message.topic == client.topic("commands/alice.pump")
        command = json.loads(message.payload)
        assert command["sensor"] == "alice.pump"
        assert command["message"]["on"] == "1"
        wait_until(lambda: asked()["status"] == "DELIVERED", 5, "acknowledged by the session")
        assert "state" not in asked()
        for state, detail in (("accepted", ""), ("done", "3 s")):
            result = {"id": command["id"], "state": state, "detail": detail}
            assert client.publish("results", json.dumps(result)) == 0
            found = asked()
            assert (found["state"], found["detail"]) == (state, detail)
            assert found["status"] == "ACKNOWLEDGED"
            assert found["timestamp"] <= found["delivered"] <= found["reported"]
        assert asked("/api/v2") == found


@VERSIONS
def test_command_waits_for_a_gateway_that_is_away(own_server: MqttServer, version: Any) -> None:
    key = own_server.add_key("alice")
    with Client(own_server, key, version, client_id="gw", expiry=600) as client:
        client.subscribe("commands/pump")
    url = f"{own_server.url}/api/v1/sensors/alice.pump/message"
    assert httpx.post(url, json={"on": "1"}, auth=ALICE).is_success
    own_server.kill_all()
    own_server.start()
    again = Client(own_server, key, version, client_id="gw", expiry=600)
    _, present = again.start()
    assert present
    assert json.loads(again.next().payload)["message"]["on"] == "1"
    wait_until(lambda: own_server.waiting_commands() == 0, 5, "acknowledged")
    again.stop()
    once_more = Client(own_server, key, version, client_id="gw", expiry=600)
    once_more.start()
    time.sleep(0.5)
    assert once_more.messages.empty()
    once_more.stop()


def test_status_is_kept_and_the_will_speaks_for_the_dead(server: MqttServer, key: Key) -> None:
    with Client(server, key, client_id="watcher") as watcher:
        watcher.subscribe("status")
        gateway = Client(server, key, client_id="gw", will="offline")
        gateway.start()
        gateway.publish("status", "online")
        assert watcher.next().payload == b"online"
        socket = gateway.paho.socket()
        assert socket is not None
        gateway.paho.loop_stop()
        socket.close()  # without a word
        assert watcher.next().payload == b"offline"
    with Client(server, key) as late:
        late.subscribe("status")
        message = late.next()
        assert message.payload == b"offline"
        assert message.retain


def test_readings_are_followed_live(server: MqttServer, key: Key) -> None:
    with Client(server, key) as client:
        assert client.subscribe("live/alice.roof") == [1]
        time.sleep(0.3)
        client.publish("sensors/roof/data", "123.5")
        message = client.next()
    assert message.topic == client.topic("live/alice.roof")
    assert json.loads(message.payload)["value"] == 123.5


def test_everything_published_before_a_disconnect_is_stored(
    own_server: MqttServer,
) -> None:
    import socket

    key = own_server.add_key("alice")
    count = 2000
    topic = f"wotkit/{key.key_id}/sensors/roof/data"
    packets = [Connect("gw", Version.V311, username=key.key_id, password=key.key_password.encode())]
    data = encode(packets[0], Version.V311) + b"".join(
        encode(Publish(topic, b"%d" % number, 1, number + 1), Version.V311)
        for number in range(count)
    )
    with socket.create_connection(("127.0.0.1", own_server.mqtt_port)) as wire:
        wire.sendall(data + encode(Disconnect(), Version.V311))
        wire.shutdown(socket.SHUT_WR)
        while wire.recv(65536):
            pass
    wait_until(lambda: len(own_server.stored()) == count, 10, "stored")
    assert own_server.stored() == list(range(count))


def test_garbage_is_refused_and_harms_nobody(server: MqttServer, key: Key) -> None:
    with Client(server, key) as client:
        for junk in (os.urandom(500), b"GET / HTTP/1.1\r\n\r\n", b"\x10\xff\xff\xff\x7f", b"\x10"):
            with socket.create_connection(("127.0.0.1", server.mqtt_port)) as wire:
                wire.sendall(junk)
                wire.shutdown(socket.SHUT_WR)
                wire.settimeout(15)
                wire.recv(1000)
        assert client.publish("sensors/roof/data", "5") == 0
