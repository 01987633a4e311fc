"""Tags over HTTP, against a count by hand."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

BASES = ("/api", "/api/v1", "/api/v2")


def plant(client: Any) -> Any:
    """Give Alice, her team and Charlie sensors with tags."""
    client.make_sensor("first", visibility="PUBLIC", tags=["Warm", "indoor"])
    client.make_sensor("second", tags=["warm", "secret"])
    client.make_sensor("third", owner="garden", tags=["outdoor"])
    client.make_sensor("fourth", "charlie", visibility="PUBLIC", tags=["WARM", "Outdoor"])
    return client


@pytest.fixture
def planted(client: Any) -> Any:
    return plant(client)


@pytest.fixture(scope="module")
def still(shared_client: Any) -> Any:
    return plant(shared_client)


def counts(client: Any, who: Any, **params: Any) -> dict[str, int]:
    answer = client.get("tags", who, **params)
    assert answer.status_code == 200, answer.text
    return {tag["name"]: tag["count"] for tag in answer.json()}


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("slash", ["", "/"])
def test_tags_are_counted_for_everybody(still: Any, base: str, slash: str) -> None:
    answer = still.call("GET", f"{base}/tags{slash}")
    newest = still.get("sensors/charlie.fourth").json()["created"]
    assert [(tag["name"], tag["count"]) for tag in answer.json()] == [
        ("indoor", 1),
        ("Outdoor", 1),
        ("WARM", 2),
    ]
    assert {type(tag["lastUsed"]) for tag in answer.json()} == {int}
    assert answer.json()[2]["lastUsed"] % 1000 == int(newest[-4:-1])


def test_everybody_counts_what_it_sees(still: Any) -> None:
    assert counts(still, "alice") == {"indoor": 1, "Outdoor": 2, "secret": 1, "WARM": 3}
    assert counts(still, "bobby") == {"indoor": 1, "Outdoor": 2, "WARM": 2}
    assert counts(still, "charlie") == {"indoor": 1, "Outdoor": 1, "WARM": 2}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"visibility": "public"}, {"indoor": 1, "Outdoor": 1, "WARM": 2}),
        ({"visibility": "Private"}, {"outdoor": 1, "secret": 1, "warm": 1}),
        ({"visibility": "odd"}, {}),
        ({"private": "true"}, {"outdoor": 1, "secret": 1, "warm": 1}),
        ({"scope": "contributed"}, {"indoor": 1, "outdoor": 1, "secret": 1, "warm": 2}),
        ({"scope": "all"}, {"indoor": 1, "Outdoor": 2, "secret": 1, "WARM": 3}),
        ({"tags": "WARM;indoor"}, {"indoor": 1, "Warm": 1}),
        ({"text": "fourth"}, {"Outdoor": 1, "WARM": 1}),
        ({"owners": "garden"}, {"outdoor": 1}),
        ({"active": "true"}, {}),
        ({"near": "0,0,5", "owners": "charlie"}, {"Outdoor": 1, "WARM": 1}),
        ({"offset": "1", "limit": "2"}, {"Outdoor": 2, "secret": 1}),
    ],
)
def test_query_selects_the_sensors(still: Any, params: Any, expected: dict[str, int]) -> None:
    assert counts(still, "alice", **params) == expected


def test_list_comes_in_pages(still: Any) -> None:
    answer = still.get("tags", "alice", limit=3)
    rest = still.get(answer.links["next"]["url"], "alice")
    assert [tag["name"] for tag in answer.json() + rest.json()] == [
        *("indoor", "Outdoor", "secret", "WARM")
    ]
    assert "next" not in rest.links


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"metadata": "a:b:c"}, "Unexpected format for metadata query"),
        ({"location": "0,0:1,1"}, "smaller than"),
        ({"location": "99,0:1,1"}, "out of bound"),
        ({"limit": "1001"}, "The query is invalid"),
        ({"active": "maybe"}, "The query is invalid"),
    ],
)
def test_wrong_query_is_refused_as_for_sensors(still: Any, params: Any, message: str) -> None:
    assert message in still.error(still.get("tags", None, **params), 400)["message"]


def test_limited_key_counts_its_sensors(planted: Any, people: Any, make_key: Any) -> None:
    key = make_key(people.alice, sensors=["second"])
    assert counts(planted, key, visibility="private") == {"secret": 1, "warm": 1}


def by_hand(client: Any, who: str | None) -> dict[str, tuple[int, str]]:
    """Count what the list of sensors shows."""
    found: dict[str, tuple[int, str]] = defaultdict(lambda: (0, ""))
    for sensor in client.get("sensors", who).json():
        for tag in sensor["tags"]:
            count, _ = found[tag.casefold()]
            found[tag.casefold()] = (count + 1, tag)
    return dict(sorted(found.items()))


def test_counts_follow_every_change(planted: Any) -> None:
    def check() -> None:
        for who in ("alice", "bobby", "charlie", None):
            answer = planted.get("tags", who).json()
            shown = {tag["name"].casefold(): (tag["count"], tag["name"]) for tag in answer}
            assert list(shown.items()) == list(by_hand(planted, who).items())

    check()
    planted.put("sensors/second", "alice", {"visibility": "PUBLIC"})
    check()
    planted.put("sensors/fourth", "charlie", {"visibility": "PRIVATE"})
    check()
    planted.put("sensors/first", "alice", {"tags": ["new", "Secret"]})
    check()
    planted.delete("sensors/fourth", "charlie")
    check()
    planted.delete("sensors/second", "alice")
    check()
    planted.delete("sensors/garden.third", "bobby")
    planted.delete("sensors/first", "alice")
    assert planted.get("tags", "alice").json() == []


def test_wrong_credentials_and_methods_are_refused(still: Any) -> None:
    still.error(still.get("tags", ("alice", "wrong password")), 401)
    still.error(still.call("POST", "tags", "alice"), 405)
