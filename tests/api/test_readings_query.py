"""Range queries of readings over HTTP, against a model and page by page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.api.conftest import running
from wotkit import times
from wotkit.settings import QuerySettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Client

START = 1_577_836_800_000  # 2020-01-01, in milliseconds
HOUR = 3_600_000
MICROS = [
    *(START * 1000 + second * 1_000_000 for second in range(10)),
    *(START * 1000 + 4_000_000 for _ in range(7)),  # many on one instant
    START * 1000 + 4_000_001,  # and right beside it
    START * 1000 + 4_000_999,
    START * 1000 + 3_999_999,
]
NUMBERS = sorted(range(len(MICROS)), key=lambda n: (MICROS[n], n))
"""The readings, each known by its number, in the order of an answer."""


@pytest.fixture(scope="module")
def readings(shared_client: Client) -> Client:
    """A client, and Alice's sensor ``series`` with readings numbered as in :data:`MICROS`."""
    shared_client.make_sensor("series", fields=[{"name": "n", "type": "NUMBER"}])
    shared_client.make_sensor("empty")
    for n, micros in enumerate(MICROS):
        body = {"n": n, "timestamp": times.to_iso(micros)}
        assert shared_client.post("sensors/series/data", "alice", body).status_code == 201
    return shared_client


def query(client: Client, base: str = "/api/v1", **params: Any) -> list[int]:
    answer = client.get(f"{base}/sensors/series/data", "alice", **params)
    assert answer.status_code == 200, answer.text
    return [reading["n"] for reading in answer.json()]


def expected(params: dict[str, Any]) -> list[int]:
    """Say what a query answers: first which readings, then their order, then the page."""
    found = NUMBERS
    start = params.get("start")
    if "before" in params:
        found = [n for n in found if start - params["before"] < MICROS[n] / 1000 <= start]
    elif "beforeE" in params:
        found = [n for n in found if MICROS[n] / 1000 <= start]
        found = found[max(0, len(found) - params["beforeE"]) :]
    elif start is not None:
        found = [n for n in found if MICROS[n] / 1000 > start]
    if "end" in params:
        found = [n for n in found if MICROS[n] / 1000 <= params["end"]]
    if "after" in params:
        found = [n for n in found if MICROS[n] / 1000 <= start + params["after"]]
    if "afterE" in params:
        found = found[: params["afterE"]]
    if params.get("reverse"):
        found = found[::-1]
    offset = params.get("offset", 0)
    return found[offset : offset + params.get("limit", 1000)]


millis = st.integers(-1, 10).map(lambda second: START + second * 1000) | st.sampled_from(
    [START + 3999, START + 4001]
)
spans = st.sampled_from([0, 1, 999, 1000, 1001, 5000, HOUR])
few = st.integers(0, 25)
with_start = {"start": millis}
bounds = st.one_of(
    st.fixed_dictionaries(with_start),
    st.fixed_dictionaries({"end": millis}),
    st.tuples(millis, millis).map(lambda two: {"start": min(two), "end": max(two)}),
    st.fixed_dictionaries({**with_start, "after": spans}),
    st.fixed_dictionaries({**with_start, "before": spans}),
    st.fixed_dictionaries({**with_start, "afterE": few}),
    st.fixed_dictionaries({**with_start, "beforeE": few}),
)
pages = st.fixed_dictionaries({}, optional={"offset": few, "limit": few, "reverse": st.booleans()})


@settings(max_examples=150, deadline=None)
@given(bounds, pages)
def test_range_query_answers_what_a_scan_would(
    readings: Client, bound: dict[str, Any], page: dict[str, Any]
) -> None:
    params = bound | page
    sent = {name: str(v).lower() if isinstance(v, bool) else v for name, v in params.items()}
    assert query(readings, **sent) == expected(params)


@settings(max_examples=40, deadline=None)
@given(bounds | st.just({}), st.integers(1, 9), st.booleans())
def test_links_lead_through_every_reading_once(
    readings: Client, bound: dict[str, Any], limit: int, reverse: bool
) -> None:
    params: dict[str, Any] = {**bound, "limit": limit, "reverse": str(reverse).lower()}
    whole = expected({**bound, "reverse": reverse})
    found: list[list[int]] = []
    path: str | None = "/api/v1/sensors/series/data"
    while path is not None:
        answer = readings.get(path, "alice", **params)
        found.append([reading["n"] for reading in answer.json()])
        link = answer.headers.get("link")
        assert (link is None) == ("x-total-truncated" not in answer.headers)
        path, params = (None, {}) if link is None else (_next(link), {})
        assert len(found) < 30
    assert all(len(page) == limit for page in found[:-1])
    if not bound and not reverse:
        found.reverse()  # the latest page comes first, each oldest first
    assert [n for page in found for n in page] == whole


def _next(link: str) -> str:
    match = re.fullmatch(r'<([^>]+)>; rel="next"', link)
    assert match, link
    return match[1]


def test_without_parameters_the_latest_come_oldest_first(readings: Client) -> None:
    assert query(readings) == NUMBERS
    assert query(readings, limit=3) == NUMBERS[-3:]
    assert query(readings, limit=3, reverse="true") == NUMBERS[-3:][::-1]
    assert query(readings, limit=0) == []
    assert readings.get("sensors/empty/data", "alice").json() == []


