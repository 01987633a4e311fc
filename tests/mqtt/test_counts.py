"""What ``/metrics`` says of MQTT is what has happened."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.mqtt.conftest import V5, V311, Client
from tests.system.server_process import PASSWORD, wait_until

if TYPE_CHECKING:
    from tests.mqtt.conftest import MqttServer

ALICE = ("alice", PASSWORD)


def counted(server: MqttServer, name: str, **labels: str) -> float | None:
    """A sample; None where there is none."""
    text = httpx.get(f"{server.url}/metrics").text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == f"wotkit_mqtt_{name}" and sample.labels == labels:
                return sample.value
    return None


def publishes(server: MqttServer, outcome: str) -> float | None:
    return counted(server, "publishes_total", outcome=outcome)


def test_publishes_are_counted_by_what_became_of_them(own_server: MqttServer) -> None:
    server, key = own_server, own_server.add_key("alice")
    assert counted(server, "connections") == 0
    assert publishes(server, "stored") == 0
    with Client(server, key) as client:
        assert counted(server, "connections") == 1
        for qos in (1, 1, 2):
            client.publish("sensors/roof/data", "21.5", qos)
        client.publish("data", '[{"sensor": "roof", "value": 1}, {"sensor": "pump", "value": 2}]')
        client.publish("sensors/roof/data", '{"value": "warm"}')
        client.publish("commands/pump", "1")
        client.publish("status", "online")
        assert publishes(server, "stored") == 4
        assert publishes(server, "refused") == 1
        assert publishes(server, "forbidden") == 1
        assert publishes(server, "handled") == 1
        assert counted(server, "pending_readings") == 0
        # at the least those that were stored or handled, each once
        found = counted(server, "acknowledgement_seconds_count")
        assert found is not None
        assert 5 <= found <= 7
        client.paho.publish(client.topic("sensors/roof/data"), "3", 0)
        wait_until(lambda: publishes(server, "stored") == 5, 5, "stored without an acknowledgement")
        assert counted(server, "acknowledgement_seconds_count") == found
    for direction in ("received", "sent"):
        found = counted(server, f"{direction}_bytes_total")
        assert found is not None
        assert found > 50


def test_connections_are_counted_by_how_they_ended(own_server: MqttServer) -> None:
    server, key = own_server, own_server.add_key("alice")

    def ended(reason: str) -> float | None:
        return counted(server, "ended_total", reason=reason)

    with Client(server, key):
        pass
    wait_until(lambda: ended("client") == 1, 5, "counted")
    gone = Client(server, key)
    gone.start()
    socket = gone.paho.socket()
    assert socket is not None
    gone.paho.loop_stop()
    socket.close()
    wait_until(lambda: ended("lost") == 1, 5, "counted")
    wrong = Client(server, key._replace(key_password="x" * 32), V5)
    assert wrong.start()[0].is_failure
    wrong.stop()
    wait_until(lambda: (ended("bad_user_name_or_password") or 0) >= 1, 5, "counted")
    assert counted(server, "connects_total") == 2
    with Client(server, key, V311) as client:
        server.command("key", "revoke", key.key_id)
        wait_until(lambda: ended("administrative_action") == 1, 5, "counted")
        client.paho.loop_stop()
    wait_until(lambda: counted(server, "connections") == 0, 5, "gone")


def test_commands_that_wait_are_counted(own_server: MqttServer) -> None:
    server, key = own_server, own_server.add_key("alice")
    with Client(server, key, client_id="gw", expiry=600) as client:
        client.subscribe("commands/#")
    url = f"{server.url}/api/v1/sensors/alice.pump/message"
    assert httpx.post(url, json={"on": "1"}, auth=ALICE).is_success
    assert counted(server, "commands_waiting") == 1
    with Client(server, key, client_id="gw", expiry=600) as client:
        assert json.loads(client.next().payload)["message"]["on"] == "1"
        wait_until(lambda: counted(server, "commands_waiting") == 0, 5, "acknowledged")
    assert counted(server, "commands_sent_total") == 1
    assert counted(server, "commands_acknowledged_total") == 1
