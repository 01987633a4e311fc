"""What the guide to MQTT gives to copy works as it stands, but for address, key and password."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests import node_packages
from tests.mqtt.conftest import OPTIONS, SECONDS, MqttServer, prepare
from tests.mqtt.guide import example, examples
from tests.system.server_process import PASSWORD, Key, wait_until
from wotkit.config import SETTINGS
from wotkit.mqtt.topics import publishable, subscribable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY_ID, KEY_PASSWORD = "0123456789abcdef", "…"
"""As they stand in programs; in commands and topics it is their names."""
ALICE = ("alice", PASSWORD)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MqttServer]:
    with MqttServer(tmp_path_factory.mktemp("examples") / "data", *OPTIONS) as found:
        prepare(found)
        found.command("sensor", "create", "greenhouse", "--user", "alice")
        yield found


def filled(text: str, server: MqttServer, key: Key) -> str:
    """An example with this server's address, and this key."""
    for old, new in (
        ("-h 127.0.0.1", f"-h 127.0.0.1 -p {server.mqtt_port}"),
        ("127.0.0.1:1883", f"127.0.0.1:{server.mqtt_port}"),
        ('"127.0.0.1", 1883', f'"127.0.0.1", {server.mqtt_port}'),
        ("127.0.0.1:8080", f"127.0.0.1:{server.port}"),
        (KEY_ID, key.key_id),
        (KEY_PASSWORD, key.key_password),
    ):
        text = text.replace(old, new)
    return text


def filled_command(text: str, server: MqttServer, key: Key) -> str:
    text = filled(text, server, key)
    return text.replace("KEY_PASSWORD", key.key_password).replace("KEY_ID", key.key_id)


def run(*command: str, cwd: Path | None = None) -> None:
    found = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=30, cwd=cwd
    )
    assert found.returncode == 0, found.stderr


def send_command(server: MqttServer, message: dict[str, Any]) -> str:
    """Send a message that waits for who subscribes, and return where it says what became of it."""
    url = f"{server.url}/api/v1/sensors/alice.pump/message"
    answer = httpx.post(url, json=message | {"expires": 60}, auth=ALICE)
    assert answer.is_success, answer.text
    return server.url + answer.headers["location"]


def test_mosquitto_pub_stores_a_reading(server: MqttServer, key: Key) -> None:
    before = len(server.stored())
    run("bash", "-ec", filled_command(example("sh", "mosquitto_pub"), server, key))
    assert server.stored("temperature")[before:] == [21.5]


def test_mosquitto_sub_shows_commands(server: MqttServer, key: Key) -> None:
    send_command(server, {"on": "shown by mosquitto_sub"})
    text = filled_command(example("sh", "mosquitto_sub"), server, key)
    command = ("bash", "-ec", f"exec {text}")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert json.loads(process.stdout.readline())["message"]["on"] == (
                "shown by mosquitto_sub"
            )
        finally:
            process.kill()


def test_python_program_stores_a_reading(server: MqttServer, key: Key) -> None:
    before = len(server.stored())
    run(sys.executable, "-c", filled(example("python", "wait_for_publish"), server, key))
    assert server.stored("temperature")[before:] == [21.5]


def test_python_gateway_carries_commands_out(server: MqttServer, key: Key) -> None:
    location = send_command(server, {"on": "for the gateway"})
    program = filled(example("python", "loop_forever"), server, key)
    command = (sys.executable, "-u", "-c", program)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            while "for the gateway" not in (line := process.stdout.readline()):
                assert line, "the gateway has ended"

            def result() -> Any:
                return httpx.get(location, auth=ALICE).json()

            wait_until(lambda: result().get("state") == "done", SECONDS, "done")
            assert result()["detail"] == "it took 3 s"
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("having", "before", "field"),
    [
        ("mqtt://", "", "temperature"),
        ("ws://", f'const [KEY_ID, KEY_PASSWORD] = ["{KEY_ID}", "{KEY_PASSWORD}"];\n', "value"),
    ],
)
def test_javascript_program_stores_a_reading(
    server: MqttServer, key: Key, having: str, before: str, field: str
) -> None:
    node = node_packages.node()
    count = len(server.stored())
    program = filled(before + example("js", having), server, key)
    program += "\nprocess.exit(0);\n"
    run(node, "--input-type=module", "-e", program, cwd=node_packages.FOLDER)
    assert server.stored(field)[count:] == [21.5]


def test_sketch_publishes_to_a_topic_of_its_key() -> None:
    sketch = example("cpp", "PubSubClient")
    (topic,) = re.findall(r'snprintf\(topic, sizeof topic, "([^"]+)", KEY_ID\)', sketch)
    found = publishable(KEY_ID, topic.replace("%s", KEY_ID))
    assert found is not None
    assert found.sensor == "greenhouse"
    (size,) = re.findall(r"char topic\[(\d+)\]", sketch)
    assert len(topic.replace("%s", KEY_ID)) < int(size)
    assert sketch.count("{") == sketch.count("}")


def test_flow_of_node_red_is_whole_and_uses_topics_of_its_key() -> None:
    flow = json.loads(example("json", "mqtt-broker"))
    nodes = {node["id"]: node for node in flow}
    assert len(nodes) == len(flow) == 5
    for node in flow:
        assert all(target in nodes for wire in node.get("wires", []) for target in wire)
        if node["type"] in {"mqtt in", "mqtt out"}:
            assert nodes[node["broker"]]["type"] == "mqtt-broker"
            may = publishable if node["type"] == "mqtt out" else subscribable
            assert may(KEY_ID, node["topic"].replace("KEY_ID", KEY_ID)) is not None
        if node["type"] == "inject":
            assert json.loads(node["payload"]) == {"temperature": 21.5}


def test_settings_in_the_guide_exist() -> None:
    known = {setting.name for setting in SETTINGS}
    texts = examples("toml")
    assert len(texts) >= 3
    for text in texts:
        for section, values in tomllib.loads(text).items():
            assert {f"{section}.{name}" for name in values} <= known
