"""Finds the sensor a reading is for, and remembers it until the catalog changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from wotkit.catalog.identity import visible, writable
from wotkit.catalog.models import Account, Field, Sensor, rows
from wotkit.catalog.references import named
from wotkit.errors import NotFound
from wotkit.ingest.fields import FieldChecks

if TYPE_CHECKING:
    from collections.abc import Callable

    from wotkit.catalog.database import Catalog
    from wotkit.catalog.identity import Identity
    from wotkit.catalog.watch import Watch
    from wotkit.settings import IngestSettings

REMEMBERED: Final = 200_000
"""Sensors remembered at most; beyond it all are forgotten and looked up again."""


LOOKS: Final = 5
"""How often a sensor is looked up while the catalog changes again and again."""


class Target(NamedTuple):
    """A sensor as far as its readings are concerned."""

    id: int
    name: str
    """``owner.name``."""
    checks: FieldChecks


_Key = tuple[str, int, frozenset[int], frozenset[int] | None, str]


def _key(use: str, identity: Identity, reference: str) -> _Key:
    """Return all that the answer depends on.

    Not who is asking alone: somebody who was a member when the request began is another caller than
    who is none now, and what the one finds must not be remembered for the other.
    """
    return use, identity.user_id, identity.accounts, identity.sensors, reference


class SensorDirectory:
    """Resolves references for callers; to be used on the event loop's thread."""

    def __init__(self, catalog: Catalog, watch: Watch, settings: IngestSettings) -> None:
        """Take the watch that the authenticator of this process uses too."""
        self._catalog = catalog
        self._watch = watch
        self._settings = settings
        self._revision = -1
        self._known: dict[_Key, Target] = {}

    @property
    def revision(self) -> int:
        """The catalog's, as of this turn of the event loop: what was found before may be over."""
        return self._watch.revision()

    def remembered(self, identity: Identity, reference: str) -> Target | None:
        """Return a writable sensor that was looked up since the catalog last changed.

        Never waits; it relies on the revision seen when this caller was authenticated. None means:
        ask :meth:`writable`.
        """
        if self._watch.seen != self._revision:
            return None
        return self._known.get(_key("w", identity, reference))

    async def writable(self, identity: Identity, reference: str) -> Target:
        """Return a sensor the caller may write to.

        Raises:
            NotFound: there is none of this name, or the caller may not write to it.
        """
        return await self._find("w", identity, reference, writable)

    async def readable(self, identity: Identity, reference: str) -> Target:
        """Return a sensor the caller may see.

        Raises:
            NotFound: there is none of this name, or the caller may not see it.
        """
        return await self._find("r", identity, reference, visible)

    async def _find(
        self, use: str, identity: Identity, reference: str, condition: Callable[[Identity], Any]
    ) -> Target:
        revision = self._watch.revision()
        if revision != self._revision or len(self._known) >= REMEMBERED:
            self._known.clear()
            self._revision = revision
        key = _key(use, identity, reference)
        target = self._known.get(key)
        if target is not None:
            return target
        for _ in range(LOOKS):
            target = await self._catalog.reading(self._look_up, identity, reference, condition)
            before, revision = revision, self._watch.revision()
            if before == revision:
                self._known[key] = target
                break
            # it changed meanwhile: readings are not to go by the fields of before
        assert target is not None
        return target

    def _look_up(
        self, identity: Identity, reference: str, condition: Callable[[Identity], Any]
    ) -> Target:
        found = rows(
            Sensor.select(Sensor.id, Account.name, Sensor.name)
            .join(Account)
            .where(named(identity, reference) & condition(identity))
        )
        if not found:
            raise NotFound(reference)
        sensor_id, owner, name = found[0]
        declared = rows(
            Field.select(Field.name, Field.type, Field.required).where(Field.sensor == sensor_id)
        )
        return Target(sensor_id, f"{owner}.{name}", FieldChecks(declared, self._settings))
