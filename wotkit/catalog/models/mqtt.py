"""Sessions of MQTT clients that outlive their connections, and what waits for them."""

from __future__ import annotations

from peewee import (
    BigIntegerField,
    CharField,
    CompositeKey,
    ForeignKeyField,
    IntegerField,
    TextField,
)

from wotkit.catalog.models.accounts import Key
from wotkit.catalog.models.base import Base
from wotkit.catalog.models.control import ControlMessage
from wotkit.catalog.models.sensors import Sensor


class MqttSession(Base):
    """A session of a key; ``ends`` is None while its client is connected."""

    id = BigIntegerField(primary_key=True)
    key = ForeignKeyField(Key, on_delete="CASCADE")
    client = TextField()
    expiry_seconds = BigIntegerField()
    created = BigIntegerField()
    ends = BigIntegerField(null=True, index=True)

    class Meta:
        indexes = ((("key", "client"), True),)


class MqttSubscription(Base):
    """A subscription of a session; those to ``commands`` are of one sensor or, with None, of all.

    ``commands`` is 1 for these.
    """

    session = ForeignKeyField(MqttSession, on_delete="CASCADE")
    topic_filter = TextField()
    qos = IntegerField()
    commands = IntegerField(default=0)
    sensor = ForeignKeyField(Sensor, null=True, on_delete="CASCADE")

    class Meta:
        primary_key = CompositeKey("session", "topic_filter")
        indexes = ((("commands", "sensor"), False),)


class MqttDelivery(Base):
    """A message to an actuator that a session has not acknowledged."""

    session = ForeignKeyField(MqttSession, on_delete="CASCADE")
    message = ForeignKeyField(ControlMessage, on_delete="CASCADE")

    class Meta:
        primary_key = CompositeKey("session", "message")


class MqttStatus(Base):
    """What the gateway behind a key last said of itself, or its will said of it."""

    key = ForeignKeyField(Key, primary_key=True, on_delete="CASCADE")
    payload = TextField()
    at = BigIntegerField()


class ControlResult(Base):
    """What an actuator did with a message: ``state`` is accepted, done or failed."""

    message = ForeignKeyField(ControlMessage, primary_key=True, on_delete="CASCADE")
    state = CharField(max_length=8)
    detail = TextField(default="")
    at = BigIntegerField()
