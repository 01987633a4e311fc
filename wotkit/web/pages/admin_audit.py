"""The audit log, for administrators."""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING, Any, Final

from msgspec import structs

from wotkit.api.v2.audit import answer_export
from wotkit.catalog import audit, audit_export
from wotkit.catalog.audit import AuditFilter
from wotkit.errors import InvalidQuery, ValidationFailed, WotkitError
from wotkit.web.pages.page import Page, problems_of
from wotkit.web.pages.times import parse_local

if TYPE_CHECKING:
    import falcon.asgi

PATH: Final = "/admin/audit"
PAGE_SIZE: Final = 50
_FIELDS: Final = ("actor", "action", "target", "since", "until")
_LONGEST_ID: Final = 18


def typed_in(req: falcon.asgi.Request) -> dict[str, str]:
    """Return what was typed into the filters, without those that are empty."""
    given = {name: (req.get_param(name) or "").strip()[:200] for name in _FIELDS}
    return {name: text for name, text in given.items() if text}


def filter_of(typed: dict[str, str], zone: str) -> AuditFilter:
    """Return what the filters ask for; times are of the administrator's zone.

    Raises:
        ValidationFailed: a time is none.
    """
    values: dict[str, Any] = dict(typed)
    wrong: dict[str, str] = {}
    for name in ("since", "until"):
        try:
            values[name] = parse_local(typed.get(name, ""), zone)
        except (ValueError, OverflowError):
            wrong[name] = "is no time; use the form 2027-01-31T12:00"
    if wrong:
        raise ValidationFailed(more=wrong)
    return AuditFilter(**values)


class AuditPage(Page):
    """``/admin/audit``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Show a page of the log, newest first."""
        visitor, session = await self.administrator(req)
        typed = typed_in(req)
        before = req.get_param("before") or ""
        wrong: dict[str, str] = {}
        found: list[audit.AuditRow] = []
        try:
            wanted = filter_of(typed, session.time_zone)
            if before.isdecimal() and before.isascii():
                wanted = structs.replace(wanted, before=int(before[:_LONGEST_ID]))
            found = await self.catalog.reading(audit.page, wanted, PAGE_SIZE + 1)
        except WotkitError as error:
            wrong = problems_of(error)
        older = None
        if len(found) > PAGE_SIZE:
            more = typed | {"before": str(found[PAGE_SIZE - 1].id)}
            older = f"{PATH}?{urllib.parse.urlencode(more)}"
        query = urllib.parse.urlencode(typed)
        self.show(
            req,
            resp,
            "admin_audit.html",
            visitor,
            status=400 if wrong else 200,
            rows=found[:PAGE_SIZE],
            values=typed,
            wrong=wrong,
            newest=f"{PATH}?{query}" if before else None,
            older=older,
            exports={
                form: f"{PATH}/export?{urllib.parse.urlencode(typed | {'format': form})}"
                for form in audit_export.FORMS
            },
        )


class AuditExportPage(Page):
    """``/admin/audit/export``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer all rows that the filters leave, as a file."""
        _, session = await self.administrator(req)
        form = req.get_param("format") or "csv"
        if form not in audit_export.FORMS:
            raise InvalidQuery(more={"format": "is neither csv nor ndjson"})
        wanted = filter_of(typed_in(req), session.time_zone)
        await answer_export(req, resp, self.catalog, wanted, form)
        resp.set_header("Cache-Control", "no-store")
