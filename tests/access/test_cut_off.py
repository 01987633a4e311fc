"""A connection ends in the middle of a form."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from tests.access.test_changed_meanwhile import UNDER_WAY, catalog, dora
from tests.web_user import HIDDEN
from wotkit.catalog import users

if TYPE_CHECKING:
    from tests.web_user import WebUser
    from wotkit.catalog import Catalog

__all__ = ["catalog", "dora"]


@pytest.mark.parametrize("chunked", [False, True])
def test_form_that_was_cut_off_changes_nothing(
    catalog: Catalog, dora: WebUser, *, chunked: bool
) -> None:
    page = dora.open("/account")
    typed = {"time_zone": "Asia/Tokyo", "last_name": "Gale of Kansas"}
    body = urlencode(dict(HIDDEN.findall(page.text)) | typed).encode()
    part = body[: -len("of+Kansas")]
    session = dora.http.cookies["wotkit_session"]
    lines = [
        "POST /account HTTP/1.1",
        f"Host: {page.url.netloc.decode()}",
        f"Cookie: wotkit_session={session}",
        "Content-Type: application/x-www-form-urlencoded",
        "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}",
    ]
    if chunked:
        part = b"%x\r\n%b\r\n" % (len(part), part)
    with socket.create_connection((page.url.host, page.url.port or 80), timeout=20) as wire:
        wire.sendall("\r\n".join([*lines, "", ""]).encode() + part)
        time.sleep(UNDER_WAY)
    time.sleep(UNDER_WAY)
    row = catalog.read(users.get, dora.name)
    assert (row.last_name, row.time_zone) == ("", "UTC")
    # whole, it is taken
    assert dora.submit(page, **typed).status_code == 303
    assert catalog.read(users.get, dora.name).last_name == "Gale of Kansas"
