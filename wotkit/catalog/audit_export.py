"""The audit log as CSV (RFC 4180) and as lines of JSON, page by page."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

import msgspec

from wotkit import strict_json, times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wotkit.catalog.audit import AuditFilter, AuditRow

PAGE: Final = 1000
"""Rows of a page of an export."""
FORMS: Final = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
HEAD: Final = (
    "id",
    "time",
    "actor",
    "keyId",
    "app",
    "address",
    "action",
    "target",
    "details",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def attributes(row: AuditRow) -> dict[str, Any]:
    """Return a row under the names of the API."""
    values = (
        row.id,
        times.to_iso(row.at),
        row.actor,
        row.key_id,
        row.app,
        row.address,
        row.action,
        row.target,
        row.details,
    )
    return dict(zip(HEAD, values, strict=True))


def head(form: str) -> bytes:
    """Return what an export begins with."""
    return b"" if form == "ndjson" else (",".join(HEAD) + "\r\n").encode()


def lines(form: str, found: Sequence[AuditRow]) -> bytes:
    """Return the lines of rows.

    In CSV a text that a spreadsheet would take for a formula has a ``'`` before it: anybody may
    try to log in under such a name, and it is an administrator who opens the file.
    """
    if form == "ndjson":
        return b"".join(strict_json.encode(attributes(row)) + b"\n" for row in found)
    text = io.StringIO()
    table = csv.writer(text)
    for row in found:
        values = attributes(row) | {"details": strict_json.encode(row.details).decode()}
        table.writerow(_plain(value) for value in values.values())
    return text.getvalue().encode()


def behind(wanted: AuditFilter, found: Sequence[AuditRow]) -> AuditFilter | None:
    """Return what asks for the page behind one; None when there is none."""
    if len(found) < PAGE:
        return None
    return msgspec.structs.replace(wanted, before=found[-1].id)


def _plain(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
