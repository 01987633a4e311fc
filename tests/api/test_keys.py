"""The keys API, over HTTP as its callers use it."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import falcon.asgi
import falcon.testing
import msgspec
import pytest

from wotkit import strict_json, times
from wotkit.api import errors
from wotkit.api.caller import Callers
from wotkit.api.v2.keys import KeyResource, KeyRotationResource, KeysResource
from wotkit.auth.authenticator import Authenticator
from wotkit.catalog import keys, sensors
from wotkit.catalog.audit import Actor
from wotkit.catalog.models import Audit, rows
from wotkit.settings import AuthSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from falcon.testing import Result

    from wotkit.catalog import Catalog
    from wotkit.catalog.identity import Identity

PASSWORD = "correct horse battery"
HERE = Actor("tests", "127.0.0.1")
KEYS = "/api/v2/keys"
SHOWN = {
    "id",
    "name",
    "description",
    "scopes",
    "sensors",
    "expires",
    "created",
    "lastUsed",
    "lastAddress",
    "oldPasswordUntil",
}


class ServedRequest(falcon.asgi.Request):
    """A request as a server gives it: its headers can be read more than once."""

    def __init__(self, scope: dict[str, Any], *arguments: Any, **named: Any) -> None:
        scope["headers"] = [tuple(pair) for pair in scope["headers"]]
        super().__init__(scope, *arguments, **named)


class Api:
    """The keys API of one data folder."""

    def __init__(self, catalog: Catalog) -> None:
        settings = msgspec.structs.replace(Settings(), auth=AuthSettings(bcrypt_cost=4))
        self.catalog = catalog
        self.authenticator = Authenticator(catalog, settings.auth)
        callers = Callers(self.authenticator, settings.http.max_body_bytes)
        app = falcon.asgi.App(request_type=ServedRequest)
        errors.install(app)
        app.add_route(KEYS, KeysResource(catalog, callers, settings))
        app.add_route(KEYS + "/{key}", KeyResource(catalog, callers, settings))
        app.add_route(KEYS + "/{key}/rotate", KeyRotationResource(catalog, callers, settings))
        self._client = falcon.testing.TestClient(app)

    def call(
        self,
        method: str,
        path: str,
        user: str | None = "alice",
        body: Any = None,
        *,
        password: str = PASSWORD,
        raw: str = "",
    ) -> Result:
        headers = {} if user is None else {"Authorization": basic(f"{user}:{password}")}
        if body is not None:
            raw = json.dumps(body)
        return self._client.simulate_request(method, path, headers=headers, body=raw)

    def make(self, user: str = "alice", **attributes: Any) -> dict[str, Any]:
        answer = self.call("POST", KEYS, user, {"name": "gateway", **attributes})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json
        return made

    def show(self, key: dict[str, Any]) -> dict[str, Any]:
        answer = self.call("GET", f"{KEYS}/{key['id']}")
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json
        return shown

    def accepts(self, key: dict[str, Any], password: str | None = None) -> bool:
        """Whether a key's credentials are good; what it may do with keys is nothing."""
        answer = self.call("GET", KEYS, key["id"], password=password or key["password"])
        assert answer.status_code in {401, 403}, answer.text
        return answer.status_code == 403


def basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


def refusal(answer: Result) -> tuple[int, int, dict[str, str]]:
    """Return status, code and what is wrong with which attribute."""
    error = answer.json["error"]
    assert error["status"] == answer.status_code
    return answer.status_code, error["code"], error["moreInfo"]


@pytest.fixture
def api(catalog: Catalog) -> Iterator[Api]:
    found = Api(catalog)
    yield found
    found.authenticator.close()


@pytest.fixture
def alice(make_user: Any) -> Identity:
    found: Identity = make_user("alice", team="garden")
    return found


@pytest.fixture
def charlie(make_user: Any) -> Identity:
    found: Identity = make_user("charlie")
    return found


@pytest.fixture
def greenhouse(catalog: Catalog, alice: Identity) -> int:
    new = sensors.NewSensor(name="greenhouse", long_name="Greenhouse", description="South side")
    return catalog.write(sensors.create, alice, new, HERE).id


def audited(catalog: Catalog) -> list[tuple[str, str, str]]:
    query = Audit.select(Audit.actor, Audit.action, Audit.target).where(Audit.action ** "key.%")
    return catalog.read(lambda: rows(query.order_by(Audit.id)))  # type: ignore[return-value]  # rows are untyped


