"""Commands on the data folder of a server that runs: it notices at the next request."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.cli.conftest import PASSWORD, Wotkit
from tests.system.server_process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Running:
    """A server on a data folder of its own, and the commands for it."""

    def __init__(self, wotkit: Wotkit) -> None:
        self.wotkit = wotkit
        self.server = ServerProcess(wotkit.data)
        self.server.start()
        self.greeting = self.server.said
        self.client = httpx.Client(base_url=self.server.url, timeout=20)

    def status(self, key: dict[str, Any], sensor: str = "alice.roof") -> int:
        """Post a reading with a key and return how that ended."""
        answer = self.client.post(
            f"/api/sensors/{sensor}/data",
            json={"value": 1},
            auth=(key["key_id"], key["key_password"]),
        )
        return answer.status_code

    def stop(self, number: signal.Signals) -> int:
        """Send a signal to the main process alone and return its exit status."""
        self.client.close()
        try:
            return self.server.stop(number)
        finally:
            self.server.kill_all()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    server = Running(Wotkit(tmp_path_factory.mktemp("server") / "data"))
    yield server
    assert server.stop(signal.SIGTERM) == 0


@pytest.fixture
def key(running: Running) -> dict[str, Any]:
    """A key that works: of Alice, who has a sensor; all three made beside the server."""
    wotkit = running.wotkit
    if "alice" not in wotkit.ok("user", "list"):
        wotkit.user("alice")
        wotkit.ok("sensor", "create", "roof", "--user", "alice")
    made: dict[str, Any] = wotkit.json("key", "create", "--user", "alice", "--name", "gateway")
    assert running.status(made) == 201
    return made


def test_revoked_key_is_refused_at_the_next_request(running: Running, key: dict[str, Any]) -> None:
    running.wotkit.ok("key", "revoke", key["key_id"])
    assert running.status(key) == 401


def test_rotation_without_overlap_ends_the_old_password_at_once(
    running: Running, key: dict[str, Any]
) -> None:
    new = running.wotkit.json("key", "rotate", key["key_id"], "--overlap-hours", "0")
    assert running.status(key) == 401
    assert running.status(new) == 201


def test_disabled_user_and_its_keys_are_refused_until_enabled(
    running: Running, key: dict[str, Any]
) -> None:
    running.wotkit.ok("user", "disable", "alice")
    assert running.status(key) == 401
    running.wotkit.ok("user", "enable", "alice")
    assert running.status(key) == 201


def test_changed_password_holds_at_the_next_request(running: Running, key: dict[str, Any]) -> None:
    def signs_in(password: str) -> bool:
        answer = running.client.get("/api/v2/keys", auth=("alice", password))
        assert answer.status_code in {200, 401}
        return answer.status_code == 200

    assert signs_in(PASSWORD)
    other = "another good one"
    running.wotkit.ok("user", "password", "alice", "--password-file", "-", stdin=other)
    assert not signs_in(PASSWORD)
    assert signs_in(other)
    running.wotkit.ok("user", "password", "alice", "--password-file", "-", stdin=PASSWORD)


def test_deleted_sensor_takes_no_more_readings(running: Running, key: dict[str, Any]) -> None:
    running.wotkit.ok("sensor", "create", "cellar", "--user", "alice")
    assert running.status(key, "alice.cellar") == 201
    assert "alice.cellar" in running.wotkit.ok("sensor", "list")
    running.wotkit.ok("sensor", "delete", "alice.cellar")
    assert running.status(key, "alice.cellar") == 404
    assert running.status(key) == 201


def test_server_without_users_says_how_to_create_one(running: Running) -> None:
    assert f"data in {running.wotkit.data}" in running.greeting
    assert f"wotkit user create NAME --admin --data {running.wotkit.data}" in running.greeting
    assert f"{running.client.base_url}/welcome/" in running.greeting


def test_link_for_the_administrator_ends_with_the_first_user(running: Running) -> None:
    link = next(line for line in running.greeting.splitlines() if "/welcome/" in line).strip()
    assert httpx.get(link).status_code == 404


def test_doctor_recognizes_the_server(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    port = running.client.base_url.port
    monkeypatch.setenv("WOTKIT_SERVER_PORT", str(port))
    assert f"port {port}: a WoTKit server answers here" in running.wotkit.ok("doctor")


def test_second_server_on_the_same_folder_is_refused(running: Running) -> None:
    said = running.wotkit.refused("serve", "--port", "0")
    assert "another WoTKit server" in said
    assert "--data" in said


def test_second_server_on_the_same_port_is_refused(running: Running) -> None:
    said = running.wotkit.refused("serve", "--port", str(running.client.base_url.port))
    assert "is taken by a WoTKit server" in said


def test_interrupt_of_the_main_process_stops_the_server_in_order(tmp_path: Path) -> None:
    server = Running(Wotkit(tmp_path / "data"))
    assert server.client.get("/healthz").status_code == 200
    assert server.stop(signal.SIGINT) == 0
