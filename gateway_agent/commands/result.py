"""What the platform is told of a command."""

import json

from gateway_agent.spool import JournalEntry


def encode_result(entry: JournalEntry) -> bytes | None:
    """The payload on `results`; None for a plain message over HTTP, which has no id."""
    number = entry.key.partition("@")[0]
    if not number.isdecimal():
        return None
    result = {"id": int(number), "state": entry.state, "detail": entry.detail}
    return json.dumps(result).encode()
