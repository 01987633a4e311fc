"""The Idempotency-Key header: a write that is sent again is done once.

After draft-ietf-httpapi-idempotency-key-header-07: the key is the client's, the fingerprint of the
request guards against a key used for something else.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from wotkit.errors import InvalidQuery
from wotkit.readings.store import Kind, Resend

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.catalog.identity import Identity
    from wotkit.readings.store import Outcome

HEADERS: Final = {
    "Idempotency-Key": "1 to 255 visible characters, chosen by the client: a second write with "
    "the same key stores nothing and gets the first answer again."
}
"""What the reference says about it."""
REPLAYED: Final = {"Idempotent-Replayed": "`true` when this is the first answer again."}

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


def resend_of(req: falcon.asgi.Request, identity: Identity, body: bytes) -> Resend | None:
    """Return what vouches for this request; None when it carries no key.

    Raises:
        InvalidQuery: the key is not 1 to 255 visible characters.
    """
    key = req.get_header("idempotency-key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise InvalidQuery(more={"Idempotency-Key": "must be 1 to 255 visible ASCII characters"})
    if identity.key_id is not None:
        caller = f"key:{identity.key_id}"
    else:
        # an application's keys are its own, and outlast its grant
        caller = f"user:{identity.user_id}" + (f":{identity.app}" if identity.app else "")
    request = f"{req.method} {req.path}\n".encode()
    return Resend(caller, key, hashlib.blake2b(request + body, digest_size=16).digest())


def mark_replay(resp: falcon.asgi.Response, outcome: Outcome) -> None:
    """Say so when this is the first answer again."""
    if outcome.kind is Kind.REPLAYED:
        resp.set_header("Idempotent-Replayed", "true")
