"""A real RabbitMQ asks who may connect, publish and subscribe, and goes by the answers.

How it refuses a subscription depends on its version: before 3.12 it ends the connection, later ones
answer with a reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.mqtt.conftest import OPTIONS, SECONDS, V311, Client, MqttServer, prepare
from tests.mqtt.guide import example
from tests.mqtt.rabbitmq_process import PROGRAM, RabbitMq
from tests.system.server_process import Key, wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not PROGRAM.exists(), reason="needs rabbitmq-server of Debian"),
]
REFUSED = 0x80


def test_rabbitmq_lets_keys_use_their_own_topics_until_they_are_revoked(tmp_path: Path) -> None:
    with (
        MqttServer(tmp_path / "data", *OPTIONS) as server,
        RabbitMq(tmp_path / "rabbitmq", _as_the_guide_says(server)) as broker,
    ):
        prepare(server)
        key, other = server.add_key("alice"), server.add_key("charlie")

        def client(of: Key, name: str) -> Client:
            return Client(broker, of, V311, client_id=name)  # type: ignore[arg-type]  # has a port

        with client(key, "gw") as gateway, client(other, "thief") as thief:
            granted = gateway.subscribe("status", "ack", "commands/#", "commands/+")
            assert granted == [1, 1, 1, 1]
            gateway.publish("status", "online")
            assert gateway.next().payload == b"online"
            gateway.publish("sensors/alice.roof/data", "21.5")
            gateway.publish("data", '{"sensor": "roof", "value": 21.5}')

            thief.paho.publish(gateway.topic("status"), "stolen", 1)
            assert thief.disconnected.get(timeout=SECONDS).is_failure
            assert not thief.acknowledged
            gateway.publish("status", "still mine")
            assert gateway.next().payload == b"still mine"
        with client(other, "listener") as listener:
            _assert_refused(listener, gateway.topic("commands/#"))

        _assert_shut_out(client(Key(key.key_id, "wrong"), "guess"))
        with client(key, "gw2") as again:
            again.publish("data", "{}")
            server.command("key", "revoke", key.key_id)
            _assert_refused(again, again.topic("ack"))
        _assert_shut_out(client(key, "gw3"))


def _as_the_guide_says(server: MqttServer) -> str:
    return example("ini", "auth_http").replace("http://127.0.0.1:8080", server.url)


def _assert_shut_out(client: Client) -> None:
    reason, _ = client.start()
    client.stop()
    assert reason.is_failure


def _assert_refused(client: Client, topic_filter: str) -> None:
    client.paho.subscribe([(topic_filter, 1)])
    wait_until(
        lambda: not client.granted.empty() or not client.disconnected.empty(), SECONDS, "refused"
    )
    if client.disconnected.empty():
        assert client.granted.get() == [REFUSED]
    else:
        assert client.disconnected.get().is_failure
        assert client.granted.empty()
