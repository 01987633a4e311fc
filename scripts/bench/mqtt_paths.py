"""Ways from a publisher to a committed reading, and the clients that are measured on them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec
from mqtt_load import GRACE_SECONDS, Plan
from processes import Program
from servers import HERE, HOST, Wotkit, count_readings, free_port

if TYPE_CHECKING:
    from pathlib import Path

MOSQUITTO: Final = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin") or shutil.which(
    "mosquitto"
)
CONFIGURATION: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
persistence false
max_queued_messages 0
max_queued_bytes 0
max_inflight_messages 0
log_dest none
"""
DRAIN_SECONDS: Final = 60
ASK_SECONDS: Final = 0.05
SETTLE_SECONDS: Final = 0.3


class Load:
    """Clients in a process of their own."""

    def __init__(self, plan: Plan) -> None:
        """Open the connections."""
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "mqtt_load.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._tell(msgspec.json.encode(plan))
        self.ready = self._hear()

    def run(self) -> dict[str, Any]:
        """Let them do their work; return what came of it."""
        self._tell(b"go")
        found = self._hear()
        self._process.wait(GRACE_SECONDS)
        return found

    def _tell(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the load generator ended with {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found


class Count:
    """How many readings are stored, where an acknowledgement does not say it: in a file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.note(0)

    def note(self, stored: int) -> None:
        """Write how many there are."""
        self.file.write_bytes(stored.to_bytes(8, "little"))

    def wait(self, expected: int) -> None:
        """Wait until there are so many, or it does not go on."""
        ends = time.monotonic() + DRAIN_SECONDS
        while int.from_bytes(self.file.read_bytes(), "little") < expected:
            if time.monotonic() > ends:
                return
            time.sleep(0.002)


class Direct(Wotkit):
    """The server speaks MQTT itself; PUBACK comes after the commit."""

    name = "wotkit"
    promise = "committed, fsync"
    options: tuple[str, ...] = ("--mqtt-port", "0")
    mqtt_port: int
    count: Count | None = None
    """None: an acknowledgement means stored."""

    def __init__(self, folder: Path, sensors: int) -> None:
        super().__init__(folder, sensors)
        self._keys: list[tuple[str, str]] = []

    def start(self) -> None:
        """Start it, and learn its port."""
        super().start()
        self.mqtt_port = int(self.program.wait_for(r"MQTT at mqtt://[^:]+:(\d+)"))

    @property
    def programs(self) -> list[Program]:
        """All that works for a reading."""
        return [self.program]

    def keys(self, count: int) -> list[tuple[str, str]]:
        """Return keys, which are made once."""
        while len(self._keys) < count:
            self._keys.append(self._made_key(f"load{len(self._keys)}"))
        return self._keys[:count]


class Bridged(Direct):
    """The server reads what was published at a mosquitto, and acknowledges it after the commit."""

    name = "mosquitto+bridge"
    promise = "received by the broker"

    def start(self) -> None:
        """Start both."""
        self._broker, self.mqtt_port = _mosquitto(self.folder)
        url = f"mqtt.broker_url=mqtt://{HOST}:{self.mqtt_port}"
        self.options = ("--set", "mqtt.enabled=false", "--set", url)
        Wotkit.start(self)
        self.program.wait_for(r"(connected to the broker)")
        self.count = Count(self.folder / "count")
        self._ended = threading.Event()
        self._looking = threading.Thread(target=self._look, args=(self.count,), daemon=True)
        self._looking.start()

    @property
    def programs(self) -> list[Program]:
        """Server and broker."""
        return [self.program, self._broker]

    def _look(self, count: Count) -> None:
        """Ask the server now and then how much it has stored."""
        while not self._ended.wait(ASK_SECONDS):
            text = self._call("GET", "/metrics", b"", {}).decode()
            found = re.search(r"^wotkit_readings_accepted_total (\S+)", text, re.MULTILINE)
            assert found is not None
            count.note(int(float(found[1])))

    def stop(self) -> None:
        """End both."""
        self._ended.set()
        self._looking.join()
        super().stop()
        self._broker.stop()


class Brokered:
    """A mosquitto, and a subscriber that stores."""

    name: ClassVar[str] = "mosquitto+paho"
    promise: ClassVar[str] = "received by the broker"

    def __init__(self, folder: Path, sensors: int) -> None:
        self.folder = folder / self.name
        self.folder.mkdir()
        self.sensors = [f"sensor{number:05d}" for number in range(sensors)]
        self._readings = self.folder / "readings.db"
        self.count = Count(self.folder / "count")

    def start(self) -> None:
        """Start both."""
        self._broker, self.mqtt_port = _mosquitto(self.folder)
        files = [str(self.mqtt_port), str(self._readings), str(self.count.file)]
        names = [f"bench.{name}" for name in self.sensors]
        command = [sys.executable, str(HERE / "mqtt_subscriber.py"), *files, *names]
        self._subscriber = Program(command, self.folder / "log")
        self._subscriber.wait_for(r"(subscribed)")

    @property
    def programs(self) -> list[Program]:
        """Broker and subscriber."""
        return [self._broker, self._subscriber]

    def keys(self, count: int) -> list[tuple[str, str]]:
        """Return what looks like keys; nobody checks them."""
        return [
            (f"{number:016x}", "of no importance, but of usual length") for number in range(count)
        ]

    def stored(self) -> int:
        """Count the rows in the file."""
        return count_readings(self._readings)

    def stop(self) -> None:
        """End both."""
        self._subscriber.stop()
        self._broker.stop()


Way = Direct | Brokered


def available() -> list[type[Way]]:
    """Return the ways that this machine has."""
    return [Direct, Brokered, Bridged] if MOSQUITTO else [Direct]


def cpu_seconds(way: Way) -> float:
    """Return the processor time of all that works for a reading."""
    return sum(program.cpu_seconds() for program in way.programs)


def _mosquitto(folder: Path) -> tuple[Program, int]:
    """Start a broker that drops nothing; return it and its port."""
    port = free_port()
    file = folder / "mosquitto.conf"
    file.write_text(CONFIGURATION.format(port=port))
    program = Program([str(MOSQUITTO), "-c", str(file)], folder / "mosquitto.log")
    time.sleep(SETTLE_SECONDS)
    return program, port
