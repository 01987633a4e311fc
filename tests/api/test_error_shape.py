from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import falcon
import falcon.asgi
import pytest
from falcon import testing

from wotkit import errors
from wotkit.api import errors as api_errors
from wotkit.edge import Edge
from wotkit.errors import WotkitError
from wotkit.metrics import RequestMetrics
from wotkit.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SECRET = "SELECT * FROM /srv/wotkit"


class Boom(Exception):
    pass


class Resource:
    """Raises what it is told to, early or with an answer half made."""

    def __init__(self) -> None:
        self.error: BaseException = errors.NotFound("alice.lamp")

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        raise self.error

    async def on_put(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.status = 201
        resp.text = "half an answer"
        raise self.error

    async def on_delete(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"half an answer"

        resp.stream = pieces()
        resp.media = {"half": "an answer"}
        raise self.error

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        await req.get_media()


@pytest.fixture
def resource() -> Resource:
    return Resource()


@pytest.fixture
def client(resource: Resource) -> Any:
    app: falcon.asgi.App[Any, Any] = falcon.asgi.App()
    app.req_options.strip_url_path_trailing_slash = True
    api_errors.install(app)
    app.add_route("/thing", resource)
    app.add_route("/thing/{number:int}", resource)
    edge = Edge(app, Settings(), RequestMetrics())

    async def server(scope: Any, receive: Any, send: Any) -> None:
        if "headers" in scope:
            scope["headers"] = [tuple(pair) for pair in scope["headers"]]  # as uvicorn does
        await edge(scope, receive, send)

    return testing.TestClient(server)


def check_shape(result: Any, status: int, code: int) -> dict[str, Any]:
    """Check the one shape of errors and return its object."""
    assert result.status_code == status
    assert result.headers["content-type"] == "application/json"
    assert set(result.json) == {"error"}
    error: dict[str, Any] = result.json["error"]
    assert set(error) == {
        "status",
        "code",
        "message",
        "developerMessage",
        "moreInfo",
        "requestId",
    }
    assert error["status"] == status
    assert error["code"] == code
    assert error["message"]
    assert isinstance(error["developerMessage"], list)
    assert all(isinstance(line, str) for line in error["developerMessage"])
    assert isinstance(error["moreInfo"], dict)
    assert error["requestId"] == result.headers["x-request-id"]
    assert SECRET not in result.text
    assert "Traceback" not in result.text
    return error


DOMAIN = sorted(WotkitError.__subclasses__(), key=lambda kind: kind.code.number)


@pytest.mark.parametrize("kind", DOMAIN, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_every_domain_error_has_the_one_shape(
    client: Any, resource: Resource, kind: type[WotkitError], method: str
) -> None:
    resource.error = kind("what to do")
    result = client.simulate_request(method, "/thing")
    error = check_shape(result, api_errors.STATUS[kind.code.category], kind.code.number)
    assert error["message"] == kind.code.message
    assert error["developerMessage"] == ["what to do"]
    assert ("www-authenticate" in result.headers) == (result.status_code == 401)


def test_details_by_field_are_lines_for_the_developer_too(client: Any, resource: Resource) -> None:
    resource.error = errors.ValidationFailed(more={"1.longName": "is required", "ü": 'is "odd"'})
    error = check_shape(client.simulate_get("/thing"), 400, 1201)
    assert error["moreInfo"] == {"1.longName": "is required", "ü": 'is "odd"'}
    assert error["developerMessage"] == ["1.longName is required", 'ü is "odd"']


@pytest.mark.parametrize(
    ("seconds", "header"), [(0.001, "1"), (1, "1"), (1.2, "2"), (299.9, "300"), (None, None)]
)
def test_retry_after_is_whole_seconds_and_never_zero(
    client: Any, resource: Resource, seconds: float | None, header: str | None
) -> None:
    resource.error = errors.Overloaded("queue full", retry_after=seconds)
    result = client.simulate_get("/thing")
    check_shape(result, 503, 1601)
    assert result.headers.get("retry-after") == header


def test_wrong_credentials_are_asked_for_with_basic(client: Any, resource: Resource) -> None:
    resource.error = errors.Unauthenticated()
    challenge = client.simulate_get("/thing").headers["www-authenticate"]
    assert challenge == 'Basic realm="WoTKit", charset="UTF-8"'


def test_unknown_path_says_so_in_the_one_shape(client: Any) -> None:
    for path in ("/nothing", "/", "/thing/x", "/thing/1/2", "/%ff%00%0d%0aX-Evil:1", "/ü"):
        result = client.simulate_get(path)
        error = check_shape(result, 404, 1102)
        assert "there is nothing at" in error["developerMessage"][0]
        assert "x-evil" not in result.headers


def test_unknown_method_lists_the_known_ones(client: Any) -> None:
    for method in ("PATCH", "HEAD", "TRACE", "PROPFIND"):
        result = client.simulate_request(method, "/thing")
        assert result.status_code == 405
        assert set(result.headers["allow"].split(", ")) == {
            "GET",
            "PUT",
            "POST",
            "DELETE",
            "OPTIONS",
        }
        if method != "HEAD":
            check_shape(result, 405, 1103)
    assert client.simulate_request("JUNK", "/thing").status_code == 400


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"x", {"content-type": "application/pdf"}, 415, 1502),
        (b"{", {"content-type": "application/json"}, 400, 1207),
        (b"", {"content-type": "application/json"}, 400, 1207),
    ],
)
def test_frameworks_own_errors_have_the_one_shape(
    client: Any, body: bytes, headers: dict[str, str], status: int, code: int
) -> None:
    check_shape(client.simulate_post("/thing", body=body, headers=headers), status, code)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (falcon.HTTPBadRequest(title="bad"), 400, 1207),
        (falcon.HTTPUnauthorized(), 401, 1301),
        (falcon.HTTPForbidden(), 403, 1303),
        (falcon.HTTPRouteNotFound(), 404, 1102),
        (falcon.HTTPNotAcceptable(), 400, 1207),
        (falcon.HTTPContentTooLarge(), 413, 1501),
        (falcon.HTTPUnsupportedMediaType(), 415, 1502),
        (falcon.HTTPTooManyRequests(), 429, 1503),
        (falcon.HTTPInternalServerError(), 500, 1901),
        (falcon.HTTPServiceUnavailable(), 503, 1601),
        (falcon.HTTPGatewayTimeout(), 500, 1901),
        (falcon.HTTPInvalidHeader("not a number", "Content-Length"), 400, 1207),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_any_http_error_becomes_one_of_the_catalogue(
    client: Any, resource: Resource, error: Exception, status: int, code: int
) -> None:
    resource.error = error
    check_shape(client.simulate_get("/thing"), status, code)


