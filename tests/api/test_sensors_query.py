"""The list of sensors over HTTP: parameters, pages, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

ATTRIBUTES = {"name", "tags"}


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [sensor["name"] for sensor in answer.json()]


def plant(client: Any) -> Any:
    """Give Alice five public sensors and a private one."""
    for index, name in enumerate(["first", "second", "third", "fourth", "fifth"]):
        client.make_sensor(
            name,
            visibility="PUBLIC",
            tags=[f"Tag{index}", "all"],
            metadata={"position": index},
            latitude=10.0 * index,
        )
    client.make_sensor("hidden")
    return client


@pytest.fixture
def garden(client: Any) -> Any:
    """A client, and Alice's sensors."""
    return plant(client)


@pytest.fixture(scope="module")
def still(shared_client: Any) -> Any:
    """The same for tests that only read."""
    return plant(shared_client)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, "first second third fourth fifth"),
        ({"tags": "TAG1,tag2"}, "second third"),
        ({"tags": "tag1,tag2;tag2"}, "third"),
        ({"owners": "alice,garden"}, "first second third fourth fifth"),
        ({"orgs": "garden"}, ""),
        ({"scope": "all"}, "first second third fourth fifth"),
        ({"scope": "contributed"}, ""),
        ({"visibility": "public"}, "first second third fourth fifth"),
        ({"private": "true"}, ""),
        ({"private": "false", "text": "FI"}, "first fifth"),
        ({"metadata": "position:2"}, "third"),
        ({"metadata": "position:*;position:1"}, "second"),
        ({"location": "25,-1:5,1"}, "second third"),
        ({"near": "20,0,1000"}, "third"),
        ({"active": "false"}, "first second third fourth fifth"),
        ({"active": "true"}, ""),
        ({"offset": "1", "limit": "2"}, "second third"),
        ({"offset": "9"}, ""),
        ({"unknown": "parameter"}, "first second third fourth fifth"),
    ],
)
def test_parameters_filter_the_list(still: Any, params: dict[str, str], expected: str) -> None:
    assert names(still.get("sensors", "charlie", **params)) == expected.split()
    assert names(still.get("sensors", None, **params)) == expected.split()


def test_owner_finds_private_sensors_too(still: Any) -> None:
    assert names(still.get("sensors", "alice", text="hid")) == ["hidden"]
    assert names(still.get("sensors", "alice", visibility="PRIVATE")) == ["hidden"]
    assert len(names(still.get("sensors", "alice", scope="contributed"))) == 6


def test_sensor_is_active_once_it_had_a_reading(garden: Any) -> None:
    reading = {"value": 1, "timestamp": "2020-01-01T00:00:00Z"}
    assert garden.post("sensors/third/data", "alice", reading).status_code == 201
    assert names(garden.get("sensors", active="true")) == ["third"]
    assert names(garden.get("sensors", active="false")) == ["first", "second", "fourth", "fifth"]


def pages(client: Any, path: str) -> list[list[str]]:
    """Follow the links from page to page and return the names on each."""
    found: list[list[str]] = []
    while path:
        answer = client.get(path, "charlie")
        found.append(names(answer))
        path = answer.links.get("next", {}).get("url", "")
    return found


def test_links_lead_through_all_pages(still: Any) -> None:
    assert pages(still, "/api/v1/sensors?limit=2&tags=all&offset=1") == [
        ["second", "third"],
        ["fourth", "fifth"],
    ]
    assert pages(still, "/api/sensors?limit=2&text=i&tags=all,%20x") == [
        ["first", "third"],
        ["fifth"],
    ]
    assert pages(still, "/api/v2/sensors?limit=5") == [
        ["first", "second", "third", "fourth", "fifth"]
    ]


def test_deleted_sensor_makes_no_page_skip_another(garden: Any) -> None:
    answer = garden.get("sensors", "alice", limit=3)
    garden.delete("sensors/first", "alice")
    rest = garden.get(answer.links["next"]["url"], "alice")
    assert names(rest) == ["fourth", "fifth", "hidden"]
    assert "next" not in rest.links


def test_fields_trims_the_answer(garden: Any) -> None:
    answer = garden.get("sensors", fields="name, tags", limit=1)
    assert answer.json() == [{"name": "first", "tags": ["all", "Tag0"]}]
    assert garden.get("sensors", fields="imageUrl,id", text="second").json() == [{"id": 2}]
    whole = garden.get("sensors").json()[0]
    assert garden.get("sensors", fields=",".join(whole)).json()[0] == whole
    assert garden.get("sensors", fields="").json()[0] == whole
    garden.post("sensors/first/data", "alice", {"value": 7})
    (trimmed,) = garden.get("sensors", fields="lastUpdate,fields", limit=1).json()
    assert set(trimmed) == {"lastUpdate", "fields"}
    assert {field.get("value") for field in trimmed["fields"]} == {None, 7}


@pytest.mark.parametrize(
    ("params", "message", "words"),
    [
        ({"metadata": "ke*y:v"}, "Unexpected format for metadata query", "asterisk found in key"),
        ({"metadata": ":v"}, "Unexpected format for metadata query", "empty key"),
        ({"metadata": "a:b:c"}, "Unexpected format for metadata query", "unescaped colon found"),
        ({"metadata": "a:\\b"}, "Unexpected format for metadata query", "Attempted to escape"),
        ({"location": "10,0:20,0"}, "smaller than", "smaller than"),
        ({"location": "100,0:20,0"}, "out of bound", "out of bound"),
        ({"location": "10,0:0,190"}, "out of bound", "out of bound"),
        ({"location": "10,0"}, "The query is invalid", "location"),
        ({"near": "10,0"}, "The query is invalid", "near"),
        ({"near": "100,0,5"}, "out of bound", "out of bound"),
        ({"scope": "mine"}, "The query is invalid", "scope"),
        ({"active": "maybe"}, "The query is invalid", "active"),
        ({"private": "maybe"}, "The query is invalid", "private"),
        ({"limit": "0"}, "The query is invalid", "limit"),
        ({"limit": "ten"}, "The query is invalid", "limit"),
        ({"limit": "1001"}, "The query is invalid", "1000"),
        ({"offset": "-1"}, "The query is invalid", "offset"),
        ({"offset": "9" * 30}, "The query is invalid", "offset"),
        ({"cursor": "xyz"}, "The query is invalid", "cursor"),
        ({"fields": "name,colour"}, "The query is invalid", "colour"),
    ],
)
def test_wrong_parameter_is_refused_in_known_words(
    still: Any, params: dict[str, str], message: str, words: str
) -> None:
    error = still.error(still.get("sensors", None, **params), 400)
    assert message in error["message"]
    assert words in " ".join(error["developerMessage"])
    assert list(error["moreInfo"]) == list(params)


def test_every_wrong_parameter_is_named_at_once(still: Any) -> None:
    error = still.error(still.get("sensors", None, limit="x", offset="y", active="z"), 400)
    assert set(error["moreInfo"]) == {"limit", "offset", "active"}


def test_page_of_a_thousand_is_the_most_and_the_default(client: Any) -> None:
    for start in range(0, 1100, 100):
        many = [
            {"name": f"sensor-{i}", "longName": "Long", "description": "About"}
            for i in range(start, start + 100)
        ]
        assert client.put("sensors", "alice", many).status_code == 201
    answer = client.get("sensors", "alice", fields="id")
    assert len(answer.json()) == 1000
    assert len(client.get(answer.links["next"]["url"], "alice").json()) == 100
    assert len(client.get("sensors", "alice", fields="id", limit=1000).json()) == 1000
