"""The one place that turns errors, from any layer, into HTTP answers of one shape."""

from __future__ import annotations

import logging
import math
from typing import Any, Final

import falcon
import falcon.asgi

from wotkit import errors, strict_json
from wotkit.errors import Category, WotkitError

STATUS: Final = {
    Category.INVALID: 400,
    Category.UNAUTHENTICATED: 401,
    Category.FORBIDDEN: 403,
    Category.NOT_FOUND: 404,
    Category.METHOD_NOT_ALLOWED: 405,
    Category.CONFLICT: 409,
    Category.TOO_LARGE: 413,
    Category.UNSUPPORTED_MEDIA: 415,
    Category.UNPROCESSABLE: 422,
    Category.TOO_MANY: 429,
    Category.INTERNAL: 500,
    Category.UNAVAILABLE: 503,
}
"""The HTTP status of each category of error (RFC 9110 section 15, RFC 6585)."""

CHALLENGE: Final = 'Basic realm="WoTKit", charset="UTF-8"'
"""What a 401 asks for (RFC 7617)."""
BEARER: Final = 'Bearer realm="WoTKit"'
"""What it asks for when an access token is refused (RFC 6750 section 3)."""

_OF_STATUS: Final[dict[int, type[WotkitError]]] = {
    400: errors.MalformedBody,
    401: errors.Unauthenticated,
    403: errors.CannotPerform,
    404: errors.NoSuchRoute,
    405: errors.MethodNotAllowed,
    413: errors.TooLarge,
    415: errors.UnsupportedMedia,
    429: errors.RateLimited,
    503: errors.Overloaded,
}

_WEBSOCKET_CODES: Final = 3000
"""Added to a status, the code a WebSocket is closed with (RFC 6455 section 7.4.2)."""

_log: Final = logging.getLogger(__name__)


def status_of(error: WotkitError) -> int:
    """Return the HTTP status of an error."""
    return STATUS[error.code.category]


def body(error: WotkitError, request_id: str | None = None) -> dict[str, Any]:
    """Return the one shape in which every error is answered."""
    shape: dict[str, Any] = {
        "status": status_of(error),
        "code": error.code.number,
        "message": error.code.message,
        "developerMessage": [_text(line) for line in error.developer]
        or [_text(f"{name} {wrong}") for name, wrong in error.more.items()],
        "moreInfo": {_text(name): _text(wrong) for name, wrong in error.more.items()},
    }
    if request_id is not None:
        shape["requestId"] = request_id
    return {"error": shape}


def _text(given: str) -> str:
    """Return what an error repeats of a request as text that UTF-8 can carry."""
    return given.encode("utf-8", "replace").decode()


def headers(error: WotkitError) -> dict[str, str]:
    """Return the headers that an error's answer carries."""
    found: dict[str, str] = {}
    if isinstance(error, errors.Unauthenticated) and error.token:
        found["WWW-Authenticate"] = f'{BEARER}, error="invalid_token"'
    elif error.code.category is Category.UNAUTHENTICATED:
        found["WWW-Authenticate"] = CHALLENGE
    elif isinstance(error, errors.MissingScope) and error.token:
        needed = "" if error.scope is None else f', scope="{error.scope}"'
        found["WWW-Authenticate"] = f'{BEARER}, error="insufficient_scope"{needed}'
    if error.retry_after is not None:
        found["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    return found


async def send(error: Exception, scope: Any, asgi_send: Any) -> None:
    """Answer an error where no framework does it: an ASGI application's own way."""
    if not isinstance(error, WotkitError):
        error = _logged(error, scope)
    scope["wotkit.error"] = error
    answer = strict_json.encode(body(error, scope.get("wotkit.request_id")))
    fields = {
        **headers(error),
        "Content-Type": falcon.MEDIA_JSON,
        "Content-Length": str(len(answer)),
    }
    await asgi_send(
        {
            "type": "http.response.start",
            "status": status_of(error),
            "headers": [(name.lower().encode(), value.encode()) for name, value in fields.items()],
        }
    )
    await asgi_send({"type": "http.response.body", "body": answer})


def _logged(error: Exception, scope: Any) -> errors.InternalError:
    """Log an error that nobody expected; return what a client is told of it."""
    request_id = scope.get("wotkit.request_id")
    _log.error("unexpected error, request_id=%s", request_id, exc_info=error)
    return errors.InternalError(f"request id {request_id}")


def install(app: falcon.asgi.App[Any, Any]) -> None:
    """Answer every error of ``app`` in the one shape."""
    app.add_error_handler(Exception, _unexpected)
    app.add_error_handler(falcon.HTTPError, _of_falcon)
    app.add_error_handler(WotkitError, _of_domain)


async def _answer(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response | None,
    error: WotkitError,
    ws: falcon.asgi.WebSocket | None,
) -> None:
    req.scope["wotkit.error"] = error
    if ws is not None:
        await ws.close(_WEBSOCKET_CODES + status_of(error))
    if resp is None:
        return
    resp.status = status_of(error)
    resp.set_headers(headers(error))
    resp.content_type = falcon.MEDIA_JSON
    resp.data = strict_json.encode(body(error, req.scope.get("wotkit.request_id")))


async def _of_domain(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response | None,
    error: WotkitError,
    _: Any,
    ws: falcon.asgi.WebSocket | None = None,
) -> None:
    await _answer(req, resp, error, ws)


async def _of_falcon(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response | None,
    error: falcon.HTTPError,
    _: Any,
    ws: falcon.asgi.WebSocket | None = None,
) -> None:
    kind = _OF_STATUS.get(error.status_code)
    if kind is None:
        kind = errors.MalformedBody if error.status_code < 500 else errors.InternalError  # noqa: PLR2004
    if kind is errors.NoSuchRoute:
        await _answer(req, resp, kind(f"there is nothing at {req.path}"), ws)
    elif kind is errors.MethodNotAllowed:
        allowed = dict(error.headers or {}).get("Allow", "")
        await _answer(req, resp, kind(f"{req.method} is not among {allowed}"), ws)
        if resp is not None:
            resp.set_header("Allow", allowed)
    else:
        await _answer(req, resp, kind(error.description or error.title or ""), ws)


async def _unexpected(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response | None,
    error: Exception,
    _: Any,
    ws: falcon.asgi.WebSocket | None = None,
) -> None:
    await _answer(req, resp, _logged(error, req.scope), ws)
