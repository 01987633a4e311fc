"""The parameter ``tqx``: in which form a client wants its table."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from wotkit.gviz.errors import ProtocolError

HANDLER: Final = "google.visualization.Query.setResponse"
OUTPUTS: Final = ("json", "html", "csv", "tsv-excel")

_NAME: Final = re.compile(r"[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*", re.ASCII)
_LONGEST_NAME: Final = 128
_REQUEST_ID: Final = re.compile(r"-?[0-9]{1,18}")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._ ()-]+")


class TableRequest(Struct, frozen=True, kw_only=True):
    """What ``tqx`` says, and whether the client asked for plain JSON by its header."""

    request_id: str = "0"
    out: str = "json"
    file_name: str | None = None
    handler: str = HANDLER
    signature: str | None = None
    plain: bool = False


def parse_request(tqx: str, *, plain: bool) -> tuple[TableRequest, ProtocolError | None]:
    """Return what ``tqx`` says, as far as it can be understood, and what is wrong with it.

    Names that mean nothing here are ignored, as the protocol asks for.
    """
    given: dict[str, str] = {}
    wrong: list[str] = []
    for pair in filter(None, (part.strip() for part in tqx.split(";"))):
        name, colon, value = pair.partition(":")
        if not colon:
            wrong.append(f"{pair[:40]!r} in tqx has not the form name:value")
            continue
        given[name.strip()] = value.strip()
    request_id = given.get("reqId", "0")
    if not _REQUEST_ID.fullmatch(request_id):
        wrong.append("reqId in tqx is not a number")
        request_id = "0"
    out = given.get("out", "json").lower()
    if out not in OUTPUTS:
        wrong.append(f"out in tqx is none of {', '.join(OUTPUTS)}")
        out = "json"
    handler = given.get("responseHandler", HANDLER)
    if not _NAME.fullmatch(handler) or len(handler) > _LONGEST_NAME:
        wrong.append("responseHandler in tqx is not the name of a function")
        handler = HANDLER
    request = TableRequest(
        request_id=request_id,
        out=out,
        file_name=_file_name(given.get("outFileName")),
        handler=handler,
        signature=given.get("sig"),
        plain=plain,
    )
    return request, ProtocolError("invalid_request", "; ".join(wrong)) if wrong else None


def _file_name(given: str | None) -> str | None:
    """Return a file's name that is no path and needs no quoting in a header."""
    if given is None:
        return None
    name = _UNSAFE.sub("_", given)[:100].lstrip(". ")
    return name or None
