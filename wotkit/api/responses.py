"""Writes answers."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from wotkit import strict_json

if TYPE_CHECKING:
    import falcon.asgi

JSON: Final = "application/json"


def answer_json(resp: falcon.asgi.Response, value: Any, status: int = 200) -> None:
    """Answer ``value`` as JSON."""
    resp.status = status
    resp.content_type = JSON
    resp.data = strict_json.encode(value)


def answer_nothing(resp: falcon.asgi.Response, status: int = 204) -> None:
    """Answer without a body."""
    resp.status = status


def answer_cached(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response,
    body: bytes,
    media: str,
    *,
    cache_control: str = "no-cache",
) -> None:
    """Answer bytes that seldom change; who has them already is told so (RFC 9110 section 13)."""
    tag = hashlib.blake2b(body, digest_size=12).hexdigest()
    resp.etag = tag
    resp.set_header("Cache-Control", cache_control)
    known = req.if_none_match or ()
    if "*" in known or tag in known:
        resp.status = 304
        return
    resp.content_type = media
    resp.data = body
