"""Clients that others wrote, in both versions, over TCP, TLS and WebSocket."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests import node_packages
from tests.mqtt.conftest import (
    OPTIONS,
    SECONDS,
    VERSIONS,
    Client,
    MqttServer,
    prepare,
    tls_options,
)
from tests.system.server_process import PASSWORD, wait_until
from wotkit.mqtt.codec import ConnAck, Connect, Decoder, PingReq, PingResp, Version, encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.certificates import Certificate
    from tests.system.server_process import Key

WAYS = pytest.mark.parametrize("way", ["tcp", "tls", "websocket"])
ALICE = ("alice", PASSWORD)


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, certificate: Certificate
) -> Iterator[MqttServer]:
    options = (*OPTIONS, *tls_options(certificate))
    with MqttServer(tmp_path_factory.mktemp("clients") / "data", *options) as found:
        found.certificate = certificate.certificate
        prepare(found)
        yield found


def send_command(server: MqttServer, message: dict[str, str]) -> None:
    url = f"{server.url}/api/v1/sensors/alice.pump/message"
    assert httpx.post(url, json=message, auth=ALICE).is_success


@WAYS
@VERSIONS
def test_paho_publishes_and_gets_commands(
    server: MqttServer, key: Key, version: Any, way: str
) -> None:
    value = time.time()
    with Client(server, key, version, way=way) as client:
        assert client.subscribe("commands/#") == [1]
        for qos in (0, 1, 2):
            client.publish("sensors/roof/data", json.dumps({"value": value, "qos": qos}), qos)
        wait_until(lambda: server.stored()[-3:] == [value] * 3, SECONDS, "stored")
        send_command(server, {"turn": "on"})
        assert json.loads(client.next().payload)["message"]["turn"] == "on"
        large = json.dumps([{"value": value, "timestamp": number} for number in range(2000)])
        assert client.publish("sensors/roof/data", large) == 0


def mosquitto(program: str, server: MqttServer, key: Key, way: str, *options: str) -> list[str]:
    port = server.tls_port if way == "tls" else server.mqtt_port
    tls = ("--cafile", str(server.certificate)) if way == "tls" else ()
    login = ("-u", key.key_id, "-P", key.key_password)
    return [program, "-h", "127.0.0.1", "-p", str(port), *login, *tls, *options]


@pytest.mark.parametrize("way", ["tcp", "tls"])
@pytest.mark.parametrize("version", ["311", "5"])
def test_mosquitto_pub_and_sub_work(server: MqttServer, key: Key, version: str, way: str) -> None:
    value = time.time()
    topic = f"wotkit/{key.key_id}"
    publishing = mosquitto("mosquitto_pub", server, key, way, "-V", version)
    publishing += ["-t", f"{topic}/sensors/roof/data"]
    for qos in range(3):
        sent = [*publishing, "-q", str(qos), "-m", str(value + qos)]
        subprocess.run(sent, check=True, timeout=SECONDS)
    lines = "".join(f"{value + number}\n" for number in range(3, 20))
    many = [*publishing, "-q", "1", "-l"]
    subprocess.run(many, check=True, timeout=SECONDS, input=lines, text=True)
    expected = [value + number for number in range(20)]
    wait_until(lambda: sorted(server.stored()[-20:]) == expected, SECONDS, "stored")
    listening = mosquitto("mosquitto_sub", server, key, way, "-V", version)
    listening += ["-t", f"{topic}/live/alice.roof", "-C", "1", "-W", str(SECONDS)]
    with subprocess.Popen(listening, stdout=subprocess.PIPE, text=True) as subscriber:
        while subscriber.poll() is None:  # it does not say when it has subscribed
            subprocess.run([*publishing, "-q", "1", "-m", "7"], check=True, timeout=SECONDS)
        assert subscriber.stdout is not None
        assert json.loads(subscriber.stdout.read())["value"] == 7


@pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5"])
@WAYS
def test_mqtt_of_npm_publishes_and_gets_commands(
    server: MqttServer, key: Key, version: int, way: str
) -> None:
    address = {
        "tcp": f"mqtt://127.0.0.1:{server.mqtt_port}",
        "tls": f"mqtts://127.0.0.1:{server.tls_port}",
        "websocket": f"ws://127.0.0.1:{server.port}/mqtt",
    }[way]
    value = time.time()
    given = {
        "address": address,
        "version": version,
        "key": key,
        "certificate": str(server.certificate),
        "value": value,
    }
    command = (node_packages.node(), node_packages.FOLDER / "mqtt.mjs", json.dumps(given))
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "subscribed\n"
        send_command(server, {"turn": "off"})
        found = json.loads(process.stdout.readline())
    assert found["granted"] == [1, 1]
    assert found["command"]["message"] == {"turn": "off"}
    assert found["refused"]
    assert server.stored()[-3:] == [value] * 3


def test_websocket_without_the_subprotocol_is_told_so(server: MqttServer) -> None:
    with (
        connect(f"ws://127.0.0.1:{server.port}/mqtt") as socket,
        pytest.raises(ConnectionClosed, match="ask for the subprotocol mqtt"),
    ):
        socket.recv(timeout=SECONDS)


def test_websocket_takes_packets_in_parts_and_no_text(server: MqttServer, key: Key) -> None:
    hello = encode(
        Connect(
            client_id="parts",
            version=Version.V5,
            username=key.key_id,
            password=key.key_password.encode(),
        ),
        Version.V5,
    )
    decoder = Decoder(Version.V5)
    with connect(f"ws://127.0.0.1:{server.port}/mqtt", subprotocols=["mqtt"]) as socket:
        for byte in hello:
            socket.send(bytes([byte]))
        socket.send(encode(PingReq(), Version.V5) * 3)
        packets: list[Any] = []
        while len(packets) < 4:
            packets += decoder.feed(socket.recv(timeout=SECONDS))
        assert isinstance(packets[0], ConnAck)
        assert packets[0].reason == 0
        assert packets[1:] == [PingResp()] * 3
        socket.send("text")
        with pytest.raises(ConnectionClosed, match="binary"):
            socket.recv(timeout=SECONDS)


def test_websocket_of_a_revoked_key_is_closed(server: MqttServer) -> None:
    key = server.add_key("alice")
    with Client(server, key, way="websocket") as client:
        client.publish("sensors/roof/data", "1")
        server.command("key", "revoke", key.key_id)
        assert client.disconnected.get(timeout=SECONDS).value == 0x98


def test_websocket_is_told_that_the_server_stops(tmp_path: Path) -> None:
    with MqttServer(tmp_path / "data", *OPTIONS) as server:
        prepare(server)
        with Client(server, server.add_key("alice"), way="websocket") as client:
            client.publish("sensors/roof/data", "1")
            assert server.stop() == 0
            assert client.disconnected.get(timeout=SECONDS).value == 0x8B
