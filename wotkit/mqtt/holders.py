"""Who is connected with which key, and whether the key still holds.

A connection outlives the moment in which its credentials were verified. Before anything is done for
it the catalog's revision is compared, which costs some microseconds; when it moved, the key is
looked up again, once for all connections of that key. A task does the same some times a second for
connections that are silent, so a revoked key is disconnected at once, whichever process revoked it.
"""

from __future__ import annotations

import asyncio
import logging
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from wotkit import times
from wotkit.errors import WotkitError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wotkit.auth.standing import OfKey
    from wotkit.catalog.database import Catalog
    from wotkit.catalog.identity import Identity
    from wotkit.catalog.watch import Watch

TICK_SECONDS: Final = 0.25
ASKED: Final = 200
"""Keys that are looked up in one unit of work."""
REST: Final = 3
"""How many times as long as it took nobody is asked about again."""

_log: Final = logging.getLogger(__name__)


class Connected(Protocol):
    """A connection, as far as its key is concerned."""

    def revoke(self) -> None:
        """Close: the key is revoked, has expired, or has another password."""
        ...


class Holder:
    """A key id with its password, and the connections that were opened with them."""

    def __init__(self, standing: OfKey, identity: Identity, revision: int) -> None:
        self.standing = standing
        self.identity = identity
        self.revision = revision
        """The catalog's revision at which the identity was found."""
        self.connections: dict[Connected, None] = {}

    @property
    def key_id(self) -> str:
        """The id of the key."""
        return self.standing.key_id


class Holders:
    """All keys with connections; to be used on the event loop's thread."""

    def __init__(self, catalog: Catalog, watch: Watch, own_watch: Watch) -> None:
        """Take the watch that others of this process share, and one for the task alone."""
        self._catalog = catalog
        self._watch = watch
        self._own_watch = own_watch
        self._holders: dict[OfKey, Holder] = {}
        self._of_key: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._asked_at = self._asking_took = 0.0

    @property
    def revision(self) -> int:
        """The catalog's revision, now."""
        return self._watch.revision()

    def connections_of(self, key_id: str) -> int:
        """Return how many connections a key has."""
        return self._of_key.get(key_id, 0)

    def __iter__(self) -> Iterator[Holder]:
        return iter(tuple(self._holders.values()))

    def enter(
        self, standing: OfKey, identity: Identity, revision: int, connection: Connected
    ) -> Holder:
        """Note a connection whose credentials were verified after ``revision`` was seen."""
        holder = self._holders.get(standing)
        if holder is None:
            holder = self._holders[standing] = Holder(standing, identity, revision)
        holder.connections[connection] = None
        self._of_key[holder.key_id] = self._of_key.get(holder.key_id, 0) + 1
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._look_after())
        return holder

    def leave(self, holder: Holder, connection: Connected) -> None:
        """Forget a connection that has ended."""
        if holder.connections.pop(connection, self) is self:
            return
        left = self._of_key.pop(holder.key_id) - 1
        if left:
            self._of_key[holder.key_id] = left
        if not holder.connections and self._holders.get(holder.standing) is holder:
            del self._holders[holder.standing]

    def current(self, holder: Holder) -> Identity | None:
        """Return the identity if it is known to hold now; None means: ask :meth:`renew`."""
        if holder.revision != self._watch.revision():
            return None
        expires = holder.identity.expires
        return holder.identity if expires is None or expires > times.now() else None

    async def renew(self, holder: Holder) -> Identity | None:
        """Return the identity as it is now; None, and every connection closed, without one."""
        revision = self._watch.revision()
        identity = await self._catalog.reading(holder.standing.renew)
        self._apply(holder, identity, revision)
        return identity

    async def close(self) -> None:
        """Stop the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._own_watch.close()

    def _apply(self, holder: Holder, identity: Identity | None, revision: int) -> None:
        if identity is None:
            for connection in tuple(holder.connections):
                connection.revoke()
        elif revision >= holder.revision:
            holder.identity, holder.revision = identity, revision

    async def _look_after(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            started = loop.time()
            if started - self._asked_at < self._asking_took * REST:
                continue
            try:
                await self._ask()
            except (WotkitError, OSError) as error:
                _log.warning("whether keys still hold cannot be asked now: %s", error)
                continue
            except Exception:  # noqa: BLE001  # the next time may be better
                _log.exception("whether keys still hold cannot be asked")
                continue
            self._asked_at = loop.time()
            self._asking_took = self._asked_at - started

    async def _ask(self) -> None:
        """Look up the keys again where that may make a difference."""
        revision, now = self._own_watch.revision(), times.now()
        due = iter(
            [
                holder
                for holder in self._holders.values()
                if holder.revision < revision
                or (holder.identity.expires is not None and holder.identity.expires <= now)
            ]
        )
        while part := list(islice(due, ASKED)):
            found = await self._catalog.reading(_renew, [holder.standing for holder in part])
            for holder, identity in zip(part, found, strict=True):
                self._apply(holder, identity, revision)


def _renew(standings: list[OfKey]) -> list[Identity | None]:
    return [standing.renew() for standing in standings]
