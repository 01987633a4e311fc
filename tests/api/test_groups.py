"""Groups over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from wotkit.catalog import models

BASES = ("/api", "/api/v1", "/api/v2")


def make(client: Any, name: str, caller: Any = "alice", **attributes: Any) -> dict[str, Any]:
    answer = client.post("groups", caller, {"name": name, "longName": name.title()} | attributes)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


@pytest.fixture
def groups(client: Any) -> Any:
    """A public group of Alice's with a public and a private sensor, and a private group."""
    make(client, "house", visibility="PUBLIC")
    make(client, "cellar")
    for name, visibility in (("open", "PUBLIC"), ("shut", "PRIVATE")):
        made = client.make_sensor(name, visibility=visibility)
        answer = client.call("POST", f"groups/house/sensors/{made['id']}", "alice")
        assert answer.status_code == 204
    return client


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("slash", ["", "/"])
def test_group_is_made_shown_changed_and_deleted(client: Any, base: str, slash: str) -> None:
    body = {
        "name": "indoor",
        "longName": "Indoors",
        "description": "",
        "tags": ["House"],
        "metadata": {"floor": 1},
        "imageUrl": "https://example.org/a.png",
        "latitude": 53.3,
        "thingType": "GROUP",
    }
    answer = client.call("POST", f"{base}/groups{slash}", "alice", json=body)
    assert answer.status_code == 201
    made = answer.json()
    assert body.items() <= made.items()
    assert (made["owner"], made["publisher"]) == ("alice", "alice")
    assert (made["visibility"], made["childCount"], made["things"]) == ("PRIVATE", 0, [])
    assert client.get(answer.headers["location"], "alice").json() == made
    for reference in ("indoor", "alice.indoor", made["id"]):
        shown = client.call("GET", f"{base}/groups/{reference}{slash}", "alice")
        assert shown.json() == made
    change = {"longName": "Inside", "tags": [], "visibility": "public", "name": "indoor"}
    changed = client.call("PUT", f"{base}/groups/indoor{slash}", "alice", json=change)
    assert changed.status_code == 204
    now = client.get("groups/indoor", "alice").json()
    assert now == made | change | {"visibility": "PUBLIC"}
    assert client.call("DELETE", f"{base}/groups/indoor{slash}", "alice").status_code == 204
    client.error(client.get("groups/indoor", "alice"), 404)


def test_everybody_sees_the_members_visible_to_it(groups: Any) -> None:
    def seen(who: str | None) -> tuple[int, list[str]]:
        group = groups.get("groups/alice.house", who).json()
        return group["childCount"], [thing["name"] for thing in group["things"]]

    assert seen("alice") == (2, ["open", "shut"])
    assert seen("charlie") == seen(None) == (1, ["open"])
    groups.post("sensors/open/data", "alice", {"value": 7})
    (thing,) = groups.get("groups/alice.house").json()["things"]
    assert thing == groups.get("sensors/alice.open").json()


def test_list_has_what_the_caller_may_see_in_pages(groups: Any) -> None:
    make(groups, "sheds", "bobby", owner="garden")

    def names(who: str | None, **params: Any) -> list[str]:
        return [group["name"] for group in groups.get("groups", who, **params).json()]

    assert names("alice") == ["house", "cellar", "sheds"]
    assert names("bobby") == ["house", "sheds"]
    assert names("charlie") == names(None) == ["house"]
    assert names("alice", text="HOU") == ["house"]
    answer = groups.get("groups", "alice", limit=1, offset=1)
    assert [group["name"] for group in answer.json()] == ["cellar"]
    assert groups.get(answer.links["next"]["url"], "alice").json()[0]["name"] == "sheds"


def test_sensor_is_taken_out_and_a_deleted_one_is_gone(groups: Any) -> None:
    path = "groups/alice.house/sensors/1"
    assert groups.delete(path, "alice").status_code == 204
    groups.error(groups.delete(path, "alice"), 404)
    groups.delete("sensors/shut", "alice")
    assert groups.get("groups/house", "alice").json()["childCount"] == 0


def test_member_added_again_is_400(groups: Any) -> None:
    error = groups.error(groups.call("POST", "groups/house/sensors/1", "alice"), 400)
    assert "already a member" in error["developerMessage"][0]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_who_may_not_edit_a_visible_group_is_401(groups: Any, method: str) -> None:
    groups.error(groups.call(method, "groups/alice.house/sensors/1", "charlie"), 401)
    groups.error(groups.call(method, "groups/alice.house/sensors/1"), 401)
    groups.error(groups.call(method, "groups/alice.cellar/sensors/1", "charlie"), 404)
    groups.error(groups.call(method, "groups/house/sensors/999", "alice"), 404)


