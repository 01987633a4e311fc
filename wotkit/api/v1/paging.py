"""Lists that are answered a page at a time, by offset and limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlencode

from msgspec import Meta, Struct

if TYPE_CHECKING:
    import falcon.asgi

MOST: Final = 1000
"""How many of a list one answer has."""
MAX_OFFSET: Final = 1_000_000_000
LINK: Final = {"Link": 'The next page, as rel="next", when there is more.'}

Offset = Annotated[int, Meta(ge=0, le=MAX_OFFSET, description="How many to skip.")]
Limit = Annotated[int, Meta(ge=1, le=MOST, description="How many to answer.")]
Text = Annotated[str, Meta(max_length=2000)]


class PageQuery(Struct, frozen=True, kw_only=True):
    """Which part of a list."""

    text: Annotated[Text | None, Meta(description="Text in a name or a description.")] = None
    offset: Offset = 0
    limit: Limit = MOST


def link_next(req: falcon.asgi.Request, resp: falcon.asgi.Response, offset: int) -> None:
    """Say where the page that begins at ``offset`` is (RFC 8288)."""
    params = {**req.params, "offset": str(offset)}
    resp.set_header("Link", f'<{req.path}?{urlencode(params, doseq=True)}>; rel="next"')
