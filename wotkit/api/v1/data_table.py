"""Readings of a sensor as a table of the Google Visualization API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta

from wotkit import strict_json, times
from wotkit.api import errors as api_errors
from wotkit.api.operation import Returns, operation
from wotkit.api.requests import read_query
from wotkit.api.v1.reading_range import RangeParams, is_latest, range_of
from wotkit.catalog.identity import READ
from wotkit.catalog.models import Field, rows
from wotkit.errors import (
    InvalidQuery,
    MissingScope,
    NotFound,
    Overloaded,
    StoreUnavailable,
    Unauthenticated,
    WotkitError,
)
from wotkit.gviz.checks import check, columns_in
from wotkit.gviz.errors import ProtocolError
from wotkit.gviz.evaluate import evaluate, evaluate_groups
from wotkit.gviz.grammar import parse
from wotkit.gviz.output import VERSION, Output, error_form, write_error, write_table
from wotkit.gviz.plan import groups, plan
from wotkit.gviz.request import TableRequest, parse_request
from wotkit.gviz.syntax import Query, Type
from wotkit.gviz.table import Table, TableColumn
from wotkit.readings.store import FieldColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.catalog import Catalog
    from wotkit.ingest.directory import SensorDirectory, Target
    from wotkit.readings.readers import ReaderPool
    from wotkit.readings.store import Range, Store, StoredReading
    from wotkit.settings import Settings

EVERY_READING: Final = (
    ("sensor_id", Type.NUMBER),
    ("sensor_name", Type.STRING),
    ("timestamp", Type.DATETIME),
)
"""The columns before a sensor's fields."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_REASONS: Final = {
    Unauthenticated: "user_not_authenticated",
    MissingScope: "access_denied",
    NotFound: "invalid_request",
    InvalidQuery: "invalid_request",
}
"""Why a request was refused, in the protocol's words."""
_PAGE_POLICY: Final = "default-src 'none'; sandbox"


class TableParams(RangeParams, kw_only=True, rename="camel"):
    """Which readings make the table, and what is asked of it."""

    tq: Annotated[
        str,
        Meta(
            description="A query in the Google Visualization query language. With it, and a range, "
            "all readings of the range count unless there is a limit."
        ),
    ] = ""
    tqx: Annotated[
        str,
        Meta(
            description="name:value pairs joined by semicolons: reqId, out (json, html, csv, "
            "tsv-excel), outFileName, responseHandler, sig."
        ),
    ] = ""


class DataTableResource:
    """The readings of a sensor as a data source of the Google Visualization API."""

    def __init__(
        self,
        catalog: Catalog,
        callers: Callers,
        directory: SensorDirectory,
        readers: ReaderPool,
        settings: Settings,
    ) -> None:
        self._catalog = catalog
        self._callers = callers
        self._directory = directory
        self._readers = readers
        self._most = settings.query.max_table_readings

    @operation(
        tag="Readings",
        summary="Query readings as a table",
        description="For the Google Visualization API and spreadsheets. What is wrong with tq or "
        "tqx is answered with 200 and status error, as the protocol asks for; every other error "
        "has its HTTP status, and the protocol's form beside the one of this API.",
        privacy="public or private",
        scope=READ,
        query=TableParams,
        headers={"X-DataSource-Auth": "With any value, the answer is plain JSON."},
        returns={
            200: Returns(
                "The table, or what is wrong with the query.",
                str | dict[str, Any],
                media="text/javascript",
                also=("application/json", "text/html", "text/csv", "text/tab-separated-values"),
                headers={"Content-Disposition": "The name of a file, where tqx has outFileName."},
            )
        },
        errors=(NotFound, InvalidQuery, Overloaded, StoreUnavailable),
    )
    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str
    ) -> None:
        """Answer a table."""
        try:
            answer = await self._answer(req, resp, sensor)
        except WotkitError as error:
            _refuse(req, resp, error)
            return
        resp.content_type = answer.media
        resp.data = answer.body
        resp.set_header("X-Content-Type-Options", "nosniff")
        resp.set_header("Content-Security-Policy", _PAGE_POLICY)

    async def _answer(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str
    ) -> Output:
        identity = await self._callers.identify(req, READ)
        params = read_query(req, TableParams)
        request, wrong = parse_request(
            params.tqx, plain=req.get_header("x-datasource-auth") is not None
        )
        target = await self._directory.readable(identity, sensor)
        now = times.now()
        what = range_of(_unlimited(params, req, self._most), target.id, now, self._most + 1)
        if wrong is not None:
            return write_error(wrong, request)
        if _is_foreign_script(req):
            return write_error(
                ProtocolError("access_denied", "another site's page may not use these credentials"),
                request,
            )
        fields = await self._catalog.reading(declared_fields, target.id)
        if request.file_name is not None:
            resp.set_header("Content-Disposition", f'attachment; filename="{request.file_name}"')
        source = _Source(target, fields, what, self._most, latest=is_latest(params))
        return await self._readers.run(lambda store: _made(store, source, params.tq, request, now))