@pytest.mark.usefixtures("alice")
def test_made_key_is_answered_once_with_a_password_that_works(api: Api) -> None:
    answer = api.call("POST", KEYS, body={"name": "gateway", "description": "on the roof"})
    made = answer.json
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{KEYS}/{made['id']}"
    assert answer.headers["cache-control"] == "no-store"
    assert len(made.pop("password")) == 32
    assert made.keys() == SHOWN
    assert made["name"] == "gateway"
    assert made["description"] == "on the roof"
    assert made["scopes"] == ["all"]
    assert (
        made["sensors"] is made["expires"] is made["lastUsed"] is made["oldPasswordUntil"] is None
    )
    assert abs(times.parse(made["created"]) - times.now()) < 10 * times.MICROSECONDS
    assert api.show(made) == made


@pytest.mark.usefixtures("alice")
def test_made_key_is_accepted_and_its_password_is_never_shown_again(api: Api) -> None:
    made = api.make()
    assert api.accepts(made)
    assert not api.accepts(made, "x" * 32)
    assert made["password"] not in api.call("GET", KEYS).text
    assert made["password"] not in api.call("GET", f"{KEYS}/{made['id']}").text


@pytest.mark.usefixtures("alice", "charlie")
def test_list_has_the_callers_keys_only_oldest_first(api: Api) -> None:
    first, second = api.make(name="first"), api.make(name="second")
    api.make("charlie", name="other")
    answer = api.call("GET", KEYS)
    assert answer.status_code == 200
    assert [key["id"] for key in answer.json] == [first["id"], second["id"]]
    assert all(key.keys() == SHOWN for key in answer.json)


@pytest.mark.usefixtures("alice")
def test_every_attribute_of_a_new_key_is_kept(api: Api, greenhouse: int) -> None:
    made = api.make(
        scopes=["write", "read", "write"],
        sensors=["alice.greenhouse"],
        expires="2031-02-03T04:05:06+01:00",
    )
    assert made["scopes"] == ["read", "write"]
    assert made["sensors"] == ["alice.greenhouse"]
    assert made["expires"] == "2031-02-03T03:05:06.000Z"
    assert api.make(sensors=[str(greenhouse)])["sensors"] == ["alice.greenhouse"]
    assert api.make(expires=1_927_854_306_000)["expires"] == "2031-02-03T03:05:06.000Z"


@pytest.mark.parametrize(
    ("attributes", "wrong"),
    [
        ({"name": None}, {"name": "is required"}),
        ({"name": "  "}, {"name": "is required"}),
        ({"name": "x" * 256}, {"name": "is invalid: Expected `str` of length <= 255"}),
        ({"scopes": ["write", "fly"]}, {"scopes": "has unknown scopes: fly"}),
        ({"scopes": []}, {"scopes": "must name at least one scope"}),
        ({"scopes": ["admin"]}, {"scopes": "may have admin for administrators only"}),
        ({"scopes": "write"}, {"scopes": "is invalid: Expected `array`, got `str`"}),
        ({"expires": "2020-01-01"}, {"expires": "lies in the past"}),
        (
            {"expires": "soon"},
            {"expires": "is invalid: 'soon' is neither ISO 8601 nor milliseconds since 1970"},
        ),
        (
            {"name": "", "scopes": [], "expires": 0},
            {
                "name": "is required",
                "scopes": "must name at least one scope",
                "expires": "lies in the past",
            },
        ),
    ],
)
@pytest.mark.usefixtures("alice")
def test_invalid_attribute_is_refused_and_named(
    api: Api, attributes: dict[str, Any], wrong: dict[str, str]
) -> None:
    answer = api.call("POST", KEYS, body={"name": "gateway", **attributes})
    assert refusal(answer) == (400, 1201, wrong)
    assert answer.json["error"]["message"] == "Object has validation errors"
    assert api.call("GET", KEYS).json == []


@pytest.mark.usefixtures("alice")
def test_sensor_that_the_caller_cannot_see_is_not_found(
    api: Api, charlie: Identity, catalog: Catalog
) -> None:
    new = sensors.NewSensor(name="cellar", long_name="Cellar", description="Hers")
    hidden = catalog.write(sensors.create, charlie, new, HERE).id
    for reference in ("charlie.cellar", str(hidden), "nothing"):
        answer = api.call("POST", KEYS, body={"name": "gateway", "sensors": [reference]})
        assert refusal(answer)[:2] == (404, 1101)
        assert answer.json["error"]["developerMessage"] == [reference]
    assert api.call("GET", KEYS).json == []


@pytest.mark.usefixtures("alice")
def test_body_that_is_not_an_object_is_refused(api: Api) -> None:
    for raw, code in (("{", 1207), ("[1]", 1207), ('{"name":"a","name":"b"}', 1201)):
        assert refusal(api.call("POST", KEYS, raw=raw))[:2] == (400, code)
    assert refusal(api.call("POST", KEYS))[:2] == (400, 1207)


