"""Sensors and what hangs off them."""

from __future__ import annotations

from peewee import (
    BigIntegerField,
    BooleanField,
    CharField,
    CompositeKey,
    DoubleField,
    ForeignKeyField,
    IntegerField,
    TextField,
)

from wotkit.catalog.models.accounts import Account, Key, User
from wotkit.catalog.models.base import Base


class Sensor(Base):
    """A sensor, without its readings."""

    id = BigIntegerField(primary_key=True)
    owner = ForeignKeyField(Account, backref="sensors", on_delete="CASCADE")
    publisher = ForeignKeyField(User, null=True, on_delete="SET NULL")
    name = CharField(max_length=50, index=True)
    long_name = CharField()
    description = TextField()
    latitude = DoubleField(default=0.0)
    longitude = DoubleField(default=0.0)
    visibility = CharField(max_length=7, default="PRIVATE")
    image_url = TextField(null=True)
    created = BigIntegerField()
    control = CharField(max_length=6, null=True)

    class Meta:
        indexes = (
            (("owner", "name"), True),
            (("latitude", "longitude"), False),
            (("visibility", "id"), False),
            (("visibility", "created"), False),
        )


class Field(Base):
    """A declared field of a sensor's readings; ``position`` counts from 0 without gaps."""

    sensor = ForeignKeyField(Sensor, backref="fields", on_delete="CASCADE")
    name = CharField(max_length=100)
    position = IntegerField()
    long_name = CharField()
    type = CharField(max_length=6)
    required = BooleanField(default=False)
    units = CharField(default="")

    class Meta:
        primary_key = CompositeKey("sensor", "name")


class Tag(Base):
    """A tag of a sensor; ``folded`` is its case-folded form, by which it is found."""

    sensor = ForeignKeyField(Sensor, backref="tags", on_delete="CASCADE")
    folded = CharField()
    name = CharField()

    class Meta:
        primary_key = CompositeKey("sensor", "folded")
        indexes = ((("folded", "sensor"), False),)


class TagUse(Base):
    """How many sensors have a tag; triggers keep it (:mod:`wotkit.catalog.engine`).

    ``scope`` says which sensors: 0 for all public ones, else the private ones of this owner. So
    the tags that a caller sees are the sum of a few rows each.
    """

    scope = BigIntegerField()
    folded = CharField()
    uses = BigIntegerField()
    newest = BigIntegerField()
    """The newest of these sensors, whose spelling is shown."""

    class Meta:
        primary_key = CompositeKey("scope", "folded")


class Metadata(Base):
    """One name-value pair of a sensor: ``value`` as JSON, ``text`` as queries compare it."""

    sensor = ForeignKeyField(Sensor, backref="metadata", on_delete="CASCADE")
    name = CharField()
    value = TextField()
    text = TextField()

    class Meta:
        primary_key = CompositeKey("sensor", "name")
        indexes = ((("name", "text"), False),)


class Subscription(Base):
    """A user follows a sensor."""

    user = ForeignKeyField(User, backref="subscriptions", on_delete="CASCADE")
    sensor = ForeignKeyField(Sensor, backref="subscriptions", on_delete="CASCADE")

    class Meta:
        primary_key = CompositeKey("sensor", "user")


class Group(Base):
    """A named set of sensors; ``tags`` and ``metadata`` are JSON, for no query asks for them."""

    id = BigIntegerField(primary_key=True)
    owner = ForeignKeyField(Account, backref="groups", on_delete="CASCADE")
    name = CharField(max_length=50)
    long_name = CharField()
    description = TextField(default="")
    latitude = DoubleField(default=0.0)
    longitude = DoubleField(default=0.0)
    visibility = CharField(max_length=7, default="PRIVATE")
    image_url = TextField(null=True)
    created = BigIntegerField()
    publisher = CharField(max_length=50, null=True)
    tags = TextField(null=True)
    metadata = TextField(null=True)

    class Meta:
        table_name = "sensor_group"
        indexes = ((("owner", "name"), True),)


class GroupSensor(Base):
    """A sensor's membership of a group."""

    group = ForeignKeyField(Group, backref="members", on_delete="CASCADE")
    sensor = ForeignKeyField(Sensor, backref="groups", on_delete="CASCADE")

    class Meta:
        primary_key = CompositeKey("group", "sensor")


class KeySensor(Base):
    """A sensor that a limited key may use."""

    key = ForeignKeyField(Key, backref="sensors", on_delete="CASCADE")
    sensor = ForeignKeyField(Sensor, on_delete="CASCADE")

    class Meta:
        primary_key = CompositeKey("key", "sensor")


class DroppedSensor(Base):
    """A deleted sensor whose readings are still to be deleted from the readings store.

    ``dropped`` is when they were; the row stays for some time, since readings that were accepted
    before the deletion may be stored after it.
    """

    sensor_id = BigIntegerField(primary_key=True)
    dropped = BigIntegerField(null=True)


class PendingCast(Base):
    """A declared field to whose type stored values are still to be cast."""

    sensor = ForeignKeyField(Sensor, backref="casts", on_delete="CASCADE")
    field = CharField(max_length=100)
    number = BooleanField()

    class Meta:
        primary_key = CompositeKey("sensor", "field")
