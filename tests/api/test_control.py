"""Messages to actuators over HTTP, as clients of long ago send and receive them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest

from tests.api.conftest import PASSWORD, running, settings_for
from wotkit.catalog.models import Member, changed
from wotkit.settings import ControlSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.api.conftest import Client, MakeKey, People
    from wotkit.catalog import Catalog

FORM = "application/x-www-form-urlencoded"
BASES = ["/api", "/api/v1", "/api/v2"]


def subscribe(client: Client, sensor: str = "alice.lamp", caller: Any = "alice") -> int:
    answer = client.call("POST", f"control/sub/{sensor}", caller)
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"subscription"}
    number: int = answer.json()["subscription"]
    return number


def send(client: Client, caller: Any = "alice", sensor: str = "alice.lamp", **pairs: Any) -> None:
    answer = client.post(f"sensors/{sensor}/message", caller, pairs)
    assert (answer.status_code, answer.content) == (200, b"")


def poll(client: Client, number: int, caller: Any = "alice", wait: float = 0) -> Any:
    answer = client.get(f"control/sub/{number}", caller, wait=wait)
    assert answer.status_code == 200, answer.text
    return answer.json()


def pairs_of(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was sent, without what the server adds to every message."""
    return [
        {name: value for name, value in message.items() if name not in {"timestamp", "sensor_id"}}
        for message in messages
    ]


@pytest.fixture
def lamp(client: Client) -> dict[str, Any]:
    """A public actuator of Alice's."""
    return client.make_sensor("lamp", visibility="PUBLIC")


@pytest.fixture
def desk(client: Client) -> dict[str, Any]:
    """A private actuator of Alice's."""
    return client.make_sensor("desk")


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.usefixtures("lamp")
def test_message_reaches_who_subscribed(client: Client, base: str, slash: str) -> None:
    made = client.call("POST", f"{base}/control/sub/lamp{slash}", "alice", content=b"anything")
    number = made.json()["subscription"]
    sent = client.call(
        "POST", f"{base}/sensors/alice.lamp/message{slash}", "charlie", data={"slider": "10"}
    )
    assert (sent.status_code, sent.content) == (200, b"")
    got = client.get(f"{base}/control/sub/{number}{slash}", "alice", wait=10)
    assert pairs_of(got.json()) == [{"slider": "10"}]


def test_message_is_the_pairs_with_time_and_sensor(client: Client, lamp: Any) -> None:
    number = subscribe(client, str(lamp["id"]))
    send(client, slider=10, button="on", list=[1, {"a": None}])
    (message,) = poll(client, number)
    timestamp = message.pop("timestamp")
    assert message == {
        "slider": 10,
        "button": "on",
        "list": [1, {"a": None}],
        "sensor_id": lamp["id"],
    }
    assert timestamp.endswith("Z")
    assert timestamp[:4] >= "2026"


@pytest.mark.parametrize(
    ("request_parts", "pairs"),
    [
        ({"json": {"slider": 10, "on": True}}, {"slider": 10, "on": True}),
        ({"data": {"slider": "10", "empty": ""}}, {"slider": "10", "empty": ""}),
        ({"params": {"slider": "10", "text": "a,b ü"}}, {"slider": "10", "text": "a,b ü"}),
        ({"params": {"a": "1", "b": "2"}, "data": {"b": "3"}}, {"a": "1", "b": "3"}),
        ({"content": b""}, {}),
        ({"content": b'{"x": 1}'}, {"x": 1}),
        ({"params": {"timestamp": "0", "sensor_id": "0", "a": "1"}}, {"a": "1"}),
    ],
    ids=["json", "form", "query", "query and form", "empty", "no type", "names of the server"],
)
@pytest.mark.usefixtures("lamp")
def test_pairs_come_as_json_form_or_query(
    client: Client, request_parts: dict[str, Any], pairs: dict[str, Any]
) -> None:
    number = subscribe(client)
    answer = client.call("POST", "sensors/alice.lamp/message", "charlie", **request_parts)
    assert (answer.status_code, answer.content) == (200, b"")
    assert pairs_of(poll(client, number)) == [pairs]


@pytest.mark.usefixtures("lamp")
def test_each_subscription_gets_every_message_once_and_in_order(client: Client) -> None:
    first, second = subscribe(client), subscribe(client)
    assert first != second
    for number in range(3):
        send(client, number=number)
    expected = [{"number": 0}, {"number": 1}, {"number": 2}]
    assert pairs_of(poll(client, first)) == expected
    assert poll(client, first) == []
    assert pairs_of(poll(client, second)) == expected


