"""Users, organizations, keys, and what is noted of their use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CharField,
    CompositeKey,
    ForeignKeyField,
    TextField,
)

from wotkit.catalog.models.base import Base


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


class Key(Base):
    """A key of a user; of its password only the SHA-256 is kept, and what mosquitto needs."""

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
    mosquitto_hash = CharField(null=True)


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
    app = CharField(null=True)
