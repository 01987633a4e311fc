"""Writes a table, or an error, in the form a client wants.

The JSON forms are those of https://developers.google.com/chart/interactive/docs/dev/dsl_get_started
and of the data source protocol 0.6. In the script form times are ``new Date(...)``; in plain JSON
they are texts ``Date(...)``. Months count from 0.
"""

from __future__ import annotations

import csv
import hashlib
import io
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from wotkit import strict_json
from wotkit.gviz.errors import ProtocolError
from wotkit.gviz.syntax import Type
from wotkit.gviz.texts import number, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wotkit.gviz.request import TableRequest
    from wotkit.gviz.table import Row, Table, TableColumn

VERSION: Final = "0.6"
MEDIA: Final = {
    "json": "application/json",
    "script": "text/javascript; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "tsv-excel": "text/tab-separated-values; charset=utf-16le",
}
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the begin of a formula."""
_ESCAPES: Final = str.maketrans(
    {
        "<": "\\u003c",
        ">": "\\u003e",
        "&": "\\u0026",
        "\u2028": "\\u2028",
        "\u2029": "\\u2029",
    }
)
"""What JSON allows in a text and a script or a page would take for more than that."""
_PAGE: Final = (
    '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
    "<body>{body}</body></html>\n"
)


class Output(NamedTuple):
    """An answer's media type and bytes."""

    media: str
    body: bytes


def write_table(table: Table, request: TableRequest) -> Output:
    """Return a table in the form of the request.

    Raises:
        ProtocolError: ``not_modified``, when the client has this table already.
    """
    if request.out == "csv":
        return Output(MEDIA["csv"], _csv(table, ",").encode())
    if request.out == "tsv-excel":
        return Output(MEDIA["tsv-excel"], ("\ufeff" + _csv(table, "\t")).encode("utf-16-le"))
    if request.out == "html":
        return Output(MEDIA["html"], _html(table).encode())
    content = _json(table, script=not request.plain)
    signature = hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
    if request.signature == signature:
        raise ProtocolError("not_modified")
    return _answer(request, f'"status":"ok","sig":"{signature}","table":{content}')


def write_error(error: ProtocolError, request: TableRequest) -> Output:
    """Return an error in the form of the request."""
    if request.out in {"csv", "tsv-excel"}:
        text = f"Error: {_cell(error.message)}. {_cell(error.detail)}\n"
        if request.out == "csv":
            return Output(MEDIA["csv"], text.encode("utf-8", "replace"))
        return Output(MEDIA["tsv-excel"], ("\ufeff" + text).encode("utf-16-le", "replace"))
    if request.out == "html":
        body = f"<h1>{escape(error.message)}</h1><p>{escape(error.detail)}</p>"
        page = _PAGE.format(title="Error", body=body)
        return Output(MEDIA["html"], page.encode("utf-8", "replace"))
    return _answer(request, f'"status":"error","errors":[{_text(error_form(error))}]')


def error_form(error: ProtocolError) -> dict[str, str]:
    """Return an error as the protocol lists it."""
    form = {"reason": error.reason, "message": error.message}
    if error.detail:
        form["detailed_message"] = error.detail.encode("utf-8", "replace").decode()
    return form


def _answer(request: TableRequest, members: str) -> Output:
    content = f'{{"version":"{VERSION}","reqId":"{request.request_id}",{members}}}'
    if request.plain:
        return Output(MEDIA["json"], content.encode())
    return Output(MEDIA["script"], f"{request.handler}({content});".encode())


def _json(table: Table, *, script: bool) -> str:
    columns = ",".join(_text(_column(column)) for column in table.columns)
    cells = [_cell_form(column, table, script=script) for column in table.columns]
    rows = ",".join(
        f'{{"c":[{",".join([cell(row[at]) for at, cell in enumerate(cells)])}]}}'
        for row in table.rows
    )
    return f'{{"cols":[{columns}],"rows":[{rows}]}}'


def _column(column: TableColumn) -> dict[str, str]:
    form = {"id": column.id, "label": column.label, "type": column.type.value}
    return form if column.pattern is None else {**form, "pattern": column.pattern}


def _cell_form(column: TableColumn, table: Table, *, script: bool) -> Callable[[Any], str]:
    """Return a function from a value to its cell."""
    value_form = _value_form(column.type, script=script)
    form = column.form

    def cell(value: Any) -> str:
        if value is None:
            return '{"v":null}'
        if form is None:
            return f'{{"v":{value_form(value)}}}'
        if table.no_values:
            return f'{{"f":{_text(form(value))}}}'
        return f'{{"v":{value_form(value)},"f":{_text(form(value))}}}'

    return cell


def _value_form(kind: Type, *, script: bool) -> Callable[[Any], str]:
    if kind is Type.STRING:
        return _text
    if kind in {Type.NUMBER, Type.BOOLEAN}:
        return number
    if kind is Type.TIMEOFDAY:
        return lambda at: f"[{at.hour},{at.minute},{at.second},{at.microsecond // 1000}]"
    if script:
        return lambda at: f"new {_date(at)}"
    return lambda at: f'"{_date(at)}"'


def _date(at: Any) -> str:
    if not isinstance(at, datetime):
        return f"Date({at.year},{at.month - 1},{at.day})"
    return (
        f"Date({at.year},{at.month - 1},{at.day},{at.hour},{at.minute},{at.second},"
        f"{at.microsecond // 1000})"
    )


def _text(value: Any) -> str:
    return strict_json.encode(value).decode().translate(_ESCAPES)


def _shown(column: TableColumn, value: Any) -> str:
    if value is not None and column.form is not None:
        return column.form(value)
    return plain(value)


def _csv(table: Table, separator: str) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator)
    writer.writerow([_cell(column.label) for column in table.columns])
    writer.writerows(_csv_row(table.columns, row) for row in table.rows)
    return text.getvalue()


def _csv_row(columns: Sequence[TableColumn], row: Row) -> list[str]:
    return [
        _cell(_shown(column, value)) if isinstance(value, str) else _shown(column, value)
        for column, value in zip(columns, row, strict=True)
    ]


def _cell(text: str) -> str:
    """Return a text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _html(table: Table) -> str:
    head = "".join(f"<th>{escape(column.label)}</th>" for column in table.columns)
    rows = "".join(f"<tr>{_html_row(table.columns, row)}</tr>\n" for row in table.rows)
    body = f'<table border="1">\n<tr>{head}</tr>\n{rows}</table>'
    return _PAGE.format(title="Table", body=body)


def _html_row(columns: Sequence[TableColumn], row: Row) -> str:
    return "".join(
        f"<td>{escape(_shown(column, value))}</td>"
        for column, value in zip(columns, row, strict=True)
    )
