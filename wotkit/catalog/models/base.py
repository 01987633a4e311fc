"""What all tables share, and the few that belong to no noun.

A model is bound to no database of its own: :data:`CURRENT` is whichever catalog the running unit
of work belongs to, so a query outside a unit of work is an error and two catalogs can live in one
process. Times are integer microseconds since 1970 UTC.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

from peewee import SQL, AutoField, BigIntegerField, CharField, Database, DatabaseProxy, Model

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


class Lease(Base):
    """Who does something that only one process may do at a time, and until when."""

    name = CharField(primary_key=True)
    holder = CharField()
    until = BigIntegerField()


class Revision(Base):
    """One row that counts changes to whatever processes cache; triggers keep it."""

    id = AutoField()
    number = BigIntegerField(constraints=[SQL("DEFAULT 0")])
