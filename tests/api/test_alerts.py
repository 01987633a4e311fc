"""Alerts over HTTP: made, shown, changed, deleted; who may, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from wotkit.catalog.models import Audit, rows

if TYPE_CHECKING:
    from tests.api.conftest import Client, MakeKey, People
    from wotkit.catalog import Catalog

ALERTS = "/api/v2/alerts"
INVALID = "Object has validation errors"


def warm(sensor: Any, limit: float = 30, **attributes: Any) -> dict[str, Any]:
    """An alert for when a value is above a limit."""
    condition = {"sensorId": sensor, "field": "value", "operator": "GT", "value": limit}
    return {"name": "too warm", "conditions": [condition]} | attributes


@pytest.fixture
def cellar(client: Client) -> int:
    return int(client.make_sensor("cellar")["id"])


def make(client: Client, body: dict[str, Any], caller: Any = "alice") -> dict[str, Any]:
    answer = client.post(ALERTS, caller, body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_new_alert_is_answered_with_all_its_attributes(client: Client, cellar: int) -> None:
    answer = client.post(ALERTS, "alice", warm(cellar, longName="Too warm", sendEmail="true"))
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"{ALERTS}/{made['id']}"
    assert len(made.pop("webhookSecret")) >= 32
    assert made == {
        "id": made["id"],
        "owner": "alice",
        "name": "too warm",
        "longName": "Too warm",
        "description": "",
        "disabled": False,
        "disabledReason": "",
        "inProgress": False,
        "template": "",
        "sendEmail": True,
        "email": "",
        "webhook": None,
        "conditions": [
            {
                "sensorId": cellar,
                "sensor": "alice.cellar",
                "gateway": None,
                "field": "value",
                "operator": "GT",
                "value": 30,
                "seconds": None,
            }
        ],
    }
    assert client.get(f"{ALERTS}/{made['id']}", "alice").json() == made
    assert client.get(f"{ALERTS}/{made['id']}/", "alice").json() == made
    assert client.get(f"{ALERTS}/", "alice").json() == [made]


def test_sensor_of_a_condition_may_be_named_and_an_operator_be_in_lower_case(
    client: Client, cellar: int
) -> None:
    condition = {"sensorId": "alice.cellar", "field": "value", "operator": "notnull"}
    made = make(client, {"name": "it lives", "conditions": [condition]})
    (found,) = made["conditions"]
    assert (found["sensorId"], found["operator"], found["value"]) == (cellar, "NOTNULL", None)


def test_alert_without_conditions_is_kept_and_never_in_progress(client: Client) -> None:
    made = make(client, {"name": "later"})
    assert (made["conditions"], made["inProgress"]) == ([], False)


def test_list_has_only_the_callers_alerts_in_pages(client: Client, cellar: int) -> None:
    ids = [make(client, warm(cellar))["id"] for _ in range(3)]
    client.make_sensor("bobs-own", "bobby")
    make(client, warm("bobs-own"), "bobby")
    assert [one["id"] for one in client.get(ALERTS, "alice").json()] == ids
    part = client.get(ALERTS, "alice", offset=1, limit=1).json()
    assert [one["id"] for one in part] == ids[1:2]


def test_change_touches_only_what_is_present(client: Client, cellar: int) -> None:
    path = f"{ALERTS}/{make(client, warm(cellar))['id']}"
    before = client.get(path, "alice").json()
    body = {"template": "hot", "id": 999, "owner": "bobby", "inProgress": True, "disabled": True}
    assert client.put(path, "alice", body).status_code == 204
    assert client.get(path, "alice").json() == before | {"template": "hot", "disabled": True}
    other = warm(cellar, 50)["conditions"]
    assert client.put(path, "alice", {"conditions": other}).status_code == 204
    assert client.get(path, "alice").json()["conditions"][0]["value"] == 50


def test_deleted_alert_is_gone(client: Client, cellar: int) -> None:
    path = f"{ALERTS}/{make(client, warm(cellar))['id']}"
    answer = client.delete(path, "alice")
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get(path, "alice").status_code == 404
    assert client.delete(path, "alice").status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("POST", ""),
        ("GET", "/1"),
        ("PUT", "/1"),
        ("DELETE", "/1"),
        ("POST", "/1/test"),
        ("GET", "/1/deliveries"),
    ],
)
def test_public_is_asked_for_credentials(shared_client: Client, method: str, path: str) -> None:
    answer = shared_client.call(method, ALERTS + path)
    shared_client.error(answer, 401)
    assert "www-authenticate" in answer.headers
    shared_client.error(shared_client.call(method, ALERTS + path, ("alice", "wrong")), 401)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/test"), ("GET", "/deliveries")],
)
@pytest.mark.parametrize("stranger", ["charlie", "bobby", "admin"])
def test_alert_of_another_user_does_not_exist(
    client: Client, cellar: int, method: str, path: str, stranger: str
) -> None:
    alert = make(client, warm(cellar))["id"]
    found = client.error(client.call(method, f"{ALERTS}/{alert}{path}", stranger, json={}), 404)
    none = client.error(client.call(method, f"{ALERTS}/999{path}", stranger, json={}), 404)
    assert found["message"] == none["message"] == "Could not locate this resource."
    assert found["developerMessage"] == [str(alert)]


@pytest.mark.parametrize("reference", ["0", "-1", "abc", "99999999999999999999999"])
def test_what_is_no_id_is_not_found(shared_client: Client, reference: str) -> None:
    error = shared_client.error(shared_client.get(f"{ALERTS}/{reference}", "alice"), 404)
    assert error["developerMessage"] == [reference]


def test_sensor_that_the_caller_may_not_see_is_not_found(client: Client, cellar: int) -> None:
    error = client.error(client.post(ALERTS, "charlie", warm(cellar)), 404)
    assert error["developerMessage"] == [str(cellar)]
    client.error(client.post(ALERTS, "alice", warm(999)), 404)
    alert = make(client, {"name": "empty"}, "charlie")["id"]
    client.error(client.put(f"{ALERTS}/{alert}", "charlie", warm(cellar)), 404)
    assert client.get(f"{ALERTS}/{alert}", "charlie").json()["conditions"] == []


CONDITION = {"sensorId": "alice.cellar", "field": "value", "operator": "GT", "value": 1}


@pytest.mark.parametrize(
    ("body", "place", "words"),
    [
        ({"name": None}, "name", "is required"),
        ({"name": "abc"}, "name", "must be 4 to 100 lowercase letters"),
        ({"name": "Too Warm"}, "name", "must be 4 to 100 lowercase letters"),
        ({"name": "too warm\n"}, "name", "must be 4 to 100 lowercase letters"),
        ({"longName": "x" * 101}, "longName", "must have at most 100 characters"),
        ({"template": "x" * 4001}, "template", "must have at most 4000 characters"),
        ({"email": "nobody"}, "email", "must be an e-mail address"),
        ({"email": "a@b.ie\nBcc: x@y.ie"}, "email", "must be an e-mail address"),
        ({"email": "a@b.ie, c@d.ie"}, "email", "must be an e-mail address"),
        ({"sendEmail": "perhaps"}, "sendEmail", "is invalid"),
        ({"webhook": "ftp://example.org/"}, "webhook", "must be an http or https address"),
        ({"webhook": "http://u:p@example.org/"}, "webhook", "must hold no user name or password"),
        ({"webhook": "http://example.org/ x"}, "webhook", "must be ASCII without spaces"),
        ({"webhook": "http://example.org:99999/"}, "webhook", "Port out of range"),
        ({"webhookSecret": "short"}, "webhookSecret", "must have 16 to 100 characters"),
        ({"conditions": 5}, "conditions", "is invalid"),
        ({"conditions": [5]}, "conditions.0", "must be an object"),
        ({"conditions": [CONDITION] * 21}, "conditions", "must be at most 20"),
        ({"conditions": [{"operator": "GT"}]}, "conditions.0.sensorId", "is required"),
        ({"conditions": [CONDITION | {"operator": "ABOVE"}]}, "conditions.0.operator", "one of"),
        ({"conditions": [CONDITION | {"field": ""}]}, "conditions.0.field", "is required"),
        (
            {"conditions": [CONDITION, CONDITION | {"value": "warm"}]},
            "conditions.1.value",
            "must be a number with GT",
        ),
        (
            {"conditions": [CONDITION | {"operator": "EQ", "value": None}]},
            "conditions.0.value",
            "must be a number or a text",
        ),
        (
            {"conditions": [CONDITION | {"operator": "NODATA"}]},
            "conditions.0.seconds",
            "is required with NODATA",
        ),
        (
            {"conditions": [CONDITION | {"operator": "NODATA", "seconds": 0}]},
            "conditions.0.seconds",
            "must be above 0 and at most a year",
        ),
    ],
)
def test_invalid_attribute_is_named(
    shared_client: Client, body: dict[str, Any], place: str, words: str
) -> None:
    answer = shared_client.post(ALERTS, "alice", {"name": "too warm"} | body)
    error = shared_client.error(answer, 400)
    assert error["message"] == INVALID
    assert list(error["moreInfo"]) == [place]
    assert words in error["moreInfo"][place]


def test_change_is_checked_as_a_new_alert_is(client: Client, cellar: int) -> None:
    path = f"{ALERTS}/{make(client, warm(cellar))['id']}"
    error = client.error(client.put(path, "alice", {"name": "X"}), 400)
    assert (error["message"], list(error["moreInfo"])) == (INVALID, ["name"])
    client.error(client.call("PUT", path, "alice", content=b"[1]"), 400)
    client.error(client.call("PUT", path, "alice", content=b"{"), 400)


def test_user_has_at_most_twenty_alerts(client: Client, cellar: int) -> None:
    ids = [make(client, warm(cellar))["id"] for _ in range(20)]
    error = client.error(client.post(ALERTS, "alice", warm(cellar)), 403)
    assert error["message"] == "Cannot perform action"
    assert error["developerMessage"] == ["a user may have at most 20 alerts"]
    assert client.delete(f"{ALERTS}/{ids[0]}", "alice").status_code == 204
    make(client, warm(cellar))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "", {"GET", "POST"}),
        ("DELETE", "", {"GET", "POST"}),
        ("POST", "/1", {"GET", "PUT", "DELETE"}),
        ("GET", "/1/test", {"POST"}),
        ("POST", "/1/deliveries", {"GET"}),
    ],
)
def test_other_methods_are_not_allowed(
    shared_client: Client, method: str, path: str, allowed: set[str]
) -> None:
    answer = shared_client.call(method, ALERTS + path, "alice")
    shared_client.error(answer, 405)
    assert allowed <= set(answer.headers["allow"].replace(" ", "").split(","))


def test_alerts_are_of_version_2_only(shared_client: Client) -> None:
    for path in ("/api/alerts", "/api/v1/alerts", "/api/inbox", "/api/v1/inbox"):
        assert shared_client.get(path, "alice").status_code == 404


def test_key_needs_the_scope(client: Client, people: People, make_key: MakeKey) -> None:
    reader = make_key(people.alice, scopes=["read"])
    assert client.get(ALERTS, reader).json() == []
    client.error(client.post(ALERTS, reader, {"name": "too warm"}), 403)
    client.error(client.get(ALERTS, make_key(people.alice, scopes=["write"])), 403)


def test_limited_key_knows_only_alerts_of_its_sensors(
    client: Client, cellar: int, people: People, make_key: MakeKey
) -> None:
    client.make_sensor("attic")
    both = warm(cellar)["conditions"] + warm("attic")["conditions"]
    hidden = make(client, {"name": "both", "conditions": both})["id"]
    shown = make(client, warm(cellar))["id"]
    key = make_key(people.alice, sensors=["cellar"])
    assert [one["id"] for one in client.get(ALERTS, key).json()] == [shown]
    client.error(client.get(f"{ALERTS}/{hidden}", key), 404)
    client.error(client.delete(f"{ALERTS}/{hidden}", key), 404)
    client.error(client.post(ALERTS, key, warm("attic")), 404)
    make(client, warm("cellar"), key)


def test_changes_are_audited_without_secrets(client: Client, cellar: int, catalog: Catalog) -> None:
    secret = "0123456789abcdef secret"
    path = f"{ALERTS}/{make(client, warm(cellar, webhookSecret=secret))['id']}"
    client.put(path, "alice", {"webhookSecret": secret, "disabled": True})
    client.delete(path, "alice")

    def found() -> list[tuple[Any, ...]]:
        mine = Audit.select(Audit.actor, Audit.action, Audit.details)
        return rows(mine.where(Audit.action.startswith("alert.")).order_by(Audit.id))

    audited = catalog.read(found)
    assert [row[:2] for row in audited] == [
        ("alice", "alert.create"),
        ("alice", "alert.change"),
        ("alice", "alert.delete"),
    ]
    assert secret not in str(audited)
