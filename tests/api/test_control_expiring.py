"""Messages that expire: delivered until they are acknowledged, and their sender may ask."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.api.conftest import running, settings_for
from wotkit.settings import ControlSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.api.conftest import Client, People

BASES = ["/api", "/api/v1", "/api/v2"]
REDELIVER = 0.4


@pytest.fixture
def client(data: Path, people: People) -> Iterator[Client]:
    """A client of a server that soon delivers again, with Alice's public lamp."""
    assert people
    control = ControlSettings(redeliver_seconds=REDELIVER, max_messages=3)
    settings = msgspec.structs.replace(settings_for(data), control=control)
    with running(settings) as found:
        found.make_sensor("lamp", visibility="PUBLIC")
        yield found


def subscribe(client: Client) -> int:
    number: int = client.call("POST", "control/sub/lamp", "alice").json()["subscription"]
    return number


def send(client: Client, caller: Any = "alice", **pairs: Any) -> str:
    """Send a message and return where it tells what became of it."""
    answer = client.post("sensors/alice.lamp/message", caller, pairs)
    assert (answer.status_code, answer.content) == (200, b"")
    location: str = answer.headers["location"]
    return location


def poll(client: Client, number: int, wait: float = 0) -> Any:
    return client.get(f"control/sub/{number}", "alice", wait=wait).json()


