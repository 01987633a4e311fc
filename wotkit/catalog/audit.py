"""The audit log: who changed what, from where, and with which credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from wotkit import strict_json, times
from wotkit.catalog.models import Audit, changed

if TYPE_CHECKING:
    from wotkit.catalog.identity import Identity


class Actor(Struct, frozen=True):
    """Who is about to change something, for the audit log."""

    name: str
    address: str
    key_id: str | None = None

    @classmethod
    def of(cls, identity: Identity, address: str) -> Actor:
        """Return the actor behind a request."""
        return cls(identity.username, address, identity.key_id)


COMMAND_LINE = Actor("command line", "local")
"""Whoever may run ``wotkit`` on the data folder."""


def record(actor: Actor, action: str, target: str, **details: Any) -> None:
    """Add a row, in the transaction of the change itself; ``details`` never hold a secret."""
    Audit.insert(
        at=times.now(),
        actor=actor.name,
        key_id=actor.key_id,
        address=actor.address,
        action=action,
        target=target,
        details=strict_json.encode(details).decode(),
    ).execute()


def forget_before(at: int) -> int:
    """Delete rows older than ``at`` (microseconds) and return how many."""
    return changed(Audit.delete().where(Audit.at < at))
