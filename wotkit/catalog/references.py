"""How a sensor is named in a path: by id, by ``owner.name``, or by its name for its owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from wotkit.catalog.models import Account, Sensor, rows
from wotkit.errors import NotFound

if TYPE_CHECKING:
    from wotkit.catalog.identity import Identity

LARGEST_ID: Final = (1 << 63) - 1
_DIGITS: Final = 20


class Found(NamedTuple):
    """A sensor that a reference named."""

    id: int
    owner: str
    name: str

    @property
    def qualified(self) -> str:
        """``owner.name``, as others call it."""
        return f"{self.owner}.{self.name}"


def is_id(reference: str) -> bool:
    """Return whether a reference is a numeric id."""
    if len(reference) > _DIGITS or not (reference.isascii() and reference.isdecimal()):
        return False
    return int(reference) <= LARGEST_ID


def named(identity: Identity, reference: str) -> Any:
    """Return the condition that a sensor, joined with its owner's Account, has this reference."""
    if is_id(reference):
        return Sensor.id == int(reference)
    owner, dot, name = reference.rpartition(".")
    if dot:
        return (Account.name == owner) & (Sensor.name == name)
    return (Sensor.owner == identity.user_id) & (Sensor.name == reference)


def find(identity: Identity, reference: str, condition: Any) -> Found:
    """Return the sensor that a caller means, among those that meet ``condition``.

    Raises:
        NotFound: there is none.
    """
    query = Sensor.select(Sensor.id, Account.name, Sensor.name).join(
        Account, on=(Account.id == Sensor.owner)
    )
    for found in rows(query.where(named(identity, reference) & condition)):
        return Found(*found)
    raise NotFound(reference)