@pytest.mark.usefixtures("lamp")
def test_message_sent_before_a_subscription_is_not_for_it(client: Client) -> None:
    send(client, early=1)
    number = subscribe(client)
    send(client, late=1)
    assert pairs_of(poll(client, number)) == [{"late": 1}]


@pytest.mark.usefixtures("lamp")
def test_message_for_another_sensor_stays_there(client: Client, desk: Any) -> None:
    number = subscribe(client)
    send(client, sensor=str(desk["id"]), a=1)
    assert poll(client, number) == []


def together(client: Client, *calls: tuple[float, str, str, dict[str, Any]]) -> list[Any]:
    """Send requests of Alice's at once, each after a delay; return answers and seconds."""

    async def one(delay: float, method: str, path: str, parts: dict[str, Any]) -> Any:
        await asyncio.sleep(delay)
        started = time.monotonic()
        auth = httpx.BasicAuth("alice", PASSWORD)
        answer = await client._http.request(method, f"/api/v1/{path}", auth=auth, **parts)
        return answer, time.monotonic() - started

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*(one(*call) for call in calls))

    found: list[Any] = client.run(all_of_them())
    return found


@pytest.mark.usefixtures("lamp")
def test_waiting_poll_is_answered_when_a_message_comes(client: Client) -> None:
    number = subscribe(client)
    (got, seconds), _ = together(
        client,
        (0, "GET", f"control/sub/{number}", {}),
        (0.3, "POST", "sensors/lamp/message", {"json": {"slider": 1}}),
    )
    assert pairs_of(got.json()) == [{"slider": 1}]
    assert 0.25 < seconds < 5


@pytest.mark.usefixtures("lamp")
def test_poll_ends_empty_when_its_time_is_over(client: Client) -> None:
    number = subscribe(client)
    ((got, seconds),) = together(client, (0, "GET", f"control/sub/{number}?wait=0.5", {}))
    assert got.json() == []
    assert 0.45 < seconds < 5


@pytest.mark.usefixtures("lamp")
def test_of_two_polls_one_gets_the_message(client: Client) -> None:
    number = subscribe(client)
    (one, _), (other, _), _ = together(
        client,
        (0, "GET", f"control/sub/{number}?wait=1.5", {}),
        (0, "GET", f"control/sub/{number}?wait=1.5", {}),
        (0.3, "POST", "sensors/lamp/message", {"json": {"slider": 1}}),
    )
    assert sorted([len(one.json()), len(other.json())]) == [0, 1]


@pytest.mark.usefixtures("lamp")
def test_many_messages_at_once_reach_competing_polls_exactly_once(client: Client) -> None:
    number = subscribe(client)
    polls = [(0.02 * n, "GET", f"control/sub/{number}?wait=1", {}) for n in range(20)]
    sends = [(0.02 * n, "POST", "sensors/lamp/message", {"json": {"number": n}}) for n in range(20)]
    answers = together(client, *polls, *sends)
    got = [m["number"] for answer, _ in answers[:20] for m in answer.json()]
    got += [m["number"] for m in poll(client, number)]
    assert sorted(got) == list(range(20))


@pytest.mark.usefixtures("lamp")
def test_wait_beyond_the_longest_is_the_longest(client: Client) -> None:
    number = subscribe(client)
    send(client, a=1)
    assert pairs_of(poll(client, number, wait=3600)) == [{"a": 1}]


@pytest.mark.parametrize("wait", ["-1", "soon", "nan", "inf"])
@pytest.mark.usefixtures("lamp")
def test_wait_that_is_no_time_is_refused(client: Client, wait: str) -> None:
    answer = client.get(f"control/sub/{subscribe(client)}", "alice", wait=wait)
    assert "wait" in client.error(answer, 400)["moreInfo"]


# Who may do what


@pytest.mark.usefixtures("lamp", "desk")
def test_whoever_sees_a_sensor_may_send_to_it(client: Client) -> None:
    number = subscribe(client)
    for caller in (None, "charlie", "alice"):
        send(client, caller, a=1)
    assert len(poll(client, number)) == 3
    for caller in (None, "charlie"):
        answer = client.post("sensors/alice.desk/message", caller, {"a": 1})
        error = client.error(answer, 404)
        assert error["message"] == "Could not locate this resource."
        assert "alice.desk" in error["developerMessage"][0]
        missing = client.post("sensors/alice.nothing/message", caller, {"a": 1})
        assert client.error(missing, 404)["code"] == error["code"]


