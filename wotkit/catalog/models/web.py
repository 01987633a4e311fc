"""Sessions of browsers, and links that work once; of each secret only the SHA-256 is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peewee import BigIntegerField, CharField, ForeignKeyField, TextField

from wotkit.catalog.models.accounts import User
from wotkit.catalog.models.base import Base


class WebSession(Base):
    """A browser that is signed in; ``used`` is written at most once a minute."""

    if TYPE_CHECKING:
        user_id: int
    hash = CharField(max_length=64, primary_key=True)
    user = ForeignKeyField(User, backref="sessions", on_delete="CASCADE")
    created = BigIntegerField()
    used = BigIntegerField(index=True)
    address = CharField()
    agent = TextField(default="")


class OneTimeLink(Base):
    """A link that works once: ``purpose`` is ``admin``, ``password`` or ``invitation``.

    ``user`` is whom it is for; an invitation is for somebody who is no user yet, at ``email``.
    """

    if TYPE_CHECKING:
        user_id: int | None
    hash = CharField(max_length=64, primary_key=True)
    purpose = CharField(max_length=10)
    user = ForeignKeyField(User, null=True, on_delete="CASCADE")
    email = CharField(default="")
    created = BigIntegerField()
    expires = BigIntegerField(index=True)
