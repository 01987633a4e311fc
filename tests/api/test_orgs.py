"""Organizations over HTTP; the organization garden has no ADMIN, since the command line made it."""

from __future__ import annotations

from typing import Any

import pytest

from wotkit.catalog import models, sensors

BASES = ("/api", "/api/v1", "/api/v2")
NEW = {"name": "roofers", "longName": "The Roofers"}


@pytest.fixture
def roofers(client: Any) -> Any:
    assert client.post("orgs", "admin", NEW).status_code == 201
    return client


def members(client: Any, org: str = "roofers") -> dict[str, str]:
    answer = client.get(f"orgs/{org}/members", "admin")
    assert answer.status_code == 200
    return {member["username"]: member["role"] for member in answer.json()}


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("slash", ["", "/"])
def test_org_is_made_shown_changed_and_deleted(client: Any, base: str, slash: str) -> None:
    answer = client.call("POST", f"{base}/orgs{slash}", "admin", json=NEW)
    assert answer.status_code == 201
    made = answer.json()
    assert made == NEW | {"id": made["id"], "created": made["created"]}
    assert client.get(answer.headers["location"]).json() == made
    for reference in ("roofers", made["id"]):
        assert client.call("GET", f"{base}/orgs/{reference}{slash}").json() == made
    change = {"name": "roofers", "description": "Up there", "imageUrl": "https://example.org/r"}
    assert (
        client.call("PUT", f"{base}/orgs/roofers{slash}", "admin", json=change).status_code == 204
    )
    assert client.get("orgs/roofers").json() == made | change
    client.put("orgs/roofers", "admin", {"description": None})
    assert "description" not in client.get("orgs/roofers").json()
    assert client.call("DELETE", f"{base}/orgs/roofers{slash}", "admin").status_code == 204
    client.error(client.get("orgs/roofers"), 404)


def test_founder_is_the_first_member_and_admin(roofers: Any) -> None:
    assert members(roofers) == {"admin": "ADMIN"}


def test_list_is_newest_first_searchable_and_in_pages(roofers: Any) -> None:
    def names(**params: Any) -> list[str]:
        return [org["name"] for org in roofers.get("orgs", None, **params).json()]

    assert names() == ["roofers", "garden"]
    assert names(text="ROOF") == ["roofers"]
    assert names(text="Gard") == ["garden"]
    assert names(text="%") == []
    assert names(offset=1) == ["garden"]
    answer = roofers.get("orgs", limit=1)
    assert roofers.get(answer.links["next"]["url"]).json()[0]["name"] == "garden"


@pytest.mark.parametrize("name", ["roofers", "garden", "alice"])
def test_name_of_an_org_or_a_user_is_taken(roofers: Any, name: str) -> None:
    error = roofers.error(roofers.post("orgs", "admin", NEW | {"name": name}), 409)
    assert "already exists" in error["message"]
    assert "already taken" in error["developerMessage"][0]
    assert "already exists" in error["developerMessage"][0]


@pytest.mark.parametrize(
    ("attributes", "wrong"),
    [
        ({"name": "abc"}, "name"),
        ({"name": "Big Name"}, "name"),
        ({"name": None}, "name"),
        ({"longName": "abc"}, "longName"),
        ({"longName": None}, "longName"),
        ({"description": 7}, "description"),
    ],
)
def test_wrong_attribute_is_named(client: Any, attributes: dict[str, Any], wrong: str) -> None:
    error = client.error(client.post("orgs", "admin", NEW | attributes), 400)
    assert "Object has validation errors" in error["message"]
    assert list(error["moreInfo"]) == [wrong]


def test_name_of_an_org_never_changes(roofers: Any) -> None:
    error = roofers.error(roofers.put("orgs/roofers", "admin", {"name": "others"}), 400)
    assert "Extraneous field" in error["message"]
    assert 'Cannot change the field "name"' in error["developerMessage"][0]
    error = roofers.error(roofers.put("orgs/roofers", "admin", {"longName": "abc"}), 400)
    assert list(error["moreInfo"]) == ["longName"]


def test_members_join_get_roles_and_leave(roofers: Any) -> None:
    path = "orgs/roofers/members"
    names = ["charlie", "bobby", "nobody", "bobby", "garden"]
    assert roofers.post(path, "admin", names).status_code == 204
    assert list(members(roofers)) == ["admin", "bobby", "charlie"]
    assert roofers.put(f"{path}/bobby", "admin", {"role": "ADMIN"}).status_code == 204
    assert roofers.post(path, "admin", ["bobby"]).status_code == 204
    assert members(roofers) == {"admin": "ADMIN", "bobby": "ADMIN", "charlie": "MEMBER"}
    gone = roofers.call("DELETE", path, "admin", json=["admin", "alice", "nobody", "charlie"])
    assert gone.status_code == 204
    assert members(roofers) == {"bobby": "ADMIN"}


def test_membership_counts_from_the_next_request_on(roofers: Any) -> None:
    body = {"name": "roof", "longName": "Roof", "description": "Top", "owner": "roofers"}
    roofers.error(roofers.post("sensors", "charlie", body), 404)
    roofers.post("orgs/roofers/members", "admin", ["charlie"])
    assert roofers.post("sensors", "charlie", body).status_code == 201
    roofers.call("DELETE", "orgs/roofers/members", "admin", json=["charlie"])
    roofers.error(roofers.get("sensors/roofers.roof", "charlie"), 404)


