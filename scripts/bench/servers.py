"""The servers that are measured: how each is started, and what it is sent."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlencode, urlsplit

from processes import Program
from requests_text import Address, basic, request

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE: Final = Path(__file__).parent
HOST: Final = "127.0.0.1"
BATCH: Final = 1000
"""Readings of one bulk write, and of one answer."""
BULK: Final = "bulk"
LATEST: Final = "latest"
"""The sensors of bulk writes and of queries; the latter has the same readings all the time."""
DISTINCT: Final = 100
"""Different requests at least, so that values are not all the same."""
PASSWORD: Final = "of a benchmark that is gone"  # noqa: S105  # the server ends with the run
SENSORS_PER_REQUEST: Final = 100
DAYS_BACK: Final = 20
"""Where bulk readings begin; VictoriaMetrics keeps a month by default."""
SECOND: Final = "1767225600"
SECOND_ISO: Final = "2026-01-01T00:00:00"
"""What a batch's own second takes the place of."""


def free_port() -> int:
    """Return a port of the loopback address that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """One server; its programs' files are in a folder of its own."""

    name: ClassVar[str]
    promise: ClassVar[str]
    """What its answer to a write vouches for."""
    paced: ClassVar[bool] = False
    """Whether its latency at half load is compared."""
    latest_path: ClassVar[str | None] = None
    """The query of the latest :data:`BATCH` readings as JSON, where it is compared."""
    program: Program
    address: Address

    def __init__(self, folder: Path, sensors: int) -> None:
        self.folder = folder / self.name
        self.folder.mkdir()
        self.sensors = [f"sensor{number:05d}" for number in range(sensors)]
        self.acknowledged = 0
        """Readings whose write was answered with 2xx."""
        self.uncertain = 0
        """Readings at most whose write was sent and cut off before its answer."""

    def start(self) -> None:
        """Start it, ready to be written to."""
        raise NotImplementedError

    def stop(self) -> None:
        """End it."""
        self.program.stop()

    def writes(self, sensors: int) -> list[bytes]:
        """Return requests of one reading each, spread over so many sensors."""
        names = self.sensors[:sensors]
        count = max(DISTINCT, sensors)
        return [self.write(names[index % sensors], 15 + index % 100 / 10) for index in range(count)]

    def write(self, sensor: str, value: float) -> bytes:
        """Return a request that brings one reading, whose time is the server's."""
        raise NotImplementedError

    def bulk_writes(self, sensor: str) -> Iterator[bytes] | None:  # noqa: ARG002  # for the others
        """Return requests of :data:`BATCH` readings of a sensor, later each time, if compared."""
        return None

    def latest_query(self) -> bytes:
        """Return the request with :attr:`latest_path`, whose answer was looked at.

        Raises:
            SystemExit: the answer is not as many readings.
        """
        assert self.latest_path is not None
        headers = self._headers()
        answer = json.loads(self._call("GET", self.latest_path, b"", headers))
        if self._count_of(answer) != BATCH:
            raise SystemExit(f"{self.name} answers {self._count_of(answer)} readings, not {BATCH}")
        return request("GET", self.latest_path, self.address, b"", headers)

    def stored(self) -> int | None:
        """Return how many readings it has, once it has ended; None when that is not looked at."""
        return None

    def pause(self) -> None:
        """Keep it from working in the background while another one is measured."""

    def resume(self) -> None:
        """Let it go on."""

    def _headers(self) -> dict[str, str]:
        return {}

    @staticmethod
    def _count_of(answer: Any) -> int:
        """Return how many readings an answer has."""
        raise NotImplementedError

    def _call(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            found = answer.read()
        finally:
            connection.close()
        if answer.status >= http.client.MULTIPLE_CHOICES:
            raise SystemExit(f"{self.name}: {method} {path} gave {answer.status}: {found[:500]!r}")
        return found


class Posting(Server):
    """A server that takes WoTKit's requests."""

    authorization = basic("0123456789abcdef", "of no importance, but of usual length")

    def write(self, sensor: str, value: float) -> bytes:
        """Return the same request for all of them."""
        return request(
            "POST",
            f"/api/v1/sensors/bench.{sensor}/data",
            self.address,
            b'{"value":%.2f}' % value,
            self._headers(),
        )

    def _headers(self) -> dict[str, str]:
        return {"Authorization": self.authorization, "Content-Type": "application/json"}

    def _started(self, script: str, *arguments: str) -> None:
        command = [sys.executable, str(HERE / script), *arguments]
        self.program = Program(command, self.folder / "log")
        self.address = _address(self.program.wait_for(r" at (http://\S+),"))


class Wotkit(Posting):
    """The real thing."""

    name = "wotkit"
    promise = "committed, fsync"
    paced = True
    latest_path = f"/api/v1/sensors/bench.{LATEST}/data"
    options: tuple[str, ...] = ()
    """Of ``wotkit serve``."""

    def start(self) -> None:
        """Start it with a user, a key and sensors."""
        self._data = self.folder / "data"
        command = [sys.executable, "-m", "wotkit.cli", "serve", "--port", "0", *self.options]
        self.program = Program([*command, "--data", str(self._data)], self.folder / "log")
        self.address = _address(self.program.wait_for(r"WoTKit at (\S+),"))
        self._wotkit("user", "create", "bench", "--password-file", "-")
        self.authorization = basic(*self._made_key("load"))
        for start in range(0, len(self.sensors), SENSORS_PER_REQUEST):
            self._create(self.sensors[start : start + SENSORS_PER_REQUEST])
        self._create([BULK, LATEST])

    def bulk_writes(self, sensor: str) -> Iterator[bytes]:
        """Yield PUTs with times in ISO 8601, as most clients write them."""
        items = ",".join(
            f'{{"timestamp":"{SECOND_ISO}.{n:03d}Z","value":{15 + n % 100 / 10}}}'
            for n in range(BATCH)
        )
        path = f"/api/v1/sensors/bench.{sensor}/data"
        template = request("PUT", path, self.address, f"[{items}]".encode(), self._headers())
        for second in _seconds():
            text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            yield template.replace(SECOND_ISO.encode(), text.encode())

    def stored(self) -> int:
        """Count the rows in the file."""
        return count_readings(self._data / "readings.db")

    @staticmethod
    def _count_of(answer: Any) -> int:
        return len(answer)

    def _create(self, names: list[str]) -> None:
        field = {"name": "value", "longName": "Value", "type": "NUMBER"}
        sensors = [
            {"name": name, "longName": name, "description": name, "fields": [field]}
            for name in names
        ]
        self._call("PUT", "/api/v1/sensors", json.dumps(sensors).encode(), self._headers())

    def _made_key(self, name: str) -> tuple[str, str]:
        """Return the id and the password of a new key."""
        key = json.loads(self._wotkit("key", "create", "--user", "bench", "--name", name, "--json"))
        return key["key_id"], key["key_password"]

    def _wotkit(self, *arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "wotkit.cli", *arguments, "--data", str(self._data)],
            input=PASSWORD,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=60,
        ).stdout


