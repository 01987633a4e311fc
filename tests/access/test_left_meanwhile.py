"""Somebody leaves an organization, or a key ends, while a request is still on its way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.access.test_changed_meanwhile import as_json, catalog, dora, slowly
from tests.web_user import PASSWORD
from wotkit.auth import credentials
from wotkit.catalog import orgs, sensors
from wotkit.catalog.audit import Actor
from wotkit.catalog.identity import accounts_of
from wotkit.catalog.sensors import NewSensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.access.parties import Server
    from tests.web_user import WebUser
    from wotkit.catalog import Catalog
    from wotkit.catalog.identity import Identity

__all__ = ["catalog", "dora"]

HERE = Actor("admin", "192.0.2.1")


@pytest.fixture
def shed(catalog: Catalog, dora: WebUser) -> str:
    """A sensor of an organization that Dora is a member of."""

    def make() -> str:
        org = f"of-{dora.name}"
        orgs.create(org, "The team of the shed", HERE)
        orgs.add_member(org, dora.name, HERE)
        found = credentials.candidate(dora.name)
        assert found is not None
        identity: Identity = found.identity
        assert len(accounts_of(identity.user_id)) == 2
        new = NewSensor(name="shed", long_name="Shed", description="of the team", owner=org)
        sensors.create(identity, new, HERE)
        return f"{org}.shed"

    return catalog.write(make)


@pytest.fixture
def leave(catalog: Catalog, dora: WebUser) -> Callable[[], None]:
    """Dora is no member any more."""
    org = f"of-{dora.name}"
    return lambda: catalog.write(orgs.remove_members, org, [dora.name], HERE)


REQUESTS: list[tuple[str, str, Any]] = [
    ("POST", "/api/v1/sensors/{}/data", {"value": 2}),
    ("PUT", "/api/v1/sensors/{}/data", [{"value": 2}]),
    ("PUT", "/api/v2/sensors/{}/data", [{"timestamp": 1000, "value": 2}]),
    ("PUT", "/api/v1/sensors/{}", {"longName": "Mine"}),
    (
        "PUT",
        "/api/v1/sensors/{}/fields/mine",
        {"name": "mine", "longName": "Mine", "type": "NUMBER"},
    ),
]


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_what_a_member_began_is_refused_after_it_left(
    server: Server,
    dora: WebUser,
    shed: str,
    leave: Callable[[], None],
    method: str,
    path: str,
    body: Any,
) -> None:
    data = f"/api/v1/sensors/{shed}/data"
    auth = (dora.name, PASSWORD)
    for value in (0, 1):  # known by now
        assert server.http.post(data, auth=auth, json={"value": value}).status_code == 201
    status, _ = slowly(
        f"{method} {path.format(shed)}",
        server.http.base_url,
        as_json(dora.name, PASSWORD),
        json.dumps(body).encode(),
        leave,
    )
    assert status == 404
    # and what was looked up for it is nothing that holds
    for _ in range(2):
        assert server.http.post(data, auth=auth, json={"value": 3}).status_code == 404
        assert server.http.get(data, auth=auth).status_code == 404


def test_batch_that_a_member_began_is_refused_item_by_item_after_it_left(
    server: Server, dora: WebUser, shed: str, leave: Callable[[], None]
) -> None:
    batch = {"stream": "gw", "readings": [{"seq": 1, "sensor": shed, "value": 1}]}
    status, head = slowly(
        "POST /api/v2/ingest",
        server.http.base_url,
        as_json(dora.name, PASSWORD),
        json.dumps(batch).encode(),
        leave,
    )
    assert status == 200, head
    auth = (dora.name, PASSWORD)
    again = server.http.post("/api/v2/ingest", auth=auth, json=batch).json()
    assert [one["seq"] for one in again["rejected"]] == [1]
    answer = server.http.post("/api/v2/data", auth=auth, json=[{"sensor": shed, "value": 1}])
    assert [item["status"] for item in answer.json()] == [404]


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_what_a_key_began_is_refused_after_it_was_revoked(
    server: Server, dora: WebUser, shed: str, method: str, path: str, body: Any
) -> None:
    auth = (dora.name, PASSWORD)
    key = server.http.post("/api/v2/keys", auth=auth, json={"name": "gw", "scopes": ["all"]}).json()
    by_key = (key["id"], key["password"])
    data = f"/api/v1/sensors/{shed}/data"
    assert server.http.post(data, auth=by_key, json={"value": 0}).status_code == 201

    def revoke() -> None:
        assert server.http.delete(f"/api/v2/keys/{key['id']}", auth=auth).status_code == 204

    status, _ = slowly(
        f"{method} {path.format(shed)}",
        server.http.base_url,
        as_json(*by_key),
        json.dumps(body).encode(),
        revoke,
    )
    assert status == 401
    assert [one["value"] for one in server.http.get(data, auth=auth).json()] == [0]


def test_gateway_does_not_report_with_a_key_that_was_revoked_meanwhile(
    server: Server, dora: WebUser
) -> None:
    auth = (dora.name, PASSWORD)
    key = server.http.post("/api/v2/keys", auth=auth, json={"name": "gw", "scopes": ["all"]}).json()

    def revoke() -> None:
        assert server.http.delete(f"/api/v2/keys/{key['id']}", auth=auth).status_code == 204

    status, _ = slowly(
        "PUT /api/v2/gateways/shed-1/status",
        server.http.base_url,
        as_json(key["id"], key["password"]),
        b'{"status":"online"}',
        revoke,
    )
    assert status == 401
    assert server.http.get("/api/v2/gateways", auth=auth).json() == []


def test_reading_that_comes_slowly_is_taken_where_nothing_has_changed(
    server: Server, dora: WebUser, shed: str
) -> None:
    data = f"/api/v1/sensors/{shed}/data"
    headers = as_json(dora.name, PASSWORD)
    for _ in range(2):
        status, _ = slowly(
            f"POST {data}", server.http.base_url, headers, b'{"value":1}', lambda: None
        )
        assert status == 201
