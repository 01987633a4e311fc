"""Messages on their way out: claimed, tried, and kept as their own log."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from wotkit import times
from wotkit.catalog.models import Alert, AlertDelivery, InboxMessage, changed, rows

WAITING = "waiting"
SENT = "sent"
FAILED = "failed"
EMAIL = "email"


class Outgoing(Struct, frozen=True, kw_only=True):
    """A message that was claimed to be sent now."""

    id: int
    alert_id: int
    inbox_id: int
    channel: str
    target: str
    title: str
    body: str
    attempts: int
    """How often it was tried, this time included."""
    secret: str


class DeliveryRow(Struct, frozen=True, kw_only=True):
    """A message as the log shows it."""

    id: int
    inbox_id: int
    channel: str
    target: str
    created: int
    status: str
    attempts: int
    tried: int | None
    due: int | None
    outcome: str


def claim(limit: int, seconds: float) -> list[Outgoing]:
    """Take messages that are due; nobody else gets them for so many seconds.

    The conditional UPDATE is the lock. Whoever dies with a message leaves it due again afterwards,
    so it is sent at least once.
    """
    now = times.now()
    due = AlertDelivery.due <= now
    query: Any = (
        AlertDelivery.select(AlertDelivery, Alert.webhook_secret)
        .join(Alert)
        .where(due)
        .order_by(AlertDelivery.due, AlertDelivery.id)
        .limit(limit)
        .dicts()
    )
    claimed = []
    until = now + int(seconds * times.MICROSECONDS)
    for row in list(query):
        mine = AlertDelivery.update(due=until, attempts=AlertDelivery.attempts + 1, tried=now)
        if changed(mine.where((AlertDelivery.id == row["id"]) & due)):
            claimed.append(_outgoing(row))
    return claimed


def _outgoing(row: dict[str, Any]) -> Outgoing:
    return Outgoing(
        id=row["id"],
        alert_id=row["alert"],
        inbox_id=row["inbox_id"],
        channel=row["channel"],
        target=row["target"],
        title=row["title"],
        body=row["body"],
        attempts=row["attempts"] + 1,
        secret=row["webhook_secret"],
    )


def sent(message: Outgoing, outcome: str) -> None:
    """Note that a message was taken by the other side."""
    _note(message, status=SENT, due=None, outcome=outcome)
    if message.channel == EMAIL:
        changed(InboxMessage.update(sent=True).where(InboxMessage.id == message.inbox_id))


def failed(message: Outgoing, outcome: str, again: int | None) -> None:
    """Note that an attempt failed; ``again`` is when it is worth another, None: never."""
    _note(message, status=FAILED if again is None else WAITING, due=again, outcome=outcome)


def _note(message: Outgoing, **columns: Any) -> None:
    # who was overtaken, having taken longer than its claim, changes nothing
    mine = (AlertDelivery.id == message.id) & (AlertDelivery.attempts == message.attempts)
    changed(AlertDelivery.update(columns).where(mine))


def next_due() -> int | None:
    """Return when the next message is due; None when none waits."""
    query = AlertDelivery.select(AlertDelivery.due).where(AlertDelivery.due.is_null(False))
    for (due,) in rows(query.order_by(AlertDelivery.due).limit(1)):
        return int(due)
    return None


def for_alert(alert_id: int, limit: int) -> list[DeliveryRow]:
    """Return the log of an alert's deliveries, newest first."""
    query: Any = (
        AlertDelivery.select()
        .where(AlertDelivery.alert == alert_id)
        .order_by(AlertDelivery.id.desc())
        .limit(limit)
        .dicts()
    )
    names = DeliveryRow.__struct_fields__
    return [DeliveryRow(**{name: row[name] for name in names}) for row in list(query)]


def forget_before(at: int) -> int:
    """Delete what is over and older than ``at`` (microseconds), and return how many."""
    over = (AlertDelivery.created < at) & (AlertDelivery.status != WAITING)
    return changed(AlertDelivery.delete().where(over))