@pytest.mark.parametrize("base", ["/api", "/api/v1"])
@pytest.mark.parametrize(
    "start",
    [
        "2020-01-01T00:00:05Z",
        "2020-01-01T00:00:05.000z",
        "2020-01-01T0:00:05Z",
        "2020-01-01T02:00:05+02:00",
        str(START + 5000),
    ],
)
def test_start_takes_every_form_of_a_time(readings: Client, base: str, start: str) -> None:
    assert query(readings, base, start=start) == [6, 7, 8, 9]
    assert query(readings, base, start=start, end=START + 7000) == [6, 7]


def test_microseconds_bound_exactly(readings: Client) -> None:
    inside = query(readings, start="2020-01-01T00:00:03.999999Z", end="2020-01-01T00:00:04.000001Z")
    assert inside == [4, *range(10, 17), 17]


def test_last_of_a_parameter_given_twice_counts(readings: Client) -> None:
    path = f"/api/v1/sensors/series/data?limit=5&limit=2&start={START}"
    assert len(readings.get(path, "alice").json()) == 2


def test_limit_that_is_given_holds_also_where_readings_are_counted(client: Client) -> None:
    client.make_sensor("series", fields=[{"name": "n", "type": "NUMBER"}])
    many = [{"timestamp": START + n, "n": n} for n in range(1100)]
    assert client.put("sensors/series/data", "alice", many).status_code == 204
    assert len(query(client, start=0, afterE=1050)) == 1050
    assert query(client, start=0, afterE=1050, limit=1000) == list(range(1000))
    assert query(client, beforeE=1050, limit=1000) == list(range(50, 1050))
    assert query(client, start=0) == list(range(1000))


@pytest.mark.parametrize("name", ["before", "beforeE"])
def test_pages_before_now_are_of_the_same_range(client: Client, name: str) -> None:
    client.make_sensor("series", fields=[{"name": "n", "type": "NUMBER"}])
    for n in range(5):
        client.post("sensors/series/data", "alice", {"n": n})
    asked = {name: 5 if name == "beforeE" else HOUR, "limit": 2}
    answer = client.get("sensors/series/data", "alice", **asked)
    first = [reading["n"] for reading in answer.json()]
    client.post("sensors/series/data", "alice", {"n": 99})  # arrives between the pages
    second = client.get(_next(answer.headers["link"]), "alice")
    assert [first, [reading["n"] for reading in second.json()]] == [[0, 1], [2, 3]]


WRONG = [
    ({"after": 5}, ["after"], "after without start makes no sense"),
    ({"afterE": 5}, ["afterE"], "afterE without start makes no sense"),
    ({"start": START, "before": 5, "after": 5}, ["after", "before"], "do not go together"),
    ({"end": START, "beforeE": 5}, ["end", "beforeE"], "do not go together"),
    ({"start": START, "end": START - 1}, ["end"], "end lies before start"),
    ({"start": "yesterday"}, ["start"], "neither ISO 8601"),
    ({"start": START, "end": "2020-02-30"}, ["end"], "is not a time"),
    ({"start": "9" * 17}, ["start"], "outside the years"),
    ({"start": START, "after": -1}, ["after"], "is invalid"),
    ({"beforeE": "many"}, ["beforeE"], "is invalid"),
    ({"limit": -1}, ["limit"], "is invalid"),
    ({"limit": 10**20}, ["limit"], "is invalid"),
    ({"offset": 10**20}, ["offset"], "is invalid"),
    ({"offset": "1.5"}, ["offset"], "is invalid"),
    ({"reverse": "perhaps"}, ["reverse"], "is invalid"),
]


@pytest.mark.parametrize("base", ["/api", "/api/v1"])
@pytest.mark.parametrize(("params", "names", "words"), WRONG)
def test_query_that_makes_no_sense_says_so(
    readings: Client, base: str, params: dict[str, Any], names: list[str], words: str
) -> None:
    answer = readings.get(f"{base}/sensors/series/data", "alice", **params)
    error = readings.error(answer, 400)
    assert (error["code"], error["message"]) == (1205, "The query is invalid")
    assert sorted(error["moreInfo"]) == sorted(names)
    assert any(words in line for line in error["developerMessage"]), error


def test_bounds_beyond_all_time_are_taken(readings: Client) -> None:
    huge = (1 << 63) - 1
    assert query(readings, start=START - 1, after=huge) == NUMBERS
    assert query(readings, start=START + HOUR, before=huge) == NUMBERS
    assert query(readings, start="0001-01-01", afterE=huge) == NUMBERS
    assert query(readings, offset=huge) == []


@pytest.fixture
def limited(settings: Any, people: Any) -> Iterator[Client]:
    """A client of a server that answers five readings at most."""
    assert people
    with running(msgspec.structs.replace(settings, query=QuerySettings(max_readings=5))) as found:
        yield found


def test_more_than_the_server_answers_is_truncated_and_says_so(limited: Client) -> None:
    limited.make_sensor("series", fields=[{"name": "n", "type": "NUMBER"}])
    body = [{"n": n, "timestamp": START + n} for n in range(12)]
    limited.put("sensors/series/data", "alice", body)
    for params in ({"limit": 50}, {}, {"afterE": 5000}, {"afterE": 8}):
        answer = limited.get("sensors/series/data", "alice", start=START - 1, **params)
        assert [reading["n"] for reading in answer.json()] == [0, 1, 2, 3, 4]
        assert answer.headers["x-total-truncated"] == "true"
    counted = limited.get(_next(answer.headers["link"]), "alice")
    assert [reading["n"] for reading in counted.json()] == [5, 6, 7]
    assert "link" not in counted.headers