def test_only_owners_control_a_sensor_that_says_so(client: Client, people: People) -> None:
    assert people
    client.make_sensor("valve", visibility="PUBLIC", control="owner")
    number = subscribe(client, "valve")
    for caller in (None, "charlie"):
        client.error(client.post("sensors/alice.valve/message", caller, {"a": 1}), 404)
    assert client.get("sensors/alice.valve").json()["control"] == "OWNER"
    send(client, sensor="valve", a=1)
    assert len(poll(client, number)) == 1


def test_control_follows_visibility_until_it_is_chosen(client: Client) -> None:
    def control() -> Any:
        return client.get("sensors/lamp", "alice").json()["control"]

    client.make_sensor("lamp")
    assert control() == "OWNER"
    client.put("sensors/lamp", "alice", {"visibility": "PUBLIC"})
    assert control() == "PUBLIC"
    client.put("sensors/lamp", "alice", {"control": "OWNER"})
    assert control() == "OWNER"
    client.put("sensors/lamp", "alice", {"longName": "Lamp over the door"})
    assert control() == "OWNER"
    client.put("sensors/lamp", "alice", {"control": None})
    assert control() == "PUBLIC"
    error = client.error(client.put("sensors/lamp", "alice", {"control": "EVERYBODY"}), 400)
    assert error["moreInfo"] == {"control": "is invalid: it is neither PUBLIC nor OWNER"}


@pytest.mark.usefixtures("lamp")
def test_subscribing_takes_the_right_to_write(client: Client) -> None:
    error = client.error(client.call("POST", "control/sub/alice.lamp", "charlie"), 404)
    assert "alice.lamp" in error["developerMessage"][0]
    client.error(client.call("POST", "control/sub/alice.lamp"), 401)
    client.error(client.call("POST", "control/sub/alice.nothing", "alice"), 404)


def test_subscription_is_its_creators_alone(
    client: Client, catalog: Catalog, people: People
) -> None:
    client.make_sensor("pump", owner="garden")
    number = subscribe(client, "garden.pump", "bobby")
    send(client, sensor="garden.pump", a=1)
    for caller in ("alice", "charlie"):
        error = client.error(client.get(f"control/sub/{number}", caller, wait=0), 404)
        assert str(number) in error["developerMessage"][0]
        body = {"messages": [1]}
        client.error(client.post(f"control/sub/{number}/ack", caller, body), 404)
    assert len(poll(client, number, "bobby")) == 1
    catalog.write(lambda: changed(Member.delete().where(Member.user == people.bobby.user_id)))
    client.error(client.get(f"control/sub/{number}", "bobby", wait=0), 404)


@pytest.mark.usefixtures("lamp")
@pytest.mark.parametrize(
    "subscription", ["999", "lamp", "-1", "9" * 20, "0" * 20 + "9" * 20, "0" * 5000]
)
def test_unknown_subscription_is_not_there(client: Client, subscription: str) -> None:
    client.error(client.get(f"control/sub/{subscription}", "alice"), 404)
    client.error(client.post(f"control/sub/{subscription}/ack", "alice", {"messages": []}), 404)


CALLS = [
    ("POST", "control/sub/alice.lamp"),
    ("GET", "control/sub/1"),
    ("POST", "control/sub/1/ack"),
    ("GET", "sensors/alice.lamp/message/1"),
]


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.usefixtures("lamp")
def test_private_calls_ask_for_credentials(client: Client, method: str, path: str) -> None:
    answer = client.call(method, path)
    client.error(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize(("method", "path"), [*CALLS, ("POST", "sensors/alice.lamp/message")])
@pytest.mark.usefixtures("lamp")
def test_wrong_credentials_and_keys_without_the_scope_are_refused(
    client: Client, people: People, make_key: MakeKey, method: str, path: str
) -> None:
    client.error(client.call(method, path, ("alice", "wrong")), 401)
    key = make_key(people.alice, scopes=("read", "write", "manage"))
    error = client.error(client.call(method, path, key, json={"messages": []}), 403)
    assert "control" in error["developerMessage"][0]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "sensors/alice.lamp/message", {"POST", "OPTIONS"}),
        ("DELETE", "sensors/alice.lamp/message/1", {"GET", "OPTIONS"}),
        ("DELETE", "control/sub/1", {"GET", "POST", "OPTIONS"}),
        ("GET", "control/sub/1/ack", {"POST", "OPTIONS"}),
    ],
)
def test_wrong_method_is_told_with_the_right_ones(
    client: Client, method: str, path: str, allowed: set[str]
) -> None:
    answer = client.call(method, path, "alice")
    client.error(answer, 405)
    assert set(answer.headers["allow"].split(", ")) == allowed