def test_last_admin_of_an_org_stays(roofers: Any) -> None:
    roofers.post("orgs/roofers/members", "admin", ["bobby"])
    for answer in (
        roofers.call("DELETE", "orgs/roofers/members", "admin", json=["bobby", "admin"]),
        roofers.put("orgs/roofers/members/admin", "admin", {"role": "MEMBER"}),
    ):
        error = roofers.error(answer, 403)
        assert "Cannot perform action" in error["message"]
        assert "without an ADMIN" in error["developerMessage"][0]
    assert members(roofers) == {"admin": "ADMIN", "bobby": "MEMBER"}
    gone = roofers.call("DELETE", "orgs/garden/members", "admin", json=["bobby"])
    assert gone.status_code == 204


def test_wrong_lists_and_roles_are_refused(roofers: Any) -> None:
    for body in ({}, "bobby", [1], [["bobby"]]):
        roofers.error(roofers.post("orgs/roofers/members", "admin", body), 400)
    roofers.error(roofers.call("DELETE", "orgs/roofers/members", "admin"), 400)
    path = "orgs/roofers/members"
    for body in ({"role": "OWNER"}, {"role": None}, {}):
        error = roofers.error(roofers.put(f"{path}/admin", "admin", body), 400)
        assert list(error["moreInfo"]) == ["role"]
    for user in ("bobby", "nobody"):
        roofers.error(roofers.put(f"{path}/{user}", "admin", {"role": "ADMIN"}), 404)


def test_deleted_org_takes_its_sensors_readings_and_groups_along(
    client: Any, catalog: Any, settings: Any
) -> None:
    made = client.make_sensor("shed", owner="garden", tags=["wood"], visibility="PUBLIC")
    kept = client.make_sensor("mine")
    client.post("groups", "alice", {"name": "all-of", "longName": "All of it", "owner": "garden"})
    client.post("sensors/garden.shed/data", "alice", {"value": 1})
    ignored = client.call("DELETE", "orgs/garden", "admin", content=b"{not json")
    assert ignored.status_code == 204
    client.error(client.get(f"sensors/{made['id']}", "alice"), 404)
    assert [sensor["id"] for sensor in client.get("sensors", "alice").json()] == [kept["id"]]
    assert client.get("groups", "alice").json() == []
    assert client.get("tags", "alice").json() == []
    assert catalog.read(sensors.pending_drops) == []
    assert catalog.read(sensors.drops_to_repeat, 1 << 60) == [made["id"]]
    actions = models.Audit.select(models.Audit.action, models.Audit.target)
    found = catalog.read(models.rows, actions.where(models.Audit.action.endswith(".delete")))
    assert found == [("sensor.delete", "garden.shed"), ("org.delete", "garden")]


ADMIN_CALLS = [
    ("POST", "orgs", NEW),
    ("PUT", "orgs/garden", {"longName": "Other"}),
    ("DELETE", "orgs/garden", None),
    ("GET", "orgs/garden/members", None),
    ("POST", "orgs/garden/members", ["charlie"]),
    ("DELETE", "orgs/garden/members", ["bobby"]),
    ("PUT", "orgs/garden/members/alice", {"role": "ADMIN"}),
]


@pytest.mark.parametrize(("method", "path", "body"), ADMIN_CALLS)
def test_only_administrators_manage_orgs(
    client: Any, people: Any, make_key: Any, method: str, path: str, body: Any
) -> None:
    client.error(client.call(method, path, json=body), 401)
    client.error(client.call(method, path, ("admin", "wrong password"), json=body), 401)
    for caller in ("alice", "charlie", make_key(people.admin)):
        client.error(client.call(method, path, caller, json=body), 403)
    assert client.call(method, path, make_key(people.admin, scopes=["admin"]), json=body).is_success


@pytest.mark.parametrize(("method", "path", "body"), ADMIN_CALLS[1:])
def test_missing_org_is_404_and_named(client: Any, method: str, path: str, body: Any) -> None:
    missing = path.replace("garden", "nothing")
    error = client.error(client.call(method, missing, "admin", json=body), 404)
    assert error["message"] == "Could not locate this resource."
    assert "nothing" in error["developerMessage"][0]


def test_wrong_credentials_are_401_also_where_everybody_may_ask(client: Any) -> None:
    for path in ("orgs", "orgs/garden", "news", "stats"):
        client.error(client.get(path, ("alice", "wrong password")), 401)


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "orgs"), ("POST", "orgs/garden"), ("GET", "orgs/a/members/b")]
)
def test_other_methods_are_405(client: Any, method: str, path: str) -> None:
    client.error(client.call(method, path, "admin"), 405)


def test_who_leaves_follows_the_private_sensors_of_the_org_no_more(client: Any) -> None:
    client.make_sensor("shed", owner="garden")
    client.make_sensor("gate", owner="garden", visibility="PUBLIC")
    for name in ("shed", "gate"):
        for follower in ("alice", "bobby"):
            answer = client.call("PUT", f"subscribe/garden.{name}", follower)
            assert answer.status_code == 204
    answer = client.call("DELETE", "orgs/garden/members", "admin", json=["bobby"])
    assert answer.status_code == 204
    followers = {
        name: client.get(f"sensors/garden.{name}", "alice").json()["subscriberNames"]
        for name in ("shed", "gate")
    }
    assert followers == {"shed": ["alice"], "gate": ["alice", "bobby"]}
