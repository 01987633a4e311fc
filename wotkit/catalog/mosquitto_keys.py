"""The keys that mosquitto is to know."""

from __future__ import annotations

from typing import NamedTuple

from wotkit import times
from wotkit.catalog.models import Key, User, rows


class MosquittoKey(NamedTuple):
    """A key that holds now."""

    id: str
    hash: str | None
    """None when its password was made while no such hashes were."""
    expires: int | None
    """When it ends, in microseconds since 1970 UTC."""


def holding() -> list[MosquittoKey]:
    """Return the keys that hold now, of users who are not disabled."""
    holds = (User.enabled == True) & (  # noqa: E712  # SQL, not Python
        Key.expires.is_null() | (Key.expires > times.now())
    )
    query = (
        Key.select(Key.id, Key.mosquitto_hash, Key.expires)
        .join(User, on=(User.account == Key.user))
        .where(holds)
        .order_by(Key.id)
    )
    return [MosquittoKey(*found) for found in rows(query)]
