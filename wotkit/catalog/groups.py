"""Groups: named sets of sensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peewee import IntegrityError

from wotkit import times
from wotkit.catalog import audit
from wotkit.catalog.accounts import next_id
from wotkit.catalog.bulk import any_of
from wotkit.catalog.models import Account, Group, GroupSensor
from wotkit.catalog.references import is_id
from wotkit.errors import AlreadyExists

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wotkit.catalog.audit import Actor
    from wotkit.catalog.identity import Identity


def create(
    identity: Identity, name: str, long_name: str, actor: Actor, visibility: str = "PRIVATE"
) -> int:
    """Add an empty group of the caller's and return its id.

    Raises:
        AlreadyExists: the caller has a group of this name.
    """
    group_id = next_id("group")
    qualified = f"{identity.username}.{name}"
    try:
        Group.insert(
            id=group_id,
            owner=identity.user_id,
            name=name,
            long_name=long_name,
            visibility=visibility,
            created=times.now(),
        ).execute()
    except IntegrityError:
        raise AlreadyExists(
            f"the group {qualified!r} already exists", more={"name": "already exists"}
        ) from None
    audit.record(actor, "group.create", qualified)
    return group_id


def add_sensor(group_id: int, sensor_id: int, actor: Actor) -> None:
    """Make a sensor a member of a group."""
    GroupSensor.insert(group=group_id, sensor=sensor_id).on_conflict_ignore().execute()
    audit.record(actor, "group.add", str(group_id), sensor=sensor_id)


def visible(identity: Identity) -> Any:
    """Return the condition under which ``identity`` may see a group."""
    public = Group.visibility == "PUBLIC"
    return public | Group.owner.in_(list(identity.accounts)) if identity.accounts else public


def membership(identity: Identity, references: Iterable[str]) -> Any:
    """Return the condition that a GroupSensor belongs to one of these groups the caller may see.

    A group is named by id, by ``owner.name`` or by name alone, which means every group of that
    name.
    """
    found = Group.select(Group.id).join(Account, on=(Account.id == Group.owner))
    named = any_of([_named(reference) for reference in references])
    return GroupSensor.group.in_(found.where(named & visible(identity)))


def _named(reference: str) -> Any:
    owner, dot, name = reference.rpartition(".")
    if is_id(reference):
        return Group.id == int(reference)
    if dot:
        return (Group.name == name) & (Account.name == owner)
    return Group.name == reference