@pytest.mark.usefixtures("alice", "greenhouse")
def test_change_touches_only_what_is_present(api: Api) -> None:
    made = api.make(scopes=["read"], sensors=["greenhouse"], expires="2031-01-01T00:00:00Z")
    answer = api.call("PUT", f"{KEYS}/{made['id']}", body={"description": "moved"})
    assert (answer.status_code, answer.text) == (204, "")
    changed = api.show(made)
    del made["password"]
    assert changed == {**made, "description": "moved"}


@pytest.mark.usefixtures("alice", "greenhouse")
def test_null_lifts_limits_and_a_list_sets_them(api: Api) -> None:
    made = api.make(sensors=["greenhouse"], expires="2031-01-01T00:00:00Z")
    path = f"{KEYS}/{made['id']}"
    assert api.call("PUT", path, body={"sensors": None, "expires": None}).status_code == 204
    assert api.show(made)["sensors"] is api.show(made)["expires"] is None
    assert api.call("PUT", path, body={"sensors": ["greenhouse"]}).status_code == 204
    assert api.show(made)["sensors"] == ["alice.greenhouse"]


@pytest.mark.usefixtures("alice")
def test_what_was_answered_may_be_sent_back(api: Api) -> None:
    made = api.make(expires=times.to_iso(times.now() + 1_000_000))
    time.sleep(1.01)
    shown = api.show(made)
    assert api.call("PUT", f"{KEYS}/{made['id']}", body=shown).status_code == 204
    assert api.show(made) == shown


@pytest.mark.usefixtures("alice")
def test_invalid_change_changes_nothing(api: Api) -> None:
    made = api.make()
    before = api.show(made)
    answer = api.call("PUT", f"{KEYS}/{made['id']}", body={"name": "other", "scopes": ["fly"]})
    assert refusal(answer) == (400, 1201, {"scopes": "has unknown scopes: fly"})
    assert api.show(made) == before


@pytest.mark.usefixtures("alice")
def test_revoked_key_is_refused_at_the_next_request(api: Api) -> None:
    made = api.make()
    assert api.accepts(made)
    answer = api.call("DELETE", f"{KEYS}/{made['id']}")
    assert (answer.status_code, answer.text) == (204, "")
    assert not api.accepts(made)
    assert refusal(api.call("GET", f"{KEYS}/{made['id']}"))[:2] == (404, 1101)
    assert refusal(api.call("DELETE", f"{KEYS}/{made['id']}"))[:2] == (404, 1101)


def test_key_revoked_by_another_process_is_refused_at_the_next_request(
    api: Api, alice: Identity, data: Path
) -> None:
    made = api.make()
    assert api.accepts(made)
    other = type(api.catalog)(data)
    try:
        other.write(keys.revoke, alice, made["id"], HERE)
    finally:
        other.close()
    assert not api.accepts(made)


@pytest.mark.usefixtures("alice")
def test_expired_key_is_refused(api: Api) -> None:
    made = api.make(expires=times.to_iso(times.now() + 150_000))
    assert api.accepts(made)
    time.sleep(0.2)
    assert not api.accepts(made)


@pytest.mark.usefixtures("alice")
def test_rotation_keeps_the_old_password_for_the_default_overlap(api: Api) -> None:
    made = api.make()
    answer = api.call("POST", f"{KEYS}/{made['id']}/rotate")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    rotated = answer.json
    assert rotated["id"] == made["id"]
    assert rotated["password"] != made["password"]
    until = times.parse(rotated["oldPasswordUntil"])
    assert abs(until - times.now() - 24 * 3600 * times.MICROSECONDS) < 10 * times.MICROSECONDS
    assert api.accepts(made, made["password"])
    assert api.accepts(made, rotated["password"])


@pytest.mark.usefixtures("alice")
def test_old_password_ends_with_the_overlap(api: Api) -> None:
    made = api.make()
    path = f"{KEYS}/{made['id']}/rotate"
    rotated = api.call("POST", path, body={"overlapHours": 0.15 / 3600}).json
    assert api.accepts(made, made["password"])
    time.sleep(0.2)
    assert not api.accepts(made, made["password"])
    assert api.accepts(made, rotated["password"])


@pytest.mark.usefixtures("alice")
def test_rotation_without_overlap_ends_the_old_password_at_once(api: Api) -> None:
    made = api.make()
    assert api.accepts(made)
    rotated = api.call("POST", f"{KEYS}/{made['id']}/rotate", body={"overlapHours": 0}).json
    assert rotated["oldPasswordUntil"] is None
    assert not api.accepts(made, made["password"])
    assert api.accepts(made, rotated["password"])


