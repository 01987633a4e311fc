from __future__ import annotations

import os
import pty
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

from wotkit.auth import credentials, passwords
from wotkit.catalog import Catalog

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Wotkit

PASSWORD = "correct horse battery"


def knows(data: Path, name: str, password: str) -> bool:
    """Whether a server on this folder would accept the password."""
    catalog = Catalog(data)
    try:
        found = catalog.read(credentials.candidate, name)
    finally:
        catalog.close()
    return found is not None and passwords.verify_password(password, found.password_hash)


def test_created_user_can_sign_in(wotkit: Wotkit) -> None:
    wotkit.user("alice")
    assert knows(wotkit.data, "alice", PASSWORD)
    assert not knows(wotkit.data, "alice", PASSWORD + "\n")


def test_first_command_makes_a_folder_only_its_owner_can_read(wotkit: Wotkit) -> None:
    wotkit.user("alice")
    assert stat.S_IMODE(wotkit.data.stat().st_mode) == 0o700
    assert stat.S_IMODE((wotkit.data / "catalog.db").stat().st_mode) == 0o600


def test_list_shows_role_state_and_name(wotkit: Wotkit) -> None:
    wotkit.user("alice", "--admin", "--first-name", "Alice", "--last-name", "Li")
    wotkit.user("bobby", "--email", "bob@example.org", "--time-zone", "Europe/Dublin")
    wotkit.ok("user", "disable", "bobby")
    found = {row["username"]: row for row in wotkit.json("user", "list")}
    assert found["alice"]["role"] == "admin"
    assert found["bobby"]["enabled"] is False
    assert found["bobby"]["time_zone"] == "Europe/Dublin"
    assert found["alice"]["created"].endswith("Z")
    assert "password" not in str(found)
    heads, alice, bob = wotkit.ok("user", "list").splitlines()
    assert alice.index("Alice Li") == heads.index("NAME")
    assert "disabled" in bob


def test_password_change_ends_the_old_one(wotkit: Wotkit) -> None:
    wotkit.user("alice")
    wotkit.ok("user", "password", "alice", "--password-file", "-", stdin="another good one")
    assert knows(wotkit.data, "alice", "another good one")
    assert not knows(wotkit.data, "alice", PASSWORD)


def test_password_comes_from_a_file(wotkit: Wotkit, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("straight from a file\n", encoding="utf-8")
    wotkit.ok("user", "create", "alice", "--password-file", str(file))
    assert knows(wotkit.data, "alice", "straight from a file")


def test_disabled_user_cannot_sign_in_until_enabled(wotkit: Wotkit) -> None:
    wotkit.user("alice")
    wotkit.ok("user", "disable", "alice")
    assert not knows(wotkit.data, "alice", PASSWORD)
    wotkit.ok("user", "enable", "alice")
    assert knows(wotkit.data, "alice", PASSWORD)


def test_weak_password_is_refused(wotkit: Wotkit) -> None:
    said = wotkit.refused("user", "create", "alice", "--password-file", "-", stdin="short")
    assert said == (
        "Error: The supplied object is invalid: password must have at least 12 characters\n"
    )
    assert not wotkit.data.exists()


def test_every_invalid_attribute_is_named(wotkit: Wotkit) -> None:
    said = wotkit.refused(
        *("user", "create", "Al", "--email", "nowhere", "--time-zone", "Mars/Olympus"),
        *("--password-file", "-"),
        stdin=PASSWORD,
    )
    assert "username is invalid" in said
    assert "email is invalid" in said
    assert "timeZone is invalid" in said
    assert said.count("\n") == 1


def test_taken_name_is_refused(wotkit: Wotkit) -> None:
    wotkit.user("alice")
    said = wotkit.refused("user", "create", "alice", "--password-file", "-", stdin=PASSWORD)
    assert "already" in said


def test_unknown_user_is_an_error_of_one_line(wotkit: Wotkit) -> None:
    wotkit.user("alice")
    said = wotkit.refused("user", "disable", "charlie")
    assert said == "Error: Could not locate this resource: charlie\n"


def test_folder_without_data_is_not_begun_by_a_listing(wotkit: Wotkit) -> None:
    said = wotkit.refused("user", "list")
    assert "holds no WoTKit data" in said
    assert not wotkit.data.exists()


def test_without_terminal_or_file_the_password_is_not_asked_for(wotkit: Wotkit) -> None:
    said = wotkit.refused("user", "create", "alice", stdin=PASSWORD, status=2)
    assert "--password-file" in said


def test_missing_password_file_is_an_error_of_one_line(wotkit: Wotkit) -> None:
    said = wotkit.refused("user", "create", "alice", "--password-file", "/no/such/file")
    assert "/no/such/file" in said
    assert said.count("\n") == 1


def test_password_is_asked_for_twice_and_never_echoed(data: Path) -> None:
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "wotkit.cli", "user", "create", "alice", "--data", str(data)]
    with subprocess.Popen(
        command, stdin=end, stdout=end, stderr=end, start_new_session=True
    ) as process:
        os.close(end)
        seen = _until(terminal, b"Password: ")
        os.write(terminal, PASSWORD.encode() + b"\n")
        seen += _until(terminal, b"Repeat for confirmation: ")
        os.write(terminal, PASSWORD.encode() + b"\n")
        seen += _until(terminal, b"Created the user alice")
        assert process.wait(timeout=10) == 0
    os.close(terminal)
    assert PASSWORD.encode() not in seen
    assert knows(data, "alice", PASSWORD)


def _until(terminal: int, expected: bytes) -> bytes:
    seen = b""
    while expected not in seen:
        seen += os.read(terminal, 1000)
    return seen
