import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from input_bench import Workbench
from paho.mqtt.enums import CallbackAPIVersion

from tests.ports import free_port

Bench = Callable[..., Workbench]
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


class Broker:
    """A real mosquitto on a free port of loopback; alice has a password, others are refused."""

    def __init__(self, folder: Path) -> None:
        assert MOSQUITTO, "the tests need mosquitto"
        self.port = free_port()
        self._folder = folder
        passwords = folder / "passwords"
        passwords.touch(mode=0o600)
        tool = Path(MOSQUITTO).with_name("mosquitto_passwd")
        tool = tool if tool.exists() else Path("/usr/bin/mosquitto_passwd")
        subprocess.run([tool, "-b", passwords, "alice", "s@cret"], check=True, capture_output=True)
        acl = folder / "acl"
        acl.write_text("user alice\ntopic readwrite #\n")
        acl.chmod(0o600)
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\nuser root\n"
            f"password_file {passwords}\nacl_file {acl}\npersistence false\n"
        )
        self.start()

    def start(self) -> None:
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(MOSQUITTO), "-c", str(self._config)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < deadline, (self._folder / "mosquitto.log").read_text()
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    def publish(self, *messages: tuple[str, str], retain: bool = False) -> None:
        client = paho.Client(CallbackAPIVersion.VERSION2)
        client.username_pw_set("alice", "s@cret")
        done = threading.Event()
        sent: set[int] = set()

        def on_connect(*_: Any) -> None:
            for topic, payload in messages:
                sent.add(client.publish(topic, payload, qos=1, retain=retain).mid)

        def on_publish(_client: Any, _data: Any, number: int, *_: Any) -> None:
            sent.discard(number)
            if not sent:
                done.set()

        client.on_connect, client.on_publish = on_connect, on_publish
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        assert done.wait(10)
        client.disconnect()
        client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    yield broker
    broker.stop()


def section(broker: Broker, *lines: str, user: str = "alice:s%40cret") -> str:
    url = f"mqtt://{user}@127.0.0.1:{broker.port}"
    return "\n".join(["[[input]]", 'type = "mqtt"', f'url = "{url}"', *lines, ""])


def test_sensor_and_field_come_from_the_topic(bench: Bench, broker: Broker) -> None:
    text = section(
        broker,
        *("topic = 'home/+/+'", "sensor = 'home-{1}'", "field = '{2}'", "format = 'number'"),
    )
    with bench(text) as running:
        running.wait_for(lambda: running.figures.open)
        broker.publish(("home/Cellar/temp", "12.5"), ("home/Attic 1/hum", "40"), ("away/x/y", "1"))
        running.wait_for_values(2)
        assert running.of("home-cellar") == [{"temp": 12.5}]
        assert running.of("home-attic-1") == [{"hum": 40}]
        assert len(running.values()) == 2


def test_objects_are_taken_apart_by_points(bench: Bench, broker: Broker) -> None:
    text = section(broker, "topic = ['zigbee2mqtt/#']", "sensor = 'z-{1}'") + (
        '[[input.point]]\nkey = "temperature"\nunits = "°C"\n'
        '[[input.point]]\nkey = "state"\n[[input.point]]\nkey = "battery"\nsensor = "batteries"\n'
    )
    with bench(text) as running:
        running.wait_for(lambda: running.figures.open)
        broker.publish(("zigbee2mqtt/a/b", '{"temperature": 21.5, "state": "ON", "battery": 90}'))
        running.wait_for_values(2)
        assert running.of("z-a-b") == [{"temperature": 21.5, "state": "ON"}]
        assert running.of("batteries") == [{"battery": 90}]


def test_message_kept_from_before_is_skipped_because_its_time_is_unknown(
    bench: Bench, broker: Broker
) -> None:
    broker.publish(("t/a", "1"), retain=True)
    lines = ("topic = 't/+'", "format = 'number'")
    with bench(section(broker, *lines)) as running:
        running.wait_for(lambda: running.figures.open)
        broker.publish(("t/a", "2"))
        assert running.wait_for_values(1) == [{"value": 2}]
    with bench(section(broker, *lines, "retained = 'take'")) as running:
        assert running.wait_for_values(1) == [{"value": 1}]


def test_record_with_its_own_time_keeps_it(bench: Bench, broker: Broker) -> None:
    with bench(section(broker, "topic = 't'", "time = 'at'", "retained = 'take'")) as running:
        running.wait_for(lambda: running.figures.open)
        broker.publish(("t", '{"at": 1795248000, "v": 1}'), ("t", '{"at": 1795248000, "v": 1}'))
        broker.publish(("t", '{"at": 1795248010, "v": 2}'))
        running.wait_for_values(2)
        times = [reading.stamp.wall_us // 1_000_000 for reading in running.shelf.readings]
    assert times == [1_795_248_000, 1_795_248_010]


def test_broker_that_was_restarted_is_subscribed_to_again(bench: Bench, broker: Broker) -> None:
    with bench(section(broker, "topic = 't'", "format = 'number'")) as running:
        running.wait_for(lambda: running.figures.open)
        broker.publish(("t", "1"))
        running.wait_for_values(1)
        broker.stop()
        running.wait_for(lambda: not running.figures.open)
        broker.start()
        running.wait_for(lambda: running.figures.open)
        broker.publish(("t", "2"))
        assert running.wait_for_values(2) == [{"value": 1}, {"value": 2}]


def test_wrong_password_is_told_without_showing_it(
    bench: Bench, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    with bench(section(broker, "topic = 't'", user="alice:wrong-secret")) as running:
        running.wait_for(lambda: "refuses" in str(running.figures.last_error))
        assert "Not authorized" in str(running.figures.last_error)
        assert "wrong-secret" not in caplog.text + str(running.figures.last_error)


def test_unreadable_message_is_told_with_its_topic(bench: Bench, broker: Broker) -> None:
    with bench(section(broker, "topic = 't/+'")) as running:
        running.wait_for(lambda: running.figures.open)
        broker.publish(("t/a", "not json"), ("t/b", '{"v": 1}'))
        assert running.wait_for_values(1) == [{"v": 1}]
        assert str(running.figures.last_error).startswith("t/a: is not JSON")


def test_wrong_settings_are_told_with_their_lines(mistakes: Callable[[str], list[str]]) -> None:
    head = '[[input]]\ntype = "mqtt"\nurl = "mqtt://h"\n'
    assert mistakes(head + 'topic = "a/b+"\n') == [
        "4: input.topic: + and # stand for whole levels, # last: 'a/b+'"
    ]
    assert mistakes(head + 'topic = "a/+"\nsensor = "s-{2}"\n') == [
        "5: input.sensor: {2}: no such + or # in every topic"
    ]
    assert mistakes(head + 'topic = "a/+"\nfield = "{1}"\n') == [
        '5: input.field: is only for format "number"; points name fields otherwise'
    ]
