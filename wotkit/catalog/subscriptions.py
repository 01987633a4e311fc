"""Subscriptions: users who follow sensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peewee import IntegrityError

from wotkit.catalog import audit, references
from wotkit.catalog.bulk import among, stream
from wotkit.catalog.identity import visible
from wotkit.catalog.models import Account, Subscription, changed
from wotkit.errors import CannotPerform

if TYPE_CHECKING:
    from collections.abc import Collection

    from wotkit.catalog.audit import Actor
    from wotkit.catalog.identity import Identity


def subscribe(identity: Identity, reference: str, actor: Actor) -> None:
    """Let the caller follow a sensor.

    Raises:
        NotFound: the caller may see no such sensor.
        CannotPerform: the caller follows it already.
    """
    sensor = references.find(identity, reference, visible(identity))
    try:
        Subscription.insert(user=identity.user_id, sensor=sensor.id).execute()
    except IntegrityError:
        raise CannotPerform(f"already subscribed to {sensor.qualified}") from None
    audit.record(actor, "sensor.subscribe", sensor.qualified)


def unsubscribe(identity: Identity, reference: str, actor: Actor) -> None:
    """Let the caller follow a sensor no more.

    Raises:
        NotFound: the caller may see no such sensor.
        CannotPerform: the caller does not follow it.
    """
    sensor = references.find(identity, reference, visible(identity))
    own = (Subscription.user == identity.user_id) & (Subscription.sensor == sensor.id)
    if not changed(Subscription.delete().where(own)):
        raise CannotPerform(f"not subscribed to {sensor.qualified}")
    audit.record(actor, "sensor.unsubscribe", sensor.qualified)


def clear(sensor_id: int) -> int:
    """End every subscription to a sensor and return how many there were."""
    return changed(Subscription.delete().where(Subscription.sensor == sensor_id))


def names_for(sensor_ids: Collection[int]) -> dict[int, list[str]]:
    """Return who follows each of these sensors, in order of name; without those nobody follows."""
    query = (
        Subscription.select(Subscription.sensor, Account.name)
        .join(Account, on=(Account.id == Subscription.user))
        .where(among(Subscription.sensor, sensor_ids))
        .order_by(Subscription.sensor, Account.name)
    )
    found: dict[int, list[str]] = {}
    for sensor_id, name in stream(query):
        found.setdefault(sensor_id, []).append(name)
    return found
