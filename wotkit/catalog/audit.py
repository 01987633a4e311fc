"""The audit log: who changed what, from where, and with which credentials.

Rows are only added, and deleted when their time is over: the database itself refuses to change
one, or to delete a young one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from wotkit import strict_json, times
from wotkit.catalog.models import Audit, changed, rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from wotkit.catalog.identity import Identity

LOGIN_FAILED: Final = "login.fail"
NOBODY: Final = "anonymous"
_NAME: Final = 100
"""Characters kept of a name that somebody tried to log in with."""


class Actor(Struct, frozen=True):
    """Who is about to change something, for the audit log."""

    name: str
    address: str
    key_id: str | None = None
    app: str | None = None

    @classmethod
    def of(cls, identity: Identity, address: str) -> Actor:
        """Return the actor behind a request."""
        return cls(identity.username, address, identity.key_id, identity.app)


COMMAND_LINE = Actor("command line", "local")
"""Whoever may run ``wotkit`` on the data folder."""


class AuditRow(Struct, frozen=True, kw_only=True):
    """What somebody did."""

    id: int
    at: int
    actor: str
    key_id: str | None
    app: str | None
    address: str
    action: str
    target: str
    details: dict[str, Any]


class AuditFilter(Struct, frozen=True, kw_only=True):
    """Which rows are wanted; what is None does not matter."""

    actor: str | None = None
    action: str | None = None
    """Where the name of the action begins: ``key`` is all that happened to keys."""
    target: str | None = None
    since: int | None = None
    """Microseconds; included."""
    until: int | None = None
    """Microseconds; not included."""
    before: int | None = None
    """Only rows of a lower id: those behind a page."""


def record(actor: Actor, action: str, target: str, **details: Any) -> None:
    """Add a row, in the transaction of the change itself; ``details`` never hold a secret."""
    Audit.insert(
        at=times.now(),
        actor=actor.name,
        key_id=actor.key_id,
        app=actor.app,
        address=actor.address,
        action=action,
        target=target,
        details=strict_json.encode(details).decode(),
    ).execute()


def login_failed(name: str, address: str) -> None:
    """Note that somebody tried to log in under a name, or with the id of a key or application."""
    record(Actor(NOBODY, address), LOGIN_FAILED, name[:_NAME])


def page(wanted: AuditFilter, limit: int) -> list[AuditRow]:
    """Return rows, the newest first; the lowest id of a page leads to the next (``before``)."""
    query: Any = (
        Audit.select(
            Audit.id,
            Audit.at,
            Audit.actor,
            Audit.key_id,
            Audit.app,
            Audit.address,
            Audit.action,
            Audit.target,
            Audit.details,
        )
        .order_by(Audit.id.desc())
        .limit(limit)
    )
    for condition in _conditions(wanted):
        query = query.where(condition)
    return [_row(values) for values in rows(query)]


def forget_before(at: int) -> int:
    """Delete rows older than ``at`` (microseconds) and return how many."""
    return changed(Audit.delete().where(Audit.at < at))


def _conditions(wanted: AuditFilter) -> list[Any]:
    conditions: dict[str, Callable[[Any], Any]] = {
        "actor": lambda actor: Audit.actor == actor,
        "action": lambda start: (Audit.action >= start) & (Audit.action < f"{start}\U0010ffff"),
        "target": lambda target: Audit.target == target,
        "since": lambda at: Audit.at >= at,
        "until": lambda at: Audit.at < at,
        "before": lambda row_id: Audit.id < row_id,
    }
    given = ((condition, getattr(wanted, name)) for name, condition in conditions.items())
    return [condition(value) for condition, value in given if value is not None]


def _row(values: tuple[Any, ...]) -> AuditRow:
    *plain, details = values
    names = AuditRow.__struct_fields__
    return AuditRow(**dict(zip(names, [*plain, strict_json.decode(details.encode())], strict=True)))
