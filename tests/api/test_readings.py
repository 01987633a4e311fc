"""Readings over HTTP: posted, put, deleted; who may, and what is said when something is wrong."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Client, MakeKey, People

BASES = ("/api", "/api/v1", "/api/v2")
TIME = "2014-06-19T22:45:36.281Z"
FIELDS = [
    {"name": "value", "type": "NUMBER"},
    {"name": "message", "type": "STRING"},
]


@pytest.fixture
def boiler(shared_client: Client) -> Client:
    """A client, and Alice's private sensor ``boiler``, which is new."""
    shared_client.delete("sensors/boiler", "alice")
    shared_client.make_sensor("boiler", fields=FIELDS)
    return shared_client


@pytest.fixture(scope="module")
def shared(shared_client: Client) -> Client:
    """A client, and a sensor with a required field for tests that change nothing."""
    needed = {"name": "need", "type": "NUMBER", "required": True}
    shared_client.make_sensor("strict", fields=[*FIELDS, needed])
    return shared_client


def stored(client: Client, sensor: str = "boiler", **params: Any) -> list[dict[str, Any]]:
    answer = client.get(f"/api/v1/sensors/{sensor}/data", "alice", **params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def values(client: Client, name: str = "value") -> list[Any]:
    return [reading.get(name) for reading in stored(client)]


# One reading


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("slash", ["", "/"])
def test_reading_is_posted_under_every_base(boiler: Client, base: str, slash: str) -> None:
    answer = boiler.post(f"{base}/sensors/boiler/data{slash}", "alice", {"value": 21.5})
    assert (answer.status_code, answer.content) == (201, b"")
    assert values(boiler) == [21.5]


def test_sensor_is_named_by_id_by_owner_and_name_or_by_its_name(boiler: Client) -> None:
    sensor = boiler.get("sensors/boiler", "alice").json()
    for n, reference in enumerate((str(sensor["id"]), "alice.boiler", "boiler")):
        path = f"sensors/{reference}/data"
        assert boiler.post(path, "alice", {"value": n}).status_code == 201
        assert len(boiler.get(path, "alice").json()) == n + 1
    assert values(boiler) == [0, 1, 2]


def test_answer_has_the_reading_with_its_read_only_names(boiler: Client) -> None:
    sensor_id = boiler.get("sensors/boiler", "alice").json()["id"]
    body = {"timestamp": TIME, "value": 1, "note": "as it comes", "deep": [{"a": None}]}
    boiler.post("sensors/boiler/data", "alice", body)
    (reading,) = stored(boiler)
    assert reading.pop("id") > 0
    assert reading == body | {"sensor_id": sensor_id, "sensor_name": "alice.boiler"}


def test_read_only_names_of_a_reading_sent_back_are_dropped(boiler: Client) -> None:
    boiler.post("sensors/boiler/data", "alice", {"value": 1, "timestamp": TIME})
    (reading,) = stored(boiler)
    again = boiler.put("sensors/boiler/data", "alice", [reading])
    assert again.status_code == 204
    (second,) = stored(boiler)
    assert second.pop("id") > reading.pop("id")
    assert second == reading


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("2014-06-19T22:45:36.281Z", "2014-06-19T22:45:36.281Z"),
        ("2014-06-19T22:45:36.281z", "2014-06-19T22:45:36.281Z"),
        ("2014-06-19T9:45:36Z", "2014-06-19T09:45:36.000Z"),
        ("2014-06-20T00:45:36.281+02:00", "2014-06-19T22:45:36.281Z"),
        ("2014-06-19T17:15:36-0530", "2014-06-19T22:45:36.000Z"),
        ("2014-06-19T22:45:36.281456Z", "2014-06-19T22:45:36.281456Z"),
        ("2014-06-19 22:45:36", "2014-06-19T22:45:36.000Z"),
        (1_403_217_936_281, "2014-06-19T22:45:36.281Z"),
        ("1403217936281", "2014-06-19T22:45:36.281Z"),
        (1_403_217_936_281.25, "2014-06-19T22:45:36.281250Z"),
        (-1000, "1969-12-31T23:59:59.000Z"),
    ],
)
def test_time_comes_in_many_forms_and_is_shown_in_one(
    boiler: Client, sent: Any, shown: str
) -> None:
    answer = boiler.post("sensors/boiler/data", "alice", {"value": 1, "timestamp": sent})
    assert answer.status_code == 201, answer.text
    assert [reading["timestamp"] for reading in stored(boiler)] == [shown]
    path = f"sensors/boiler/data/{str(sent).replace('+', '%2B')}"
    if not isinstance(sent, float):
        assert boiler.delete(path, "alice").status_code == 204
        assert stored(boiler) == []


