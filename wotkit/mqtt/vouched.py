"""Keys that somebody else has authenticated: a broker, which says who published by the topic.

Whether such a key still holds, and what it may do, is for the catalog to say: it is asked once,
and again when its revision has moved or the key has expired.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wotkit import times
from wotkit.auth import credentials
from wotkit.catalog.identity import KEY_ID

if TYPE_CHECKING:
    from wotkit.catalog.database import Catalog
    from wotkit.catalog.identity import Identity
    from wotkit.catalog.watch import Watch

REMEMBERED: Final = 100_000
"""Keys remembered at most, unknown ones included; beyond it all are looked up again."""


class Vouched:
    """The keys of one process; to be used on the event loop's thread."""

    def __init__(self, catalog: Catalog, watch: Watch) -> None:
        self._catalog = catalog
        self._watch = watch
        self._revision = -1
        self._known: dict[str, Identity | None] = {}

    def remembered(self, key_id: str) -> Identity | None:
        """Return whom a key acts for if that is known to hold now; else ask :meth:`identity`."""
        if self._watch.revision() != self._revision:
            return None
        found = self._known.get(key_id)
        if found is None or (found.expires is not None and found.expires <= times.now()):
            return None
        return found

    async def identity(self, key_id: str) -> Identity | None:
        """Return whom a key acts for; None when there is no such key, or it holds no more.

        Raises:
            Overloaded, StoreUnavailable: the catalog cannot tell now.
        """
        if not KEY_ID.fullmatch(key_id):
            return None
        revision = self._watch.revision()
        if revision != self._revision or len(self._known) >= REMEMBERED:
            self._known.clear()
            self._revision = revision
        if key_id in self._known:
            found = self._known[key_id]
            if found is None or found.expires is None or found.expires > times.now():
                return found
        found = await self._catalog.reading(credentials.of_key_id, key_id)
        if self._watch.revision() == self._revision == revision:
            self._known[key_id] = found
        return found
