"""Readings of one sensor, version 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from wotkit import times
from wotkit.api.operation import Returns, operation
from wotkit.api.reading_form import ReadingView, label
from wotkit.api.requests import is_form, parse_form, read_body, read_query
from wotkit.api.resend import HEADERS, REPLAYED, mark_replay, resend_of
from wotkit.api.responses import JSON
from wotkit.api.v1.reading_range import RangeParams, is_latest, range_of, starts_now
from wotkit.catalog.identity import READ, WRITE
from wotkit.errors import (
    InvalidQuery,
    MalformedBody,
    NotFound,
    Overloaded,
    RateLimited,
    ResendMismatch,
    StoreUnavailable,
    TooLarge,
    UnsupportedMedia,
    ValidationFailed,
)
from wotkit.ingest.formats import readings as readings_format

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.ingest.accept import Ingest
    from wotkit.ingest.directory import SensorDirectory
    from wotkit.readings.readers import ReaderPool
    from wotkit.settings import Settings

WRITE_ERRORS = (
    NotFound,
    ValidationFailed,
    MalformedBody,
    TooLarge,
    UnsupportedMedia,
    RateLimited,
    ResendMismatch,
    Overloaded,
    StoreUnavailable,
)
"""How any write of readings may fail."""

EXAMPLE_LIST = [
    {"timestamp": "2026-06-19T22:45:00Z", "temperature": 21.5},
    {"timestamp": "2026-06-19T22:46:00Z", "temperature": 21.6},
]


class ReadingsResource:
    """The readings of a sensor."""

    exactly = False
    """Whether PUT replaces only readings of exactly the times it names."""

    def __init__(
        self,
        callers: Callers,
        ingest: Ingest,
        directory: SensorDirectory,
        readers: ReaderPool,
        settings: Settings,
    ) -> None:
        self._callers = callers
        self._ingest = ingest
        self._directory = directory
        self._readers = readers
        self._max_body = settings.http.max_body_bytes
        self._max_items = settings.ingest.max_readings
        self._max_answer = settings.query.max_readings

    @operation(
        tag="Readings",
        summary="Post one reading",
        description="Acknowledged means stored: the answer comes after the commit.",
        privacy="private",
        scope=WRITE,
        body=dict[str, Any],
        example={"timestamp": "2026-06-19T22:45:36.281Z", "temperature": 21.5},
        form=True,
        headers=HEADERS,
        returns={201: Returns("The reading is stored.", headers=REPLAYED)},
        errors=WRITE_ERRORS,
    )
    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str
    ) -> None:
        """Store one reading."""
        identity = await self._callers.identify_sender(req, WRITE)
        body = await read_body(req, self._max_body)
        if is_form(req, body):
            parsed = readings_format.of_form(parse_form(body))
        else:
            parsed = readings_format.parse_one(body)
        resend = resend_of(req, identity, body)
        outcome = await self._ingest.append(identity, sensor, parsed, resend)
        resp.status = 201
        if resend is not None:
            mark_replay(resp, outcome)

    @operation(
        tag="Readings",
        summary="Replace readings",
        description="One reading replaces those of its timestamp; several replace everything "
        "from the earliest to the latest of their timestamps, as one atomic change.",
        privacy="private",
        scope=WRITE,
        body=list[dict[str, Any]],
        example=EXAMPLE_LIST,
        headers=HEADERS,
        returns={
            204: Returns("The readings are stored in the place of the old ones.", headers=REPLAYED)
        },
        errors=WRITE_ERRORS,
    )
    async def on_put(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str
    ) -> None:
        """Replace readings."""
        identity = await self._callers.identify_sender(req, WRITE)
        body = await read_body(req, self._max_body)
        items = readings_format.parse_list(body, self._max_items)
        resend = resend_of(req, identity, body)
        outcome = await self._ingest.replace(
            identity, sensor, items, exactly=self.exactly, resend=resend
        )
        resp.status = 204
        mark_replay(resp, outcome)

    @operation(
        tag="Readings",
        summary="Query readings",
        description="Readings with start < timestamp <= end, oldest first.",
        privacy="public or private",
        scope=READ,
        query=RangeParams,
        returns={
            200: Returns(
                "The readings.",
                list[ReadingView],
                headers={
                    "Link": 'The next page, as rel="next", when there is more.',
                    "X-Total-Truncated": "`true` when there is more.",
                },
            )
        },
        errors=(NotFound, InvalidQuery, Overloaded, StoreUnavailable),
    )
    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str
    ) -> None:
        """Answer readings of a range of time."""
        identity = await self._callers.identify(req, READ)
        params = read_query(req, RangeParams)
        target = await self._directory.readable(identity, sensor)
        now = times.now()
        what = range_of(params, target.id, now, self._max_answer)
        limit = what.limit or 0
        turned = is_latest(params) and not what.reverse
        if turned:  # the latest, counted from the newest, are told oldest first
            what = msgspec.structs.replace(what, reverse=True)
        about = label(target.id, target.name)
        resp.data, more = await self._readers.run(
            lambda store: store.render(what, about, turned=turned)
        )
        resp.content_type = JSON
        if more:
            query = {**single(req), "offset": params.offset + limit, "limit": limit}
            if starts_now(params):
                query["start"] = times.to_iso(now)  # the next page is of the same range
            resp.set_header("X-Total-Truncated", "true")
            resp.set_header("Link", f'<{req.path}?{urlencode(query)}>; rel="next"')


class ReadingsAtResource:
    """The readings of a sensor at one instant."""

    def __init__(self, callers: Callers, ingest: Ingest) -> None:
        self._callers = callers
        self._ingest = ingest

    @operation(
        tag="Readings",
        summary="Delete the readings of an instant",
        privacy="private",
        scope=WRITE,
        returns={204: Returns("There are none at this time any more.")},
        errors=(NotFound, InvalidQuery, RateLimited, Overloaded, StoreUnavailable),
    )
    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str, timestamp: str
    ) -> None:
        """Delete every reading of exactly this time; no error when there is none."""
        identity = await self._callers.identify(req, WRITE)
        try:
            ts = times.parse(timestamp)
        except ValueError as error:
            raise InvalidQuery(str(error), more={"timestamp": str(error)}) from None
        await self._ingest.delete(identity, sensor, ts, ts)
        resp.status = 204


def single(req: falcon.asgi.Request) -> dict[str, str]:
    """Return the query parameters; of one that was given twice the last counts."""
    return {
        name: value[-1] if isinstance(value, list) else value for name, value in req.params.items()
    }
