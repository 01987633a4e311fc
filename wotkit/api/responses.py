"""Writes answers."""

from __future__ import annotations

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
