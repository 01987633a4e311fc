"""The client ``stsplatform`` 0.1.0, written for WoTKit years ago, as its users call it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import stsplatform.client as sts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "correct horse battery"
SENSOR = {
    "name": "delete-me",
    "longName": "Delete Me Sensor",
    "description": "Sensor auto generated for tests..",
}


def wotkit(*arguments: str, data: Path, stdin: str = "") -> str:
    found = subprocess.run(
        [sys.executable, "-m", "wotkit.cli", *arguments, "--data", str(data)],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """A real server: its address, and a key of Alice's."""
    data = tmp_path_factory.mktemp("data")
    log = data / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "wotkit.cli", "serve", "--port", "0", "--data", str(data)],
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )
    try:
        assert process.stdout is not None
        match = re.search(r"WoTKit at (\S+),", process.stdout.readline())
        assert match is not None, log.read_text()
        wotkit("user", "create", "alice", "--password-file", "-", data=data, stdin=PASSWORD)
        wotkit(
            "user", "create", "root1", "--admin", "--password-file", "-", data=data, stdin=PASSWORD
        )
        key = wotkit("key", "create", "--user", "alice", "--name", "x", "--json", data=data)
        yield match[1], json.loads(key)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(params=["/api", "/api/v1"])
def address(request: pytest.FixtureRequest, server: tuple[str, dict[str, str]]) -> str:
    return server[0].rstrip("/") + str(request.param)


@pytest.fixture(params=["username", "key_id"])
def client(request: pytest.FixtureRequest, address: str, server: tuple[str, dict[str, str]]) -> Any:
    """Alice's client, with each of the two ways to sign in that it knows."""
    auth = {"username": "alice", "password": PASSWORD}
    if request.param == "key_id":
        auth = {name: server[1][name] for name in ("key_id", "key_password")}
    return sts.Client({"url": address, "auth": auth})


@pytest.fixture
def public(address: str) -> Any:
    return sts.Client({"url": address})


@pytest.fixture
def sensor(client: Any) -> Iterator[Any]:
    assert sts.Sensors(client).post(SENSOR).code == 201
    found = sts.Sensors(client, "alice.delete-me")
    yield found
    assert found.delete().code == 204


def test_sensor_is_created_found_updated_and_deleted(client: Any, public: Any) -> None:
    assert sts.Sensors(client).post(SENSOR).code == 201
    assert sts.Sensors(client).post(SENSOR).code == 409
    found = sts.Sensors(client, "delete-me")
    assert found.get().data["name"] == "delete-me"
    assert found.put({"description": "An updated description", "visibility": "PUBLIC"}).code == 204
    assert found.get().data["description"] == "An updated description"
    by_id = sts.Sensors(client, found.get().data["id"])
    assert by_id.get().data == found.get().data
    listed = sts.Sensors(public).get({"text": "delete", "owners": "alice"})
    assert [each["name"] for each in listed.data] == ["delete-me"]
    assert found.delete().code == 204
    assert found.get().code == 404


def test_data_is_sent_queried_replaced_and_deleted(sensor: Any) -> None:
    data = sts.Data(sensor)
    assert data.post({"value": 42}).code == 201
    newest = data.get({"beforeE": "1"})
    assert (newest.code, newest.data[0]["value"]) == (200, 42)
    batch = [
        {"timestamp": "2012-12-12T03:34:28.626Z", "value": 67.0, "lng": -123.1404, "lat": 49.20532},
        {"timestamp": "2012-12-12T03:34:28.665Z", "value": 63.0, "lng": -123.14054, "lat": 49.2055},
    ]
    assert data.put(batch).code == 204
    between = {"start": "2012-12-12T00:00:00Z", "after": 86_400_000}
    assert [each["value"] for each in data.get(between).data] == [67, 63]
    assert sts.Data(sensor, "2012-12-12T03:34:28.626Z").delete().code == 204
    assert [each["timestamp"] for each in data.get(between).data] == ["2012-12-12T03:34:28.665Z"]
    refused = data.post({"value": "warm"})
    assert refused.code == 400
    assert "expected NUMBER" in refused.data["error"]["developerMessage"][0]


def test_fields_are_listed_added_updated_and_deleted(sensor: Any) -> None:
    assert {each["name"] for each in sts.Fields(sensor).get().data} == {
        *("lat", "lng", "value", "message")
    }
    field = {
        "name": "newfield",
        "longName": "newfield",
        "type": "NUMBER",
        "index": 99,
        "required": "false",
        "value": 0,
    }
    one = sts.Fields(sensor, "newfield")
    assert one.put(field).code == 204
    assert one.put(field | {"units": "kms"}).code == 204
    found = one.get().data
    assert (found["units"], found["required"], found["index"]) == ("kms", False, 4)
    assert one.delete().code == 204
    assert one.get().code == 400


def test_tags_are_counted(client: Any, public: Any, sensor: Any) -> None:
    sensor.put({"tags": ["Vancouver", "test"], "visibility": "PUBLIC"})
    expected = [("test", 1), ("Vancouver", 1)]
    for who in (client, public):
        found = sts.Tags(who).get()
        assert found.code == 200
        assert [(each["name"], each["count"]) for each in found.data] == expected
    assert sts.Tags(public).get({"text": "nothing"}).data == []


def test_orgs_are_made_found_and_deleted(address: str, public: Any, client: Any) -> None:
    config = {"url": address, "auth": {"username": "root1", "password": PASSWORD}}
    admin = sts.Client(config)
    new = {"name": "sensetecnic", "longName": "Sense Tecnic Systems"}
    assert sts.Orgs(client).post(new).code == 403
    assert sts.Orgs(public).post(new).code == 401
    assert sts.Orgs(admin).post(new).code == 201
    found = sts.Orgs(public).get({"text": "sensetecnic"})
    assert [each["name"] for each in found.data] == ["sensetecnic"]
    one = sts.Orgs(public, "sensetecnic")
    assert one.get().data["name"] == "sensetecnic"
    mine = sts.Orgs(admin, "sensetecnic")
    assert mine.put({"longName": "Sense Tecnic"}).code == 204
    assert one.get().data["longName"] == "Sense Tecnic"
    assert mine.delete().code == 204
    assert one.get().code == 404


def test_news_and_stats_are_for_everybody(client: Any, public: Any, sensor: Any) -> None:
    before = sts.Stats(public).get()
    assert before.code == 200
    sensor.put({"visibility": "PUBLIC"})
    sts.Data(sensor).post({"value": 1})
    for who in (client, public):
        stats = sts.Stats(who).get().data
        assert stats["total"] == before.data["total"] + 1
        assert stats["active"] == before.data["active"] + 1
        assert stats["new"] == {each: before.data["new"][each] + 1 for each in stats["new"]}
        news = sts.News(who).get()
        assert news.code == 200
        assert "Delete Me Sensor" in news.data[0]["title"]


def test_wrong_password_is_refused_everywhere(address: str) -> None:
    config = {"url": address, "auth": {"username": "alice", "password": "wrong password"}}
    stranger = sts.Client(config)
    for resource in (sts.Sensors, sts.Tags, sts.News):
        assert resource(stranger).get().code == 401
