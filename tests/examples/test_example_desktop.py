"""The example desktop program: real runs of it, a real server, and a user at another machine."""

from __future__ import annotations

import fcntl
import json
import re
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples.conftest import ROOT, Server, module, read_json, serving
from tests.system.server_process import wait_until
from tests.web_user import WebUser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

FOLDER = ROOT / "scripts" / "example-desktop"


class Spark:
    """The program as one user has it, with the file of its tokens."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.client_id = server.register("Spark", "desktop")["clientId"]
        self.file = folder / "state" / "token.json"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        # -S leaves out what is installed: the standard library has to be enough
        program = [sys.executable, "-S", str(FOLDER / "spark.py")]
        options = ["--server", self.server.url, "--client-id", self.client_id]
        return subprocess.Popen(
            [*program, "--token-file", str(self.file), *options, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            env={"PYTHONIOENCODING": "utf-8", "TZ": "UTC"},
        )

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run one command to its end; return what it prints."""
        process = self.start(*arguments)
        said, _ = process.communicate(timeout=30)
        assert process.returncode == status, said
        return said

    @contextmanager
    def signing_in(self, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
        """Start to sign in; give the process and the code that it shows."""
        process = self.start("login", *options)
        assert process.stdout is not None
        try:
            shown = ""
            while "Waiting" not in shown:  # the last line before a user has to do something
                line = process.stdout.readline()
                assert line, shown
                shown += line
            found = re.search(
                rf"^Open {self.server.url}/device in .*\n\n {{4}}(\S+)\n\n.* 10 minutes", shown
            )
            assert found is not None, shown
            yield process, found[1]
        finally:
            process.kill()
            process.communicate()

    def login(self, user: WebUser, *options: str, decision: str = "allow") -> tuple[int, str]:
        """Sign in, with a user who decides; return the exit status and the last words."""
        with self.signing_in(*options) as (process, code):
            user.enter_device_code(code, decision)
            said, _ = process.communicate(timeout=30)
            return process.returncode, said

    def change(self, **values: object) -> None:
        """Change what the file holds."""
        self.file.write_text(json.dumps(read_json(self.file) | values))


@pytest.fixture
def spark(server: Server, tmp_path: Path) -> Spark:
    return Spark(server, tmp_path)


@pytest.fixture
def signed_in(spark: Spark, alice: WebUser) -> Spark:
    status, said = spark.login(alice)
    assert status == 0, said
    return spark


def test_program_can_be_started_by_its_name() -> None:
    found = subprocess.run(
        [str(FOLDER / "spark.py"), "--help"], capture_output=True, text=True, check=True
    )
    for command in ("login", "sensors", "plot", "post", "logout"):
        assert f"\n    {command} " in found.stdout


def test_user_signs_in_posts_plots_and_signs_out(spark: Spark, alice: WebUser) -> None:
    assert spark.login(alice) == (0, "Signed in, with the scope: read write\n")
    assert stat.S_IMODE(spark.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(spark.file.parent.stat().st_mode) == 0o700
    assert "alice.greenhouse1  Greenhouse  (20" in spark.run("sensors")
    assert "alice.cellar1  Cellar  (" in spark.run("sensors")
    for value in (1, 2.5, 8):
        assert spark.run("post", "alice.cellar1", f"temperature={value}") == "Stored.\n"
    line, summary = spark.run("plot", "cellar1").splitlines()
    assert line == "▁▃█"
    assert summary.startswith("temperature: lowest 1, highest 8, latest 8 °C (20")
    assert spark.run("plot", "cellar1", "--count", "2").splitlines()[0] == "▁█"
    assert spark.run("logout") == "Signed out.\n"
    assert not spark.file.exists()
    assert spark.client_id not in {grant["clientId"] for grant in spark.server.grants()}
    assert "You are not signed in" in spark.run("sensors", status=1)


def test_sensor_without_readings_says_so(signed_in: Spark) -> None:
    body = {"name": "empty", "longName": "Empty", "description": "x"}
    made = signed_in.server.call("POST", "sensors", json=body).json()
    assert signed_in.run("plot", f"alice.{made['name']}") == "No readings of lat yet.\n"
    assert "(no readings yet)" in signed_in.run("sensors")


def test_refusal_of_the_user_is_told_and_nothing_is_kept(spark: Spark, alice: WebUser) -> None:
    status, said = spark.login(alice, decision="deny")
    assert status == 1
    assert said.endswith("spark: You did not allow it.\n")
    assert not spark.file.exists()


def test_code_that_nobody_types_in_expires(tmp_path: Path) -> None:
    with serving(tmp_path, "--set", "oauth.device_code_seconds=1") as server:
        said = Spark(server, tmp_path).run("login", status=1)
    assert said.endswith("spark: Nobody has decided in time. Run login again.\n")


def test_revocation_holds_at_the_very_next_command(signed_in: Spark) -> None:
    signed_in.run("sensors")
    signed_in.server.revoke(signed_in.client_id)
    said = signed_in.run("post", "alice.greenhouse1", "temperature=99", status=1)
    assert said == "spark: The permission has ended or was revoked. Run login again.\n"
    assert not signed_in.file.exists()
    data = signed_in.server.call("GET", "sensors/alice.greenhouse1/data").json()["data"]["data"]
    assert 99 not in [reading["temperature"] for reading in data]


@pytest.mark.parametrize("change", [{"expires_at": 0}, {"access_token": "ended-before-its-time"}])
def test_expired_token_is_refreshed_and_the_new_ones_are_kept(
    signed_in: Spark, change: dict[str, object]
) -> None:
    before = read_json(signed_in.file)
    signed_in.change(**change)
    assert "Greenhouse" in signed_in.run("sensors")
    after = read_json(signed_in.file)
    assert after["refresh_token"] != before["refresh_token"]
    assert after["access_token"] != before["access_token"]
    assert stat.S_IMODE(signed_in.file.stat().st_mode) == 0o600
    refreshes = signed_in.server.refreshes()
    assert "Greenhouse" in signed_in.run("sensors")
    assert signed_in.server.refreshes() == refreshes  # once was enough


def waiting_for(lock: Path) -> int:
    """How many processes wait for a lock; each has a line with an arrow."""
    locks = Path("/proc/locks").read_text().splitlines()
    return sum("->" in line and f":{lock.stat().st_ino} " in line for line in locks)


def test_runs_at_once_refresh_once(signed_in: Spark) -> None:
    signed_in.change(expires_at=0)
    before = signed_in.server.refreshes()
    lock = Path(f"{signed_in.file}.lock")
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        runs = [signed_in.start("sensors") for _ in range(4)]
        wait_until(lambda: waiting_for(lock) == 4, 20, "all of them wait")
        assert signed_in.server.refreshes() == before
    said = [run.communicate(timeout=30)[0] for run in runs]
    assert [run.returncode for run in runs] == [0] * 4, said
    assert signed_in.server.refreshes() == before + 1


def test_server_that_is_away_is_told_and_ends_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        spark = Spark(server, tmp_path)
        with WebUser(server.url) as alice:
            assert spark.login(alice)[0] == 0
        kept = spark.file.read_text()
        server.stop()
        for command in ("sensors", "logout"):
            assert "cannot be reached" in spark.run(command, status=1)
        assert spark.file.read_text() == kept
        server.start()
        assert "Greenhouse" in spark.run("sensors")


def test_missing_scope_is_told_with_what_helps(spark: Spark, alice: WebUser) -> None:
    assert spark.login(alice, "--scope", "read")[0] == 0
    said = spark.run("post", "alice.greenhouse1", "temperature=20", status=1)
    assert "the scope 'write' is needed" in said
    assert "--scope" in said
    assert "Greenhouse" in spark.run("sensors")


def test_permission_of_a_deleted_application_has_ended(signed_in: Spark) -> None:
    signed_in.server.call("DELETE", f"apps/{signed_in.client_id}")
    assert signed_in.run("logout") == "Signed out.\n"
    assert not signed_in.file.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plot", "nothing-there"], "Could not locate this resource"),
        (["plot", "..", "--field", "x"], "There is no such sensor"),
        (["plot", "greenhouse1", "--field", "depth"], "fields that are numbers: temperature"),
        (["post", "greenhouse1", "temperature=warm"], "expected NUMBER"),
        (["login"], "You are signed in already"),
    ],
)
def test_what_does_not_work_is_told_in_one_line(
    signed_in: Spark, arguments: list[str], words: str
) -> None:
    said = signed_in.run(*arguments, status=1)
    assert said.startswith("spark: ")
    assert words in said
    assert said.count("\n") == 1


