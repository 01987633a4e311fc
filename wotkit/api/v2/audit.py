"""The audit log, for administrators."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import urlencode

from msgspec import Meta, Struct

from wotkit.api.operation import Returns, operation
from wotkit.api.requests import client_gone, read_query
from wotkit.api.responses import JSON, answer_json
from wotkit.api.v1.reading_range import time_of
from wotkit.catalog import audit, audit_export
from wotkit.catalog.audit import AuditFilter
from wotkit.errors import InvalidQuery

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.catalog import Catalog
    from wotkit.catalog.audit import AuditRow

TAG: Final = "Audit"
FILE_NAME: Final = "wotkit-audit"


class AuditQuery(Struct, kw_only=True):
    """Which rows of the audit log."""

    actor: Annotated[
        str | None,
        Meta(
            examples=["alice"],
            description="Who did it: a user, the client id of an application that acted by "
            "itself, `command line`, or `anonymous` for failed logins.",
        ),
    ] = None
    action: Annotated[
        str | None,
        Meta(
            examples=["key."],
            description="How the action begins: `key.` is all that happened to keys, "
            "`login.fail` every failed login.",
        ),
    ] = None
    target: Annotated[
        str | None,
        Meta(
            examples=["alice"],
            description="What it was done to: the name of a user, organization or sensor, the id "
            "of a key or application, the name somebody tried to log in with.",
        ),
    ] = None
    since: Annotated[
        str | None,
        Meta(description="Absolute time, ISO 8601 or milliseconds since 1970; included."),
    ] = None
    until: Annotated[str | None, Meta(description="Absolute time; not included.")] = None
    before: (
        Annotated[int, Meta(ge=0, description="Only rows of a lower id, as the `Link` has it.")]
        | None
    ) = None
    limit: Annotated[int, Meta(ge=1, le=1000, description="Rows of one answer as JSON.")] = 100
    format: (
        Annotated[
            Literal["json", "csv", "ndjson"],
            Meta(
                description="Instead of the header `Accept`. csv and ndjson are of all rows, "
                "whatever the limit."
            ),
        ]
        | None
    ) = None


class AuditAnswer(Struct, rename="camel", kw_only=True):
    """What somebody did."""

    id: int
    time: Annotated[str, Meta(description="ISO 8601.")]
    actor: str
    key_id: Annotated[str | None, Meta(description="The key that was used, if one was.")]
    app: Annotated[str | None, Meta(description="Client id of the application that acted.")]
    address: Annotated[str, Meta(description="Where it was done from.")]
    action: str
    target: str
    details: Annotated[dict[str, Any], Meta(description="More about it; never a secret.")]


class AuditResource:
    """What everybody did."""

    def __init__(self, catalog: Catalog, callers: Callers) -> None:
        self._catalog = catalog
        self._callers = callers

    @operation(
        tag=TAG,
        summary="Read the audit log",
        description="Newest first. As CSV or lines of JSON, by `format` or `Accept`, an answer "
        "holds all rows. In CSV a text that a spreadsheet would take for a formula has a `'` "
        "before it.",
        privacy="admin",
        query=AuditQuery,
        headers={"Accept": "`application/json`, `text/csv` or `application/x-ndjson`."},
        returns={
            200: Returns(
                "The rows.",
                list[AuditAnswer],
                also=tuple(audit_export.FORMS.values()),
                headers={"Link": 'The next page, as rel="next", when there is more.'},
            )
        },
        errors=(InvalidQuery,),
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer rows."""
        await self._callers.identify_admin(req)
        query = read_query(req, AuditQuery)
        wanted = AuditFilter(
            actor=query.actor,
            action=query.action,
            target=query.target,
            since=None if query.since is None else time_of("since", query.since),
            until=None if query.until is None else time_of("until", query.until),
            before=query.before,
        )
        resp.set_header("Vary", "Accept")
        form = query.format or _accepted(req)
        if form != "json":
            await answer_export(req, resp, self._catalog, wanted, form)
            return
        found = await self._catalog.reading(audit.page, wanted, query.limit + 1)
        shown = found[: query.limit]
        if len(found) > query.limit:
            params = {**req.params, "before": shown[-1].id, "limit": query.limit}
            resp.set_header("Link", f'<{req.path}?{urlencode(params, doseq=True)}>; rel="next"')
        answer_json(resp, [audit_export.attributes(row) for row in shown])


async def answer_export(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response,
    catalog: Catalog,
    wanted: AuditFilter,
    form: str,
) -> None:
    """Answer all rows as a file; the first page is read already, so that errors are answers."""
    first = await catalog.reading(audit.page, wanted, audit_export.PAGE)
    resp.stream = _parts(req, catalog, wanted, first, form)
    resp.content_type = audit_export.FORMS[form]
    resp.downloadable_as = f"{FILE_NAME}.{form}"


async def _parts(
    req: falcon.asgi.Request,
    catalog: Catalog,
    wanted: AuditFilter,
    first: list[AuditRow],
    form: str,
) -> AsyncIterator[bytes]:
    """Yield pages, each when the one before is on its way: none holds up those who write."""
    gone = asyncio.ensure_future(client_gone(req))
    try:
        yield audit_export.head(form) + audit_export.lines(form, first)
        following = audit_export.behind(wanted, first)
        while following is not None and not gone.done():
            found = await catalog.reading(audit.page, following, audit_export.PAGE)
            yield audit_export.lines(form, found)
            following = audit_export.behind(wanted, found)
    finally:
        gone.cancel()


def _accepted(req: falcon.asgi.Request) -> str:
    kinds = {JSON: "json"} | {media: form for form, media in audit_export.FORMS.items()}
    return kinds.get(req.client_prefers(list(kinds)) or JSON, "json")
