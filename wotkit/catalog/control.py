"""The control channel: messages to actuators, and the subscriptions that receive them.

A message is a row before its sender is told that it was taken, with one delivery for each
subscription there is. A plain message is given to each subscription once: whoever takes it removes
the delivery in the same transaction. A message that expires is given again, after some seconds and
until it expires, to a subscription that has not acknowledged it; it is also given to whoever
subscribes before it expires, unless somebody has acknowledged it by then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from msgspec import Struct
from peewee import fn

from wotkit import times
from wotkit.catalog import commands, references
from wotkit.catalog.accounts import next_id
from wotkit.catalog.bulk import among
from wotkit.catalog.identity import controllable, visible, writable
from wotkit.catalog.models import (
    ControlDelivery,
    ControlMessage,
    ControlSubscription,
    Sensor,
    changed,
    rows,
)
from wotkit.errors import NotFound, TooManyMessages, TooManySubscriptions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from wotkit.catalog.identity import Identity
    from wotkit.settings import ControlSettings

AT_ONCE: Final = 100
"""Messages that are handed out at once; the others are ready for the next call."""
USE_SHARE: Final = 20
"""Uses of subscriptions are written together, so many times in the life of an unused one."""
KEPT_SECONDS: Final = 3600
"""How long a message that has expired is kept, for its sender to ask what became of it."""

WAITING: Final = "WAITING"
DELIVERED: Final = "DELIVERED"
ACKNOWLEDGED: Final = "ACKNOWLEDGED"
EXPIRED: Final = "EXPIRED"

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Message(Struct, frozen=True):
    """A message as a subscription gets it."""

    id: int
    sensor_id: int
    at: int
    expires: int | None
    """When it expires, if it does: then it is to be acknowledged."""
    values: dict[str, Any]


class Sent(NamedTuple):
    """What became of a message that was sent."""

    id: int | None
    """None when nobody listens, so that a plain message was not kept."""
    sensor_id: int
    subscriptions: Sequence[int]
    """Whose message it is."""
    sessions: Sequence[int] = ()
    """Sessions of MQTT clients whose message it is."""


class Outlook(NamedTuple):
    """What a subscription may expect."""

    ready: bool
    """Whether a message can be taken now."""
    again: int | None
    """When a message that was not acknowledged is due again, if there is one."""


class Progress(Struct, frozen=True):
    """What became of a message that expires."""

    id: int
    sensor_id: int
    at: int
    expires: int
    status: str
    delivered: int | None
    """When a subscription first got it."""
    acknowledged: int | None
    """When a subscription first acknowledged it."""
    said: commands.Said | None
    """What the actuator said last of it."""


def use_seconds(settings: ControlSettings) -> float:
    """Return how often uses of subscriptions are written."""
    return settings.subscription_seconds / USE_SHARE


def send(
    identity: Identity,
    reference: str,
    body: str,
    expires_seconds: float | None,
    settings: ControlSettings,
) -> Sent:
    """Keep a message for every subscription to a sensor.

    Args:
        identity: who sends it.
        reference: the sensor.
        body: the pairs, a JSON object.
        expires_seconds: after how long it is delivered no more; None makes it a plain message.
        settings: limits.

    Raises:
        NotFound: the caller may control no such sensor.
        TooManyMessages: too many wait already; nothing was kept.
    """
    sensor = references.find(identity, reference, controllable(identity))
    now = times.now()
    listening = (ControlSubscription.sensor == sensor.id) & _alive(now, settings)
    listeners = ControlSubscription.select(ControlSubscription.id).where(listening)
    ids = [subscription for (subscription,) in rows(listeners)]
    sessions = commands.followers(sensor.id)
    if expires_seconds is None and not ids and not sessions:
        return Sent(None, sensor.id, ())
    _make_room(sensor.id, now, settings.max_messages)
    message_id = next_id("control_message")
    ControlMessage.insert(
        id=message_id,
        sensor=sensor.id,
        sender=identity.user_id or None,
        at=now,
        expires=None if expires_seconds is None else now + _micros(expires_seconds),
        body=body,
    ).execute()
    _deliver([(subscription, message_id) for subscription in ids])
    commands.deliver(sessions, message_id)
    return Sent(message_id, sensor.id, ids, sessions)


def subscribe(identity: Identity, reference: str, settings: ControlSettings) -> int:
    """Let the caller receive what is sent to a sensor from now on; return the subscription's id.

    Raises:
        NotFound: the caller may not write to such a sensor.
        TooManySubscriptions: the sensor has too many.
    """
    sensor = references.find(identity, reference, writable(identity))
    now = times.now()
    of_sensor = ControlSubscription.sensor == sensor.id
    changed(ControlSubscription.delete().where(of_sensor & ~_alive(now, settings)))
    if ControlSubscription.select().where(of_sensor).count() >= settings.max_subscriptions:
        raise TooManySubscriptions(
            f"{sensor.qualified} has {settings.max_subscriptions} subscriptions already",
            retry_after=settings.subscription_seconds,
        )
    subscription = next_id("control_subscription")
    ControlSubscription.insert(
        id=subscription, sensor=sensor.id, user=identity.user_id, used=now
    ).execute()
    still_open = (ControlMessage.expires > now) & ControlMessage.acknowledged.is_null()
    earlier = (ControlMessage.sensor == sensor.id) & still_open
    found = rows(ControlMessage.select(ControlMessage.id).where(earlier))
    _deliver([(subscription, message_id) for (message_id,) in found])
    return subscription


def look(identity: Identity, subscription: int, settings: ControlSettings) -> Outlook:
    """Return what a subscription may expect; changes nothing.

    Raises:
        NotFound: the caller has no such subscription, or has not used it for too long.
    """
    now = times.now()
    _own(identity, subscription, now, settings)
    query = (
        ControlDelivery.select(fn.MIN(fn.COALESCE(ControlDelivery.handed, 0)))
        .join(ControlMessage)
        .where((ControlDelivery.subscription == subscription) & _lives(now))
    )
    ((handed,),) = rows(query)
    if handed is None:
        return Outlook(ready=False, again=None)
    again = handed + _micros(settings.redeliver_seconds)
    return Outlook(ready=again <= now, again=again)


def take(identity: Identity, subscription: int, settings: ControlSettings) -> list[Message]:
    """Hand out the messages of a subscription, oldest first, at most :data:`AT_ONCE`.

    Raises:
        NotFound: the caller has no such subscription, or has not used it for too long.
    """
    now = times.now()
    _own(identity, subscription, now, settings)
    columns = (
        ControlMessage.id,
        ControlMessage.sensor,
        ControlMessage.at,
        ControlMessage.expires,
        ControlMessage.body,
    )
    query = (
        ControlDelivery.select(*columns)
        .join(ControlMessage)
        .where((ControlDelivery.subscription == subscription) & _lives(now) & _due(now, settings))
        .order_by(ControlMessage.id)
        .limit(AT_ONCE)
    )
    found = [
        Message(message_id, sensor_id, at, expires, _decode(body))
        for message_id, sensor_id, at, expires, body in rows(query)
    ]
    _hand_out(subscription, found, now)
    return found


def take_each(
    callers: Iterable[tuple[Identity, int]], settings: ControlSettings
) -> list[list[Message] | NotFound]:
    """:func:`take` for many callers and their subscriptions, in one transaction."""
    found: list[list[Message] | NotFound] = []
    for identity, subscription in callers:
        try:
            found.append(take(identity, subscription, settings))
        except NotFound as error:  # raised before it changes anything
            found.append(error)
    return found


def acknowledge(
    identity: Identity, subscription: int, messages: Collection[int], settings: ControlSettings
) -> list[int]:
    """Note that messages were received; return those of them that are acknowledged, also before.

    Raises:
        NotFound: the caller has no such subscription, or has not used it for too long.
    """
    now = times.now()
    sensor_id = _own(identity, subscription, now, settings)
    own = (ControlDelivery.subscription == subscription) & ControlDelivery.handed.is_null(False)
    given = among(ControlDelivery.message, messages)
    got = ControlDelivery.delete().where(own & given).returning(ControlDelivery.message)
    ids = [message_id for (message_id,) in got.tuples().execute()]
    first = among(ControlMessage.id, ids) & ControlMessage.acknowledged.is_null()
    changed(ControlMessage.update(acknowledged=now).where(first))
    of_sensor = (ControlMessage.sensor == sensor_id) & among(ControlMessage.id, messages)
    left = ControlDelivery.select(ControlDelivery.message).where(
        ControlDelivery.subscription == subscription
    )
    done = of_sensor & ControlMessage.acknowledged.is_null(False) & ControlMessage.id.not_in(left)
    query = ControlMessage.select(ControlMessage.id).where(done).order_by(ControlMessage.id)
    return [message_id for (message_id,) in rows(query)]


def progress(identity: Identity, reference: str, message_id: int) -> Progress:
    """Return what became of a message that expires, for its sender.

    Raises:
        NotFound: the caller sent no such message to such a sensor.
    """
    sensor = references.find(identity, reference, visible(identity))
    now = times.now()
    sent = (ControlMessage.id == message_id) & (ControlMessage.sensor == sensor.id)
    own = (ControlMessage.sender == identity.user_id) & ControlMessage.expires.is_null(False)
    query = ControlMessage.select(
        ControlMessage.at,
        ControlMessage.expires,
        ControlMessage.delivered,
        ControlMessage.acknowledged,
    )
    for at, expires, delivered, acknowledged in rows(query.where(sent & own)):
        status = DELIVERED if delivered is not None else WAITING
        if acknowledged is not None:
            status = ACKNOWLEDGED
        elif expires <= now:
            status = EXPIRED
        said = commands.result(message_id)
        return Progress(message_id, sensor.id, at, expires, status, delivered, acknowledged, said)
    raise NotFound(str(message_id))


def recipients(after: int) -> list[int]:
    """Return the subscriptions for which there is a message with an id above ``after``."""
    newer = ControlDelivery.message > after
    query = ControlDelivery.select(ControlDelivery.subscription).where(newer).distinct()
    return [subscription for (subscription,) in rows(query)]


def note_uses(subscriptions: Iterable[int]) -> None:
    """Note that these subscriptions were used since the last time."""
    used = among(ControlSubscription.id, subscriptions)
    changed(ControlSubscription.update(used=times.now()).where(used))


def sweep(settings: ControlSettings) -> None:
    """Remove subscriptions that nobody uses, and messages that nobody waits for."""
    now = times.now()
    changed(ControlSubscription.delete().where(~_alive(now, settings)))
    changed(
        ControlMessage.delete().where(ControlMessage.expires.is_null() & commands.nobody_waits())
    )
    old = now - KEPT_SECONDS * times.MICROSECONDS
    changed(ControlMessage.delete().where(ControlMessage.expires < old))


def _micros(seconds: float) -> int:
    return int(seconds * times.MICROSECONDS)


def _alive(now: int, settings: ControlSettings) -> Any:
    """Return the condition that a subscription has not ended; its last use may not be noted yet."""
    life = settings.subscription_seconds + use_seconds(settings)
    return ControlSubscription.used > now - _micros(life)


def _lives(now: int) -> Any:
    return ControlMessage.expires.is_null() | (ControlMessage.expires > now)


def _due(now: int, settings: ControlSettings) -> Any:
    """Return the condition that a message was not handed out, or not acknowledged since."""
    again = ControlDelivery.handed <= now - _micros(settings.redeliver_seconds)
    return ControlDelivery.handed.is_null() | again


def _own(identity: Identity, subscription: int, now: int, settings: ControlSettings) -> int:
    """Return the sensor of a subscription of the caller's, if it may still write to it."""
    own = (ControlSubscription.id == subscription) & (ControlSubscription.user == identity.user_id)
    query = ControlSubscription.select(ControlSubscription.sensor).join(Sensor)
    for (sensor_id,) in rows(query.where(own & writable(identity) & _alive(now, settings))):
        return int(sensor_id)
    raise NotFound(str(subscription))


