"""``POST /api/v2/ingest``: a gateway's stream is stored once, whatever is sent again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx
    from conftest import Client, MakeKey, People

PATH = "/api/v2/ingest"


@pytest.fixture
def boiler(client: Client) -> Client:
    client.make_sensor("boiler", fields=[{"name": "value", "type": "NUMBER"}])
    return client


def item(seq: int, value: Any = None, sensor: Any = "boiler") -> dict[str, Any]:
    stamp = f"2020-01-01T00:00:{seq % 60:02d}Z"
    return {
        "seq": seq,
        "sensor": sensor,
        "timestamp": stamp,
        "value": seq if value is None else value,
    }


def send(client: Client, *items: Any, stream: Any = "gw", caller: Any = "alice") -> httpx.Response:
    return client.post(PATH, caller, {"stream": stream, "readings": list(items)})


def sent(client: Client, *items: Any, **more: Any) -> tuple[int, list[int]]:
    """Send a batch; return how far the stream is, and which numbers were rejected."""
    answer = send(client, *items, **more)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == {"acked_through", "rejected"}
    return body["acked_through"], [rejected["seq"] for rejected in body["rejected"]]


def values(client: Client, sensor: str = "boiler") -> list[Any]:
    found = client.get(f"sensors/{sensor}/data", "alice").json()
    assert all("seq" not in reading and "sensor" not in reading for reading in found)
    return [reading["value"] for reading in found]


def test_batch_is_acknowledged_and_its_duplicates_are_dropped(boiler: Client) -> None:
    assert sent(boiler, item(1), item(2)) == (2, [])
    assert sent(boiler, item(1), item(2)) == (2, [])
    assert sent(boiler, item(2), item(3)) == (3, [])
    assert values(boiler) == [1, 2, 3]


def test_doubt_about_the_time_is_kept_with_the_reading(boiler: Client) -> None:
    assert sent(boiler, item(1) | {"time_quality": "unsynced"}, item(2)) == (2, [])
    readings = boiler.get("sensors/boiler/data", "alice").json()
    assert [reading.get("time_quality") for reading in readings] == ["unsynced", None]


def test_gap_is_the_gateways_own(boiler: Client) -> None:
    assert sent(boiler, item(5), item(9)) == (9, [])
    assert sent(boiler, item(6)) == (9, [])
    assert values(boiler) == [5, 9]


def test_empty_batch_asks_for_the_position(boiler: Client) -> None:
    assert sent(boiler) == (0, [])
    sent(boiler, item(7))
    assert sent(boiler) == (7, [])
    assert sent(boiler, stream="another") == (0, [])


def test_rejected_items_say_why_and_are_said_again(boiler: Client) -> None:
    batch = (
        item(1),
        item(2, "warm"),
        item(3, sensor="nowhere"),
        item(4, sensor=None),
        item(5) | {"timestamp": "2999-01-01T00:00:00Z"},
        item(6),
    )
    for _ in range(2):
        answer = send(boiler, *batch).json()
        assert answer["acked_through"] == 6
        said = {r["seq"]: (r["code"], r["message"]) for r in answer["rejected"]}
        assert {seq: code for seq, (code, _) in said.items()} == {
            2: 1201,
            3: 1101,
            4: 1201,
            5: 1201,
        }
        assert "expected NUMBER" in said[2][1]
        assert "Could not locate this resource" in said[3][1]
        assert "nowhere" in said[3][1]
        assert "future" in said[5][1]
    assert values(boiler) == [1, 6]


def test_rejected_number_is_stored_when_it_comes_again_and_is_right(boiler: Client) -> None:
    batch = [item(1), item(2, sensor="cellar"), item(3)]
    assert sent(boiler, *batch) == (3, [2])
    assert sent(boiler) == (3, [])  # to ask changes nothing
    boiler.make_sensor("cellar")
    for _ in range(2):
        assert sent(boiler, *batch) == (3, [])
    assert (values(boiler), values(boiler, "cellar")) == ([1, 3], [2])


def test_stream_belongs_to_the_user_and_not_to_the_key(
    boiler: Client, people: People, make_key: MakeKey
) -> None:
    boiler.make_sensor("kettle", caller="charlie")
    assert sent(boiler, item(1), item(2)) == (2, [])
    key = make_key(people.alice, scopes=["write"])
    assert sent(boiler, item(2), item(3), caller=key) == (3, [])
    assert sent(boiler, caller="charlie") == (0, [])
    assert sent(boiler, item(1, sensor="kettle"), caller="charlie") == (1, [])
    assert sent(boiler) == (3, [])
    assert values(boiler) == [1, 2, 3]


def test_sensor_of_another_is_rejected_as_if_not_there(boiler: Client) -> None:
    assert sent(boiler, item(1, sensor="alice.boiler"), caller="charlie") == (1, [1])
    assert values(boiler) == []


def test_ingest_needs_credentials_that_write(
    boiler: Client, people: People, make_key: MakeKey
) -> None:
    boiler.error(send(boiler, item(1), caller=None), 401)
    boiler.error(send(boiler, caller=None), 401)
    boiler.error(send(boiler, item(1), caller=("alice", "wrong")), 401)
    boiler.error(send(boiler, item(1), caller=make_key(people.alice, scopes=["read"])), 403)
    assert sent(boiler) == (0, [])


@pytest.mark.parametrize("seq", [0, -1, 1.5, "1", True, None, 1 << 63])
def test_number_that_is_none_refuses_the_batch(boiler: Client, seq: Any) -> None:
    error = boiler.error(send(boiler, item(1), item(2) | {"seq": seq}), 400)
    assert error["message"] == "Object has validation errors"
    assert error["moreInfo"] == {"1.seq": "must be a whole number greater than 1"}
    assert sent(boiler) == (0, [])


@pytest.mark.parametrize("second", [1, 2])
def test_numbers_that_do_not_rise_refuse_the_batch(boiler: Client, second: int) -> None:
    error = boiler.error(send(boiler, item(2), item(second)), 400)
    assert list(error["moreInfo"]) == ["1.seq"]
    assert values(boiler) == []


def test_highest_number_is_taken(boiler: Client) -> None:
    highest = (1 << 63) - 1
    assert sent(boiler, item(highest)) == (highest, [])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"readings": []}, "stream"),
        ({"stream": "gw"}, "readings"),
        ({"stream": "", "readings": []}, "stream"),
        ({"stream": "a b", "readings": []}, "stream"),
        ({"stream": "x" * 129, "readings": []}, "stream"),
        ({"stream": "gw", "readings": {}}, "readings"),
        ({"stream": "gw", "readings": [5]}, "readings"),
    ],
)
def test_malformed_batch_names_what_is_wrong(shared_client: Client, body: Any, field: str) -> None:
    error = shared_client.error(shared_client.post(PATH, "alice", body), 400)
    assert list(error["moreInfo"]) == [field]


def test_batch_that_is_no_object_is_refused(shared_client: Client) -> None:
    for body in ([], 5, "gw"):
        shared_client.error(shared_client.post(PATH, "alice", body), 400)


def test_batch_beyond_the_limit_is_too_large(shared_client: Client) -> None:
    many = [{"seq": n, "sensor": "x"} for n in range(1, 10_002)]
    shared_client.error(send(shared_client, *many), 413)


def test_gateway_that_forgets_answers_stores_each_reading_once(boiler: Client) -> None:
    rnd = random.Random(7)
    acked, last = 0, 60
    while acked < last:
        first = rnd.randint(max(1, acked - 10), acked + 1)  # again, or just what follows
        through = min(last, first + rnd.randint(0, 12))
        if through > acked or rnd.random() < 0.5:
            reached, rejected = sent(boiler, *(item(seq) for seq in range(first, through + 1)))
            assert (reached, rejected) == (max(acked, through), [])
            acked = reached
    assert sorted(values(boiler)) == list(range(1, last + 1))
