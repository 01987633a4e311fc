"""Messages to actuators on their way to sessions of MQTT clients, and what became of them.

A session that subscribes to ``commands`` has a delivery for each message until it acknowledges it,
whether or not its client is connected. That is a promise of its own beside the subscriptions of
:mod:`wotkit.catalog.control`, whose clients ask for their messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from peewee import SQL, fn

from wotkit import times
from wotkit.catalog.bulk import among
from wotkit.catalog.identity import CONTROL, writable
from wotkit.catalog.models import (
    Account,
    ControlDelivery,
    ControlMessage,
    ControlResult,
    Key,
    KeySensor,
    Member,
    MqttDelivery,
    MqttSession,
    MqttSubscription,
    Sensor,
    changed,
    rows,
)
from wotkit.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from wotkit.catalog.identity import Identity

ACCEPTED: Final = "accepted"
DONE: Final = "done"
FAILED: Final = "failed"
STATES: Final = frozenset({ACCEPTED, DONE, FAILED})
"""What an actuator says of a message: it will act, it has acted, it could not."""


class Command(msgspec.Struct, frozen=True):
    """A message to an actuator as a session gets it."""

    id: int
    sensor: str
    """``owner.name``."""
    body: str
    """The pairs, a JSON object."""
    expires: int | None
    """When it expires, in microseconds since 1970 UTC."""

    def seconds_left(self) -> int | None:
        """Return for how long it may be delivered, in whole seconds; 0 when it has expired.

        1 in the last second, so that what expires soon still arrives; None when it never expires.
        """
        if self.expires is None:
            return None
        left = self.expires - times.now()
        return max(1, left // times.MICROSECONDS) if left > 0 else 0


class Said(NamedTuple):
    """What an actuator said last of a message."""

    state: str
    detail: str
    at: int
    """When, in microseconds since 1970 UTC."""


def followers(sensor_id: int) -> list[int]:
    """Return the sessions that are to get what is sent to a sensor.

    Of keys whose user may write to it, unless the key is limited to others.
    """
    now = times.now()
    owner = Sensor.select(Sensor.owner).where(Sensor.id == sensor_id)
    members = Member.select(Member.user).where(Member.org.in_(owner))
    of_owner = Key.user.in_(owner) | Key.user.in_(members)
    limits = KeySensor.select(SQL("1")).where(
        (KeySensor.key == Key.id) & (KeySensor.sensor == sensor_id)
    )
    may = of_owner & ((Key.limited == False) | fn.EXISTS(limits))  # noqa: E712  # SQL, not Python
    lives = MqttSession.ends.is_null() | (MqttSession.ends > now)
    wants = (MqttSubscription.commands == 1) & (
        MqttSubscription.sensor.is_null() | (MqttSubscription.sensor == sensor_id)
    )
    query = (
        MqttSubscription.select(MqttSubscription.session)
        .join(MqttSession)
        .join(Key, on=(Key.id == MqttSession.key))
        .where(wants & lives & may)
        .distinct()
    )
    return [session_id for (session_id,) in rows(query)]


def deliver(sessions: Iterable[int], message_id: int) -> None:
    """Have a message wait for sessions."""
    waiting = [{"session": session_id, "message": message_id} for session_id in sessions]
    if waiting:
        MqttDelivery.insert_many(waiting).execute()


def offer_earlier(identity: Identity, session_id: int, sensor_id: int | None) -> list[int]:
    """Have earlier messages wait for a session that expire later and nobody has acknowledged.

    A session that got one has acknowledged it; who asks for messages gets one first, and
    acknowledges it later. Returns the ids of those that did not wait for the session before.
    """
    now = times.now()
    handed = ControlDelivery.select(SQL("1")).where(
        (ControlDelivery.message == ControlMessage.id) & ControlDelivery.handed.is_null(False)
    )
    open_yet = ControlMessage.delivered.is_null() | fn.EXISTS(handed)
    waits = MqttDelivery.select(SQL("1")).where(
        (MqttDelivery.message == ControlMessage.id) & (MqttDelivery.session == session_id)
    )
    still_open = (ControlMessage.expires > now) & ControlMessage.acknowledged.is_null()
    still_open &= open_yet & ~fn.EXISTS(waits)
    if sensor_id is not None:
        still_open &= ControlMessage.sensor == sensor_id
    earlier = (
        ControlMessage.select(ControlMessage.id).join(Sensor).where(still_open & writable(identity))
    )
    found = [message_id for (message_id,) in rows(earlier)]
    new = [{"session": session_id, "message": message_id} for message_id in found]
    if new:
        MqttDelivery.insert_many(new).execute()
    return found


def withdraw(session_id: int) -> None:
    """Remove what waits for a session that none of its subscriptions asks for any more."""
    wanted = MqttSubscription.select(SQL("1")).where(
        (MqttSubscription.session == session_id)
        & (MqttSubscription.commands == 1)
        & (MqttSubscription.sensor.is_null() | (MqttSubscription.sensor == ControlMessage.sensor))
    )
    kept = ControlMessage.select(ControlMessage.id).where(fn.EXISTS(wanted))
    own = MqttDelivery.session == session_id
    changed(MqttDelivery.delete().where(own & MqttDelivery.message.not_in(kept)))


def pending(
    identity: Identity, session_id: int, after: int, limit: int, only: Collection[int] = ()
) -> list[Command]:
    """Return what waits for a session behind a message, oldest first; nothing that has expired.

    Of the messages in ``only``, where there are any. None for a key that has lost the scope.
    """
    if CONTROL not in identity.scopes:
        return []
    own = MqttDelivery.session == session_id
    if only:
        own &= among(MqttDelivery.message, only)
    lives = ControlMessage.expires.is_null() | (ControlMessage.expires > times.now())
    query = (
        MqttDelivery.select(
            ControlMessage.id,
            Account.name,
            Sensor.name,
            ControlMessage.body,
            ControlMessage.expires,
        )
        .join(ControlMessage)
        .join(Sensor)
        .join(Account, on=(Account.id == Sensor.owner))
        .where(own & (MqttDelivery.message > after) & lives & writable(identity))
        .order_by(ControlMessage.id)
        .limit(limit)
    )
    return [
        Command(message_id, f"{owner}.{name}", body, expires)
        for message_id, owner, name, body, expires in rows(query)
    ]


def acknowledge(pairs: Iterable[tuple[int, int]]) -> None:
    """Note that sessions got messages, given as pairs of session and message."""
    now = times.now()
    by_session: dict[int, list[int]] = {}
    for session_id, message_id in pairs:
        by_session.setdefault(session_id, []).append(message_id)
    for session_id, ids in by_session.items():
        own = MqttDelivery.session == session_id
        changed(MqttDelivery.delete().where(own & among(MqttDelivery.message, ids)))
        first = among(ControlMessage.id, ids) & ControlMessage.delivered.is_null()
        changed(ControlMessage.update(delivered=now).where(first))
        plain = among(ControlMessage.id, ids) & ControlMessage.expires.is_null()
        changed(ControlMessage.delete().where(plain & nobody_waits()))


def note_result(identity: Identity, message_id: int, state: str, detail: str) -> None:
    """Keep what an actuator did with a message; the last word counts.

    Raises:
        NotFound: there is no such message to a sensor that the caller may write to, or it is not
            kept any more: only messages that expire are.
    """
    query = ControlMessage.select(ControlMessage.id).join(Sensor)
    this = (ControlMessage.id == message_id) & writable(identity)
    if not rows(query.where(this)):
        raise NotFound(str(message_id))
    now = times.now()
    ControlResult.insert(
        message=message_id, state=state, detail=detail, at=now
    ).on_conflict_replace().execute()
    first = (ControlMessage.id == message_id) & ControlMessage.acknowledged.is_null()
    changed(ControlMessage.update(acknowledged=now).where(first))
    reached = (ControlMessage.id == message_id) & ControlMessage.delivered.is_null()
    changed(ControlMessage.update(delivered=now).where(reached))


def result(message_id: int) -> Said | None:
    """Return what an actuator said of a message; None while it has said nothing."""
    query = ControlResult.select(ControlResult.state, ControlResult.detail, ControlResult.at)
    found = rows(query.where(ControlResult.message == message_id))
    return Said(*found[0]) if found else None


def waiting() -> int:
    """Return how many deliveries wait for sessions to acknowledge them."""
    return MqttDelivery.select().count()


def recipients(after: int) -> list[int]:
    """Return the sessions for which there is a message with an id above ``after``."""
    query = MqttDelivery.select(MqttDelivery.session).where(MqttDelivery.message > after)
    return [session_id for (session_id,) in rows(query.distinct())]


def nobody_waits() -> Any:
    """Return the condition that a message waits for nobody, in whichever way."""
    asked = ControlDelivery.message == ControlMessage.id
    sent = MqttDelivery.message == ControlMessage.id
    return ~fn.EXISTS(ControlDelivery.select(SQL("1")).where(asked)) & ~fn.EXISTS(
        MqttDelivery.select(SQL("1")).where(sent)
    )


def sweep() -> None:
    """Remove deliveries of messages that have expired."""
    over = ControlMessage.select(ControlMessage.id).where(ControlMessage.expires <= times.now())
    changed(MqttDelivery.delete().where(MqttDelivery.message.in_(over)))