class _Source(NamedTuple):
    """Which readings make the table, and how many may."""

    target: Target
    fields: Sequence[FieldColumn]
    what: Range
    most: int
    latest: bool

    @property
    def whole(self) -> bool:
        """Whether the table is all of a range of time, so that parts of it can be left unread."""
        what = self.what
        cut = what.newest is not None or what.oldest is not None or what.offset > 0
        return not (cut or self.latest or what.limit is None or what.limit <= self.most)

    def columns(self, wanted: set[str] | None) -> list[TableColumn]:
        """Return the table's columns, without fields that nobody wants."""
        found = [TableColumn(name, kind, name) for name, kind in EVERY_READING]
        found += [
            TableColumn(field.name, Type.NUMBER if field.number else Type.STRING, field.name)
            for field in self.fields
            if wanted is None or field.name in wanted
        ]
        return found

    def table(
        self, columns: Sequence[TableColumn], what: Range, found: list[StoredReading]
    ) -> Table:
        """Return the table of readings that were found for a range.

        Raises:
            ProtocolError: they are more than a table may have.
        """
        if len(found) > self.most:
            raise ProtocolError(
                "other",
                f"more than {self.most} readings would have to be loaded; narrow the range with "
                "start and end, or with limit (the setting query.max_table_readings)",
            )
        if what.reverse != self.what.reverse:
            found.reverse()
        row = _row_of(self.target, columns[len(EVERY_READING) :])
        return Table(columns, [row(reading) for reading in found])


def declared_fields(sensor_id: int) -> list[FieldColumn]:
    """Return the fields of a sensor in their order; a unit of work."""
    found = rows(
        Field.select(Field.name, Field.type)
        .where(Field.sensor == sensor_id)
        .order_by(Field.position)
    )
    return [FieldColumn(name, kind == "NUMBER") for name, kind in found]


def _unlimited(params: TableParams, req: falcon.asgi.Request, most: int) -> TableParams:
    """Return the parameters with no limit, where a query is asked about a whole range.

    Its answer would be wrong if it saw only the first thousand readings.
    """
    if not params.tq.strip() or is_latest(params) or "limit" in req.params:
        return params
    return msgspec.structs.replace(params, limit=most + 1)


def _made(store: Store, source: _Source, tq: str, request: TableRequest, now: int) -> Output:
    """Return the answer to a query; in a thread for reading."""
    try:
        return write_table(_table(store, source, parse(tq), moment(now)), request)
    except ProtocolError as error:
        return write_error(error, request)


def _table(store: Store, source: _Source, query: Query, now: datetime) -> Table:
    """Return the table that a query asks for.

    Raises:
        ProtocolError: the query makes no sense, or more readings than a table may have are needed.
    """
    columns = source.columns(columns_in(query) if query.select is not None else None)
    check(query, {column.id: column.type for column in columns})
    if not source.whole:
        what = msgspec.structs.replace(source.what, reverse=source.latest or source.what.reverse)
        return evaluate(query, source.table(columns, what, store.read(what)), now)
    fields = {field.name: field for field in source.fields}
    planned = plan(query, source.what, fields)
    if planned.keys is None:
        found = store.read_where(planned.what, planned.tests)
        return evaluate(query, source.table(columns, planned.what, found), now)
    summaries = store.summarize(
        planned.what, planned.tests, planned.keys, planned.fields, source.most + 1
    )
    if len(summaries) > source.most:
        raise ProtocolError("other", f"the query makes more than {source.most} groups")
    return evaluate_groups(query, columns, groups(query, planned, summaries), now)


def _row_of(target: Target, fields: Sequence[TableColumn]) -> Callable[[StoredReading], list[Any]]:
    """Return a function from a reading to its row."""
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    types = {Type.NUMBER: (int, float), Type.STRING: (str,)}
    columns = [(field.id, types[field.type]) for field in fields]

    def row(reading: StoredReading) -> list[Any]:
        cells: list[Any] = [target.id, target.name, moment(reading.ts)]
        values = decode(reading.data) if columns else {}
        for name, kinds in columns:
            value = values.get(name)
            # a value of before its field was declared may be of another type
            cells.append(value if type(value) in kinds else None)
        return cells

    return row


def moment(micros: int) -> datetime:
    """Return a time as queries know it: UTC, without a zone."""
    return _EPOCH + timedelta(microseconds=micros)


def _is_foreign_script(req: falcon.asgi.Request) -> bool:
    """Return whether a page of another site loads the script with credentials of the browser.

    The page could read private readings then. Browsers say so of themselves (Fetch Metadata,
    https://www.w3.org/TR/fetch-metadata/); a page that has credentials of its own cannot put them
    into the header of a script.
    """
    return (
        req.get_header("authorization") is not None
        and req.get_header("sec-fetch-dest") == "script"
        and req.get_header("sec-fetch-site") in {"cross-site", "same-site"}
    )


def _refuse(req: falcon.asgi.Request, resp: falcon.asgi.Response, error: WotkitError) -> None:
    """Answer an error that is none of the query, in both forms at once."""
    req.scope["wotkit.error"] = error
    reason = next((text for kind, text in _REASONS.items() if isinstance(error, kind)), "other")
    shown = ProtocolError(reason, str(error))
    resp.status = api_errors.status_of(error)
    resp.set_headers(api_errors.headers(error))
    resp.content_type = "application/json"
    resp.data = strict_json.encode(
        {
            **api_errors.body(error, req.scope.get("wotkit.request_id")),
            "version": VERSION,
            "status": "error",
            "errors": [error_form(shown)],
        }
    )
