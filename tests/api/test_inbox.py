"""The inbox over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from wotkit.catalog.models import InboxMessage, User

if TYPE_CHECKING:
    from tests.api.conftest import Client, MakeKey, People
    from wotkit.catalog import Catalog

INBOX = "/api/v2/inbox"


@pytest.fixture
def messages(catalog: Catalog, people: People, client: Client) -> list[int]:
    """Three messages of Alice's, and one of Charlie's."""

    def add() -> None:
        assert User.select().count()
        for number in range(1, 5):
            owner = people.charlie if number == 4 else people.alice
            InboxMessage.insert(
                id=number, user=owner.user_id, at=number, title=f"t{number}", message="m"
            ).execute()

    catalog.write(add)
    return [1, 2, 3]


def ids(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()]


def test_messages_are_listed_newest_first(client: Client, messages: list[int]) -> None:
    assert ids(client.get(INBOX, "alice")) == [3, 2, 1]
    assert ids(client.get(f"{INBOX}/", "charlie")) == [4]
    assert ids(client.get(INBOX, "bobby")) == []


def test_pages_lead_to_each_other(client: Client, messages: list[int]) -> None:
    first = client.get(INBOX, "alice", limit=2)
    assert ids(first) == [3, 2]
    link = first.headers["link"]
    assert link == f'<{INBOX}?limit=2&offset=2>; rel="next"'
    last = client.get(link[1 : link.index(">")], "alice")
    assert ids(last) == [1]
    assert "link" not in last.headers


def test_message_is_marked_as_read_and_back(client: Client, messages: list[int]) -> None:
    answer = client.call("PUT", f"{INBOX}/2", "alice")
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get(f"{INBOX}/2", "alice").json()["read"] is True
    assert ids(client.get(INBOX, "alice", read="true")) == [2]
    assert ids(client.get(INBOX, "alice", read="false")) == [3, 1]
    assert client.put(f"{INBOX}/2/", "alice", {"read": False}).status_code == 204
    assert ids(client.get(INBOX, "alice", read="true")) == []


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_message_of_another_user_does_not_exist(
    client: Client, messages: list[int], method: str
) -> None:
    for reference in ("4", "99", "x"):
        error = client.error(client.call(method, f"{INBOX}/{reference}", "alice"), 404)
        assert error["developerMessage"] == [reference]
    assert client.get(f"{INBOX}/4", "charlie").json()["read"] is False


def test_wrong_mark_is_refused(client: Client, messages: list[int]) -> None:
    error = client.error(client.put(f"{INBOX}/2", "alice", {"read": "maybe"}), 400)
    assert (error["message"], list(error["moreInfo"])) == ("Object has validation errors", ["read"])


@pytest.mark.parametrize(("name", "value"), [("limit", 0), ("limit", 1001), ("offset", -1)])
def test_wrong_page_is_refused(shared_client: Client, name: str, value: int) -> None:
    error = shared_client.error(shared_client.get(INBOX, "alice", **{name: value}), 400)
    assert list(error["moreInfo"]) == [name]


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/1"), ("PUT", "/1")])
def test_public_is_asked_for_credentials(shared_client: Client, method: str, path: str) -> None:
    shared_client.error(shared_client.call(method, INBOX + path), 401)


@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("DELETE", "/1"), ("POST", "/1")])
def test_other_methods_are_not_allowed(shared_client: Client, method: str, path: str) -> None:
    shared_client.error(shared_client.call(method, INBOX + path, "alice"), 405)


def test_key_needs_the_scope_and_a_limited_one_sees_only_its_sensors(
    client: Client, messages: list[int], people: People, make_key: MakeKey
) -> None:
    client.error(client.get(INBOX, make_key(people.alice, scopes=["write"])), 403)
    reader = make_key(people.alice, scopes=["read"])
    assert ids(client.get(INBOX, reader)) == [3, 2, 1]
    client.error(client.call("PUT", f"{INBOX}/1", reader), 403)
    client.make_sensor("cellar")
    limited = make_key(people.alice, sensors=["cellar"])
    assert ids(client.get(INBOX, limited)) == []
    client.error(client.get(f"{INBOX}/1", limited), 404)
