"""Messages on their way out: claimed, tried, and kept as their own log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from peewee import fn

from wotkit import times
from wotkit.catalog.bulk import among, stream
from wotkit.catalog.models import Alert, AlertDelivery, InboxMessage, changed, rows

if TYPE_CHECKING:
    from collections.abc import Iterable

WAITING = "waiting"
SENT = "sent"
FAILED = "failed"
EMAIL = "email"
TOO_MANY = "not sent: too many of this alert wait already"
_AT_ONCE: Final = 500
"""Rows of one INSERT."""


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


def add(messages: Iterable[dict[str, Any]], waiting_most: int, kept_most: int) -> None:
    """Have messages sent, given as columns; of those that are too many it is noted.

    Args:
        messages: of any alerts.
        waiting_most: how many of one alert may wait: one that fires faster than it is heard fills
            no disk.
        kept_most: how many of one alert are kept beside those that wait.
    """
    messages = list(messages)
    kept = AlertDelivery.select(
        AlertDelivery.alert,
        fn.COUNT(AlertDelivery.id),
        fn.SUM(AlertDelivery.status == WAITING),
    ).where(among(AlertDelivery.alert, {message["alert"] for message in messages}))
    known = {
        alert: [count, waiting]
        for alert, count, waiting in stream(kept.group_by(AlertDelivery.alert))
    }
    found: list[dict[str, Any]] = []
    for message in messages:
        counts = known.setdefault(message["alert"], [0, 0])
        fits = counts[1] < waiting_most
        counts[0] += 1
        counts[1] += fits
        fate = (0, WAITING, "") if fits else (None, FAILED, TOO_MANY)
        found.append({**message, **dict(zip(("due", "status", "outcome"), fate, strict=True))})
    for start in range(0, len(found), _AT_ONCE):
        AlertDelivery.insert_many(found[start : start + _AT_ONCE]).execute()
    for alert_id, (count, _) in known.items():
        if count > kept_most:
            _trim(alert_id, kept_most)


def _trim(alert_id: int, most: int) -> None:
    """Delete the oldest of an alert's messages that are over, beyond so many."""
    own = AlertDelivery.alert == alert_id
    query = AlertDelivery.select(AlertDelivery.id).where(own).order_by(AlertDelivery.id.desc())
    for (last,) in rows(query.offset(most).limit(1)):
        over = own & (AlertDelivery.id <= last) & (AlertDelivery.status != WAITING)
        changed(AlertDelivery.delete().where(over))


def claim(limit: int, seconds: float) -> list[Outgoing]:
    """Take messages that are due; nobody else gets them for so many seconds.

    Users have turns: whose alerts fire all the time, at an address that does not answer, makes
    nobody else's messages late.

    The conditional UPDATE is the lock. Whoever dies with a message leaves it due again afterwards,
    so it is sent at least once.
    """
    now = times.now()
    due = AlertDelivery.due <= now
    order = [AlertDelivery.due, AlertDelivery.id]
    turn = fn.ROW_NUMBER().over(partition_by=[Alert.owner], order_by=order)
    next_ones = AlertDelivery.select(AlertDelivery.id).join(Alert).where(due)
    ids = [found for (found,) in rows(next_ones.order_by(turn, *order).limit(limit))]
    query: Any = (
        AlertDelivery.select(AlertDelivery, Alert.webhook_secret)
        .join(Alert)
        .where(AlertDelivery.id.in_(ids))
        .order_by(*order)
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
