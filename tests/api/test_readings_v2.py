"""Readings of one sensor in version 2: the query's three groups, single readings, deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from wotkit import times

if TYPE_CHECKING:
    from tests.api.conftest import Client, MakeKey, People

DATA = "/api/v2/sensors/roof/data"
HIDDEN = "/api/v2/sensors/alice.roof/data"


def at(second: int) -> str:
    return f"2026-01-01T00:00:{second:02d}.000Z"


@pytest.fixture
def roof(client: Client) -> Client:
    """A private sensor with the values 0 to 5, where 2 and 3 share an instant."""
    client.make_sensor("roof")
    for value, second in enumerate([10, 20, 30, 30, 40, 50]):
        assert client.post(
            DATA, "alice", {"timestamp": at(second), "value": value}
        ).status_code == (201)
    return client


def query(client: Client, **params: Any) -> dict[str, Any]:
    answer = client.get(DATA, "alice", **params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def values(client: Client, **params: Any) -> list[int]:
    return [reading["value"] for reading in query(client, **params)["data"]["data"]]


def ids(client: Client) -> list[int]:
    return [reading["id"] for reading in query(client)["data"]["data"]]


def test_answer_has_readings_fields_count_and_what_was_understood(roof: Client) -> None:
    found = query(roof, recent_n=2)
    assert found.keys() == {"numFound", "data", "query"}
    assert found["numFound"] == 2
    assert found["query"] == {"recent_n": 2, "limit": 2}
    newest = found["data"]["data"][-1]
    assert newest == {
        "id": newest["id"],
        "sensor_id": newest["sensor_id"],
        "sensor_name": "alice.roof",
        "timestamp": str(times.parse(at(50)) // 1000),
        "timestamp_iso": at(50),
        "value": 5,
    }
    fields = found["data"]["fields"]
    assert [field["name"] for field in fields] == ["lat", "lng", "value", "message"]
    assert fields[2]["value"] == 5


def test_without_parameters_the_latest_thousand_are_meant(roof: Client) -> None:
    found = query(roof)
    assert found["query"]["recent_n"] == 1000
    assert found["numFound"] == 6
    assert values(roof) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("path", ["/api/v2/sensors/{}/data", "/api/v2/sensors/{}/data/"])
def test_sensor_is_named_by_id_by_owner_and_by_name(roof: Client, path: str) -> None:
    sensor_id = roof.get("sensors/roof", "alice").json()["id"]
    for name in (sensor_id, "alice.roof", "roof"):
        assert roof.get(path.format(name), "alice").json()["numFound"] == 6


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"recent_n": 3}, [3, 4, 5]),
        ({"recent_n": 3, "limit": 2}, [4, 5]),
        ({"limit": 1}, [5]),
        ({"recent_n": 0}, []),
        ({"recent_n": 1 << 62}, [0, 1, 2, 3, 4, 5]),
        ({"recent_t": 1 << 62}, [0, 1, 2, 3, 4, 5]),
        ({"recent_t": 1000}, []),
        ({"start": at(20)}, [2, 3, 4, 5]),
        ({"start": at(20), "start_id": 0}, [1, 2, 3, 4, 5]),
        ({"end": at(30)}, [0, 1, 2, 3]),
        ({"end": at(30), "end_id": 0}, [0, 1]),
        ({"start": at(10), "end": at(40)}, [1, 2, 3, 4]),
        ({"start": at(10), "end": at(50), "limit": 2}, [1, 2]),
        ({"start": at(10), "end": at(50), "limit": 2, "offset": 1}, [2, 3]),
        ({"offset": 4}, [4, 5]),
        ({"offset": (1 << 63) - 1}, []),
        ({"start_id": 0, "limit": 0}, []),
        ({"start": 0, "limit": (1 << 63) - 1}, [0, 1, 2, 3, 4, 5]),
        ({"start": at(30), "end": at(30)}, []),
        ({"start": at(30), "end": at(30), "start_id": 0}, [2, 3]),
    ],
)
def test_groups_select_and_order(roof: Client, params: dict[str, Any], expected: list[int]) -> None:
    assert values(roof, **params) == expected


def test_ids_bound_the_instants_at_the_ends(roof: Client) -> None:
    number = ids(roof)
    assert values(roof, start=at(30), start_id=number[2]) == [3, 4, 5]
    assert values(roof, start=at(30), start_id=number[3]) == [4, 5]
    assert values(roof, end=at(30), end_id=number[2]) == [0, 1, 2]
    assert values(roof, start=at(30), start_id=0, end=at(30), end_id=number[2]) == [2]


def test_id_without_a_time_takes_the_time_of_its_reading(roof: Client) -> None:
    number = ids(roof)
    assert values(roof, start_id=number[2]) == [3, 4, 5]
    assert values(roof, end_id=number[2]) == [0, 1, 2]
    found = query(roof, start_id=number[2], end_id=number[4])
    assert found["query"] == {
        "start": times.parse(at(30)) // 1000,
        "start_id": number[2],
        "end": times.parse(at(40)) // 1000,
        "end_id": number[4],
        "offset": 0,
        "limit": 1000,
    }


def test_id_of_a_reading_of_another_sensor_is_refused(roof: Client) -> None:
    roof.make_sensor("cellar")
    roof.post("/api/v2/sensors/cellar/data", "alice", {"value": 1})
    other = roof.get("/api/v2/sensors/cellar/latest", "alice").json()["id"]
    error = roof.error(roof.get(DATA, "alice", start_id=other), 400)
    assert error["code"] == 1205
    assert error["moreInfo"] == {"start_id": f"is invalid: there is no reading {other}"}


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"recent_t": 1, "recent_n": 1}, {"recent_t", "recent_n"}),
        ({"recent_t": 1, "limit": 1}, {"recent_t", "limit"}),
        ({"recent_t": 1, "start": 0}, {"recent_t", "start"}),
        ({"recent_n": 1, "end": 0}, {"recent_n", "end"}),
        ({"recent_n": 1, "start_id": 0}, {"recent_n", "start_id"}),
        ({"recent_n": 1, "offset": 0}, {"recent_n", "offset"}),
        ({"recent_n": 1, "cursor": "x"}, {"recent_n", "cursor"}),
    ],
)
def test_groups_do_not_mix(roof: Client, params: dict[str, Any], named: set[str]) -> None:
    error = roof.error(roof.get(DATA, "alice", **params), 400)
    assert error["code"] == 1205
    assert error["moreInfo"].keys() == named
    assert "do not go together" in error["developerMessage"][0]


@pytest.mark.parametrize(
    ("params", "more"),
    [
        ({"start": "yesterday"}, {"start": "'yesterday' is neither ISO 8601 nor milliseconds"}),
        ({"start": at(40), "end": at(30)}, {"end": "lies before start"}),
        ({"limit": -1}, {"limit": "is invalid"}),
        ({"recent_n": "many"}, {"recent_n": "is invalid"}),
        ({"format": "xml"}, {"format": "is invalid"}),
        ({"cursor": "nonsense"}, {"cursor": "is invalid: take it from a link"}),
        ({"cursor": "cmVhZGluZzowOjk5OTk5OTk5OTk5OTk5OTk5OTk"}, {"cursor": "is invalid"}),
    ],
)
def test_wrong_parameter_is_named(
    roof: Client, params: dict[str, Any], more: dict[str, str]
) -> None:
    error = roof.error(roof.get(DATA, "alice", **params), 400)
    assert error["moreInfo"].keys() == more.keys()
    for name, why in more.items():
        assert why in error["moreInfo"][name]


def test_cursor_leads_to_every_reading_once_while_some_come_and_go(roof: Client) -> None:
    answer = roof.get(DATA, "alice", start=0, limit=2)
    met = [reading["value"] for reading in answer.json()["data"]["data"]]
    roof.delete(f"{DATA}/{ids(roof)[0]}", "alice")
    roof.post(DATA, "alice", {"timestamp": at(5), "value": 77})
    while "link" in answer.headers:
        assert answer.headers["x-total-truncated"] == "true"
        link = answer.headers["link"].partition(">")[0].removeprefix("<")
        answer = roof.get(link, "alice")
        assert answer.json()["numFound"] == 6
        met += [reading["value"] for reading in answer.json()["data"]["data"]]
    assert met == [0, 1, 2, 3, 4, 5]
    assert "x-total-truncated" not in answer.headers


def test_reading_is_shown_by_its_id(roof: Client) -> None:
    number = ids(roof)[3]
    for path in (f"{DATA}/{number}", f"{HIDDEN}/{number}/"):
        answer = roof.get(path, "alice")
        assert answer.status_code == 200
        assert (answer.json()["id"], answer.json()["value"]) == (number, 3)
        assert answer.json()["timestamp_iso"] == at(30)


@pytest.mark.parametrize("reading", ["999999", "0", "-1", "x", "1e3", str(1 << 64)])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_reading_that_is_not_there_is_404(roof: Client, method: str, reading: str) -> None:
    error = roof.error(roof.call(method, f"{DATA}/{reading}", "alice"), 404)
    assert error["message"] == "Could not locate this resource."
    assert error["developerMessage"] == [reading]


def test_one_reading_of_an_instant_is_deleted_by_its_id(roof: Client) -> None:
    number = ids(roof)[2]
    answer = roof.delete(f"{DATA}/{number}", "alice")
    assert (answer.status_code, answer.content) == (204, b"")
    assert values(roof) == [0, 1, 3, 4, 5]
    roof.error(roof.delete(f"{DATA}/{number}", "alice"), 404)


@pytest.mark.parametrize(
    ("params", "left"),
    [
        ({"start": at(20)}, [0, 1]),
        ({"start": 0}, []),
        ({"start_id": 0}, []),
        ({"end": at(30)}, [4, 5]),
        ({"start": at(10), "end": at(40)}, [0, 5]),
        ({"start": at(10), "limit": 2}, [0, 3, 4, 5]),
        ({"start": at(10), "limit": 1, "offset": 1}, [0, 1, 3, 4, 5]),
        ({"start": at(10), "limit": 0}, [0, 1, 2, 3, 4, 5]),
        ({"start": at(10), "limit": (1 << 63) - 1, "offset": 3}, [0, 1, 2, 3]),
        ({"start": at(50)}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_range_is_deleted_as_a_query_would_answer_it(
    roof: Client, params: dict[str, Any], left: list[int]
) -> None:
    answer = roof.call("DELETE", DATA, "alice", params=params)
    assert (answer.status_code, answer.content) == (204, b"")
    assert values(roof) == left


def test_deletion_between_ids_takes_some_readings_of_an_instant(roof: Client) -> None:
    number = ids(roof)
    roof.call("DELETE", DATA, "alice", params={"start_id": number[2], "end_id": number[4]})
    assert values(roof) == [0, 1, 2, 5]


@pytest.mark.parametrize(
    "params", [{}, {"limit": 5}, {"offset": 1}, {"recent_n": 1}, {"start": 0, "recent_t": 1}]
)
def test_deletion_without_a_bound_or_of_recent_readings_is_refused(
    roof: Client, params: dict[str, Any]
) -> None:
    assert roof.error(roof.call("DELETE", DATA, "alice", params=params), 400)["code"] == 1205
    assert len(values(roof)) == 6


def test_latest_is_the_newest_reading(roof: Client) -> None:
    roof.post(DATA, "alice", {"timestamp": at(1), "value": 9})
    for path in ("/api/v2/sensors/roof/latest", "/api/v2/sensors/alice.roof/latest/"):
        assert roof.get(path, "alice").json()["value"] == 5


def test_sensor_without_readings_has_no_latest(client: Client) -> None:
    client.make_sensor("shed")
    error = client.error(client.get("/api/v2/sensors/shed/latest", "alice"), 404)
    assert error["message"] == "Could not locate this resource."
    assert "shed" in error["developerMessage"][0]
    assert client.get("/api/v2/sensors/shed/data", "alice").json()["numFound"] == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", HIDDEN),
        ("DELETE", f"{HIDDEN}?start=0"),
        ("GET", f"{HIDDEN}/1"),
        ("DELETE", f"{HIDDEN}/1"),
        ("GET", "/api/v2/sensors/alice.roof/latest"),
        ("GET", f"{HIDDEN}?format=csv"),
    ],
)
def test_only_who_may_see_or_write_a_private_sensor_can(
    roof: Client, method: str, path: str
) -> None:
    stranger = roof.error(roof.call(method, path, "charlie"), 404)
    assert stranger["developerMessage"] == ["alice.roof"]
    nobody = roof.call(method, path)
    assert nobody.status_code == (404 if method == "GET" else 401)
    wrong = roof.call(method, path, ("alice", "wrong password"))
    assert wrong.status_code == 401
    assert "www-authenticate" in wrong.headers
    assert len(values(roof)) == 6


def test_stranger_reads_and_never_deletes_a_public_sensor(roof: Client) -> None:
    roof.put("sensors/roof", "alice", {"visibility": "PUBLIC"})
    number = roof.get(HIDDEN).json()["data"]["data"][0]["id"]
    assert roof.get(f"{HIDDEN}/{number}").status_code == 200
    for caller, status in (("charlie", 404), (None, 401)):
        assert roof.delete(f"{HIDDEN}/{number}", caller).status_code == status
        assert roof.delete(f"{HIDDEN}?start=0", caller).status_code == status
    assert len(values(roof)) == 6


def test_key_needs_the_scope_and_the_sensor(
    roof: Client, people: People, make_key: MakeKey
) -> None:
    reader = make_key(people.alice, scopes=["read"])
    assert roof.get(DATA, reader).status_code == 200
    assert roof.error(roof.delete(f"{DATA}?start=0", reader), 403)["code"] == 1302
    writer = make_key(people.alice, scopes=["write"])
    assert roof.error(roof.get(DATA, writer), 403)["code"] == 1302
    roof.make_sensor("cellar")
    limited = make_key(people.alice, sensors=["cellar"])
    assert roof.get(DATA, limited).status_code == 404
    assert roof.delete(f"{DATA}?start=0", limited).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", DATA, {"DELETE", "GET", "OPTIONS", "POST", "PUT"}),
        ("POST", f"{DATA}/1", {"DELETE", "GET", "OPTIONS"}),
        ("DELETE", "/api/v2/sensors/roof/latest", {"GET", "OPTIONS"}),
    ],
)
def test_other_methods_are_refused(roof: Client, method: str, path: str, allowed: set[str]) -> None:
    answer = roof.call(method, path, "alice")
    assert roof.error(answer, 405)["code"] == 1103
    assert set(answer.headers["allow"].split(", ")) == allowed


def test_count_of_matches_goes_beyond_the_answer(client: Client) -> None:
    client.make_sensor("busy")
    many = [{"timestamp": second * 1000, "value": second} for second in range(1, 2501)]
    assert client.put("/api/v2/sensors/busy/data", "alice", many).status_code == 204
    path = "/api/v2/sensors/busy/data"
    for params, count, first, found in (
        ({}, 1000, 1501, 1000),
        ({"recent_n": 2000}, 1000, 1501, 2000),
        ({"recent_t": 1 << 50}, 1000, 1501, 2500),
        ({"start": 0}, 1000, 1, 2500),
        ({"start": 0, "limit": 5000}, 1000, 1, 2500),
        ({"start": 1_000_000, "limit": 10, "offset": 5}, 10, 1006, 1500),
    ):
        answer = client.get(path, "alice", **params)
        readings = answer.json()["data"]["data"]
        assert (len(readings), readings[0]["value"]) == (count, first), params
        assert answer.json()["numFound"] == found, params
        assert (answer.headers.get("x-total-truncated") == "true") == (params != {})


def test_put_replaces_exactly_the_instants_it_names(roof: Client) -> None:
    new = [{"timestamp": at(10), "value": 100}, {"timestamp": at(30), "value": 300}]
    assert roof.put(DATA, "alice", new).status_code == 204
    assert values(roof) == [100, 1, 300, 4, 5]


def test_reading_that_was_read_is_put_back_without_becoming_another(roof: Client) -> None:
    before = query(roof, recent_n=1)["data"]["data"]
    assert roof.put(DATA, "alice", before).status_code == 204
    answer = roof.get(DATA, "alice", recent_n=1)
    assert answer.text.count('"timestamp_iso"') == 1
    (after,) = answer.json()["data"]["data"]
    assert {**after, "id": 0} == {**before[0], "id": 0}
    field = {"name": "timestamp_iso", "longName": "Time", "type": "STRING"}
    path = "sensors/roof/fields/timestamp_iso"
    assert "part of every reading" in str(roof.error(roof.put(path, "alice", field), 400))


@pytest.mark.parametrize("last", [False, True])
def test_next_page_comes_also_when_the_reading_that_bounds_the_query_was_deleted(
    roof: Client, *, last: bool
) -> None:
    numbers = ids(roof)
    bounds = {"start_id": numbers[1]} | ({"end_id": numbers[4]} if last else {})
    first = roof.get(DATA, "alice", **bounds, limit=1)
    assert [one["value"] for one in first.json()["data"]["data"]] == [2]
    for number in (numbers[1], numbers[4]):
        assert roof.delete(f"{DATA}/{number}", "alice").status_code == 204
    found, link = [], first.links["next"]["url"]
    while link is not None:
        answer = roof.get(link, "alice")
        assert answer.status_code == 200, answer.text
        found += [one["value"] for one in answer.json()["data"]["data"]]
        link = answer.links.get("next", {}).get("url")
    assert found == ([3] if last else [3, 5])


@pytest.mark.parametrize("other", ["recent_t", "recent_n", "cursor"])
def test_deletion_refuses_a_parameter_that_would_not_narrow_it(roof: Client, other: str) -> None:
    link = roof.get(DATA, "alice", start=0, limit=4).links["next"]["url"]
    path = link if other == "cursor" else f"{DATA}?start=0&{other}=1"
    error = roof.error(roof.delete(path, "alice"), 400)
    assert error["moreInfo"] == {other: "is not for deletion"}
    assert values(roof) == [0, 1, 2, 3, 4, 5]
