"""The description of the API is complete, valid, and what the server does."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any

import falcon.asgi
import falcon.testing
import msgspec
import pytest
from falcon import inspect
from msgspec import Meta
from openapi_spec_validator import OpenAPIV31SpecValidator

from wotkit import app, strict_json
from wotkit.api import errors as api_errors
from wotkit.api.errors import STATUS
from wotkit.api.openapi import (
    Document,
    OpenApiResource,
    Undescribed,
    described,
    documented_path,
    responders,
)
from wotkit.api.openapi_texts import TAGS
from wotkit.api.operation import Returns, operation
from wotkit.api.requests import convert
from wotkit.errors import CATALOGUE
from wotkit.routes import Route, table
from wotkit.settings import AuthSettings, Settings, StorageSettings

if TYPE_CHECKING:
    from wotkit.routes import Resources


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Resources:
    """The resources of a real server, which has stopped again."""
    settings = msgspec.structs.replace(
        Settings(),
        auth=AuthSettings(bcrypt_cost=4),
        storage=StorageSettings(data=str(tmp_path_factory.mktemp("data"))),
    )

    async def build() -> Resources:
        parts = app.Parts(settings)
        parts.start()
        try:
            return app.create_resources(parts)
        finally:
            await parts.stop()

    return asyncio.run(build())


@pytest.fixture(scope="module")
def document(resources: Resources) -> Document:
    return Document(lambda: table(resources))


@pytest.fixture(scope="module")
def operations(document: Document) -> list[dict[str, Any]]:
    """Every operation of the document, with its path and method."""
    return [
        {**tree, "path": path, "method": method}
        for path, methods in document.tree["paths"].items()
        for method, tree in methods.items()
    ]


def test_document_is_valid_openapi(document: Document) -> None:
    OpenAPIV31SpecValidator(json.loads(document.json)).validate()


def test_every_route_is_described_and_nothing_else(
    resources: Resources, document: Document
) -> None:
    routed = falcon.asgi.App()
    for route in table(resources):
        routed.add_route(route.path, route.resource)
    served = {
        (documented_path(route.path), method.method.lower())
        for route in inspect.inspect_routes(routed)
        for method in route.methods
        if not method.internal and method.method != "WEBSOCKET"  # OpenAPI knows HTTP only
    }
    written = {(path, method) for path, each in document.tree["paths"].items() for method in each}
    assert served == written


def test_unversioned_paths_are_aliases_of_version_1(resources: Resources) -> None:
    by_path = {route.path: route.resource for route in table(resources)}
    aliases = {path: documented_path(path) for path in by_path if documented_path(path) != path}
    assert aliases["/api/sensors/{sensor}/data"] == "/api/v1/sensors/{sensor}/data"
    assert len(aliases) == sum(path.startswith("/api/v1/") for path in by_path)
    for path, described_as in aliases.items():
        assert by_path[path] is by_path[described_as]


def test_responder_without_description_is_an_error() -> None:
    class Silent:
        async def on_get(self, req: Any, resp: Any) -> None: ...

    with pytest.raises(Undescribed, match="GET /api/v1/silent lacks @operation"):
        described([Route("/api/v1/silent", Silent())])


def test_operation_ids_are_unique_and_stable(operations: list[dict[str, Any]]) -> None:
    ids = [each["operationId"] for each in operations]
    assert len(set(ids)) == len(ids)
    assert {"get_v1_sensors", "post_v1_sensors_by_sensor_data", "post_v2_keys_by_key_rotate"} <= {
        *ids
    }


def test_version_2_names_the_operation_of_version_1_that_it_repeats(
    operations: list[dict[str, Any]],
) -> None:
    by_id = {each["operationId"]: each for each in operations}
    assert by_id["get_v2_sensors"]["x-same-as"] == "get_v1_sensors"
    for each in operations:
        assert ("x-same-as" in each) <= each["path"].startswith("/api/v2/")
        if "x-same-as" in each:
            same = by_id[each["x-same-as"]]
            assert each["path"].removeprefix("/api/v2") == same["path"].removeprefix("/api/v1")


def test_every_tag_has_a_description(document: Document) -> None:
    assert {tag["name"] for tag in document.tree["tags"]} == set(TAGS)
    assert all(tag["description"] for tag in document.tree["tags"])


def test_every_operation_says_who_may_call_it(operations: list[dict[str, Any]]) -> None:
    for each in operations:
        allowed = each["security"]
        assert {
            "public": allowed == [],
            "public or private": {} in allowed and len(allowed) == 3,
            "private": allowed in ([{"key": []}, {"user": []}], [{"user": []}]),
            "admin": {} not in allowed and allowed,
        }[each["x-privacy"]], each["operationId"]
        if "x-oauth" not in each:  # there it is not a user who authenticates
            assert ("401" in each["responses"]) == (each["x-privacy"] != "public")


def test_errors_are_listed_with_status_and_codes(operations: list[dict[str, Any]]) -> None:
    statuses = {code.number: STATUS[code.category] for code in CATALOGUE}
    for each in operations:
        refusals = {
            status: answer for status, answer in each["responses"].items() if "x-codes" in answer
        }
        assert "500" in refusals
        for status, answer in refusals.items():
            assert {statuses[number] for number in answer["x-codes"]} == {int(status)}
            schema = answer["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Error"}
        if "x-oauth" in each:
            schemas = [
                each["responses"][status]["content"]["application/json"]["schema"]
                for status in ("400", "401", "413", "415", "429", "503")
            ]
            assert schemas == [{"$ref": "#/components/schemas/OAuthError"}] * len(schemas)
        elif "requestBody" in each:
            assert {"400", "413", "415"} <= refusals.keys()
        if "{sensor}" in each["path"] or "{key}" in each["path"]:
            assert "404" in refusals


def test_error_schema_is_the_shape_that_is_answered(document: Document) -> None:
    client = falcon.testing.TestClient(served(document))
    answer = client.simulate_get("/nothing/here").json
    schemas = document.tree["components"]["schemas"]
    details = schemas["ErrorDetails"]
    assert answer.keys() == schemas["Error"]["properties"].keys()
    assert set(details["required"]) <= answer["error"].keys() <= details["properties"].keys()


def test_query_parameters_come_from_the_type_that_validates() -> None:
    class Query(msgspec.Struct, rename="camel"):
        near_by: Annotated[int, Meta(ge=0, description="How near.")] | None = None
        limit: int = 5

    class Listing:
        @operation(
            summary="List", privacy="public", query=Query, returns={200: Returns("All.", list[int])}
        )
        async def on_get(self, req: Any, resp: Any) -> None: ...

    found = Document(lambda: [Route("/api/v2/things", Listing())]).tree
    parameters = found["paths"]["/api/v2/things"]["get"]["parameters"]
    assert [(each["name"], each["in"]) for each in parameters] == [
        ("nearBy", "query"),
        ("limit", "query"),
    ]
    assert parameters[0]["description"] == "How near."
    assert parameters[0]["schema"] == {"type": "integer", "minimum": 0}
    assert parameters[1]["schema"] == {"type": "integer", "default": 5}


def test_examples_are_bodies_that_validate(resources: Resources) -> None:
    checked = 0
    for each in described(table(resources)):
        about = each.operation
        if about.example is None:
            continue
        value = strict_json.decode(strict_json.encode(about.example))
        if isinstance(about.body, type) and issubclass(about.body, msgspec.Struct):
            convert(about.body, value)
        else:
            msgspec.convert(value, about.body)
        checked += 1
    assert checked >= 3


def test_every_responder_of_the_table_is_seen(resources: Resources) -> None:
    methods = {
        (method, route.path) for route in table(resources) for method, _ in responders(route)
    }
    for expected in (("put", "/api/sensors"), ("delete", "/api/v2/keys/{key}"), ("get", "/readyz")):
        assert expected in methods


def served(document: Document) -> falcon.asgi.App[Any, Any]:
    found: falcon.asgi.App[Any, Any] = falcon.asgi.App()
    api_errors.install(found)
    found.add_route("/api/openapi.json", OpenApiResource(document))
    return found


def test_document_is_served_and_kept_by_caches(document: Document) -> None:
    client = falcon.testing.TestClient(served(document))
    first = client.simulate_get("/api/openapi.json")
    assert first.status_code == 200
    assert first.headers["content-type"] == "application/json"
    assert first.json["openapi"].startswith("3.1.")
    again = client.simulate_get(
        "/api/openapi.json", headers={"If-None-Match": first.headers["etag"]}
    )
    assert (again.status_code, again.text) == (304, "")