def test_name_of_a_sensor_cannot_steer_the_terminal(signed_in: Spark) -> None:
    said = signed_in.run("sensors")
    assert "<script>alert(1)</script>?[2J" in said
    assert "\x1b" not in said


def test_unknown_client_and_address_without_tls_are_told(spark: Spark) -> None:
    spark.client_id = "nobody"
    assert "There is no such client" in spark.run("login", status=1)
    said = spark.run("--server", "http://wotkit.example", "login", status=1)
    assert "must be an https address" in said


def test_damaged_file_is_told(signed_in: Spark) -> None:
    signed_in.file.write_text('{"server":')
    assert "is damaged" in signed_in.run("sensors", status=1)


# the parts


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module of the device flow, in this process."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    yield module("example-desktop", "device_flow")
    for name in set(sys.modules) - before:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


class EnoughError(Exception):
    """The test has seen what it wanted."""


def test_server_that_says_slow_down_is_asked_five_seconds_later(
    server: Server, spark: Spark, parts: ModuleType
) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:  # impatient: does not wait at all
        waits.append(seconds)
        if len(waits) == 3:
            raise EnoughError

    at = sys.modules["server"].Server(server.url)
    asked = parts.begin(at, spark.client_id, "read")
    assert asked["interval"] == 1
    with pytest.raises(EnoughError):
        parts.wait(at, spark.client_id, asked, sleep=sleep)
    assert waits == [1, 1, 6]  # pending, then slow_down


def test_server_that_is_away_is_asked_ever_more_rarely(
    server: Server, spark: Spark, parts: ModuleType
) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 8:
            raise EnoughError

    at = sys.modules["server"].Server(server.url)
    asked = parts.begin(at, spark.client_id, "read")
    at._about["token_endpoint"] = "http://127.0.0.1:9/nobody-listens"
    with pytest.raises(EnoughError):
        parts.wait(at, spark.client_id, asked, sleep=sleep)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_sparkline_has_a_block_for_each_value(values: list[float]) -> None:
    found = module("example-desktop", "sparkline")
    line = found.sparkline(values)
    assert len(line) == len(values)
    assert set(line) <= set(found.BLOCKS)
    if min(values) < max(values):
        assert line[values.index(min(values))] <= line[values.index(max(values))]
