from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from wotkit.cli import checkups
from wotkit.readings.sqlite import FILE_NAME, SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Wotkit


@pytest.fixture
def healthy(wotkit: Wotkit, monkeypatch: pytest.MonkeyPatch) -> Wotkit:
    """A data folder with a user and readings, and a port that is free."""
    wotkit.user("alice")
    SqliteStore(wotkit.data / FILE_NAME).close()
    (wotkit.data / "secret.key").write_text("hush", encoding="utf-8")
    (wotkit.data / "secret.key").chmod(0o600)
    monkeypatch.setenv("WOTKIT_SERVER_PORT", "0")
    return wotkit


class Report(NamedTuple):
    status: int
    findings: list[dict[str, Any]]

    def of(self, check: str) -> list[dict[str, Any]]:
        return [finding for finding in self.findings if finding["check"] == check]

    def level(self, check: str) -> set[str]:
        return {finding["level"] for finding in self.of(check)}


def examine(wotkit: Wotkit, *options: str) -> Report:
    result = wotkit.run("doctor", "--json", *options)
    assert "Traceback" not in result.output
    return Report(result.exit_code, json.loads(result.stdout))


def test_healthy_folder_has_no_failure(healthy: Wotkit) -> None:
    report = examine(healthy)
    assert report.status == 0
    checked = {finding["check"] for finding in report.findings if finding["level"] == "ok"}
    assert {"python", "sqlite", "libraries", "settings", "data folder", "disk"} <= checked
    assert {"catalog", "users", "catalog integrity", "readings", "readings integrity"} <= checked


def test_text_has_a_line_for_each_finding_and_what_to_do(healthy: Wotkit) -> None:
    healthy.data.chmod(0o755)
    said = healthy.ok("doctor")
    assert "ok    python:" in said
    assert f"warn  data folder: others can look into {healthy.data} (mode 0755)" in said
    assert f"      chmod 700 {healthy.data}" in said


def test_readable_secret_key_fails(healthy: Wotkit) -> None:
    (healthy.data / "secret.key").chmod(0o644)
    report = examine(healthy)
    assert report.status == 1
    (finding,) = report.of("secret key")
    assert finding["level"] == "fail"
    assert finding["advice"].startswith("chmod 600 ")


def test_damaged_catalog_fails(healthy: Wotkit) -> None:
    path = healthy.data / "catalog.db"
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    report = examine(healthy)
    assert report.status == 1
    assert "fail" in report.level("catalog") | report.level("catalog integrity")


def test_file_that_is_no_database_fails(healthy: Wotkit) -> None:
    (healthy.data / FILE_NAME).write_bytes(b"nothing of the kind" * 1000)
    report = examine(healthy)
    assert report.level("readings") == {"fail"}


def test_newer_schema_fails_with_what_to_install(healthy: Wotkit) -> None:
    with closing(sqlite3.connect(healthy.data / "catalog.db")) as connection, connection:
        connection.execute(
            "INSERT INTO schema_migration (name, applied) VALUES ('9999_future', '2030-01-01')"
        )
    with closing(sqlite3.connect(healthy.data / FILE_NAME)) as connection:
        connection.execute("PRAGMA user_version = 999")
    report = examine(healthy)
    assert report.status == 1
    for check in ("catalog", "readings"):
        assert report.level(check) == {"fail"}
        assert "Install the version" in report.of(check)[0]["advice"]
    said = healthy.refused("user", "list")
    assert "newer version" in said


def test_check_that_takes_too_long_is_ended(healthy: Wotkit) -> None:
    with closing(sqlite3.connect(healthy.data / FILE_NAME)) as connection, connection:
        rows = ((1, n, n, b"{}") for n in range(50_000))
        connection.executemany("INSERT INTO reading VALUES (?, ?, ?, ?)", rows)
    report = examine(healthy, "--seconds", "0")
    assert report.level("readings integrity") == {"warn"}
    assert report.status == 0


def test_missing_folder_is_only_a_warning(wotkit: Wotkit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOTKIT_SERVER_PORT", "0")
    report = examine(wotkit)
    assert report.status == 0
    assert report.level("data folder") == {"warn"}
    assert not wotkit.data.exists()


def test_file_in_place_of_the_folder_fails(wotkit: Wotkit) -> None:
    wotkit.data.write_text("", encoding="utf-8")
    assert examine(wotkit).level("data folder") == {"fail"}


def test_folder_without_users_says_how_to_make_one(healthy: Wotkit) -> None:
    with closing(sqlite3.connect(healthy.data / "catalog.db")) as connection, connection:
        connection.execute("DELETE FROM user")
    (finding,) = examine(healthy).of("users")
    assert finding["level"] == "warn"
    assert "wotkit user create" in finding["advice"]


def test_every_mistake_in_the_settings_is_found(healthy: Wotkit, tmp_path: Path) -> None:
    file = tmp_path / "wotkit.toml"
    file.write_text("[server]\nprot = 1\n[nonsense]\n", encoding="utf-8")
    report = examine(healthy, "--config", str(file))
    assert report.status == 1
    assert len(report.of("settings")) == 2


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_port_of_another_program_fails(
    healthy: Wotkit, taken_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkups, "ANSWER_SECONDS", 0.2)
    monkeypatch.setenv("WOTKIT_SERVER_PORT", str(taken_port))
    report = examine(healthy)
    (finding,) = report.of(f"port {taken_port}")
    assert finding["level"] == "fail"
    assert "--port" in finding["advice"]


class Answers(BaseHTTPRequestHandler):
    """Gives the request id back, as a WoTKit server does."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("X-Request-Id", self.headers["X-Request-Id"])
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_port_of_a_running_wotkit_is_fine(healthy: Wotkit, monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("WOTKIT_SERVER_PORT", str(server.server_port))
        report = examine(healthy)
        server.shutdown()
        thread.join()
    assert report.level(f"port {server.server_port}") == {"ok"}


def test_address_that_is_not_of_this_machine_fails(healthy: Wotkit) -> None:
    (finding,) = checkups.port("192.0.2.1", 8080)
    assert finding.level == "fail"
    assert "192.0.2.1" in finding.text


def test_little_space_is_told(
    healthy: Wotkit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    for free, level in ((50 * 10**6, "fail"), (500 * 10**6, "warn"), (5 * 10**9, "ok")):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, f=free: usage._replace(free=f))
        (finding,) = checkups.disk(tmp_path)
        assert finding.level == level


def test_clock_before_the_release_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_000_000.0)
    (finding,) = checkups.clock()
    assert finding.level == "fail"


def test_missing_or_old_library_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "importlib.metadata.requires",
        lambda _: [
            'falcon>=4000; extra == "server"',
            'no-such-library; extra == "server"',
            'other-missing; extra == "dev"',
        ],
    )
    finding = list(checkups.versions())[-1]
    assert finding.level == "fail"
    assert "falcon is 4" in finding.text
    assert "no-such-library is missing" in finding.text
    assert "other-missing" not in finding.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_file_of_another_owner_is_told(healthy: Wotkit) -> None:
    os.chown(healthy.data / FILE_NAME, 65534, 65534)
    found = examine(healthy).of("data folder")
    assert any(FILE_NAME in finding["text"] and finding["level"] == "warn" for finding in found)
