"""Users over HTTP, for administrators."""

from __future__ import annotations

from typing import Any

import pytest

from wotkit.catalog import models

BASES = ("/api", "/api/v1", "/api/v2")
NEW = {
    "username": "dorothy",
    "firstname": "Dorothy",
    "lastname": "Gale",
    "email": "dorothy@example.org",
    "password": "no place like home",
    "timeZone": "America/Chicago",
}
ALWAYS = {"accountNonExpired": True, "accountNonLocked": True, "credentialsNonExpired": True}


@pytest.fixture
def dorothy(client: Any) -> Any:
    assert client.post("users", "admin", NEW).status_code == 201
    return client


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("slash", ["", "/"])
def test_user_is_made_shown_and_changed(client: Any, base: str, slash: str) -> None:
    answer = client.call("POST", f"{base}/users{slash}", "admin", json=NEW)
    assert answer.status_code == 201
    made = answer.json()
    public = {name: value for name, value in NEW.items() if name != "password"}
    assert made == public | ALWAYS | {"id": made["id"], "enabled": True}
    for reference in ("dorothy", made["id"]):
        shown = client.call("GET", f"{base}/users/{reference}{slash}", "admin")
        assert shown.json() == made
    change = {"username": "dorothy", "lastname": "Gale-Diggs", "timeZone": "Europe/Dublin"}
    changed = client.call("PUT", f"{base}/users/dorothy{slash}", "admin", json=change)
    assert changed.status_code == 204
    assert client.get("users/dorothy", "admin").json() == made | change


def test_new_user_signs_in_and_a_new_password_replaces_the_old(dorothy: Any) -> None:
    old, new = ("dorothy", NEW["password"]), ("dorothy", "over the rainbow 1939")
    assert dorothy.get("subscribe", old).status_code == 200
    assert dorothy.put("users/dorothy", "admin", {"password": new[1]}).status_code == 204
    dorothy.error(dorothy.get("subscribe", old), 401)
    assert dorothy.get("subscribe", new).status_code == 200


def test_disabled_user_is_refused_and_an_enabled_one_comes_back(dorothy: Any) -> None:
    who = ("dorothy", NEW["password"])
    assert dorothy.put("users/dorothy", "admin", {"enabled": False}).status_code == 204
    dorothy.error(dorothy.get("subscribe", who), 401)
    assert dorothy.get("users/dorothy", "admin").json()["enabled"] is False
    dorothy.put("users/dorothy", "admin", {"enabled": "true"})
    assert dorothy.get("subscribe", who).status_code == 200


def test_list_is_newest_first_searchable_and_in_pages(dorothy: Any) -> None:
    def names(**params: Any) -> list[str]:
        return [user["username"] for user in dorothy.get("users", "admin", **params).json()]

    everybody = ["dorothy", "admin", "charlie", "bobby", "alice"]
    assert names() == everybody
    assert names(reverse="true") == everybody[::-1]
    assert names(text="GALE") == names(text="thy ga") == names(text="doro") == ["dorothy"]
    assert names(text="example.org") == []
    assert names(offset=1, limit=2) == ["admin", "charlie"]
    answer = dorothy.get("users", "admin", limit=4)
    assert dorothy.get(answer.links["next"]["url"], "admin").json()[0]["username"] == "alice"
    assert not any("password" in user for user in dorothy.get("users", "admin").json())


@pytest.mark.parametrize(
    ("attributes", "wrong"),
    [
        ({"username": "abc"}, "username"),
        ({"username": "with space"}, "username"),
        ({"username": None}, "username"),
        ({"firstname": None}, "firstname"),
        ({"lastname": None}, "lastname"),
        ({"lastname": " "}, "lastname"),
        ({"email": None}, "email"),
        ({"email": "nowhere"}, "email"),
        ({"password": None}, "password"),
        ({"password": "short"}, "password"),
        ({"password": "password1"}, "password"),
        ({"timeZone": "Middle/Earth"}, "timeZone"),
    ],
)
def test_wrong_attribute_is_named(client: Any, attributes: dict[str, Any], wrong: str) -> None:
    error = client.error(client.post("users", "admin", NEW | attributes), 400)
    assert "The supplied object is invalid" in error["message"]
    assert list(error["moreInfo"]) == [wrong]
    assert wrong in error["developerMessage"][0]


@pytest.mark.parametrize("name", ["alice", "garden"])
def test_name_that_exists_is_400(client: Any, name: str) -> None:
    error = client.error(client.post("users", "admin", NEW | {"username": name}), 400)
    assert "The supplied object is invalid" in error["message"]
    assert "already exists" in error["moreInfo"]["username"]


@pytest.mark.parametrize(
    "change", [{"lastname": ""}, {"email": "x"}, {"timeZone": "x"}, {"password": "x"}]
)
def test_wrong_change_changes_nothing(dorothy: Any, change: dict[str, Any]) -> None:
    before = dorothy.get("users/dorothy", "admin").json()
    error = dorothy.error(dorothy.put("users/dorothy", "admin", change | {"firstname": "D"}), 400)
    assert "The supplied object is invalid" in error["message"]
    assert list(error["moreInfo"]) == list(change)
    assert dorothy.get("users/dorothy", "admin").json() == before


def test_username_never_changes(client: Any) -> None:
    error = client.error(client.put("users/alice", "admin", {"username": "other"}), 400)
    assert "Extraneous field" in error["message"]
    assert "Cannot change username" in error["developerMessage"][0]


def test_deleting_a_user_is_not_supported(client: Any) -> None:
    error = client.error(client.delete("users/alice", "admin"), 403)
    assert "Cannot perform action" in error["message"]
    assert "not supported" in error["developerMessage"][0]
    error = client.error(client.delete("users/nobody", "admin"), 404)
    assert "nobody" in error["developerMessage"][0]


CALLS = [
    ("GET", "users", None, 200),
    ("POST", "users", NEW, 201),
    ("GET", "users/alice", None, 200),
    ("PUT", "users/alice", {"lastname": "Smith"}, 204),
    ("DELETE", "users/alice", None, 403),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), CALLS)
def test_only_administrators_manage_users(
    client: Any, people: Any, make_key: Any, method: str, path: str, body: Any, status: int
) -> None:
    client.error(client.call(method, path, json=body), 401)
    client.error(client.call(method, path, "alice", json=body), 403)
    client.error(client.call(method, path, make_key(people.admin), json=body), 403)
    key = make_key(people.admin, scopes=["admin"])
    assert client.call(method, path, key, json=body).status_code == status


@pytest.mark.parametrize("user", ["nobody", "99", "garden"])
def test_missing_user_is_404(client: Any, user: str) -> None:
    client.error(client.get(f"users/{user}", "admin"), 404)
    client.error(client.put(f"users/{user}", "admin", {"lastname": "Smith"}), 404)


@pytest.mark.parametrize(("method", "path"), [("PUT", "users"), ("POST", "users/alice")])
def test_other_methods_are_405(client: Any, method: str, path: str) -> None:
    client.error(client.call(method, path, "admin"), 405)


def test_changes_are_audited_without_the_password(dorothy: Any, catalog: Any) -> None:
    dorothy.put("users/dorothy", "admin", {"password": "over the rainbow", "firstname": "Dot"})
    query = models.Audit.select(models.Audit.actor, models.Audit.action, models.Audit.details)
    found = catalog.read(models.rows, query.where(models.Audit.target == "dorothy"))
    assert [(actor, action) for actor, action, _ in found] == [
        ("admin", "user.create"),
        ("admin", "user.change"),
    ]
    assert found[1][2] == '{"changed":["password","first_name"]}'
