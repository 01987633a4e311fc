"""Gateways, as they report themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peewee import BigIntegerField, BooleanField, CharField, ForeignKeyField, TextField

from wotkit.catalog.models.accounts import Key, User
from wotkit.catalog.models.base import Base


class Gateway(Base):
    """A gateway, by the name that it gives itself; ``report`` is JSON, the last whole one.

    ``online`` and ``since`` are what it said, or its will: after ``due`` (None: never) it counts
    as offline although nobody said so.
    """

    if TYPE_CHECKING:
        owner_id: int
        key_id: str | None
    id = BigIntegerField(primary_key=True)
    owner = ForeignKeyField(User, backref="gateways", on_delete="CASCADE")
    name = CharField(max_length=64)
    key = ForeignKeyField(Key, null=True, on_delete="SET NULL")
    first_seen = BigIntegerField()
    last_seen = BigIntegerField()
    online = BooleanField()
    since = BigIntegerField()
    due = BigIntegerField(null=True)
    report = TextField(default="{}")

    class Meta:
        indexes = ((("owner", "name"), True),)
