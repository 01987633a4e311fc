"""Readings of one sensor, version 2."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import msgspec

from wotkit import times
from wotkit.api.operation import Returns, operation
from wotkit.api.requests import client_gone, read_query
from wotkit.api.resend import HEADERS, REPLAYED
from wotkit.api.responses import JSON
from wotkit.api.v1 import readings as v1
from wotkit.api.v1.sensor_forms import field_answers
from wotkit.api.v2 import reading_forms, reading_query
from wotkit.api.v2.reading_forms import CSV, MEDIA, NDJSON, ReadingsAnswer, ReadingView
from wotkit.api.v2.reading_query import MOST, Bounds, ReadingQuery, Understood
from wotkit.catalog import fields
from wotkit.catalog.identity import READ, WRITE
from wotkit.catalog.references import is_id
from wotkit.errors import InvalidQuery, NotFound, Overloaded, RateLimited, StoreUnavailable
from wotkit.readings.form import Named, objects
from wotkit.readings.query import Walk
from wotkit.readings.store import LAST_ID, Range

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.catalog import Catalog
    from wotkit.catalog.fields import FieldRow
    from wotkit.ingest.accept import Ingest
    from wotkit.ingest.directory import SensorDirectory
    from wotkit.readings.readers import ReaderPool
    from wotkit.readings.store import Store, StoredReading
    from wotkit.settings import Settings

_READ_ERRORS: Final = (NotFound, InvalidQuery, Overloaded, StoreUnavailable)
_DELETE_ERRORS: Final = (NotFound, InvalidQuery, RateLimited, Overloaded, StoreUnavailable)
_BUSY_SECONDS: Final = 0.5
"""How long an export waits when too many queries do."""


class ReadingsResource(v1.ReadingsResource):
    """As version 1, with queries of its own; a PUT replaces only the times it names."""

    exactly = True

    def __init__(
        self,
        callers: Callers,
        ingest: Ingest,
        directory: SensorDirectory,
        readers: ReaderPool,
        settings: Settings,
        catalog: Catalog,
    ) -> None:
        super().__init__(callers, ingest, directory, readers, settings)
        self._catalog = catalog
        self._max_count = settings.query.max_count

    @operation(
        tag="Readings",
        summary="Replace readings of exactly these times",
        description="Each reading needs a timestamp and replaces those of that instant; all of "
        "them, or none.",
        privacy="private",
        scope=WRITE,
        body=list[dict[str, Any]],
        example=v1.EXAMPLE_LIST,
        headers=HEADERS,
        returns={
            204: Returns("The readings are stored in the place of the old ones.", headers=REPLAYED)
        },
        errors=v1.WRITE_ERRORS,
    )
    async def on_put(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str
    ) -> None:
        """Replace readings."""
        await super().on_put(req, resp, sensor)

    @operation(
        tag="Readings",
        summary="Query readings",
        description="Three groups of parameters that do not mix: `recent_t`; `recent_n` and "
        "`limit`; `start`, `start_id`, `end`, `end_id`, `limit`, `offset` and `cursor`. Oldest "
        "first. As CSV or lines of JSON, by `format` or `Accept`, an answer may be of any size.",
        privacy="public or private",
        scope=READ,
        query=ReadingQuery,
        headers={"Accept": "`application/json`, `text/csv` or `application/x-ndjson`."},
        returns={
            200: Returns(
                "The readings.",
                ReadingsAnswer,
                also=(CSV, NDJSON),
                headers={
                    "Link": 'The next page of group 3, as rel="next", when there is more.',
                    "X-Total-Truncated": "`true` when there is more.",
                },
            )
        },
        errors=_READ_ERRORS,
    )
    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str
    ) -> None:
        """Answer readings."""
        identity = await self._callers.identify(req, READ)
        query = read_query(req, ReadingQuery)
        reading_query.check_groups(query)
        sensor_id, declared = await self._catalog.reading(fields.list_for, identity, sensor)
        target = Named(sensor_id, (await self._directory.readable(identity, sensor)).name)
        form = query.format or _accepted(req)
        if form == "json":
            await self._answer(req, resp, query, target, declared)
        else:
            resp.stream = await self._export(req, query, target, declared, form)
            resp.content_type = MEDIA[form]
            resp.downloadable_as = f"{target.name}.{form}"
        resp.set_header("Vary", "Accept")

    @operation(
        tag="Readings",
        summary="Delete readings",
        description="Those that a query of group 3 would answer: give `start`, `start_id`, `end` "
        "or `end_id`. Without a limit, all of them.",
        privacy="private",
        scope=WRITE,
        query=Bounds,
        returns={204: Returns("They are gone, or there were none.")},
        errors=_DELETE_ERRORS,
    )
    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str
    ) -> None:
        """Delete readings of a range."""
        identity = await self._callers.identify(req, WRITE)
        query = read_query(req, Bounds)
        _check_deletion(req, query)
        target = await self._directory.writable(identity, sensor)

        def find(store: Store) -> tuple[Any, Any] | None:
            what = reading_query.bounds(query, store, target.id)
            what = msgspec.structs.replace(what, offset=query.offset or 0, limit=query.limit)
            return reading_query.part(what, store)

        found = await self._readers.run(find)
        if found is not None:
            (first, first_id), (last, last_id) = found
            await self._ingest.delete(identity, sensor, first, last, first_id, last_id)
        resp.status = 204

    async def _answer(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        query: ReadingQuery,
        target: Named,
        declared: Sequence[FieldRow],
    ) -> None:
        now = times.now()

        def render(store: Store) -> tuple[bytes, dict[str, str] | None, bool]:
            understood = reading_query.understand(query, store, target.id, now)
            readings, found, more = _read(store, understood, self._max_count)
            latest = store.latest([target.id]).get(target.id)
            described = field_answers(declared, latest)
            body = reading_forms.answer(target, readings, described, found, understood.echo)
            follows = more and not understood.recent and readings
            if not follows:
                return body, None, more
            last = (readings[-1].ts, readings[-1].id)
            return body, reading_query.following(query, understood, last), more

        resp.data, following, more = await self._readers.run(render)
        resp.content_type = JSON
        if more:
            resp.set_header("X-Total-Truncated", "true")
        if following is not None:
            resp.set_header("Link", _next_link(req, following))

    async def _export(
        self,
        req: falcon.asgi.Request,
        query: ReadingQuery,
        target: Named,
        declared: Sequence[FieldRow],
        form: str,
    ) -> AsyncIterator[bytes]:
        """Return the readings in parts; the first is read already, so that errors are answers."""
        now = times.now()

        def begin(store: Store) -> tuple[Walk, Callable[[Sequence[StoredReading]], bytes], bytes]:
            understood = reading_query.understand(query, store, target.id, now)
            walk = Walk(reading_query.all_at_once(understood, store))
            if form == "ndjson":
                render, head = reading_forms.lines(target), b""
            else:
                latest = store.latest([target.id]).get(target.id)
                columns = _columns(declared, () if latest is None else latest.fields)
                render = reading_forms.table(target, columns)
                head = reading_forms.table_head(columns)
            return walk, render, head + render(walk.next(store))

        return _parts(req, self._readers, *await self._readers.run(begin))


class ReadingResource:
    """One reading."""

    def __init__(
        self, callers: Callers, ingest: Ingest, directory: SensorDirectory, readers: ReaderPool
    ) -> None:
        self._callers = callers
        self._ingest = ingest
        self._directory = directory
        self._readers = readers

    @operation(
        tag="Readings",
        summary="Show one reading",
        privacy="public or private",
        scope=READ,
        returns={200: Returns("The reading.", ReadingView)},
        errors=(NotFound, Overloaded, StoreUnavailable),
    )
    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str, reading: str
    ) -> None:
        """Answer one reading, by its id."""
        identity = await self._callers.identify(req, READ)
        target = await self._directory.readable(identity, sensor)
        found = await self._find(target.id, reading)
        (resp.text,) = objects(Named(target.id, target.name), [found])
        resp.content_type = JSON

    @operation(
        tag="Readings",
        summary="Delete one reading",
        privacy="private",
        scope=WRITE,
        returns={204: Returns("Deleted.")},
        errors=(NotFound, RateLimited, Overloaded, StoreUnavailable),
    )
    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str, reading: str
    ) -> None:
        """Delete one reading, by its id."""
        identity = await self._callers.identify(req, WRITE)
        target = await self._directory.writable(identity, sensor)
        found = await self._find(target.id, reading)
        at, number = found.ts, found.id
        if not await self._ingest.delete(identity, sensor, at, at, number, number):
            raise NotFound(reading)
        resp.status = 204

    async def _find(self, sensor_id: int, reading: str) -> StoredReading:
        if not is_id(reading):
            raise NotFound(reading)
        number = int(reading)
        found = await self._readers.run(lambda store: store.find(sensor_id, number))
        if found is None:
            raise NotFound(reading)
        return found


class LatestResource:
    """The newest reading of a sensor."""

    def __init__(self, callers: Callers, directory: SensorDirectory, readers: ReaderPool) -> None:
        self._callers = callers
        self._directory = directory
        self._readers = readers

    @operation(
        tag="Readings",
        summary="Show the newest reading",
        description="The last value of each field, also of those this reading lacks, is among the "
        "sensor's fields.",
        privacy="public or private",
        scope=READ,
        returns={200: Returns("The reading.", ReadingView)},
        errors=(NotFound, Overloaded, StoreUnavailable),
    )
    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str
    ) -> None:
        """Answer the newest reading."""
        identity = await self._callers.identify(req, READ)
        target = await self._directory.readable(identity, sensor)
        newest = await self._readers.read(Range(sensor_id=target.id, newest=1))
        if not newest:
            raise NotFound(f"{sensor} has no readings")
        (resp.text,) = objects(Named(target.id, target.name), newest)
        resp.content_type = JSON


def _read(
    store: Store, understood: Understood, max_count: int
) -> tuple[list[StoredReading], int, bool]:
    """Return readings, how many match, and whether some are left out."""
    what = understood.what
    wanted = what.limit if understood.most is None else understood.most
    limit = MOST if wanted is None else min(wanted, MOST)
    understood.echo.setdefault("limit", limit)
    if not understood.recent:
        understood.echo["limit"] = limit
    ranged = msgspec.structs.replace(what, limit=limit + 1, reverse=understood.recent)
    readings = store.read(ranged)
    more = len(readings) > limit and limit != understood.most
    readings = readings[:limit]
    if understood.recent:
        readings.reverse()
    least = what.offset + len(readings) + more
    most = min(least + max_count, LAST_ID)
    if understood.matching is not None:
        if understood.matching <= limit:
            return readings, len(readings), more
        most = min(most, understood.matching)
    return readings, max(least, store.count(understood.counted, most)), more


def _columns(declared: Sequence[FieldRow], known: Any) -> list[str]:
    """Return the columns of a table: declared fields by index, then names that readings had."""
    names = [row.name for row in declared]
    return names + sorted(set(known) - set(names))


async def _parts(
    req: falcon.asgi.Request,
    readers: ReaderPool,
    walk: Walk,
    render: Callable[[Sequence[StoredReading]], bytes],
    first: bytes,
) -> AsyncIterator[bytes]:
    """Yield what is read, a page at a time, each when the one before is on its way."""
    gone = asyncio.ensure_future(client_gone(req))
    try:
        yield first
        while not walk.done and not gone.done():
            try:
                yield await readers.run(lambda store: render(walk.next(store)))
            except Overloaded:
                await asyncio.sleep(_BUSY_SECONDS)  # the client waits; an error would cut it off
    finally:
        gone.cancel()


def _accepted(req: falcon.asgi.Request) -> str:
    """Return the form that the client likes best; JSON when it does not say."""
    kinds = {JSON: "json", CSV: "csv", NDJSON: "ndjson", "application/ndjson": "ndjson"}
    return kinds.get(req.client_prefers(list(kinds)) or JSON, "json")


def _check_deletion(req: falcon.asgi.Request, query: Bounds) -> None:
    """Check that a deletion says what it means.

    Raises:
        InvalidQuery: parameters are of another group, or there is no bound at all.
    """
    others = [name for name in ("recent_t", "recent_n", "cursor") if req.has_param(name)]
    if others:
        raise InvalidQuery(
            f"{others[0]} deletes nothing; use start and end",
            more={others[0]: "is not for deletion"},
        )
    if {query.start, query.start_id, query.end, query.end_id} == {None}:
        raise InvalidQuery(
            "a deletion needs start, start_id, end or end_id; start=0 is the beginning",
            more={"start": "is required here, or start_id, end or end_id"},
        )


def _next_link(req: falcon.asgi.Request, following: dict[str, str]) -> str:
    """Return the Link (RFC 8288) to the page behind this one."""
    params = {name: value for name, value in req.params.items() if name != "offset"}
    params.update(following)
    return f'<{req.path}?{urlencode(params, doseq=True)}>; rel="next"'
