"""Sensors over HTTP: created, shown, changed, deleted, and who may do so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from wotkit.catalog import sensors
from wotkit.catalog.audit import Actor
from wotkit.catalog.models import Audit, Sensor, rows
from wotkit.catalog.subscriptions import subscribe
from wotkit.errors import StoreUnavailable
from wotkit.ingest.door import Door

if TYPE_CHECKING:
    from wotkit.catalog import Catalog

HERE = Actor("tests", "127.0.0.1")
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
WHOLE = {
    "name": "greenhouse",
    "longName": "Greenhouse climate",
    "description": "Under the roof",
    "visibility": "PUBLIC",
    "latitude": 53.35,
    "longitude": -6.26,
    "tags": ["climate", "garden"],
    "metadata": {"model": "SHT41", "height": 2.5, "floor": 3, "indoor": True},
    "imageUrl": "https://example.org/greenhouse.jpg",
    "fields": [
        {"name": "temperature", "type": "NUMBER", "units": "°C", "required": True},
        {"name": "state", "longName": "State", "type": "STRING", "required": "false"},
    ],
}
EVERY_CALL = [
    ("POST", "sensors", WHOLE | {"name": "another"}),
    ("PUT", "sensors", [WHOLE | {"name": "another"}]),
    ("PUT", "sensors/alice.greenhouse", {"longName": "x"}),
    ("DELETE", "sensors/alice.greenhouse", None),
    (
        "PUT",
        "sensors/alice.greenhouse/fields/lux",
        {"name": "lux", "longName": "l", "type": "NUMBER"},
    ),
    ("DELETE", "sensors/alice.greenhouse/fields/lat", None),
]
CHANGING_CALLS = EVERY_CALL[2:]


def test_created_sensor_is_answered_whole_with_its_location(client: Any) -> None:
    answer = client.post("sensors", "alice", WHOLE)
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"/api/v1/sensors/{made['id']}"
    created = made.pop("created")
    assert ISO.fullmatch(created)
    assert made == WHOLE | {
        "id": made["id"],
        "owner": "alice",
        "publisher": "alice",
        "control": "PUBLIC",
        "subscriberNames": [],
        "thingType": "SENSOR",
        "fields": [
            {
                "name": "temperature",
                "longName": "temperature",
                "type": "NUMBER",
                "units": "°C",
                "required": True,
                "index": 0,
            },
            {
                "name": "state",
                "longName": "State",
                "type": "STRING",
                "units": "",
                "required": False,
                "index": 1,
            },
        ],
    }
    shown = client.get(answer.headers["location"]).json()
    assert shown == made | {"created": created}


def test_sensor_without_options_is_private_and_has_the_usual_fields(client: Any) -> None:
    made = client.make_sensor("greenhouse")
    assert made["visibility"] == "PRIVATE"
    assert (made["latitude"], made["longitude"]) == (0, 0)
    assert {field["name"]: field["type"] for field in made["fields"]} == {
        "lat": "NUMBER",
        "lng": "NUMBER",
        "value": "NUMBER",
        "message": "STRING",
    }
    assert {"imageUrl", "lastUpdate"}.isdisjoint(made)
    assert client.make_sensor("cellar", fields=[])["fields"] == made["fields"]


@pytest.mark.parametrize("base", ["/api", "/api/v1", "/api/v2"])
def test_every_version_answers_with_or_without_a_slash_at_the_end(client: Any, base: str) -> None:
    made = client.make_sensor("greenhouse")
    for path in ("sensors/greenhouse", f"sensors/{made['id']}/", "sensors/alice.greenhouse/"):
        assert client.get(f"{base}/{path}", "alice").json()["id"] == made["id"]
    assert len(client.get(f"{base}/sensors/", "alice").json()) == 1


def test_numbers_in_metadata_stay_numbers(client: Any) -> None:
    client.make_sensor("greenhouse", metadata={"a": 1, "b": 1.5, "c": "1", "d": False})
    text = client.get("sensors/greenhouse", "alice", fields="metadata").text
    assert '"metadata":{"a":1,"b":1.5,"c":"1","d":false}' in text


def test_unknown_attributes_are_ignored(client: Any) -> None:
    made = client.make_sensor("greenhouse", private=False, thingType="GROUP", colour="red")
    assert made["thingType"] == "SENSOR"
    assert "colour" not in made


def test_numbers_sent_as_texts_are_taken_for_numbers(client: Any) -> None:
    made = client.make_sensor("greenhouse", latitude="53.5", longitude="-6")
    assert (made["latitude"], made["longitude"]) == (53.5, -6)


def test_last_values_are_shown_once_there_are_readings(client: Any) -> None:
    client.make_sensor("greenhouse")
    for reading in (
        {"timestamp": "2026-01-02T03:04:05Z", "value": 1, "message": "one"},
        {"timestamp": "2026-01-02T03:04:06.7Z", "value": 2.5},
    ):
        assert client.post("sensors/greenhouse/data", "alice", reading).status_code == 201
    shown = client.get("sensors/greenhouse", "alice").json()
    fields = {field["name"]: field for field in shown["fields"]}
    assert (fields["value"]["value"], fields["value"]["lastUpdate"]) == (
        2.5,
        "2026-01-02T03:04:06.700Z",
    )
    assert (fields["message"]["value"], fields["message"]["lastUpdate"]) == (
        "one",
        "2026-01-02T03:04:05.000Z",
    )
    assert "value" not in fields["lat"]
    assert ISO.fullmatch(shown["lastUpdate"])
    assert shown["lastUpdate"] >= shown["created"]


def test_put_changes_only_what_is_present(client: Any) -> None:
    before = client.post("sensors", "alice", WHOLE).json()
    assert client.put("sensors/greenhouse", "alice", {"longName": "New"}).status_code == 204
    assert client.get("sensors/greenhouse", "alice").json() == before | {"longName": "New"}
    change = {"tags": [], "metadata": {"x": 1}, "fields": [{"name": "lux", "type": "NUMBER"}]}
    assert client.put("sensors/greenhouse", "alice", change).status_code == 204
    after = client.get("sensors/greenhouse", "alice").json()
    assert (after["tags"], after["metadata"]) == ([], {"x": 1})
    assert [field["name"] for field in after["fields"]] == ["lux"]
    assert client.put("sensors/greenhouse", "alice", {"imageUrl": None}).status_code == 204
    assert "imageUrl" not in client.get("sensors/greenhouse", "alice").json()


def test_sensor_read_and_sent_back_whole_stays_as_it_is(client: Any) -> None:
    before = client.post("sensors", "alice", WHOLE).json()
    assert client.put("sensors/greenhouse", "alice", before).status_code == 204
    assert client.get("sensors/greenhouse", "alice").json() == before


@pytest.mark.parametrize("attribute", ["id", "name", "owner"])
def test_id_name_and_owner_cannot_be_changed(client: Any, attribute: str) -> None:
    client.make_sensor("greenhouse")
    value = 999 if attribute == "id" else "garden"
    error = client.error(client.put("sensors/greenhouse", "alice", {attribute: value}), 400)
    assert error["message"] == "Extraneous field"
    assert error["developerMessage"] == [f'Cannot change the field "{attribute}"']


def test_going_private_ends_subscriptions(client: Any, catalog: Catalog, people: Any) -> None:
    client.make_sensor("greenhouse", visibility="PUBLIC")
    catalog.write(subscribe, people.charlie, "alice.greenhouse", HERE)
    assert client.get("sensors/greenhouse", "alice").json()["subscriberNames"] == ["charlie"]
    client.put("sensors/greenhouse", "alice", {"visibility": "private"})
    shown = client.get("sensors/greenhouse", "alice").json()
    assert (shown["subscriberNames"], shown["visibility"]) == ([], "PRIVATE")


def test_deleted_sensor_is_gone_with_its_readings(
    client: Any, catalog: Catalog, settings: Any
) -> None:
    first = client.make_sensor("greenhouse")["id"]
    client.post("sensors/greenhouse/data", "alice", {"value": 1})
    assert client.delete("sensors/greenhouse", "alice").status_code == 204
    client.error(client.get(f"sensors/{first}", "alice"), 404)
    client.error(client.delete("sensors/greenhouse", "alice"), 404)
    client.error(client.post("sensors/greenhouse/data", "alice", {"value": 1}), 404)
    assert catalog.read(sensors.pending_drops) == []
    assert readings_of(settings, first) == 0


def readings_of(settings: Any, sensor_id: int) -> int:
    """Count the stored readings of a sensor, deleted ones too."""
    from wotkit.readings.sqlite import FILE_NAME, SqliteStore
    from wotkit.readings.store import Range

    store = SqliteStore(settings.data_folder / FILE_NAME, busy_seconds=1)
    try:
        return len(store.read(Range(sensor_id=sensor_id)))
    finally:
        store.close()


def test_readings_left_by_a_full_disk_are_noted_for_later(
    client: Any, catalog: Catalog, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor_id = client.make_sensor("greenhouse")["id"]
    client.post("sensors/greenhouse/data", "alice", {"value": 1})

    async def full(*_: Any) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(Door, "apply", full)
    assert client.delete("sensors/greenhouse", "alice").status_code == 204
    client.error(client.get("sensors/greenhouse", "alice"), 404)
    assert catalog.read(sensors.pending_drops) == [sensor_id]
    assert readings_of(settings, sensor_id) == 1


def test_list_of_sensors_is_created_as_a_whole(client: Any) -> None:
    many = [WHOLE | {"name": f"sensor-{i}"} for i in range(100)]
    answer = client.put("sensors", "alice", many)
    assert answer.status_code == 201
    assert answer.json() == {f"sensor-{i}": True for i in range(100)}
    assert len(client.get("sensors", "alice").json()) == 100
    assert client.put("sensors", "alice", []).json() == {}


def test_sensor_of_an_organization_belongs_to_all_its_members(client: Any) -> None:
    made = client.make_sensor("greenhouse", owner="garden")
    assert (made["owner"], made["publisher"]) == ("garden", "alice")
    assert client.get("sensors/garden.greenhouse", "bobby").json() == made
    change = client.put("sensors/garden.greenhouse", "bobby", {"longName": "Bobby was here"})
    assert change.status_code == 204
    assert client.delete("sensors/garden.greenhouse", "bobby").status_code == 204


@pytest.mark.parametrize("owner", ["garden", "alice", "nobody"])
def test_owner_the_caller_does_not_belong_to_is_not_found(client: Any, owner: str) -> None:
    answer = client.post("sensors", "charlie", WHOLE | {"owner": owner})
    error = client.error(answer, 404)
    assert error["message"] == "Could not locate this resource."
    assert owner in error["developerMessage"]


@pytest.mark.parametrize("caller", ["charlie", "bobby", None])
@pytest.mark.parametrize("reference", ["alice.greenhouse", "1"])
def test_private_sensor_answers_like_one_that_does_not_exist(
    client: Any, caller: str | None, reference: str
) -> None:
    assert client.make_sensor("greenhouse")["id"] == 1
    for path in (f"sensors/{reference}", f"sensors/{reference}/fields"):
        hidden = client.error(client.get(path, caller), 404)
        missing = client.error(client.get(path.replace(reference, "alice.nothing"), caller), 404)
        assert hidden["message"] == missing["message"] == "Could not locate this resource."
        assert hidden["developerMessage"] == [reference]
        assert (hidden["code"], hidden["moreInfo"]) == (missing["code"], missing["moreInfo"])


@pytest.mark.parametrize(("method", "path", "body"), CHANGING_CALLS)
@pytest.mark.parametrize("visibility", ["PUBLIC", "PRIVATE"])
def test_stranger_cannot_change_a_sensor(
    client: Any, method: str, path: str, body: Any, visibility: str
) -> None:
    before = client.make_sensor("greenhouse", visibility=visibility)
    error = client.error(client.call(method, path, "charlie", json=body), 404)
    assert error["developerMessage"] == ["alice.greenhouse"]
    assert client.get("sensors/greenhouse", "alice").json() == before


@pytest.mark.parametrize(("method", "path", "body"), EVERY_CALL)
def test_nobody_changes_anything_without_credentials_or_the_scope(
    client: Any, make_key: Any, people: Any, method: str, path: str, body: Any
) -> None:
    before = client.make_sensor("greenhouse", visibility="PUBLIC")
    answer = client.call(method, path, json=body)
    client.error(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Basic")
    client.error(client.call(method, path, ("alice", "wrong password"), json=body), 401)
    key = make_key(people.alice, scopes=["read", "write", "control"])
    error = client.error(client.call(method, path, key, json=body), 403)
    assert "manage" in error["developerMessage"][0]
    assert client.get("sensors", "alice").json() == [before]


def test_wrong_credentials_are_never_taken_for_the_public(client: Any) -> None:
    client.make_sensor("greenhouse", visibility="PUBLIC")
    for path in ("sensors", "sensors/alice.greenhouse", "sensors/alice.greenhouse/fields"):
        client.error(client.get(path, ("alice", "wrong password")), 401)
        assert client.get(path).status_code == 200


@pytest.mark.parametrize(("method", "path", "body"), CHANGING_CALLS)
def test_limited_key_changes_its_own_sensor_and_no_other(
    client: Any, make_key: Any, people: Any, method: str, path: str, body: Any
) -> None:
    client.make_sensor("greenhouse")
    client.make_sensor("cellar", visibility="PUBLIC")
    key = make_key(people.alice, scopes=["manage", "read"], sensors=["greenhouse"])
    other = path.replace("greenhouse", "cellar")
    client.error(client.call(method, other, key, json=body), 404)
    assert client.call(method, path, key, json=body).status_code == 204


def test_limited_key_sees_only_its_sensors_and_creates_none(
    client: Any, make_key: Any, people: Any
) -> None:
    client.make_sensor("greenhouse")
    client.make_sensor("cellar", visibility="PUBLIC")
    key = make_key(people.alice, sensors=["greenhouse"])
    assert [sensor["name"] for sensor in client.get("sensors", key).json()] == ["greenhouse"]
    client.error(client.get("sensors/cellar", key), 404)
    client.error(client.post("sensors", key, WHOLE | {"name": "attic"}), 403)
    client.error(client.put("sensors", key, [WHOLE | {"name": "attic"}]), 403)


def test_disabled_method_is_405_in_the_one_shape(client: Any) -> None:
    client.make_sensor("greenhouse")
    for path in ("sensors", "sensors/greenhouse"):
        answer = client.call("PATCH", path, "alice")
        client.error(answer, 405)
        assert "GET" in answer.headers["allow"]


def test_changes_are_in_the_audit_log_with_the_callers_address(
    client: Any, catalog: Catalog, make_key: Any, people: Any
) -> None:
    key = make_key(people.alice)
    client.make_sensor("greenhouse", key)
    client.delete("sensors/greenhouse", key)
    columns = (Audit.action, Audit.target, Audit.actor, Audit.address, Audit.key_id)
    logged = catalog.read(
        lambda: rows(Audit.select(*columns).where(Audit.action.startswith("sensor.")))
    )
    same = ("alice.greenhouse", "alice", "192.0.2.7", key[0])
    assert logged == [("sensor.create", *same), ("sensor.delete", *same)]
    assert catalog.read(lambda: rows(Sensor.select())) == []