@pytest.mark.parametrize(
    "error",
    [
        Boom(SECRET),
        ValueError(SECRET),
        KeyError(SECRET),
        OSError(2, "no", SECRET),
        RecursionError(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_unexpected_exception_tells_the_request_id_and_nothing_else(
    client: Any,
    resource: Resource,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    method: str,
) -> None:
    resource.error = error
    headers = {"x-request-id": "given-id-1"}
    result = client.simulate_request(method, "/thing", headers=headers)
    told = check_shape(result, 500, 1901)
    assert told["requestId"] == "given-id-1"
    assert told["developerMessage"] == ["request id given-id-1"]
    (record,) = [found for found in caplog.records if found.name == "wotkit.api.errors"]
    assert record.levelno == logging.ERROR
    assert "given-id-1" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_what_is_echoed_is_text_that_can_be_sent(client: Any, resource: Resource) -> None:
    resource.error = errors.NotFound("half a pair: \ud800", more={"\udfff": "\ud800"})
    error = check_shape(client.simulate_get("/thing"), 404, 1101)
    assert error["developerMessage"] == ["half a pair: ?"]
    assert error["moreInfo"] == {"?": "?"}


def test_body_without_a_request_is_the_same_shape() -> None:
    """As items of a batch carry it."""
    shape = api_errors.body(errors.NotFound("alice.lamp"))["error"]
    assert set(shape) == {"status", "code", "message", "developerMessage", "moreInfo"}


def test_websocket_is_turned_away_without_an_exception(caplog: pytest.LogCaptureFixture) -> None:
    app: falcon.asgi.App[Any, Any] = falcon.asgi.App()
    api_errors.install(app)
    app.add_route("/thing", Resource())

    async def connect(path: str) -> list[Any]:
        sent: list[Any] = []
        events = iter([{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1}])

        async def receive() -> Any:
            return next(events)

        async def send(event: Any) -> None:
            sent.append(event)

        scope = testing.create_scope_ws(path=path)
        await Edge(app, Settings(), RequestMetrics())(scope, receive, send)
        return sent

    for path in ("/thing", "/nothing"):
        sent = asyncio.run(connect(path))
        assert [event["type"] for event in sent] == ["websocket.close"]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