@pytest.mark.parametrize("timestamp", [None, "absent"])
def test_reading_without_a_time_is_of_now(boiler: Client, timestamp: Any) -> None:
    body = {"value": 1} | ({} if timestamp == "absent" else {"timestamp": timestamp})
    assert boiler.post("sensors/boiler/data", "alice", body).status_code == 201
    assert len(stored(boiler, before=10_000)) == 1


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("application/json", b'{"value": 5, "message": "hot"}'),
        ("application/json; charset=utf-8", b'\n {"value": 5, "message": "hot"}'),
        ("application/x-www-form-urlencoded", b'{"value": 5, "message": "hot"}'),
        ("application/x-www-form-urlencoded", b"value=5&message=hot"),
        ("application/x-www-form-urlencoded", b"value=5&message=hot&timestamp="),
        ("text/plain", b'{"value": 5, "message": "hot"}'),
        (None, b'{"value": 5, "message": "hot"}'),
    ],
)
def test_body_may_be_json_or_a_form_whatever_curl_calls_it(
    boiler: Client, content_type: str | None, content: bytes
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    for base in BASES:
        path = f"{base}/sensors/boiler/data"
        answer = boiler.call("POST", path, "alice", content=content, headers=headers)
        assert answer.status_code == 201, answer.text
    assert {(r["value"], r["message"]) for r in stored(boiler)} == {(5, "hot")}


def test_form_value_of_an_undeclared_field_stays_text(boiler: Client) -> None:
    form = {"value": "5", "other": "6", "message": "7"}
    assert boiler.call("POST", "sensors/boiler/data", "alice", data=form).status_code == 201
    boiler.post("sensors/boiler/data", "alice", {"other": 6, "message": 7})
    shown = [(r.get("value"), r["other"], r["message"]) for r in stored(boiler)]
    assert shown == [(5, "6", "7"), (None, 6, "7")]


def test_compressed_body_is_read(boiler: Client) -> None:
    content = gzip.compress(b'{"value": 5}')
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer = boiler.call("POST", "sensors/boiler/data", "alice", content=content, headers=headers)
    assert (answer.status_code, values(boiler)) == (201, [5])


WRONG = [
    ({"value": "warm", "need": 1}, "value", "expected NUMBER"),
    ({"need": 1, "timestamp": "2999-01-01T00:00:00Z"}, "timestamp", "future"),
    ({"need": 1, "timestamp": "yesterday"}, "timestamp", "neither ISO 8601"),
    ({"need": 1, "timestamp": True}, "timestamp", "ISO 8601"),
    ({"value": 1}, "need", "is required"),
    ({"value": 1, "need": None}, "need", "is required"),
    ({"need": 1, "message": "x" * 65_537}, "message", "more than 65536 characters"),
    ({"need": 1, "deep": [[[[[[[[[1]]]]]]]]]}, "deep", "nested more than 8 levels"),
    ({"need": 1, "n" * 101: 1}, "n" * 100, "name of 101 characters"),
    ({str(n): n for n in range(201)}, "fields", "are 201, more than 200"),
]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize(("body", "field", "words"), WRONG)
def test_bad_reading_is_refused_in_the_words_clients_match(
    shared: Client, base: str, body: Any, field: str, words: str
) -> None:
    error = shared.error(shared.post(f"{base}/sensors/strict/data", "alice", body), 400)
    assert (error["code"], error["message"]) == (1201, "Object has validation errors")
    assert words in error["moreInfo"][field]
    assert any(field in line and words in line for line in error["developerMessage"])
    assert stored(shared, "strict") == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"value": 1,\n "need": }', "line 2 column 10"),
        (b'{"value": NaN}', "NaN is not a number"),
        (b'{"value": -Infinity}', "-Infinity is not a number"),
        (b'{"value": 1, "message": "\xff"}', "not UTF-8"),
        (b'{"message": "\\ud800"}', "half of a surrogate pair"),
        (b"[1]", "a reading is a JSON object"),
        (b"17", "a reading is a JSON object"),
        (b"", "not JSON"),
        (b'{"a":' * 3000 + b"1" + b"}" * 3000, "nested too deeply"),
    ],
)
def test_body_that_is_no_json_is_refused_with_its_place(
    shared: Client, content: bytes, words: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = shared.call("POST", "sensors/strict/data", "alice", content=content, headers=headers)
    error = shared.error(answer, 400)
    assert error["code"] == 1207
    assert any(words in line for line in error["developerMessage"]), error
    assert stored(shared, "strict") == []


@pytest.mark.parametrize(
    ("content", "field"),
    [(b'{"need": 1, "value": 1e999}', "value"), (b'{"need": 1, "need": 2}', "need")],
)
def test_number_beyond_a_double_and_a_name_twice_are_named(
    shared: Client, content: bytes, field: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = shared.call("POST", "sensors/strict/data", "alice", content=content, headers=headers)
    assert list(shared.error(answer, 400)["moreInfo"]) == [field]


def test_other_media_types_are_refused(shared: Client) -> None:
    headers = {"Content-Type": "application/xml"}
    for method, status in (("POST", 415), ("PUT", 400)):
        path = "sensors/strict/data"
        answer = shared.call(method, path, "alice", content=b"<value/>", headers=headers)
        shared.error(answer, status)
    assert stored(shared, "strict") == []


# Who may


WRITES = [
    ("POST", "/api/v1/sensors/{}/data", {"value": 1}),
    ("PUT", "/api/v1/sensors/{}/data", [{"value": 1}]),
    ("PUT", "/api/v2/sensors/{}/data", [{"value": 1, "timestamp": TIME}]),
    ("DELETE", f"/api/v1/sensors/{{}}/data/{TIME}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_write_needs_credentials_and_the_right_to_write(
    client: Client, people: People, make_key: MakeKey, method: str, path: str, body: Any
) -> None:
    client.make_sensor("boiler", fields=FIELDS)
    client.make_sensor("public", visibility="PUBLIC", fields=FIELDS)
    for name in ("alice.boiler", "alice.public", "alice.nothing"):
        where = path.format(name)
        refused = client.call(method, where, None, json=body)
        assert client.error(refused, 401)["message"] == "Authentication is required"
        assert "Basic" in refused.headers["www-authenticate"]
        client.error(client.call(method, where, ("alice", "wrong"), json=body), 401)
        error = client.error(client.call(method, where, "charlie", json=body), 404)
        assert error["message"] == "Could not locate this resource."
        assert name in error["developerMessage"][0]
    where = path.format("alice.boiler")
    reader = make_key(people.alice, scopes=["read"])
    assert "write" in str(client.error(client.call(method, where, reader, json=body), 403))
    elsewhere = make_key(people.alice, scopes=["all"], sensors=["alice.public"])
    client.error(client.call(method, where, elsewhere, json=body), 404)
    assert values(client) == []
    here = make_key(people.alice, scopes=["write"], sensors=["alice.boiler"])
    assert client.call(method, where, here, json=body).status_code in {201, 204}


def test_private_sensor_is_hidden_from_strangers_and_public_one_is_not(
    client: Client, people: People, make_key: MakeKey
) -> None:
    for name, visibility in (("boiler", "PRIVATE"), ("public", "PUBLIC")):
        client.make_sensor(name, visibility=visibility, fields=FIELDS)
        client.post(f"sensors/{name}/data", "alice", {"value": 1})
    writer = make_key(people.alice, scopes=["write"])
    for caller in (None, "charlie"):
        assert len(client.get("sensors/alice.public/data", caller).json()) == 1
        hidden = client.error(client.get("sensors/alice.boiler/data", caller), 404)
        assert "alice.boiler" in hidden["developerMessage"][0]
    client.error(client.get("sensors/alice.boiler/data", ("alice", "wrong")), 401)
    client.error(client.get("sensors/alice.public/data", ("alice", "wrong")), 401)
    assert client.get("sensors/alice.boiler/data", writer).status_code == 403


def test_member_of_the_owning_organization_reads_and_writes(client: Client) -> None:
    client.make_sensor("greenhouse", owner="garden", fields=FIELDS)
    path = "sensors/garden.greenhouse/data"
    for caller in ("alice", "bobby"):
        assert client.post(path, caller, {"value": 1, "timestamp": TIME}).status_code == 201
    client.error(client.post(path, "charlie", {"value": 1}), 404)
    assert len(client.get(path, "bobby").json()) == 2
    assert client.delete(f"{path}/{TIME}", "bobby").status_code == 204
    assert client.get(path, "alice").json() == []


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/api/v1/sensors/strict/data", {"GET", "POST", "PUT"}),
        ("DELETE", "/api/v1/sensors/strict/data", {"GET", "POST", "PUT"}),
        ("POST", f"/api/v1/sensors/strict/data/{TIME}", {"DELETE"}),
        ("GET", f"/api/sensors/strict/data/{TIME}", {"DELETE"}),
        ("PATCH", "/api/v2/data", {"POST"}),
        ("GET", "/api/v2/ingest", {"POST"}),
    ],
)
def test_wrong_method_is_told_which_are_right(
    shared: Client, method: str, path: str, allowed: set[str]
) -> None:
    answer = shared.call(method, path, "alice")
    shared.error(answer, 405)
    assert allowed <= set(answer.headers["allow"].split(", "))


# A list in the place of others


def put(client: Client, *readings: Any, base: str = "/api/v1") -> Any:
    return client.put(f"{base}/sensors/boiler/data", "alice", list(readings))


def at(second: int, value: Any, **more: Any) -> dict[str, Any]:
    return {"timestamp": f"2020-01-01T00:00:{second:02d}Z", "value": value, **more}


def test_put_of_one_replaces_exactly_its_instant(boiler: Client) -> None:
    for base in BASES:
        assert put(boiler, at(1, 1), at(2, 2), at(3, 3), base="/api/v1").status_code == 204
        boiler.post("sensors/boiler/data", "alice", at(2, 22))
        assert put(boiler, at(2, "20"), base=base).status_code == 204
        assert values(boiler) == [1, 20, 3]


def test_put_of_several_replaces_all_between_in_version_1_only(boiler: Client) -> None:
    for base in ("/api", "/api/v1"):
        put(boiler, *(at(n, n) for n in range(6)))
        assert put(boiler, at(4, 40), at(1, 10), base=base).status_code == 204
        assert values(boiler) == [0, 10, 40, 5]
    put(boiler, *(at(n, n) for n in range(6)))
    assert put(boiler, at(4, 40), at(1, 10), base="/api/v2").status_code == 204
    assert values(boiler) == [0, 10, 2, 3, 40, 5]


def test_several_readings_of_one_instant_may_be_put(boiler: Client) -> None:
    for base in BASES:
        assert put(boiler, at(1, 1), at(1, 2), at(1, 3), base=base).status_code == 204
        assert values(boiler) == [1, 2, 3]


@pytest.mark.parametrize("base", BASES)
def test_invalid_item_changes_nothing_and_names_its_index(boiler: Client, base: str) -> None:
    put(boiler, at(1, 1))
    bad = (at(1, 5), at(2, "warm"), 7, at(3, 3, timestamp="2999-01-01T00:00Z"))
    error = boiler.error(put(boiler, *bad, base=base), 400)
    assert error["message"] == "Object has validation errors"
    assert set(error["moreInfo"]) == {"1.value", "2.reading", "3.timestamp"}
    assert "expected NUMBER" in error["moreInfo"]["1.value"]
    assert "future" in error["moreInfo"]["3.timestamp"]
    assert values(boiler) == [1]


def test_put_without_a_time_is_of_now_in_version_1_and_refused_in_version_2(
    boiler: Client,
) -> None:
    error = boiler.error(put(boiler, {"value": 1}, base="/api/v2"), 400)
    assert error["moreInfo"] == {"0.timestamp": "is required"}
    assert put(boiler, {"value": 1}).status_code == 204
    assert len(stored(boiler, before=10_000)) == 1


@pytest.mark.parametrize("body", [[], {}, {"value": 1}, 5, "x"])
def test_put_of_anything_but_a_list_is_refused(shared: Client, body: Any) -> None:
    for base in BASES:
        error = shared.error(shared.put(f"{base}/sensors/strict/data", "alice", body), 400)
        assert "JSON list of readings" in error["developerMessage"][0]


def test_list_beyond_the_limit_is_too_large(shared: Client) -> None:
    many = [{"need": n} for n in range(10_001)]
    error = shared.error(shared.put("sensors/strict/data", "alice", many), 413)
    assert "10001 readings are more than 10000" in error["developerMessage"][0]
    assert stored(shared, "strict") == []


# Deletion


def test_delete_takes_every_reading_of_the_instant_and_no_other(boiler: Client) -> None:
    put(boiler, at(1, 1), at(2, 2), at(2, 3), at(3, 4))
    path = "sensors/boiler/data/2020-01-01T00:00:02Z"
    for _ in range(2):  # also when there is none
        answer = boiler.delete(path, "alice")
        assert (answer.status_code, answer.content) == (204, b"")
        assert values(boiler) == [1, 4]
    assert boiler.delete("sensors/boiler/data/1577836803000/", "alice").status_code == 204
    assert values(boiler) == [1]


def test_delete_at_what_is_no_time_says_so(shared: Client) -> None:
    for wrong in ("yesterday", "99999999999999999", "2020-13-01"):
        error = shared.error(shared.delete(f"sensors/strict/data/{wrong}", "alice"), 400)
        assert list(error["moreInfo"]) == ["timestamp"]


def test_fields_declared_later_cast_what_is_stored(boiler: Client) -> None:
    for value in ("5", "warm", 7):
        boiler.post("sensors/boiler/data", "alice", {"later": value})
    field = {"name": "later", "longName": "Later", "type": "NUMBER"}
    assert boiler.put("sensors/boiler/fields/later", "alice", field).status_code == 204
    assert values(boiler, "later") == [5, "warm", 7]
    shown = boiler.get("sensors/boiler/fields/later", "alice").json()
    assert shown["value"] == 7
