"""What a request presents as credentials: in its header, its query or its form (RFC 6750)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlencode

from wotkit.api.requests import FORM, TOKEN_NAMES, form_pairs, media_type, read_body
from wotkit.auth import frob
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


async def presented(req: falcon.asgi.Request, max_body: int) -> str | frob.Call | None:
    """Return the credentials of a request: as an Authorization header has them, or a signed call.

    None without any. They are taken out of the query's parameters and out of the form, so that they
    get into no link, no message and no reading, and so that a write that is sent again with another
    token is known again. The body is read when it
    may be a form; resources read the same body after this.

    Raises:
        ConflictingCredentials: there is more than one of them.
        TooLarge: the form has more than ``max_body`` bytes.
        MalformedBody: the form cannot be read.
        InvalidQuery: of a signed call, the query cannot be read or a parameter stands twice.
    """
    if "credentials" in req.context:
        known: str | frob.Call | None = req.context["credentials"]
        return known
    form: list[tuple[str, str]] = []
    if media_type(req) == FORM:
        req.context["body"] = body = await read_body(req, max_body)
        form = form_pairs(body)
    found: list[str | frob.Call] = [*_headers(req)]
    found += [f"Bearer {token}" for token in _query_tokens(req)]
    tokens = [f"Bearer {value}" for name, value in form if name in TOKEN_NAMES]
    if tokens:
        found += tokens
        kept = [(name, value) for name, value in form if name not in TOKEN_NAMES]
        req.context["body"] = urlencode(kept).encode()
    if frob.TOKEN in req.params or any(name == frob.TOKEN for name, _ in form):
        found.append(_signed_call(req, form))
    if len(found) > 1:
        raise ConflictingCredentials(
            "send one of: a header, a parameter, an attribute of a form, a signed call"
        )
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


def _signed_call(req: falcon.asgi.Request, form: list[tuple[str, str]]) -> frob.Call:
    call = frob.read_call(req.scope["query_string"], form, frob.method_of(req.path))
    params = cast("dict[str, str | list[str]]", req.params)
    for name in frob.CREDENTIALS:
        params.pop(name, None)
    if form:
        kept = [(name, value) for name, value in form if name not in frob.CREDENTIALS]
        req.context["body"] = urlencode(kept).encode()
    return call
