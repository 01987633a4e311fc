"""A real server with MQTT, and clients of paho-mqtt."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import sqlite3
import subprocess
from typing import TYPE_CHECKING, Any, Self

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.certificates import Certificate, make_certificate
from tests.system.server_process import Key, ServerProcess, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPTIONS = ("--set", "auth.bcrypt_cost=4", "--mqtt-port", "0")
SECONDS = 10
V311 = MQTTProtocolVersion.MQTTv311
V5 = MQTTProtocolVersion.MQTTv5
VERSIONS = pytest.mark.parametrize("version", [V311, V5], ids=["3.1.1", "5"])


def tls_options(found: Certificate) -> list[str]:
    """How a server is told to serve MQTT over TLS."""
    tls = {"tls_port": "0", "tls_certificate": found.certificate, "tls_key": found.key}
    return [each for name, value in tls.items() for each in ("--set", f"mqtt.{name}={value}")]


class MqttServer(ServerProcess):
    """A server that says on which port it serves MQTT."""

    certificate: Path
    """That of TLS, where it has one."""

    @property
    def mqtt_port(self) -> int:
        return self._port("mqtt")

    @property
    def tls_port(self) -> int:
        return self._port("mqtts")

    def _port(self, scheme: str) -> int:
        found = re.search(rf"\b{scheme}://[^:]+:(\d+)", self.said)
        assert found is not None, self.said
        return int(found[1])

    def stored(self, field: str = "value") -> list[Any]:
        """What is in the readings' file, in the order of its ids."""
        with sqlite3.connect(f"file:{self.data}/readings.db?mode=ro", uri=True) as connection:
            found = connection.execute(
                f"SELECT json_extract(data, '$.{field}') FROM reading ORDER BY id"
            ).fetchall()
        return [value for (value,) in found]

    def waiting_commands(self) -> int:
        """How many commands no session has acknowledged."""
        with sqlite3.connect(f"file:{self.data}/catalog.db?mode=ro", uri=True) as connection:
            (count,) = connection.execute("SELECT count(*) FROM mqtt_delivery").fetchone()
        return int(count)


class Client:
    """A paho client that waits for what it expects."""

    def __init__(
        self,
        server: MqttServer,
        key: Key,
        version: MQTTProtocolVersion = V5,
        *,
        client_id: str = "",
        expiry: int = 0,
        will: str | None = None,
        way: str = "tcp",
    ) -> None:
        """Come by ``tcp``, by ``tls``, or by ``websocket``."""
        self.key = key
        self.messages: queue.Queue[paho.MQTTMessage] = queue.Queue()
        self.acknowledged: dict[int, int] = {}
        self.connected: queue.Queue[tuple[Any, bool]] = queue.Queue()
        self.disconnected: queue.Queue[Any] = queue.Queue()
        self.granted: queue.Queue[list[int]] = queue.Queue()
        options: dict[str, Any] = {"clean_session": not expiry} if version == V311 else {}
        self.paho = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=version,
            transport="websockets" if way == "websocket" else "tcp",
            **options,
        )
        self._port = server.port if way == "websocket" else server.mqtt_port
        if way == "tls":
            self._port = server.tls_port
            self.paho.tls_set(str(server.certificate))
        self.paho.username_pw_set(*key)
        if will is not None:
            self.paho.will_set(self.topic("status"), will, qos=1)
        self.paho.on_message = lambda _c, _u, message: self.messages.put(message)
        self.paho.on_publish = lambda _c, _u, mid, reason, _p: self.acknowledged.__setitem__(
            mid, reason.value
        )
        self.paho.on_connect = lambda _c, _u, flags, reason, _p: self.connected.put(
            (reason, flags.session_present)
        )
        self.paho.on_disconnect = lambda _c, _u, _f, reason, _p: self.disconnected.put(reason)
        self.paho.on_subscribe = lambda _c, _u, _m, reasons, _p: self.granted.put(
            [reason.value for reason in reasons]
        )
        self._version = version
        self._expiry = expiry

    def start(self) -> tuple[Any, bool]:
        """Connect, and return the reason and whether there was a session."""
        options: dict[str, Any] = {}
        if self._version == V5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = self._expiry
            options = {"clean_start": not self._expiry, "properties": properties}
        self.paho.connect("127.0.0.1", self._port, keepalive=60, **options)
        self.paho.loop_start()
        return self.connected.get(timeout=SECONDS)

    def __enter__(self) -> Self:
        reason, _ = self.start()
        assert not reason.is_failure, reason
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()

    def topic(self, rest: str) -> str:
        return f"wotkit/{self.key.key_id}/{rest}"

    def publish(self, rest: str, payload: str | bytes, qos: int = 1) -> int:
        """Publish, wait for the acknowledgement, and return its reason code."""
        sent = self.paho.publish(self.topic(rest), payload, qos)
        wait_until(lambda: sent.mid in self.acknowledged, SECONDS, "acknowledged")
        return self.acknowledged[sent.mid]

    def subscribe(self, *rest: str, qos: int = 1) -> list[int]:
        self.paho.subscribe([(self.topic(each), qos) for each in rest])
        return self.granted.get(timeout=SECONDS)

    def next(self) -> paho.MQTTMessage:
        return self.messages.get(timeout=SECONDS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MqttServer]:
    with MqttServer(tmp_path_factory.mktemp("mqtt") / "data", *OPTIONS) as found:
        prepare(found)
        yield found


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[MqttServer]:
    """A server that this test may kill."""
    with MqttServer(tmp_path / "data", *OPTIONS) as found:
        prepare(found)
        yield found


@contextlib.contextmanager
def stalled_commits(server: MqttServer) -> Iterator[None]:
    """Let nothing be written: another process has the file."""
    other = sqlite3.connect(server.data / "readings.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def prepare(server: MqttServer) -> None:
    for name in ("alice", "charlie"):
        server.add_user(name)
    for sensor in ("roof", "pump"):
        server.command("sensor", "create", sensor, "--user", "alice")


@pytest.fixture
def key(server: MqttServer) -> Key:
    return server.add_key("alice")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)]
    mounted = subprocess.run(mount, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)
