"""The inbox: what alerts told the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlencode

from msgspec import Meta, Struct

from wotkit import strict_json
from wotkit.api.operation import Returns, operation
from wotkit.api.requests import convert, read_body, read_query
from wotkit.api.responses import answer_json, answer_nothing
from wotkit.api.v2.alert_forms import MessageAnswer, message_answer
from wotkit.catalog import inbox
from wotkit.catalog.identity import MANAGE, READ
from wotkit.errors import MalformedBody, NotFound, ValidationFailed

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.catalog import Catalog
    from wotkit.settings import Settings

TAG: Final = "Alerts"


class InboxQuery(Struct, kw_only=True):
    """Which messages to answer."""

    offset: Annotated[int, Meta(ge=0, description="How many to pass over.")] = 0
    limit: Annotated[int, Meta(ge=1, le=1000, description="How many to answer at most.")] = 100
    read: Annotated[bool | None, Meta(description="Only those that are read, or are not.")] = None


class Mark(Struct, kw_only=True):
    """What to note of a message."""

    read: Annotated[bool, Meta(description="Whether it is read.")] = True


class InboxResource:
    """The messages of the caller."""

    def __init__(self, catalog: Catalog, callers: Callers) -> None:
        self._catalog = catalog
        self._callers = callers

    @operation(
        tag=TAG,
        summary="List your messages",
        description="Newest first.",
        privacy="private",
        scope=READ,
        query=InboxQuery,
        returns={
            200: Returns(
                "The messages of the caller.",
                list[MessageAnswer],
                headers={"Link": 'The next page, as rel="next", when there is more.'},
            )
        },
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer the caller's messages."""
        identity = await self._callers.identify_known(req, READ)
        query = read_query(req, InboxQuery)
        found = await self._catalog.reading(
            inbox.page, identity, query.offset, query.limit + 1, read=query.read
        )
        if len(found) > query.limit:
            params = {**req.params, "offset": query.offset + query.limit, "limit": query.limit}
            resp.set_header("Link", f'<{req.path}?{urlencode(params, doseq=True)}>; rel="next"')
        answer_json(resp, [message_answer(row) for row in found[: query.limit]])


class InboxMessageResource:
    """One message of the caller."""

    def __init__(self, catalog: Catalog, callers: Callers, settings: Settings) -> None:
        self._catalog = catalog
        self._callers = callers
        self._max_body = settings.http.max_body_bytes

    @operation(
        tag=TAG,
        summary="Show a message",
        privacy="private",
        scope=READ,
        returns={200: Returns("The message.", MessageAnswer)},
        errors=(NotFound,),
    )
    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, message: str
    ) -> None:
        """Answer one message."""
        identity = await self._callers.identify_known(req, READ)
        row = await self._catalog.reading(inbox.get, identity, message)
        answer_json(resp, message_answer(row))

    @operation(
        tag=TAG,
        summary="Mark a message as read",
        description='Without a body it is read; `{"read": false}` takes that back.',
        privacy="private",
        scope=MANAGE,
        body=Mark,
        body_optional=True,
        example={"read": True},
        returns={204: Returns("Noted.")},
        errors=(NotFound, ValidationFailed, MalformedBody),
    )
    async def on_put(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, message: str
    ) -> None:
        """Mark one message."""
        identity = await self._callers.identify_sender(req, MANAGE)
        raw = await read_body(req, self._max_body)
        mark = convert(Mark, strict_json.decode(raw)) if raw.strip() else Mark()
        await self._catalog.writing(inbox.mark, identity, message, read=mark.read)
        answer_nothing(resp)
