"""A real mosquitto, and the stand-in platform behind it: what `ingest` gets, `ack` answers."""

import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as paho
from agent_platform import KEY, StandInPlatform
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.ports import free_port

KEY_ID, _, KEY_PASSWORD = KEY.partition(":")
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
PASSWD = shutil.which("mosquitto_passwd") or "/usr/bin/mosquitto_passwd"


class Broker:
    """A mosquitto on a free port of loopback; the key may use its own topics only."""

    def __init__(self, folder: Path) -> None:
        assert MOSQUITTO, "the tests need mosquitto"
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._folder = folder
        self._passwords = folder / "passwords"
        self._passwords.touch(mode=0o600)
        self.set_password("platform", "pw")
        self.set_password(KEY_ID, KEY_PASSWORD)
        self.may_publish = True
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def set_password(self, user: str, password: str) -> None:
        command = [PASSWD, "-b", self._passwords, user, password]
        subprocess.run(command, check=True, capture_output=True)

    def start(self) -> None:
        acl = self._folder / "acl"
        right = "readwrite" if self.may_publish else "read"
        acl.write_text(f"user platform\ntopic readwrite #\npattern {right} wotkit/%u/#\n")
        acl.chmod(0o600)
        config = self._folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\nuser root\n"
            f"password_file {self._passwords}\nacl_file {acl}\npersistence false\n"
        )
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(MOSQUITTO), "-c", str(config)], stdout=log, stderr=log
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
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Connections stay, and nothing answers: as when a cable is pulled."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


class BehindBroker:
    """The platform's side of the broker: stores batches, sends commands, notes results."""

    def __init__(self, broker: Broker, platform: StandInPlatform) -> None:
        self.platform = platform
        self.results: list[dict[str, Any]] = []
        self.statuses: list[str] = []
        self.batches = 0
        self.is_silent = False
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.username_pw_set("platform", "pw")
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", broker.port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def command(
        self,
        number: int,
        sensor: str,
        message: dict[str, Any],
        *,
        seconds: float = 60,
        at: float = 0,
    ) -> None:
        """Send a command; one that has expired already has a negative time."""
        properties = Properties(PacketTypes.PUBLISH)
        if seconds > 0:
            properties.MessageExpiryInterval = round(seconds)
        moment = time.gmtime((at or time.time()) + seconds)
        body = {
            "id": number,
            "sensor": f"alice.{sensor}",
            "message": message,
            "expires": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", moment),
        }
        topic = f"wotkit/{KEY_ID}/commands/alice.{sensor}"
        self._client.publish(topic, json.dumps(body), qos=1, properties=properties)

    def states(self, number: int) -> list[str]:
        return [result["state"] for result in self.results if result["id"] == number]

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        client.subscribe("wotkit/#", qos=1)

    def _on_message(self, client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        kind = message.topic.split("/", 2)[2]
        if kind == "ingest" and not self.is_silent:
            body = json.loads(message.payload)
            self.batches += 1
            with self.platform.lock:
                answer = self.platform.store(body["stream"], body["readings"])
            payload = json.dumps({"stream": body["stream"], **answer})
            client.publish(f"wotkit/{KEY_ID}/ack", payload, qos=1)
        elif kind == "results":
            self.results.append(json.loads(message.payload))
        elif kind == "status":
            self.statuses.append(message.payload.decode())
