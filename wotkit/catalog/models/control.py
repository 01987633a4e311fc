"""Messages to actuators."""

from __future__ import annotations

from peewee import BigIntegerField, CompositeKey, ForeignKeyField, TextField

from wotkit.catalog.models.accounts import User
from wotkit.catalog.models.base import Base
from wotkit.catalog.models.sensors import Sensor


class ControlSubscription(Base):
    """Somebody who is listening to a sensor's control channel; ``used`` is when it last asked."""

    id = BigIntegerField(primary_key=True)
    sensor = ForeignKeyField(Sensor, backref="listeners", on_delete="CASCADE")
    user = ForeignKeyField(User, on_delete="CASCADE")
    used = BigIntegerField()


class ControlMessage(Base):
    """A message to a sensor; with ``expires`` it is to be acknowledged, and its sender may ask."""

    id = BigIntegerField(primary_key=True)
    sensor = ForeignKeyField(Sensor, on_delete="CASCADE")
    sender = ForeignKeyField(User, null=True, on_delete="SET NULL")
    at = BigIntegerField()
    expires = BigIntegerField(null=True)
    body = TextField()
    delivered = BigIntegerField(null=True)
    acknowledged = BigIntegerField(null=True)


class ControlDelivery(Base):
    """A message for a subscription; ``handed`` is when it got it without acknowledging it yet."""

    subscription = ForeignKeyField(ControlSubscription, on_delete="CASCADE")
    message = ForeignKeyField(ControlMessage, on_delete="CASCADE")
    handed = BigIntegerField(null=True)

    class Meta:
        primary_key = CompositeKey("subscription", "message")
