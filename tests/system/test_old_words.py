"""Errors in the words that old clients match on, over HTTP, with a status, in every version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.system.server_process import PASSWORD, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

ALICE = ("alice", PASSWORD)
CHARLIE = ("charlie", PASSWORD)
NEVER = "2100-01-01T00:00:00Z"
SENSOR = {"name": "cellar", "longName": "Cellar", "description": "Under the house"}
ROOF = "sensors/alice.roof"
NARROW = "sensors/alice.narrow"
NOT_FOUND = "Could not locate this resource."
INVALID = "Object has validation errors"
INVALID_FIELD = "The supplied object is invalid"
FIELD_CONTENT = "Invalid Field Content"


class Line(NamedTuple):
    """A request, and what its refusal says."""

    method: str
    path: str
    body: Any
    status: int
    message: str
    detail: str
    """In ``developerMessage`` or ``moreInfo``."""


LINES = [
    Line("GET", "sensors/alice.nothing", None, 404, NOT_FOUND, "alice.nothing"),
    Line("GET", "sensors/4711", None, 404, NOT_FOUND, "4711"),
    Line("GET", "sensors/nothing/data", None, 404, NOT_FOUND, "nothing"),
    Line("POST", "sensors/nothing/data", {"value": 1}, 404, NOT_FOUND, "nothing"),
    Line("PUT", "sensors/nothing/data", [{"value": 1}], 404, NOT_FOUND, "nothing"),
    Line("DELETE", "sensors/nothing/data/1", None, 404, NOT_FOUND, "nothing"),
    Line("PUT", "sensors/nothing", {"longName": "x"}, 404, NOT_FOUND, "nothing"),
    Line("DELETE", "sensors/nothing", None, 404, NOT_FOUND, "nothing"),
    Line("GET", "sensors/nothing/fields", None, 404, NOT_FOUND, "nothing"),
    Line("POST", "sensors", SENSOR | {"owner": "team"}, 404, NOT_FOUND, "team"),
    Line("POST", "sensors", SENSOR | {"name": "roof"}, 409, "already exists", "already exists"),
    Line("PUT", "sensors", [SENSOR | {"name": "roof"}], 409, "already exists", "already exists"),
    Line("POST", "sensors", {"name": "cellar"}, 400, INVALID, "longName"),
    Line("POST", "sensors", SENSOR | {"name": "Ab"}, 400, INVALID, "name"),
    Line("POST", "sensors", SENSOR | {"latitude": 91}, 400, INVALID, "latitude"),
    Line("PUT", ROOF, {"longName": ""}, 400, INVALID, "longName"),
    Line("PUT", f"{ROOF}/fields/new", {"name": "new"}, 400, INVALID_FIELD, "type"),
    Line(
        "PUT",
        f"{ROOF}/fields/new",
        {"name": "new", "type": "NUMBER"},
        400,
        INVALID_FIELD,
        "longName",
    ),
    Line("POST", f"{ROOF}/data", {"value": "warm"}, 400, INVALID, "expected NUMBER"),
    Line("POST", f"{ROOF}/data", {"value": "warm"}, 400, INVALID, "value"),
    Line("PUT", f"{ROOF}/data", [{"value": "x", "timestamp": 1}], 400, INVALID, "expected NUMBER"),
    Line("POST", f"{ROOF}/data", {"value": 1, "timestamp": NEVER}, 400, INVALID, "future"),
    Line("PUT", f"{ROOF}/data", [{"value": 1, "timestamp": NEVER}], 400, INVALID, "future"),
    Line("POST", f"{NARROW}/data", {"note": "x"}, 400, INVALID, "level"),
    Line("PUT", f"{NARROW}/data", [{"note": "x", "timestamp": 1}], 400, INVALID, "level"),
    Line(
        "DELETE",
        f"{NARROW}/fields/level",
        None,
        400,
        FIELD_CONTENT,
        "Cannot delete last field from sensor",
    ),
    Line("GET", f"{ROOF}/fields/nothing", None, 400, FIELD_CONTENT, "nothing"),
    Line("DELETE", f"{ROOF}/fields/nothing", None, 400, FIELD_CONTENT, "nothing"),
]

METADATA = "Unexpected format for metadata query"
QUERIES = [
    ("metadata=a*b:1", METADATA, "asterisk found in key"),
    ("metadata=:1", METADATA, "empty key"),
    ("metadata=a:b:c", METADATA, "unescaped colon found"),
    ("metadata=a%5Cb", METADATA, "Attempted to escape"),
    ("location=10,10:20,20", "smaller than", ""),
    ("location=91,10:20,20", "out of bound", ""),
    ("location=20,10:10,181", "out of bound", ""),
]


@pytest.fixture(scope="module")
def server(shared_server: ServerProcess) -> Iterator[ServerProcess]:
    """A server with a sensor of one required field, too, and a stranger."""
    shared_server.add_user("charlie")
    level = {"name": "level", "longName": "Level", "type": "NUMBER", "required": True}
    narrow = {**SENSOR, "name": "narrow", "fields": [level]}
    with shared_server.wire(ALICE) as alice:
        assert alice.post("/api/v1/sensors", narrow).status == 201
    return shared_server


def check(error: dict[str, Any], message: str, detail: str) -> None:
    assert message.lower() in error["message"].lower()
    details = [*error["developerMessage"], *error["moreInfo"], *error["moreInfo"].values()]
    assert any(detail.lower() in line.lower() for line in details), error


def in_every_version(line: Line) -> list[tuple[str, Line]]:
    bases = ["/api", "/api/v1"]
    if "/data/" not in line.path:  # version 2 deletes readings by id
        bases.append("/api/v2")
    return [(base, line) for base in bases]


@pytest.mark.parametrize(
    ("base", "line"),
    [pair for line in LINES for pair in in_every_version(line)],
    ids=lambda value: value if isinstance(value, str) else f"{value.method} {value.path}",
)
def test_refusal_has_the_status_and_the_words(server: ServerProcess, base: str, line: Line) -> None:
    with server.wire(ALICE) as alice:
        if line.body is None:
            answer = alice.call(line.method, f"{base}/{line.path}")
        else:
            answer = alice.send(line.method, f"{base}/{line.path}", line.body)
    check(answer.error(line.status), line.message, line.detail)


@pytest.mark.parametrize(("query", "message", "detail"), QUERIES)
def test_query_of_sensors_is_refused_in_the_words(
    server: ServerProcess, query: str, message: str, detail: str
) -> None:
    with server.wire(ALICE) as alice:
        check(alice.get(f"/api/sensors?{query}").error(400), message, detail)


@pytest.mark.parametrize("reference", ["alice.roof", "1"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PUT", "", {"longName": "Mine"}),
        ("DELETE", "", None),
        ("GET", "/data", None),
        ("POST", "/data", {"value": 1}),
        ("PUT", "/data", [{"value": 1}]),
        ("GET", "/fields", None),
        ("DELETE", "/fields/value", None),
    ],
)
def test_stranger_hears_of_a_private_sensor_what_is_said_of_none(
    server: ServerProcess, reference: str, method: str, path: str, body: Any
) -> None:
    with server.wire(CHARLIE) as charlie:
        hidden = charlie.send(method, f"/api/v1/sensors/{reference}{path}", body).error(404)
        missing = charlie.send(method, f"/api/v1/sensors/4711{path}", body).error(404)
    check(hidden, NOT_FOUND, reference)
    assert hidden.pop("developerMessage") == [reference]
    assert missing.pop("developerMessage") == ["4711"]
    assert hidden.pop("requestId") != missing.pop("requestId")
    assert hidden == missing


@pytest.mark.parametrize(
    "caller", [("alice", "a wrong one"), ("nobody", PASSWORD), ("0" * 16, "x")]
)
def test_wrong_credentials_are_401_also_where_the_public_may_ask(
    server: ServerProcess, caller: tuple[str, str]
) -> None:
    with server.wire(caller) as wire:
        for path in ("/api/sensors", "/api/v1/sensors/alice.roof", "/api/v2/keys"):
            answer = wire.get(path)
            answer.error(401, 1301)
            assert answer.headers["www-authenticate"].startswith("Basic ")
