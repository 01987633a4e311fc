"""One of several processes that redeem the same secret on one catalog, with no server between.

Usage: python -m tests.oauth.redeemer FOLDER CLIENT_ID CLIENT_SECRET code|refresh SECRET ADDRESS
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from urllib.parse import urlencode

from wotkit.auth.oauth2 import server
from wotkit.auth.oauth2.asked import FORM, read_call
from wotkit.catalog import Catalog
from wotkit.settings import Settings

AT_ONCE = 5


async def main(folder: str, client: str, secret: str, what: str, given: str, address: str) -> None:
    catalog = Catalog(Path(folder), busy_seconds=20)
    form = {"client_id": client, "client_secret": secret}
    if what == "code":
        form |= {"grant_type": "authorization_code", "code": given, "redirect_uri": address}
    else:
        form |= {"grant_type": "refresh_token", "refresh_token": given}
    call = read_call(
        urlencode(form).encode(), FORM, "", None,
        address="192.0.2.1", issuer="http://server.example", settings=Settings(),
    )  # fmt: skip
    answers = await asyncio.gather(*(catalog.writing(server.token, call) for _ in range(AT_ONCE)))
    print(*(answer.status for answer in answers))
    catalog.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
