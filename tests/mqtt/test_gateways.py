"""Gateways appear by what they say on their status topic, and their wills speak for them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.mqtt.conftest import VERSIONS, Client
from tests.system.server_process import wait_until

if TYPE_CHECKING:
    from paho.mqtt.enums import MQTTProtocolVersion

    from tests.mqtt.conftest import MqttServer
    from tests.system.server_process import Key


def gateways(server: MqttServer, key: Key) -> dict[str, dict[str, Any]]:
    """Alice's gateways by name, as a key of hers sees them."""
    with server.wire(key) as wire:
        return {one["id"]: one for one in wire.get("/api/v2/gateways").json()}


def vanish(client: Client) -> None:
    """End a connection without a word."""
    socket = client.paho.socket()
    assert socket is not None
    client.paho.loop_stop()
    socket.close()


@VERSIONS
def test_gateway_is_online_by_its_report_and_offline_by_its_will(
    server: MqttServer, key: Key, version: MQTTProtocolVersion
) -> None:
    name = f"greenhouse-{version.value}"
    will = json.dumps({"gateway": name, "status": "offline"})
    report = {"gateway": name, "status": "online", "version": "1.0", "spool": {"depth": 7}}
    gateway = Client(server, key, version, client_id=name, will=will)
    gateway.start()
    gateway.publish("status", json.dumps(report))
    wait_until(lambda: name in gateways(server, key), 5, "there")
    assert gateways(server, key)[name]["status"] == "online"
    vanish(gateway)
    wait_until(lambda: gateways(server, key)[name]["status"] == "offline", 5, "offline")
    found = gateways(server, key)[name]
    assert found["key"] == key.key_id
    assert found["version"] == "1.0"
    assert found["spool"]["depth"] == 7


def test_one_word_is_enough_for_a_simple_client(server: MqttServer) -> None:
    key = server.add_key("alice")
    gateway = Client(server, key, client_id="simple", will="offline")
    gateway.start()
    gateway.publish("status", "online")
    wait_until(lambda: key.key_id in gateways(server, key), 5, "there")
    assert gateways(server, key)[key.key_id]["status"] == "online"
    assert gateways(server, key)[key.key_id]["interval"] is None
    vanish(gateway)
    wait_until(lambda: gateways(server, key)[key.key_id]["status"] == "offline", 5, "offline")


def test_other_words_are_kept_for_followers_and_name_no_gateway(server: MqttServer) -> None:
    key = server.add_key("alice")
    with Client(server, key) as client:
        client.subscribe("status")
        client.publish("status", "being serviced")
        assert client.next().payload == b"being serviced"
    assert key.key_id not in gateways(server, key)


@pytest.mark.parametrize(
    "payload", ['{"status": "away"}', '{"status": "online", "gateway": "a b"}', "{"]
)
def test_report_that_is_none_is_refused_with_its_reason(
    server: MqttServer, key: Key, payload: str
) -> None:
    with Client(server, key) as client:
        assert client.publish("status", payload) == 0x99


def test_key_that_may_not_write_brings_no_gateway(server: MqttServer) -> None:
    key = server.add_key("alice", "--scope", "read")
    with Client(server, key) as client:
        client.subscribe("status")
        client.publish("status", "online")
        assert client.next().payload == b"online"
    assert key.key_id not in gateways(server, key)