def _make_room(sensor_id: int, now: int, most: int) -> None:
    """Let there be room for one more message to a sensor.

    Raises:
        TooManyMessages: all that is kept is still to be delivered.
    """
    of_sensor = ControlMessage.sensor == sensor_id
    if ControlMessage.select().where(of_sensor).count() < most:
        return
    over = (ControlMessage.expires <= now) | ControlMessage.acknowledged.is_null(False)
    finished = over | (ControlMessage.expires.is_null() & commands.nobody_waits())
    if not changed(ControlMessage.delete().where(of_sensor & finished)):
        raise TooManyMessages(f"{most} messages wait to be received", retry_after=1)


def _deliver(pairs: Iterable[tuple[int, int]]) -> None:
    deliveries = [
        {"subscription": subscription, "message": message_id} for subscription, message_id in pairs
    ]
    if deliveries:
        ControlDelivery.insert_many(deliveries).execute()


def _hand_out(subscription: int, messages: Iterable[Message], now: int) -> None:
    """Remove deliveries of plain messages, and note the others as handed out."""
    ids = [message.id for message in messages if message.expires is None]
    own = ControlDelivery.subscription == subscription
    if ids:
        changed(ControlDelivery.delete().where(own & among(ControlDelivery.message, ids)))
        changed(
            ControlMessage.delete().where(among(ControlMessage.id, ids) & commands.nobody_waits())
        )
    ids = [message.id for message in messages if message.expires is not None]
    if ids:
        handed = own & among(ControlDelivery.message, ids)
        changed(ControlDelivery.update(handed=now).where(handed))
        first = among(ControlMessage.id, ids) & ControlMessage.delivered.is_null()
        changed(ControlMessage.update(delivered=now).where(first))
