"""A mosquitto without a plugin knows the keys, and forgets those that are revoked."""

from __future__ import annotations

import queue
import stat
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.mqtt.conftest import SECONDS, Client, MqttServer, prepare
from tests.mqtt.guide import example
from tests.mqtt.mosquitto_process import Mosquitto
from tests.system.server_process import WOTKIT, ServerProcess, wait_until
from wotkit.auth import passwords
from wotkit.catalog import Catalog
from wotkit.settings import MqttSettings

if TYPE_CHECKING:
    from pathlib import Path

BRIDGE = "the-bridge"
BRIDGE_PASSWORD = "correct horse"
ACCESS = example("conf", "password_file").replace("/etc/mosquitto/wotkit", "{folder}")


def test_hash_is_in_mosquittos_form_and_that_of_the_secret() -> None:
    settings = MqttSettings(mosquitto_hashes=True, mosquitto_iterations=7)
    hashed = passwords.mosquitto_hash("secret", settings)
    assert hashed is not None
    assert hashed.startswith("$7$7$")
    assert hashed != passwords.mosquitto_hash("secret", settings)
    assert passwords.has_mosquitto_hash("secret", hashed)
    assert not passwords.has_mosquitto_hash("Secret", hashed)
    assert not passwords.has_mosquitto_hash("secret", "$6$nonsense")
    assert passwords.mosquitto_hash("secret", MqttSettings()) is None


@pytest.fixture
def made(data: Path, monkeypatch: pytest.MonkeyPatch) -> ServerProcess:
    """A data folder with Alice, in which keys get hashes; no server runs."""
    monkeypatch.setenv("WOTKIT_MQTT_MOSQUITTO_HASHES", "true")
    with closing(Catalog(data)):
        pass
    found = ServerProcess(data)
    found.add_user("alice")
    return found


def test_command_writes_the_keys_that_hold_and_says_which_it_does_not_know(
    made: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, revoked = made.add_key("alice"), made.add_key("alice")
    made.command("key", "revoke", revoked.key_id)
    monkeypatch.setenv("WOTKIT_MQTT_MOSQUITTO_HASHES", "false")
    made.add_key("alice")
    folder = tmp_path / "export"
    assert made.command("mqtt", "export-mosquitto", str(folder)) == f"Wrote 1 keys to {folder}.\n"
    ((name, _, hashed),) = [
        line.partition(":") for line in (folder / "passwords").read_text().splitlines()
    ]
    assert name == key.key_id
    assert passwords.has_mosquitto_hash(key.key_password, hashed)
    assert stat.S_IMODE((folder / "passwords").stat().st_mode) == 0o640
    assert {path.name for path in folder.iterdir()} == {"passwords", "acl"}
    assert made.command("mqtt", "export-mosquitto", str(folder)) == "Nothing has changed.\n"


def test_rotated_key_has_a_hash_of_its_new_password(made: ServerProcess, tmp_path: Path) -> None:
    key = made.add_key("alice")
    new = made.json("key", "rotate", key.key_id)["key_password"]
    made.command("mqtt", "export-mosquitto", str(tmp_path))
    hashed = (tmp_path / "passwords").read_text().strip().partition(":")[2]
    assert passwords.has_mosquitto_hash(new, hashed)


def connect(broker: Mosquitto, name: str, password: str) -> int:
    """Return the reason with which a broker answers CONNECT."""
    answers: queue.Queue[int] = queue.Queue()
    client = paho.Client(
        CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5, reconnect_on_failure=False
    )
    client.username_pw_set(name, password)
    client.on_connect = lambda _c, _u, _f, reason, _p: answers.put(reason.value)
    client.connect("127.0.0.1", broker.mqtt_port)
    client.loop_start()
    try:
        return answers.get(timeout=SECONDS)
    finally:
        client.disconnect()
        client.loop_stop()


def secured(tmp_path: Path) -> tuple[Mosquitto, MqttServer]:
    """A broker that goes by the files, and a server that keeps them and reads from the broker."""
    folder = tmp_path / "export"
    folder.mkdir()
    for name in ("passwords", "acl"):
        (folder / name).touch(mode=0o640)
    broker = Mosquitto(tmp_path / "broker", ACCESS.format(folder=folder))
    settings = {
        "auth.bcrypt_cost": "4",
        "mqtt.enabled": "false",
        "mqtt.broker_url": broker.url,
        "mqtt.broker_user": BRIDGE,
        "mqtt.export_mosquitto": str(folder),
        "mqtt.mosquitto_pid_file": str(broker.pid_file),
    }
    sets = [word for pair in settings.items() for word in ("--set", "=".join(pair))]
    environment = {"WOTKIT_MQTT_BROKER_PASSWORD": BRIDGE_PASSWORD}
    return broker, MqttServer(tmp_path / "data", *sets, environment=environment)


def test_server_keeps_mosquitto_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOTKIT_MQTT_MOSQUITTO_HASHES", "true")
    broker, server = secured(tmp_path)
    with broker, server:
        prepare(server)
        key, other = server.add_key("alice"), server.add_key("charlie")
        wait_until(lambda: connect(broker, *other) == 0, SECONDS, "a key that is let in")
        wait_until(lambda: "connected to the broker" in server.log, 20, "the bridge is let in")
        with (
            Client(broker, key, client_id="gw") as gateway,  # type: ignore[arg-type]  # has a port
            Client(broker, other, client_id="x") as stranger,  # type: ignore[arg-type]  # as above
        ):
            gateway.subscribe("ack", "errors", "commands/#")
            stranger.paho.subscribe([("#", 1), (gateway.topic("#"), 1)])
            gateway.publish("sensors/roof/data", "71.5")
            wait_until(lambda: 71.5 in server.stored(), SECONDS, "stored")
            gateway.publish("sensors/nothing/data", "1")
            assert gateway.next().topic == gateway.topic("errors")
            stranger.paho.publish(gateway.topic("sensors/roof/data"), "666", 1)
            stranger.paho.publish(gateway.topic("errors"), "666", 1)
            stranger.publish("status", "online")
            server.command("key", "revoke", key.key_id)
            assert gateway.disconnected.get(timeout=SECONDS).is_failure
            assert 666 not in server.stored()
            received = [message.topic for message in list(stranger.messages.queue)]
            assert set(received) <= {stranger.topic("status")}
        assert connect(broker, *key) == 135
        assert connect(broker, *other) == 0


def test_pid_file_of_no_process_is_an_error_with_a_reason(
    made: ServerProcess, tmp_path: Path
) -> None:
    made.add_key("alice")
    command = ["mqtt", "export-mosquitto", str(tmp_path / "x"), "--pid-file", "/nonexistent"]
    found = subprocess.run(
        [*WOTKIT, *command, "--data", str(made.data)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert found.returncode == 1
    assert "mosquitto cannot be told: /nonexistent" in found.stderr