@pytest.mark.usefixtures("alice")
def test_second_rotation_ends_the_oldest_password(api: Api) -> None:
    made = api.make()
    path = f"{KEYS}/{made['id']}/rotate"
    second, third = api.call("POST", path).json, api.call("POST", path).json
    assert [api.accepts(made, each["password"]) for each in (made, second, third)] == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("hours", [-1, 8761, 1e300, "many"])
@pytest.mark.usefixtures("alice")
def test_impossible_overlap_is_refused(api: Api, hours: Any) -> None:
    made = api.make()
    answer = api.call("POST", f"{KEYS}/{made['id']}/rotate", body={"overlapHours": hours})
    status, code, wrong = refusal(answer)
    assert (status, code, list(wrong)) == (400, 1201, ["overlapHours"])
    assert api.accepts(made)


def calls(key_id: str) -> list[tuple[str, str, Any]]:
    return [
        ("GET", KEYS, None),
        ("POST", KEYS, {"name": "gateway"}),
        ("GET", f"{KEYS}/{key_id}", None),
        ("PUT", f"{KEYS}/{key_id}", {"name": "mine"}),
        ("DELETE", f"{KEYS}/{key_id}", None),
        ("POST", f"{KEYS}/{key_id}/rotate", None),
    ]


@pytest.mark.usefixtures("alice")
def test_every_call_needs_credentials(api: Api) -> None:
    made = api.make()
    for method, path, body in calls(made["id"]):
        answer = api.call(method, path, None, body)
        assert refusal(answer)[:2] == (401, 1301), (method, path)
        assert answer.headers["www-authenticate"].startswith("Basic ")
        wrong = api.call(method, path, "alice", body, password="not the password")
        assert refusal(wrong)[:2] == (401, 1301), (method, path)


@pytest.mark.usefixtures("alice")
def test_key_never_manages_keys_whatever_its_scopes(api: Api, make_user: Any) -> None:
    make_user("root", admin=True)
    for user, scopes in (("alice", ["all"]), ("alice", ["write"]), ("root", ["all", "admin"])):
        made = api.make(user, scopes=scopes)
        for method, path, body in calls(made["id"]):
            answer = api.call(method, path, made["id"], body, password=made["password"])
            assert refusal(answer)[:2] == (403, 1302), (method, path)
            assert "a key never manages keys" in answer.json["error"]["developerMessage"][0]


@pytest.mark.usefixtures("alice", "charlie")
def test_key_is_hidden_from_stranger_and_teammate(api: Api, make_user: Any) -> None:
    make_user("bobby", team="garden")
    made = api.make()
    before = api.show(made)
    for user in ("charlie", "bobby"):
        for method, path, body in calls(made["id"])[2:]:
            answer = api.call(method, path, user, body)
            assert refusal(answer)[:2] == (404, 1101), (method, path)
            assert answer.json["error"]["developerMessage"] == [made["id"]]
    assert api.show(made) == before
    assert api.accepts(made)


@pytest.mark.usefixtures("alice")
def test_other_methods_are_not_allowed(api: Api) -> None:
    made = api.make()
    for method, path, allowed in (
        ("DELETE", KEYS, {"GET", "POST"}),
        ("POST", f"{KEYS}/{made['id']}", {"GET", "PUT", "DELETE"}),
        ("GET", f"{KEYS}/{made['id']}/rotate", {"POST"}),
    ):
        answer = api.call(method, path)
        assert refusal(answer)[:2] == (405, 1103)
        assert set(answer.headers["allow"].split(", ")) - {"OPTIONS"} == allowed


def test_administrator_may_make_a_key_with_the_admin_scope(api: Api, make_user: Any) -> None:
    make_user("root", admin=True)
    assert api.make("root", scopes=["read", "admin"])["scopes"] == ["admin", "read"]


@pytest.mark.usefixtures("alice")
def test_changes_are_audited_without_the_password(api: Api, catalog: Catalog) -> None:
    made = api.make()
    path = f"{KEYS}/{made['id']}"
    api.call("PUT", path, body={"sensors": None, "name": "other"})
    rotated = api.call("POST", f"{path}/rotate").json
    api.call("DELETE", path)
    assert audited(catalog) == [
        ("alice", "key.create", made["id"]),
        ("alice", "key.change", made["id"]),
        ("alice", "key.rotate", made["id"]),
        ("alice", "key.revoke", made["id"]),
    ]
    details = catalog.read(lambda: rows(Audit.select(Audit.details, Audit.address)))
    assert made["password"] not in str(details)
    assert rotated["password"] not in str(details)
    changed = strict_json.decode(
        catalog.read(lambda: Audit.get(Audit.action == "key.change")).details.encode()
    )
    assert changed == {"changed": ["name", "sensors"]}
