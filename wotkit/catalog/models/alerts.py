"""Alerts, their messages and deliveries."""

from __future__ import annotations

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CharField,
    CompositeKey,
    DoubleField,
    ForeignKeyField,
    IntegerField,
    TextField,
)

from wotkit.catalog.models.accounts import User
from wotkit.catalog.models.base import Base
from wotkit.catalog.models.gateways import Gateway
from wotkit.catalog.models.sensors import Sensor


class Alert(Base):
    """What a user wants to be told of; it holds while all of its conditions do.

    ``conditions`` is how many it was given: with fewer left, or fewer that the owner may see, it
    means something else and is disabled.
    """

    id = BigIntegerField(primary_key=True)
    owner = ForeignKeyField(User, backref="alerts", on_delete="CASCADE")
    name = CharField()
    long_name = CharField()
    description = TextField(default="")
    template = TextField(default="")
    send_email = BooleanField(default=False)
    email = CharField(default="")
    webhook = TextField(default="")
    webhook_secret = CharField(default="")
    conditions = IntegerField(default=0)
    disabled = BooleanField(default=False)
    disabled_reason = CharField(default="")
    changed = BigIntegerField()


class AlertCondition(Base):
    """One condition of an alert, on a sensor or a gateway; ``value`` is JSON.

    ``seconds`` is for NODATA and OFFLINE only.
    """

    alert = ForeignKeyField(Alert, on_delete="CASCADE")
    position = IntegerField()
    sensor = ForeignKeyField(Sensor, null=True, on_delete="CASCADE")
    gateway = ForeignKeyField(Gateway, null=True, on_delete="CASCADE")
    field = CharField(max_length=100, default="")
    operator = CharField(max_length=7)
    value = TextField(default="null")
    seconds = DoubleField(null=True)

    class Meta:
        primary_key = CompositeKey("alert", "position")


class AlertState(Base):
    """Whether an alert is in progress; apart, so that firing changes no cached row."""

    alert = ForeignKeyField(Alert, primary_key=True, on_delete="CASCADE")
    in_progress = BooleanField(default=False)
    since = BigIntegerField()


class InboxMessage(Base):
    """What a user was told; ``alert`` is who told it, if that still exists."""

    id = BigIntegerField(primary_key=True)
    user = ForeignKeyField(User, on_delete="CASCADE")
    alert = ForeignKeyField(Alert, null=True, on_delete="SET NULL")
    at = BigIntegerField()
    title = CharField()
    message = TextField()
    send_email = BooleanField(default=False)
    email = CharField(default="")
    read = BooleanField(default=False)
    sent = BooleanField(default=False)

    class Meta:
        indexes = ((("user", "id"), False),)


class AlertDelivery(Base):
    """A message on its way out; the row is there before the first attempt, and is its log after.

    ``due`` is when it may be tried next, None when it is over: ``sent`` or ``failed``.
    """

    id = BigAutoField()
    alert = ForeignKeyField(Alert, on_delete="CASCADE")
    inbox_id = BigIntegerField()
    channel = CharField(max_length=7)
    target = TextField()
    title = CharField()
    body = TextField()
    created = BigIntegerField()
    due = BigIntegerField(null=True, index=True)
    attempts = IntegerField(default=0)
    status = CharField(max_length=7, default="waiting")
    tried = BigIntegerField(null=True)
    outcome = CharField(default="")
