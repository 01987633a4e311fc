"""Readings of many sensors in one request, answered item by item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from wotkit import strict_json
from wotkit.api import errors as api_errors
from wotkit.api.operation import Returns, operation
from wotkit.api.requests import read_body
from wotkit.api.resend import HEADERS, REPLAYED, mark_replay, resend_of
from wotkit.api.responses import JSON
from wotkit.api.v1.data import DataResource
from wotkit.api.v1.readings import WRITE_ERRORS
from wotkit.catalog.identity import WRITE
from wotkit.ingest.formats import readings as readings_format

if TYPE_CHECKING:
    from collections.abc import Sequence

    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.api.v1.activity import Activity
    from wotkit.catalog import Catalog
    from wotkit.ingest.accept import Ingest, Rejected
    from wotkit.readings.readers import ReaderPool
    from wotkit.settings import Settings


class ItemResult(Struct, omit_defaults=True):
    """What became of one item."""

    index: Annotated[int, Meta(description="Its place in the list, from 0.")]
    status: Annotated[
        int, Meta(description="201 when it was stored, else as if it had been sent alone.")
    ]
    error: Annotated[
        dict[str, Any] | None, Meta(description="The inner object of the API's error shape.")
    ] = None


class BatchResource(DataResource):
    """``POST /api/v2/data``; GET is that of version 1."""

    def __init__(
        self,
        catalog: Catalog,
        callers: Callers,
        readers: ReaderPool,
        activity: Activity,
        settings: Settings,
        ingest: Ingest,
    ) -> None:
        super().__init__(catalog, callers, readers, activity, settings)
        self._ingest = ingest
        self._max_body = settings.http.max_body_bytes
        self._max_items = settings.ingest.max_readings

    @operation(
        tag="Readings",
        summary="Post readings of many sensors",
        description="Each reading names its sensor. Items are checked one by one: what is right "
        "is stored, in one transaction, and what is wrong is answered with its error.",
        privacy="private",
        scope=WRITE,
        body=list[dict[str, Any]],
        example=[
            {"sensor": "alice.greenhouse", "temperature": 21.5},
            {"sensor": "alice.cellar", "temperature": 12.0},
        ],
        headers=HEADERS,
        returns={
            201: Returns("All are stored.", list[ItemResult], headers=REPLAYED),
            200: Returns("Some are stored; `status` says which.", list[ItemResult]),
        },
        errors=WRITE_ERRORS,
    )
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Store the readings that are right."""
        identity = await self._callers.identify_sender(req, WRITE)
        body = await read_body(req, self._max_body)
        items = readings_format.parse_list(body, self._max_items)
        outcome = await self._ingest.append_many(
            identity,
            items,
            lambda rejected: _describe(len(items), rejected),
            resend_of(req, identity, body),
        )
        status, _, answer = outcome.answer.partition(b" ")
        resp.status = int(status)
        resp.content_type = JSON
        resp.data = answer
        mark_replay(resp, outcome)


def _describe(count: int, rejected: Sequence[Rejected]) -> bytes:
    """Return the status and the body of the answer, as they are kept for a resend."""
    wrong = {rejection.position: rejection.error for rejection in rejected}
    results = [
        ItemResult(
            index,
            api_errors.status_of(wrong[index]),
            api_errors.body(wrong[index])["error"],
        )
        if index in wrong
        else ItemResult(index, 201)
        for index in range(count)
    ]
    return b"%d %b" % (200 if wrong else 201, strict_json.encode(results))