def test_hidden_sensor_of_another_cannot_be_added(groups: Any) -> None:
    make(groups, "mine", "charlie")
    assert groups.call("POST", "groups/mine/sensors/1", "charlie").status_code == 204
    groups.error(groups.call("POST", "groups/mine/sensors/2", "charlie"), 404)


@pytest.mark.parametrize("group", ["alice.house", "alice.cellar", "99", "nothing"])
def test_stranger_cannot_change_or_delete_a_group(groups: Any, group: str) -> None:
    for answer in (
        groups.put(f"groups/{group}", "charlie", {"longName": "Mine now"}),
        groups.delete(f"groups/{group}", "charlie"),
    ):
        error = groups.error(answer, 404)
        assert error["message"] == "Could not locate this resource."
        assert group in error["developerMessage"][0]


def test_private_group_is_hidden_from_stranger_and_open_to_teammates(groups: Any) -> None:
    make(groups, "sheds", owner="garden")
    groups.error(groups.get("groups/garden.sheds", "charlie"), 404)
    assert groups.get("groups/garden.sheds", "bobby").status_code == 200
    change = {"longName": "Four sheds"}
    assert groups.put("groups/garden.sheds", "bobby", change).status_code == 204


def test_group_of_that_name_exists(groups: Any) -> None:
    body = {"name": "house", "longName": "House"}
    error = groups.error(groups.post("groups", "alice", body), 409)
    assert "already exists" in error["message"]
    assert "already exists" in error["developerMessage"][0]
    assert groups.post("groups", "charlie", body).status_code == 201


@pytest.mark.parametrize(
    ("attributes", "wrong"),
    [
        ({"name": "abc"}, "name"),
        ({"name": "_abcd"}, "name"),
        ({"name": "With.dot"}, "name"),
        ({"name": "a" * 51}, "name"),
        ({"name": None}, "name"),
        ({"longName": "abc"}, "longName"),
        ({"longName": "a" * 101}, "longName"),
        ({"longName": None}, "longName"),
        ({"visibility": "secret"}, "visibility"),
        ({"latitude": 91}, "latitude"),
        ({"metadata": {"": 1}}, "metadata"),
        ({"tags": "text"}, "tags"),
    ],
)
def test_wrong_attribute_is_named(client: Any, attributes: dict[str, Any], wrong: str) -> None:
    body = {"name": "indoor", "longName": "Indoors"} | attributes
    error = client.error(client.post("groups", "alice", body), 400)
    assert "Object has validation errors" in error["message"]
    assert list(error["moreInfo"]) == [wrong]


def test_fixed_attribute_cannot_be_changed(groups: Any) -> None:
    for change in ({"name": "other"}, {"owner": "garden"}, {"id": 77}):
        error = groups.error(groups.put("groups/house", "alice", change), 400)
        assert "Extraneous field" in error["message"]
        assert f'Cannot change the field "{next(iter(change))}"' in error["developerMessage"][0]


def test_group_for_an_organization_of_others_is_404(client: Any) -> None:
    body = {"name": "indoor", "longName": "Indoors", "owner": "garden"}
    client.error(client.post("groups", "charlie", body), 404)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "groups"), ("PUT", "groups/1"), ("DELETE", "groups/1")]
)
def test_changes_need_credentials(groups: Any, method: str, path: str) -> None:
    groups.error(groups.call(method, path, json={}), 401)


def test_limited_key_changes_no_group(groups: Any, people: Any, make_key: Any) -> None:
    key = make_key(people.alice, sensors=["open"])
    groups.error(groups.post("groups", key, {"name": "mine", "longName": "Mine"}), 403)
    groups.error(groups.put("groups/house", key, {"longName": "Mine"}), 404)
    groups.error(groups.call("DELETE", "groups/house/sensors/1", key), 401)
    assert groups.get("groups/house", key).json()["childCount"] == 1


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "groups"), ("POST", "groups/1"), ("GET", "groups/1/sensors/1")]
)
def test_other_methods_are_405(client: Any, method: str, path: str) -> None:
    client.error(client.call(method, path, "alice"), 405)


def test_changes_are_audited(groups: Any, catalog: Any) -> None:
    groups.put("groups/house", "alice", {"longName": "Houses"})
    groups.delete("groups/house/sensors/1", "alice")
    groups.delete("groups/house", "alice")
    query = models.Audit.select(models.Audit.action).where(models.Audit.target == "alice.house")
    actions = [action for (action,) in catalog.read(models.rows, query)]
    assert actions == [
        "group.create",
        "group.add",
        "group.add",
        "group.change",
        "group.remove",
        "group.delete",
    ]