@pytest.mark.usefixtures("lamp", "desk")
def test_limited_control_key_uses_its_sensors_only(
    client: Client, people: People, make_key: MakeKey
) -> None:
    key = make_key(people.alice, scopes=("control",), sensors=("lamp",))
    number = subscribe(client, "alice.lamp", key)
    send(client, key, a=1)
    assert len(poll(client, number, key)) == 1
    client.error(client.call("POST", "control/sub/alice.desk", key), 404)
    client.error(client.post("sensors/alice.desk/message", key, {"a": 1}), 404)
    other = subscribe(client, "desk")
    client.error(client.get(f"control/sub/{other}", key, wait=0), 404)


# Bad messages


@pytest.mark.parametrize(
    ("parts", "status", "said"),
    [
        ({"json": [1]}, 400, "a JSON object is expected"),
        ({"json": "text"}, 400, "a JSON object is expected"),
        ({"content": b"{nonsense"}, 400, ""),
        ({"content": b'{"a": 1, "a": 2}'}, 400, ""),
        ({"content": b"a=1&a=2", "headers": {"Content-Type": FORM}}, 400, "a name twice"),
        ({"content": b"x", "headers": {"Content-Type": "image/png"}}, 415, "image/png"),
        ({"json": {"a": "x" * 20_000}}, 413, "control.max_message_bytes"),
    ],
)
@pytest.mark.usefixtures("lamp")
def test_message_that_cannot_be_read_is_refused(
    client: Client, parts: dict[str, Any], status: int, said: str
) -> None:
    number = subscribe(client)
    error = client.error(client.call("POST", "sensors/lamp/message", "alice", **parts), status)
    assert said in error["developerMessage"][0]
    assert poll(client, number) == []


@pytest.mark.parametrize("expires", ["soon", "", "0", "-1", "nan", "1e9", "true", "[]"])
@pytest.mark.usefixtures("lamp")
def test_expires_that_is_no_number_of_seconds_is_refused(client: Client, expires: str) -> None:
    answer = client.call("POST", "sensors/lamp/message", "alice", data={"expires": expires})
    error = client.error(answer, 400)
    assert error["message"] == "Object has validation errors"
    assert error["moreInfo"] == {
        "expires": "is invalid: a number of seconds, at most 604800",
    }


# Limits


@pytest.fixture
def strict_client(data: Path, people: People) -> Iterator[Client]:
    """A client of a server with narrow limits and short times."""
    assert people
    limits = ControlSettings(
        subscription_seconds=1,
        redeliver_seconds=0.3,
        max_messages=3,
        max_subscriptions=2,
        max_waiting=1,
    )
    with running(msgspec.structs.replace(settings_for(data), control=limits)) as found:
        found.make_sensor("lamp", visibility="PUBLIC")
        yield found


def test_message_beyond_the_limit_is_refused_and_none_is_lost(strict_client: Client) -> None:
    client = strict_client
    number = subscribe(client)
    for count in range(3):
        send(client, count=count)
    answer = client.post("sensors/lamp/message", "alice", {"count": 3})
    assert client.error(answer, 429)["message"] == "Too many messages wait"
    assert int(answer.headers["retry-after"]) >= 1
    assert pairs_of(poll(client, number)) == [{"count": 0}, {"count": 1}, {"count": 2}]
    send(client, count=4)
    assert pairs_of(poll(client, number)) == [{"count": 4}]


def test_subscription_beyond_the_limit_is_refused(strict_client: Client) -> None:
    client = strict_client
    subscribe(client)
    subscribe(client)
    answer = client.call("POST", "control/sub/lamp", "alice")
    assert client.error(answer, 429)["message"] == "Too many subscriptions"
    assert int(answer.headers["retry-after"]) >= 1


def test_unused_subscription_ends(strict_client: Client) -> None:
    client = strict_client
    number = subscribe(client)
    subscribe(client)
    deadline = time.monotonic() + 1.6
    while time.monotonic() < deadline:
        assert poll(client, number, wait=0.4) == []
    subscribe(client)  # in the place of the one that nobody used
    client.run(asyncio.sleep(1.4))  # the server goes on meanwhile, and notes the last use
    client.error(client.get(f"control/sub/{number}", "alice", wait=0), 404)


def test_poll_beyond_the_limit_is_told_to_come_again(strict_client: Client) -> None:
    client = strict_client
    number = subscribe(client)
    (one, _), (other, _) = together(
        client,
        (0, "GET", f"control/sub/{number}?wait=0.5", {}),
        (0.1, "GET", f"control/sub/{number}?wait=0.5", {}),
    )
    assert one.json() == []
    client.error(other, 503)
    assert int(other.headers["retry-after"]) >= 1
    assert poll(client, number) == []
