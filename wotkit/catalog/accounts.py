"""The one namespace of users and organizations, and the counters that hand out ids."""

from __future__ import annotations

from peewee import IntegrityError

from wotkit import times
from wotkit.catalog.models import Account, Counter
from wotkit.errors import AlreadyExists


def next_id(kind: str) -> int:
    """Return a new id of this kind; no id is handed out twice, whatever is deleted."""
    counter = Counter.insert(name=kind, value=1).on_conflict(
        conflict_target=[Counter.name], update={Counter.value: Counter.value + 1}
    )
    ((value,),) = counter.returning(Counter.value).tuples().execute()
    return int(value)


def create(name: str, kind: str) -> Account:
    """Take a name in the namespace of owners.

    Raises:
        AlreadyExists: a user or organization has it.
    """
    try:
        return Account.create(id=next_id("account"), name=name, kind=kind, created=times.now())
    except IntegrityError:
        raise AlreadyExists(
            f"the name {name!r} is already taken, it already exists",
            more={"name": "already taken"},
        ) from None
