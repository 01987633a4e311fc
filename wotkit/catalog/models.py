"""The catalog's tables as peewee models.

A model is bound to no database of its own: :data:`CURRENT` is whichever catalog the running unit
of work belongs to, so a query outside a unit of work is an error and two catalogs can live in one
process. Times are integer microseconds since 1970 UTC.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from peewee import (
    SQL,
    AutoField,
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CharField,
    CompositeKey,
    Database,
    DatabaseProxy,
    DoubleField,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
)

_current: Final[ContextVar[Database | None]] = ContextVar("wotkit_catalog", default=None)


class UnitDatabase(DatabaseProxy):
    """Stands for the database of the running unit of work."""

    @property
    def obj(self) -> Database | None:
        """The database of this unit of work, or None outside one."""
        return _current.get()

    @obj.setter
    def obj(self, _: Database | None) -> None:
        """Ignore peewee's own initialization: the unit of work decides."""

    def enter(self, database: Database) -> Any:
        """Bind the models to ``database`` in this thread; the answer undoes it in :meth:`leave`."""
        return _current.set(database)

    def leave(self, token: Any) -> None:
        """Undo :meth:`enter`."""
        _current.reset(token)


CURRENT: Final = UnitDatabase()


def rows(query: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a SELECT as tuples."""
    return list(query.tuples())


def changed(query: Any) -> int:
    """Run an UPDATE or DELETE and return how many rows it changed."""
    return int(query.execute())


class Base(Model):
    """What all tables share."""

    class Meta:
        database = CURRENT
        legacy_table_names = False


class Counter(Base):
    """Hands out ids that are never used twice, also after the row with the highest is gone."""

    name = CharField(primary_key=True)
    value = BigIntegerField()


class Account(Base):
    """The one namespace of users and organizations: whatever may own a sensor."""

    id = BigIntegerField(primary_key=True)
    name = CharField(max_length=50, unique=True)
    kind = CharField(max_length=4)
    created = BigIntegerField()


class User(Base):
    """A person; rows are disabled, never deleted."""

    account = ForeignKeyField(Account, primary_key=True, backref="user", on_delete="CASCADE")
    email = CharField(default="")
    first_name = CharField(default="")
    last_name = CharField(default="")
    time_zone = CharField(default="UTC")
    role = CharField(max_length=5, default="user")
    enabled = BooleanField(default=True)
    password_hash = CharField()
    password_changed = BigIntegerField()


class Org(Base):
    """An organization."""

    account = ForeignKeyField(Account, primary_key=True, backref="org", on_delete="CASCADE")
    long_name = CharField()
    description = TextField(null=True)
    image_url = TextField(null=True)


class Member(Base):
    """A user's membership of an organization."""

    org = ForeignKeyField(Org, backref="members", on_delete="CASCADE")
    user = ForeignKeyField(User, backref="memberships", on_delete="CASCADE")
    role = CharField(max_length=6, default="MEMBER")

    class Meta:
        primary_key = CompositeKey("org", "user")


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


class Key(Base):
    """A key of a user; of its password only the SHA-256 is kept."""

    if TYPE_CHECKING:
        user_id: int
    id = CharField(max_length=16, primary_key=True)
    user = ForeignKeyField(User, backref="keys", on_delete="CASCADE")
    name = CharField()
    description = TextField(default="")
    scopes = CharField()
    limited = BooleanField(default=False)
    secret_hash = CharField(max_length=64)
    old_secret_hash = CharField(max_length=64, null=True)
    old_secret_until = BigIntegerField(null=True)
    expires = BigIntegerField(null=True)
    created = BigIntegerField()


class KeySensor(Base):
    """A sensor that a limited key may use."""

    key = ForeignKeyField(Key, backref="sensors", on_delete="CASCADE")
    sensor = ForeignKeyField(Sensor, on_delete="CASCADE")

    class Meta:
        primary_key = CompositeKey("key", "sensor")


class KeyUse(Base):
    """When and from where a key was last used; apart, so that a use changes no cached row."""

    key = ForeignKeyField(Key, primary_key=True, on_delete="CASCADE")
    used = BigIntegerField()
    address = CharField()


class LoginFailure(Base):
    """A failed login, counted per subject: ``account:NAME`` or ``address:IP``."""

    id = BigAutoField()
    subject = CharField()
    at = BigIntegerField()

    class Meta:
        indexes = ((("subject", "at"), False),)


class Audit(Base):
    """Who changed what, from where, and with which credentials; rows are only added."""

    id = BigAutoField()
    at = BigIntegerField(index=True)
    actor = CharField()
    key_id = CharField(null=True)
    address = CharField()
    action = CharField()
    target = CharField()
    details = TextField(default="{}")


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
    """One condition of an alert; ``value`` is JSON, ``seconds`` is for NODATA only."""

    alert = ForeignKeyField(Alert, on_delete="CASCADE")
    position = IntegerField()
    sensor = ForeignKeyField(Sensor, on_delete="CASCADE")
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


class Lease(Base):
    """Who does something that only one process may do at a time, and until when."""

    name = CharField(primary_key=True)
    holder = CharField()
    until = BigIntegerField()


class Revision(Base):
    """One row that counts changes to whatever processes cache; triggers keep it."""

    id = AutoField()
    number = BigIntegerField(constraints=[SQL("DEFAULT 0")])


CACHED: Final[tuple[type[Base], ...]] = (
    Account,
    User,
    Org,
    Member,
    Key,
    KeySensor,
    Sensor,
    Field,
    Alert,
    AlertCondition,
)
"""Tables that processes keep in memory; a change to one raises the revision."""

MODELS: Final[tuple[type[Base], ...]] = (
    Counter,
    Account,
    User,
    Org,
    Member,
    Sensor,
    Field,
    Tag,
    TagUse,
    Metadata,
    Subscription,
    Group,
    GroupSensor,
    Key,
    KeySensor,
    KeyUse,
    LoginFailure,
    Audit,
    DroppedSensor,
    PendingCast,
    ControlSubscription,
    ControlMessage,
    ControlDelivery,
    Alert,
    AlertCondition,
    AlertState,
    InboxMessage,
    AlertDelivery,
    Lease,
    Revision,
)