def acknowledge(client: Client, number: int, *messages: Any) -> Any:
    answer = client.post(f"control/sub/{number}/ack", "alice", {"messages": list(messages)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def progress(client: Client, location: str, caller: Any = "alice") -> Any:
    answer = client.get(location, caller)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_message_is_delivered_again_until_it_is_acknowledged(client: Client) -> None:
    number = subscribe(client)
    send(client, expires=60, slider=1)
    (first,) = poll(client, number)
    assert first["slider"] == 1
    assert first.keys() == {"slider", "timestamp", "sensor_id", "id", "expires"}
    assert first["expires"] > first["timestamp"]
    assert poll(client, number) == [], "not at once again"
    started = time.monotonic()
    assert poll(client, number, wait=5) == [first], "a poll that waits gets it when it is due"
    assert time.monotonic() - started < 3
    assert acknowledge(client, number, first["id"]) == {"acknowledged": [first["id"]]}
    time.sleep(REDELIVER + 0.1)
    assert poll(client, number) == []


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("slash", ["", "/"])
def test_acknowledging_and_asking_answer_everywhere(client: Client, base: str, slash: str) -> None:
    number = subscribe(client)
    sent = client.post(f"{base}/sensors/lamp/message{slash}", "alice", {"expires": 60})
    location = sent.headers["location"]
    assert location.startswith(f"{base}/sensors/lamp/message/")
    (message,) = poll(client, number)
    body = {"messages": [message["id"]]}
    answer = client.post(f"{base}/control/sub/{number}/ack{slash}", "alice", body)
    assert answer.json() == {"acknowledged": [message["id"]]}
    assert progress(client, location + slash)["status"] == "ACKNOWLEDGED"


def test_sender_sees_what_became_of_a_message(client: Client) -> None:
    location = send(client, "charlie", expires=60, slider=1)
    waiting = progress(client, location, "charlie")
    assert waiting.keys() == {"id", "sensor_id", "timestamp", "expires", "status"}
    assert waiting["status"] == "WAITING"
    assert location.endswith(f"/message/{waiting['id']}")
    number = subscribe(client)
    (message,) = poll(client, number)
    delivered = progress(client, location, "charlie")
    assert delivered["status"] == "DELIVERED"
    assert delivered["delivered"] >= delivered["timestamp"]
    assert "acknowledged" not in delivered
    acknowledge(client, number, message["id"])
    done = progress(client, location, "charlie")
    assert done["status"] == "ACKNOWLEDGED"
    assert done["acknowledged"] >= done["delivered"]


def test_only_its_sender_may_ask_for_a_message(client: Client) -> None:
    location = send(client, "charlie", expires=60)
    for caller in ("alice", "bobby"):
        error = client.error(client.get(location, caller), 404)
        assert error["message"] == "Could not locate this resource."
        assert error["developerMessage"] == [location.rpartition("/")[2]]
    client.error(client.get(location), 401)
    nobodys = send(client, None, expires=60)
    for caller in ("alice", "charlie"):
        client.error(client.get(nobodys, caller), 404)
    client.error(client.get(location.rpartition("/")[0] + "/none", "charlie"), 404)


def test_message_of_another_sensor_is_not_found_under_this_one(client: Client) -> None:
    client.make_sensor("desk")
    location = send(client, expires=60)
    assert progress(client, location)["status"] == "WAITING"
    client.error(client.get(location.replace("alice.lamp", "desk"), "alice"), 404)


def test_plain_message_cannot_be_asked_for(client: Client) -> None:
    subscribe(client)
    answer = client.post("sensors/lamp/message", "alice", {"a": 1})
    assert "location" not in answer.headers
    client.error(client.get("sensors/lamp/message/1", "alice"), 404)


def test_expired_message_is_never_delivered(client: Client) -> None:
    number = subscribe(client)
    location = send(client, expires="0.3", slider=1)
    assert progress(client, location)["status"] == "WAITING"
    time.sleep(0.4)
    assert poll(client, number) == []
    assert poll(client, subscribe(client)) == []
    assert progress(client, location)["status"] == "EXPIRED"


def test_message_expires_while_nobody_acknowledges_it(client: Client) -> None:
    number = subscribe(client)
    send(client, expires=1.5)
    assert len(poll(client, number)) == 1
    assert len(poll(client, number, wait=5)) == 1
    time.sleep(1.6)
    assert poll(client, number) == []


def test_open_message_reaches_who_subscribes_later(client: Client) -> None:
    send(client, expires=60, slider=1)
    first = subscribe(client)
    (message,) = poll(client, first)
    assert message["slider"] == 1
    acknowledge(client, first, message["id"])
    assert poll(client, subscribe(client)) == [], "somebody has acknowledged it"


def test_each_subscription_acknowledges_for_itself(client: Client) -> None:
    first, second = subscribe(client), subscribe(client)
    send(client, expires=60)
    (message,) = poll(client, first)
    acknowledge(client, first, message["id"])
    assert poll(client, second) == [message]
    time.sleep(REDELIVER + 0.1)
    assert poll(client, second) == [message]


def test_acknowledging_twice_does_no_harm_and_unknown_ids_are_left_out(client: Client) -> None:
    number = subscribe(client)
    send(client, expires=60)
    (message,) = poll(client, number)
    known = {"acknowledged": [message["id"]]}
    assert acknowledge(client, number, message["id"]) == known
    assert acknowledge(client, number, message["id"], 999) == known
    assert acknowledge(client, number, str(message["id"])) == known
    assert acknowledge(client, number) == {"acknowledged": []}


def test_message_that_was_not_delivered_yet_cannot_be_acknowledged(client: Client) -> None:
    number = subscribe(client)
    location = send(client, expires=60)
    waiting = progress(client, location)["id"]
    assert acknowledge(client, number, waiting) == {"acknowledged": []}
    assert len(poll(client, number)) == 1


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({}, "messages"),
        ({"messages": "all"}, "messages"),
        ({"messages": ["x"]}, "messages"),
        ({"messages": list(range(1001))}, "messages"),
    ],
)
def test_acknowledgement_that_is_no_list_of_ids_is_refused(
    client: Client, body: Any, name: str
) -> None:
    number = subscribe(client)
    error = client.error(client.post(f"control/sub/{number}/ack", "alice", body), 400)
    assert error["message"] == "Object has validation errors"
    assert list(error["moreInfo"]) == [name]


@pytest.mark.parametrize("body", [b"", b"{", b"[1]"])
def test_acknowledgement_that_cannot_be_read_is_refused(client: Client, body: bytes) -> None:
    number = subscribe(client)
    answer = client.call("POST", f"control/sub/{number}/ack", "alice", content=body)
    assert client.error(answer, 400)["message"] == "The body could not be read"


def test_id_of_the_sender_is_refused_where_the_server_gives_one(client: Client) -> None:
    number = subscribe(client)
    answer = client.post("sensors/lamp/message", "alice", {"id": 5, "expires": 60})
    assert client.error(answer, 400)["moreInfo"].keys() == {"id"}
    client.post("sensors/lamp/message", "alice", {"id": 5})
    assert [message["id"] for message in poll(client, number)] == [5]


def test_finished_messages_make_room_for_new_ones(client: Client) -> None:
    number = subscribe(client)
    for _ in range(3):
        send(client, expires=60)
    client.error(client.post("sensors/lamp/message", "alice", {"expires": 60}), 429)
    messages = poll(client, number)
    client.error(client.post("sensors/lamp/message", "alice", {"expires": 60}), 429)
    acknowledge(client, number, *(message["id"] for message in messages))
    send(client, expires=60)
    assert len(poll(client, number)) == 1
