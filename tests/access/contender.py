"""One of several processes that open one catalog and answer applications there, without a server.

It reads one line of JSON: ``folder`` and ``rounds``, says that it is ready, and begins when it
reads another line. A round has the seconds ``after`` which all its ``calls`` are answered at once;
a call is the name of an endpoint and a form. Of each round it prints a line of JSON: status and
body of each answer.

Usage: python -m tests.access.contender < rounds.json
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from wotkit.auth.oauth2 import server
from wotkit.auth.oauth2.asked import FORM, read_call
from wotkit.catalog import Catalog
from wotkit.settings import Settings


async def answered(catalog: Catalog, where: str, form: dict[str, str]) -> dict[str, Any]:
    """Answer a call as the endpoint does."""
    call = read_call(
        urlencode(form).encode(),
        FORM,
        "",
        None,
        address="192.0.2.1",
        issuer="https://wotkit.example",
        settings=Settings(),
    )
    answer = await catalog.writing(getattr(server, where), call)
    return {"where": where, "status": answer.status, **answer.body}


async def contend(folder: str, rounds: list[dict[str, Any]]) -> None:
    """Answer the calls of each round at its time."""
    catalog = Catalog(Path(folder), busy_seconds=30)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    began = time.time()
    for each in rounds:
        await asyncio.sleep(max(0.0, began + each["after"] - time.time()))
        calls = [answered(catalog, where, form) for where, form in each["calls"]]
        print(json.dumps(await asyncio.gather(*calls)), flush=True)
    catalog.close()


if __name__ == "__main__":
    given = json.loads(sys.stdin.readline())
    asyncio.run(contend(given["folder"], given["rounds"]))
