"""Applications of third parties, and what users let them do.

Secrets (codes, tokens, client secrets) are random and long, so that their SHA-256 is all that is
kept. A token that ends before its time is deleted, and its grant's ``changed`` is set: only that
raises the catalog's revision, so making a token costs other callers nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peewee import (
    BigIntegerField,
    BooleanField,
    CharField,
    ForeignKeyField,
    IntegerField,
    TextField,
)

from wotkit.catalog.models.accounts import User
from wotkit.catalog.models.base import Base


class App(Base):
    """An application; ``redirect_uris`` is a JSON list; lifetimes of None are the settings'.

    ``signing_secret`` is for the handshake with a frob and must stay readable: it is encrypted with
    the server's secret key.
    """

    if TYPE_CHECKING:
        owner_id: int
    id = BigIntegerField(primary_key=True)
    owner = ForeignKeyField(User, backref="apps", on_delete="CASCADE")
    client_id = CharField(max_length=32, unique=True)
    name = CharField()
    description = TextField()
    website = TextField()
    icon = TextField(default="")
    kind = CharField(max_length=7)
    redirect_uris = TextField(default="[]")
    scopes = CharField(default="all")
    secret_hash = CharField(max_length=64, null=True)
    old_secret_hash = CharField(max_length=64, null=True)
    old_secret_until = BigIntegerField(null=True)
    allow_password = BooleanField(default=False)
    allow_implicit = BooleanField(default=False)
    allow_client_credentials = BooleanField(default=False)
    allow_frob = BooleanField(default=False)
    signing_secret = TextField(null=True)
    access_seconds = IntegerField(null=True)
    refresh_seconds = IntegerField(null=True)
    grace_seconds = IntegerField(default=0)
    created = BigIntegerField()


class Grant(Base):
    """What a user lets an application do; every code and token hangs off one.

    ``kind`` says how it came about: ``consent``, ``device``, ``password``, ``client``,
    ``developer`` or ``frob``. ``ended`` is when it was revoked; the row stays for the record.
    """

    if TYPE_CHECKING:
        user_id: int
        app_id: int
    id = BigIntegerField(primary_key=True)
    user = ForeignKeyField(User, backref="grants", on_delete="CASCADE")
    app = ForeignKeyField(App, backref="grants", on_delete="CASCADE")
    kind = CharField(max_length=9)
    scopes = CharField()
    created = BigIntegerField()
    changed = BigIntegerField()
    ended = BigIntegerField(null=True)

    class Meta:
        table_name = "access_grant"
        indexes = ((("user", "app"), False),)


class GrantUse(Base):
    """When and from where a grant was last used; apart, so that a use changes no cached row."""

    grant = ForeignKeyField(Grant, primary_key=True, on_delete="CASCADE")
    used = BigIntegerField()
    address = CharField()


class AuthorizationCode(Base):
    """A code on its way to the application; ``used`` is when it was redeemed."""

    if TYPE_CHECKING:
        grant_id: int
    hash = CharField(max_length=64, primary_key=True)
    grant = ForeignKeyField(Grant, on_delete="CASCADE")
    redirect_uri = TextField()
    scopes = CharField()
    challenge = CharField(null=True)
    expires = BigIntegerField(index=True)
    used = BigIntegerField(null=True)


class AccessToken(Base):
    """A bearer token."""

    if TYPE_CHECKING:
        grant_id: int
    hash = CharField(max_length=64, primary_key=True)
    grant = ForeignKeyField(Grant, on_delete="CASCADE")
    scopes = CharField()
    issued = BigIntegerField()
    expires = BigIntegerField(index=True)


class RefreshToken(Base):
    """A refresh token; ``used`` is when it was exchanged for the next one."""

    if TYPE_CHECKING:
        grant_id: int
    hash = CharField(max_length=64, primary_key=True)
    grant = ForeignKeyField(Grant, on_delete="CASCADE")
    scopes = CharField()
    issued = BigIntegerField()
    expires = BigIntegerField(index=True)
    used = BigIntegerField(null=True)


class DeviceCode(Base):
    """A device that waits for its user; ``state`` is pending, allowed, denied or used."""

    if TYPE_CHECKING:
        app_id: int
        user_id: int | None
        grant_id: int | None
    hash = CharField(max_length=64, primary_key=True)
    user_code = CharField(max_length=8, unique=True)
    app = ForeignKeyField(App, on_delete="CASCADE")
    scopes = CharField()
    expires = BigIntegerField(index=True)
    interval = IntegerField()
    polled = BigIntegerField(null=True)
    state = CharField(max_length=7, default="pending")
    user = ForeignKeyField(User, null=True, on_delete="CASCADE")
    grant = ForeignKeyField(Grant, null=True, on_delete="CASCADE")


class Frob(Base):
    """A desktop program that waits for its user; ``state`` as of :class:`DeviceCode`."""

    if TYPE_CHECKING:
        app_id: int
        user_id: int | None
        grant_id: int | None
    hash = CharField(max_length=64, primary_key=True)
    app = ForeignKeyField(App, on_delete="CASCADE")
    permission = CharField(max_length=6, default="none")
    expires = BigIntegerField(index=True)
    state = CharField(max_length=7, default="pending")
    user = ForeignKeyField(User, null=True, on_delete="CASCADE")
    grant = ForeignKeyField(Grant, null=True, on_delete="CASCADE")
