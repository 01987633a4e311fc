"""What a request presents as credentials: in its header, its query or its form (RFC 6750)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from wotkit.api.requests import FORM, TOKEN_NAMES, form_tokens, media_type, read_body
from wotkit.errors import ConflictingCredentials

if TYPE_CHECKING:
    import falcon.asgi

_HEADER: Final = b"authorization"


def ordinary(req: falcon.asgi.Request) -> str | None:
    """Return the Authorization header when nothing else can be credentials; never waits."""
    if req.query_string or media_type(req) == FORM:
        return None
    headers = _headers(req)
    return headers[0] if len(headers) == 1 else None


async def presented(req: falcon.asgi.Request, max_body: int) -> str | None:
    """Return the credentials of a request as an Authorization header has them, None without any.

    Tokens are taken out of the query's parameters, so that they get into no link and no message.
    The body is read when it may be a form; resources read the same body after this.

    Raises:
        ConflictingCredentials: there is more than one of them.
        TooLarge: the form has more than ``max_body`` bytes.
        MalformedBody: the form cannot be read.
    """
    if "credentials" in req.context:
        known: str | None = req.context["credentials"]
        return known
    found = [*_headers(req), *(f"Bearer {token}" for token in _query_tokens(req))]
    if media_type(req) == FORM:
        req.context["body"] = body = await read_body(req, max_body)
        found += [f"Bearer {token}" for token in form_tokens(body)]
    if len(found) > 1:
        raise ConflictingCredentials("send one of: a header, a parameter, an attribute of a form")
    req.context["credentials"] = found[0] if found else None
    return found[0] if found else None


def _headers(req: falcon.asgi.Request) -> list[str]:
    """Return every Authorization header: the framework would join several to one."""
    return [value.decode("latin-1") for name, value in req.scope["headers"] if name == _HEADER]


def _query_tokens(req: falcon.asgi.Request) -> list[str]:
    tokens: list[str] = []
    params = cast("dict[str, str | list[str]]", req.params)  # the framework's own, not a copy
    for name in TOKEN_NAMES:
        value = params.pop(name, None)
        if value is not None:
            tokens += value if isinstance(value, list) else [value]
    return tokens
