"""Readings of version 2 as CSV and as lines of JSON, of any size."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from wotkit.readings import query

if TYPE_CHECKING:
    import httpx

    from tests.api.conftest import Client

DATA = "/api/v2/sensors/roof/data"
COUNT = 2500


@pytest.fixture(scope="module")
def roof(shared_client: Client) -> Client:
    """A sensor with 2 500 readings, more than JSON answers at once; many share an instant."""
    shared_client.make_sensor("roof")
    readings = [{"timestamp": 1000 * (n // 3 + 1), "value": n} for n in range(COUNT)]
    readings[0] |= {"message": 'say "a, b"\nand\u00e9', "extra": [1, {"a": None}], "none": None}
    assert shared_client.put(DATA, "alice", readings).status_code == 204
    return shared_client


def get(client: Client, **params: Any) -> httpx.Response:
    answer = client.get(DATA, "alice", **params)
    assert answer.status_code == 200, answer.text
    return answer


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def rows(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.headers["content-type"].partition(";")[0] == "text/csv"
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_every_reading_comes_once_and_oldest_first(
    roof: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "PAGE_ROWS", 100)
    for found in (
        lines(get(roof, start=0, format="ndjson")),
        rows(get(roof, start=0, format="csv")),
    ):
        assert [int(reading["value"]) for reading in found] == list(range(COUNT))


def test_line_is_the_reading_as_in_a_json_answer(roof: Client) -> None:
    for params in ({"recent_n": 10}, {"start": 0, "limit": 1}):
        expected = get(roof, **params).json()["data"]["data"]
        assert lines(get(roof, format="ndjson", **params)) == expected


def test_table_has_declared_fields_first_and_then_all_others(roof: Client) -> None:
    answer = get(roof, start=0, limit=2, format="csv")
    first, second = rows(answer)
    assert answer.text.startswith(
        "timestamp,id,sensor_id,sensor_name,lat,lng,value,message,extra\r\n"
    )
    assert first["timestamp"] == "1970-01-01T00:00:01.000Z"
    assert first["sensor_name"] == "alice.roof"
    assert (first["value"], first["message"]) == ("0", 'say "a, b"\nand\u00e9')
    assert json.loads(first["extra"]) == [1, {"a": None}]
    assert (first["lat"], second["message"], second["extra"]) == ("", "", "")
    assert answer.headers["content-disposition"] == 'attachment; filename="alice.roof.csv"'


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, range(1500, 2500)),
        ({"recent_n": 2000}, range(500, 2500)),
        ({"recent_n": 5000}, range(2500)),
        ({"recent_n": 0}, range(0)),
        ({"recent_n": 2000, "limit": 3}, range(2497, 2500)),
        ({"recent_t": 1 << 50}, range(2500)),
        ({"start": 0, "limit": 2000, "offset": 100}, range(100, 2100)),
        ({"start": 1000, "end": 3000}, range(3, 9)),
        ({"end": 0}, range(0)),
    ],
)
def test_export_selects_as_json_does_without_its_limit(
    roof: Client, params: dict[str, Any], expected: range
) -> None:
    found = lines(get(roof, format="ndjson", **params))
    assert [reading["value"] for reading in found] == list(expected)


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("text/csv", "text/csv"),
        ("application/x-ndjson", "application/x-ndjson"),
        ("application/ndjson", "application/x-ndjson"),
        ("text/csv;q=0.5, application/json", "application/json"),
        ("text/html,*/*;q=0.8", "application/json"),
        ("image/png", "application/json"),
        ("*/*", "application/json"),
    ],
)
def test_accept_chooses_the_form(roof: Client, accept: str, media: str) -> None:
    answer = roof.call("GET", f"{DATA}?recent_n=1", "alice", headers={"Accept": accept})
    assert answer.headers["content-type"].partition(";")[0] == media
    assert answer.headers["vary"] == "Accept"


def test_format_wins_over_accept(roof: Client) -> None:
    path = f"{DATA}?recent_n=1&format=json"
    answer = roof.call("GET", path, "alice", headers={"Accept": "text/csv"})
    assert answer.json()["numFound"] == 1


def test_sensor_without_readings_exports_nothing_but_the_head(shared_client: Client) -> None:
    shared_client.make_sensor("shed")
    path = "/api/v2/sensors/shed/data"
    assert shared_client.get(path, "alice", format="ndjson").content == b""
    text = shared_client.get(path, "alice", format="csv", start=0).text
    assert text == "timestamp,id,sensor_id,sensor_name,lat,lng,value,message\r\n"


def test_wrong_query_is_answered_before_the_export_begins(roof: Client) -> None:
    error = roof.error(roof.get(DATA, "alice", start_id=10**12, format="csv"), 400)
    assert "start_id" in error["moreInfo"]


def test_export_ends_where_the_newest_reading_was_and_stops_when_nobody_reads(
    shared_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "PAGE_ROWS", 1)
    shared_client.make_sensor("busy")
    path = "/api/v2/sensors/busy/data"
    old = [{"timestamp": 1000 * n, "value": n} for n in range(1, 21)]
    assert shared_client.put(path, "alice", old).status_code == 204

    async def export(*, leave: bool) -> int:
        """Return how many lines come, while a reading is added behind each."""
        sent: list[bytes] = []
        gone = asyncio.Event()

        events = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict[str, Any]:
            if events:
                return events.pop()
            if leave:
                await gone.wait()
                return {"type": "http.disconnect"}
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            if message.get("body"):
                sent.append(message["body"])
                new = {"timestamp": 10**6 + len(sent), "value": 1}
                auth = ("alice", "correct horse battery")
                await shared_client._http.post(path, json=new, auth=auth)
            if len(sent) == 3:
                gone.set()
                await asyncio.sleep(0)

        transport: Any = shared_client._http._transport
        header = shared_client._http.build_request("GET", "/").headers
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "path": path,
            "query_string": b"format=ndjson&start=0",
            "headers": [
                (b"host", header["host"].encode()),
                (b"authorization", b"Basic YWxpY2U6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5"),
            ],
            "client": ("192.0.2.7", 4711),
        }
        await transport.app(scope, receive, send)
        return sum(part.count(b"\n") for part in sent)

    assert shared_client.run(export(leave=False)) == 20
    assert shared_client.run(export(leave=True)) < 10