class WotkitToken(Wotkit):
    """The same, written to by an application with an access token."""

    name = "wotkit-token"
    paced = False

    def start(self) -> None:
        """Start it, and let an application act for the user."""
        super().start()
        website = ("--website", "https://load.example", "--kind", "desktop", "--json")
        app = json.loads(
            self._wotkit("app", "create", "--user", "bench", "--name", "load", *website)
        )
        token = json.loads(self._wotkit("token", "developer", app["client_id"], "--json"))
        self.authorization = f"Bearer {token['access_token']}"


class Bare(Posting):
    """A Falcon endpoint that does nothing, on the same server settings."""

    name = "bare"
    promise = "nothing is stored"

    def start(self) -> None:
        """Start it."""
        self._started("bare.py", "0")


class ThreadPerRequest(Posting):
    """A thread for each request, a commit for each reading."""

    name = "thread-per-request"
    promise = "committed, fsync"

    def start(self) -> None:
        """Start it."""
        self._file = self.folder / "readings.db"
        self._started("thread_per_request.py", "0", str(self._file), self.authorization)

    def stored(self) -> int:
        """Count the rows in the file."""
        return count_readings(self._file)


class LineProtocol(Server):
    """A server that takes InfluxDB's line protocol, without credentials."""

    def write(self, sensor: str, value: float) -> bytes:
        """Return a write of one point."""
        return self._points(b"reading,sensor=%b value=%.2f" % (sensor.encode(), value))

    def bulk_writes(self, sensor: str) -> Iterator[bytes]:
        """Yield writes of many points, each with its time."""
        template = self._points(
            "\n".join(
                f"{sensor},sensor={sensor} value={15 + n % 100 / 10} {SECOND}{n:03d}000000"
                for n in range(BATCH)
            ).encode()
        )
        for second in _seconds():
            yield template.replace(SECOND.encode(), b"%d" % second)

    def pause(self) -> None:
        """Stop its process: it compacts files in its own time."""
        self.program.pause()

    def resume(self) -> None:
        """Continue its process."""
        self.program.resume()

    def _points(self, body: bytes) -> bytes:
        return request("POST", "/write?db=bench", self.address, body, {})

    def _answers(self, path: str) -> bool:
        connection = http.client.HTTPConnection(*self.address, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status < http.client.MULTIPLE_CHOICES
        except OSError:
            return False
        finally:
            connection.close()


class Influx(LineProtocol):
    """InfluxDB 1 as it ships, but for ports, folders and its own statistics."""

    name = "influxdb"
    promise = "in its log, fsync (wal-fsync-delay = 0); a log line for each request, as it ships"
    executable: ClassVar[str] = "influxd"
    logs: ClassVar[bool] = True
    """Whether it writes lines for each request, as it does when it is not told otherwise."""
    paced = True
    latest_path = f"/query?db=bench&q=SELECT+*+FROM+{LATEST}+ORDER+BY+time+DESC+LIMIT+{BATCH}"

    def start(self) -> None:
        """Start it with an empty database."""
        self.address = Address(HOST, free_port())
        file = self.folder / "influxdb.conf"
        file.write_text(
            f'reporting-disabled = true\nbind-address = "{HOST}:{free_port()}"\n'
            f'[meta]\ndir = "{self.folder}/meta"\n'
            f'[data]\ndir = "{self.folder}/data"\nwal-dir = "{self.folder}/wal"\n'
            f"query-log-enabled = {str(self.logs).lower()}\n"
            "[monitor]\nstore-enabled = false\n"
            f'[http]\nbind-address = "{self.address}"\nlog-enabled = {str(self.logs).lower()}\n'
        )
        command = [self.executable, "run", "-config", str(file)]
        self.program = Program(command, self.folder / "log")
        self.program.wait_until(lambda: self._answers("/ping"))
        self._call("POST", "/query?" + urlencode({"q": "CREATE DATABASE bench"}), b"", {})

    @staticmethod
    def _count_of(answer: Any) -> int:
        return len(answer["results"][0]["series"][0]["values"])


class QuietInflux(Influx):
    """The same without its log of requests and queries."""

    name = "influxdb-quiet"
    promise = "in its log, fsync (wal-fsync-delay = 0); its log of requests switched off"
    logs = False


class Victoria(LineProtocol):
    """VictoriaMetrics, with its defaults but for the port and the folder."""

    name = "victoria-metrics"
    promise = "in memory, on disk some seconds later"
    executable: ClassVar[str] = "victoria-metrics"

    def start(self) -> None:
        """Start it."""
        self.address = Address(HOST, free_port())
        command = [self.executable, f"-httpListenAddr={self.address}"]
        command.append(f"-storageDataPath={self.folder}/data")
        self.program = Program(command, self.folder / "log")
        self.program.wait_until(lambda: self._answers("/health"))


KINDS: Final[tuple[type[Server], ...]] = (
    Wotkit,
    WotkitToken,
    Bare,
    ThreadPerRequest,
    Influx,
    QuietInflux,
    Victoria,
)


def available() -> list[type[Server]]:
    """Return the servers that this machine has."""
    return [
        kind
        for kind in KINDS
        if not hasattr(kind, "executable") or shutil.which(kind.executable) is not None
    ]


def _address(url: str) -> Address:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return Address(parts.hostname, parts.port)


def _seconds() -> Iterator[int]:
    """Yield the second of each batch: a millisecond for each of its readings."""
    start = int(time.time()) - DAYS_BACK * 86_400
    yield from range(start, start + (DAYS_BACK - 1) * 86_400)


def count_readings(file: Path) -> int:
    """Return how many rows a file of readings has."""
    connection = sqlite3.connect(file)
    try:
        row: tuple[Any, ...] = connection.execute("SELECT count(*) FROM reading").fetchone()
        return int(row[0])
    finally:
        connection.close()
