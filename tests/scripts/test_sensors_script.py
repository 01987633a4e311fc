"""The management scripts, against a real server."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse battery"


class Server(NamedTuple):
    url: str
    key: str

    def call(self, method: str, path: str, **request: object) -> httpx.Response:
        answer = httpx.request(
            method,
            f"{self.url}/api/v1/{path}",
            auth=tuple(self.key.split(":")),
            **request,  # type: ignore[arg-type]  # what httpx takes
        )
        assert answer.is_success, answer.text
        return answer

    def script(self, *arguments: str, status: int = 0, **more: str) -> str:
        found = subprocess.run(
            [sys.executable, str(ROOT / "scripts/manage/main.py"), *arguments],
            env={**os.environ, "WOTKIT_URL": self.url, "WOTKIT_KEY": self.key, **more},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert found.returncode == status, found.stdout + found.stderr
        return found.stdout + found.stderr


def wotkit(*arguments: str, data: Path, stdin: str = "") -> str:
    return subprocess.run(
        [sys.executable, "-m", "wotkit.cli", *arguments, "--data", str(data)],
        input=stdin,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def serve(data: Path) -> Iterator[Server]:
    with (data / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "wotkit.cli", "serve", "--port", "0", "--data", str(data)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    try:
        match = re.search(r"WoTKit at (\S+),", process.stdout.readline())
        assert match is not None, (data / "log").read_text()
        wotkit("user", "create", "alice", "--password-file", "-", data=data, stdin=PASSWORD)
        made = json.loads(
            wotkit("key", "create", "--user", "alice", "--name", "x", "--json", data=data)
        )
        yield Server(match[1], f"{made['key_id']}:{made['key_password']}")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        process.stdout.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from serve(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from serve(tmp_path_factory.mktemp("other"))


def make(server: Server, name: str, count: int = 0) -> None:
    body = {
        "name": name,
        "longName": name,
        "description": name,
        "fields": [
            {"name": "value", "longName": "Value", "type": "NUMBER", "units": "°C"},
            {"name": "note", "longName": "Note", "type": "STRING"},
        ],
    }
    server.call("POST", "sensors", json=body)
    if count:
        readings = [
            # five readings share each instant; texts try the CSV; some carry more than is declared
            {
                "timestamp": 1_600_000_000_000 + number // 5 * 1000,
                "value": number / 4,
                "note": f'"{number}",\r\nnew line',
                **({"extra": {"deep": [number]}} if number % 7 == 0 else {}),
            }
            for number in range(count)
        ]
        server.call("PUT", f"sensors/{name}/data", json=readings)


def readings_of(server: Server, name: str) -> list[tuple[object, ...]]:
    found = server.call("GET", f"sensors/{name}/data", params={"limit": 10_000}).json()
    return sorted(
        (each["timestamp"], each["value"], each["note"], json.dumps(each.get("extra")))
        for each in found
    )


def test_sensors_of_a_csv_file_are_made(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "sensors.csv"
    file.write_text(
        "name,longName,description,latitude,tags,fields\n"
        "csv-one,One,The first,53.3,a;b c,temperature:NUMBER:°C;remark:STRING\n"
        "csv-two,Two,The second,,,\n"
    )
    assert "csv-one: made" in server.script("register", str(file))
    made = server.call("GET", "sensors/csv-one").json()
    assert made["latitude"] == 53.3
    assert sorted(made["tags"]) == ["a", "b c"]
    fields = [(field["name"], field["type"], field["units"]) for field in made["fields"]]
    assert fields == [("temperature", "NUMBER", "°C"), ("remark", "STRING", "")]
    assert "csv-two: exists already" in server.script("register", str(file))
    file.write_text(file.read_text().replace("The second", "The other"))
    assert "brought up to date" in server.script("register", str(file), "--update")
    assert server.call("GET", "sensors/csv-two").json()["description"] == "The other"


def test_sensors_of_a_yaml_file_are_made(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "sensors.yaml"
    file.write_text(
        "sensors:\n- name: yaml-one\n  longName: One\n  description: x\n  metadata: {height: 2.5}\n"
    )
    found = json.loads(server.script("register", str(file), "--json"))
    assert found == [{"name": "yaml-one", "outcome": "made", "failed": False}]
    assert server.call("GET", "sensors/yaml-one").json()["metadata"] == {"height": 2.5}


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("x.csv", "name,longName\nabcd,X\n", "lacks description"),
        ("x.csv", "", "has no sensors"),
        ("x.csv", "name,longName,description,latitude\nabcd,X,Y,north\n", "latitude is no number"),
        ("x.yaml", "a: [", "x.yaml"),
        ("x.yaml", "just text", "a list of sensors"),
    ],
)
def test_file_that_cannot_be_used_says_why(
    server: Server, tmp_path: Path, name: str, text: str, says: str
) -> None:
    (tmp_path / name).write_text(text)
    assert says in server.script("register", str(tmp_path / name), status=1)


def test_sensor_the_server_refuses_is_told_in_its_words(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("name,longName,description\nx,X,Y\nfine-one,X,Y\n")
    said = server.script("register", str(tmp_path / "x.csv"), status=1)
    assert "Object has validation errors" in said
    assert "fine-one: made" in said


def test_readings_come_back_as_they_went_out(server: Server, tmp_path: Path) -> None:
    make(server, "trip-out", 2503)
    make(server, "trip-back")
    file = tmp_path / "trip.csv"
    assert "2503 readings" in server.script("export", "trip-out", "-o", str(file))
    assert "has every row" in server.script("import", "trip-back", str(file))
    assert readings_of(server, "trip-back") == readings_of(server, "trip-out")
    server.script("import", "trip-back", str(file))
    assert len(readings_of(server, "trip-back")) == 2503


def test_export_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    make(server, "stopped", 1200)
    whole, again = tmp_path / "whole.csv", tmp_path / "again.csv"
    server.script("export", "stopped", "-o", str(whole))
    text = whole.read_bytes()
    for cut in (len(text) // 2, len(text) // 3 + 1, 10, 0):
        again.with_name("again.csv.part").write_bytes(text[:cut])
        server.script("export", "stopped", "-o", str(again))
        assert again.read_bytes() == text


def test_import_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    make(server, "half-way")
    file = tmp_path / "rows.csv"
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["timestamp", "value", "note"])
        writer.writerows([1_600_000_000_000 + number, number, "x"] for number in range(40_000))
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts/manage/main.py"), "import", "half-way", str(file)],
        env={**os.environ, "WOTKIT_URL": server.url, "WOTKIT_KEY": server.key},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not server.call("GET", "sensors/half-way/data", params={"limit": 1}).json():
        assert process.poll() is None
    process.kill()
    process.wait()
    server.script("import", "half-way", str(file))
    found = server.call(
        "GET", "sensors/half-way/data", params={"start": "1599999999999", "limit": 10_000}
    ).json()
    assert [each["value"] for each in found] == list(range(10_000))
    last = server.call("GET", "sensors/half-way/data", params={"limit": 10_000}).json()
    assert [each["value"] for each in last] == list(range(30_000, 40_000))


def test_row_the_server_refuses_is_named(server: Server, tmp_path: Path) -> None:
    make(server, "refusing")
    file = tmp_path / "rows.csv"
    file.write_text("timestamp,value\n2020-01-01T00:00:00Z,1\n2020-01-02T00:00:00Z,warm\n")
    said = server.script("import", "refusing", str(file), status=1)
    assert "row 2" in said
    assert "expected NUMBER" in said


def test_sensor_is_copied_to_another_server(server: Server, other: Server, tmp_path: Path) -> None:
    make(server, "moving", 777)
    for _ in range(2):
        server.script(
            "copy", "moving", "--to", other.url, "--folder", str(tmp_path), WOTKIT_TO_KEY=other.key
        )
    assert readings_of(other, "moving") == readings_of(server, "moving")
    units = [field["units"] for field in other.call("GET", "sensors/moving").json()["fields"]]
    assert units == ["°C", ""]


def test_silent_sensors_are_found(other: Server) -> None:
    make(other, "never-sent")
    make(other, "sent-now")
    other.call("POST", "sensors/sent-now/data", json={"value": 1})
    said = other.script("silent", "--for", "10m", status=1)
    assert "alice.never-sent  never sent anything" in said
    assert "sent-now" not in said
    assert other.script("silent", "--for", "soon", status=1).startswith("Error: 'soon'")


def test_nobody_without_a_key_gets_anywhere(server: Server) -> None:
    assert "a key is needed" in server.script("silent", status=2, WOTKIT_KEY="")
    said = server.script("silent", status=1, WOTKIT_KEY="0123456789abcdef:wrong")
    assert "Authentication is required" in said


@pytest.mark.parametrize("command", ["register", "export", "import", "copy", "silent"])
def test_every_command_has_help_with_an_example(server: Server, command: str) -> None:
    said = server.script(command, "--help")
    assert "Example:" in said
    assert f"scripts/sensors {command}" in said
