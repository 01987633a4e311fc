"""Groups: named sets of sensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET, Struct
from peewee import IntegrityError, fn

from wotkit import strict_json, times
from wotkit.catalog import audit, references
from wotkit.catalog.accounts import next_id
from wotkit.catalog.bulk import among, any_of, containing, stream
from wotkit.catalog.group_forms import GroupChange, NewGroup, problems
from wotkit.catalog.identity import visible as visible_sensor
from wotkit.catalog.models import Account, Group, GroupSensor, Sensor, changed, rows
from wotkit.catalog.references import is_id
from wotkit.catalog.sensor_rows import Scalar, SensorRow, load
from wotkit.errors import (
    AlreadyExists,
    ExtraneousField,
    MissingScope,
    NotFound,
    Unauthenticated,
    ValidationFailed,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wotkit.catalog.audit import Actor
    from wotkit.catalog.identity import Identity

MOST_THINGS: Final = 1000
"""Sensors that one answer shows."""

_FIXED: Final = frozenset({"id", "name", "owner"})


class GroupRow(Struct):
    """A group as a caller sees it."""

    id: int
    owner: str
    publisher: str | None
    name: str
    long_name: str
    description: str
    latitude: float
    longitude: float
    visibility: str
    image_url: str | None
    created: int
    tags: Sequence[str]
    metadata: dict[str, Scalar]
    children: int = 0
    """How many of its sensors the caller may see."""
    things: Sequence[SensorRow] = ()
    """The first of them."""


def create(identity: Identity, group: NewGroup, actor: Actor) -> GroupRow:
    """Add an empty group of the caller's, or of an organization it is a member of.

    Raises:
        MissingScope: the credentials are limited to certain sensors.
        ValidationFailed: an attribute is invalid; ``more`` names each.
        NotFound: the caller is no member of such an organization.
        AlreadyExists: the owner has a group of this name.
    """
    if identity.sensors is not None:
        raise MissingScope("this key is limited to certain sensors, so it cannot create a group")
    _refuse(group)
    owner = identity.username if group.owner is UNSET else group.owner
    group_id = next_id("group")
    try:
        Group.insert(
            id=group_id,
            owner=_owner_id(identity, owner),
            publisher=identity.username,
            name=group.name,
            created=times.now(),
            **_columns(group),
        ).execute()
    except IntegrityError:
        raise AlreadyExists(
            f"the group '{owner}.{group.name}' already exists", more={"name": "already exists"}
        ) from None
    audit.record(actor, "group.create", f"{owner}.{group.name}", id=group_id)
    return get(identity, str(group_id))


def get(identity: Identity, reference: str) -> GroupRow:
    """Return a group with the first of its sensors.

    Raises:
        NotFound: the caller may see no such group.
    """
    found = _filled(identity, _select().where(_named(identity, reference) & visible(identity)))
    if not found:
        raise NotFound(reference)
    return found[0]


def page(identity: Identity, text: str | None, limit: int, offset: int) -> list[GroupRow]:
    """Return groups that the caller may see, in the order of their ids."""
    query = _select().where(visible(identity)).order_by(Group.id).limit(limit).offset(offset)
    if text:
        texts = (Group.name, Group.long_name, Group.description)
        query = query.where(containing(texts, text))
    return _filled(identity, query)


def change(identity: Identity, reference: str, wanted: GroupChange, actor: Actor) -> None:
    """Change a group.

    Raises:
        NotFound: the caller may not change such a group.
        ExtraneousField: it would get another id, name or owner.
        ValidationFailed: an attribute is invalid; ``more`` names each.
    """
    group = _find(identity, reference, _editable(identity))
    for name in _FIXED:
        value = getattr(wanted, name)
        if value is not UNSET and value != getattr(group, name):
            raise ExtraneousField(
                f'Cannot change the field "{name}"', more={name: "cannot be changed"}
            )
    _refuse(wanted)
    columns = _columns(wanted)
    if columns:
        changed(Group.update(columns).where(Group.id == group.id))
    audit.record(actor, "group.change", group.qualified, changed=list(columns))


def delete(identity: Identity, reference: str, actor: Actor) -> None:
    """Delete a group; its sensors stay.

    Raises:
        NotFound: the caller may not change such a group.
    """
    group = _find(identity, reference, _editable(identity))
    changed(Group.delete().where(Group.id == group.id))
    audit.record(actor, "group.delete", group.qualified, id=group.id)


def add_sensor(identity: Identity, reference: str, sensor: str, actor: Actor) -> None:
    """Make a sensor a member of a group.

    Raises:
        NotFound: the caller may see no such group, or no such sensor.
        Unauthenticated: the caller may see the group and not change it.
        ValidationFailed: the sensor is a member already.
    """
    group = _find_to_edit(identity, reference)
    found = references.find(identity, sensor, visible_sensor(identity))
    try:
        GroupSensor.insert(group=group.id, sensor=found.id).execute()
    except IntegrityError:
        why = f"{found.qualified} is already a member of {group.qualified}"
        raise ValidationFailed(why, more={"sensor": "is already a member"}) from None
    audit.record(actor, "group.add", group.qualified, sensor=found.qualified)


def remove_sensor(identity: Identity, reference: str, sensor: str, actor: Actor) -> None:
    """End a sensor's membership of a group.

    Raises:
        NotFound: the caller may see no such group, or no such sensor in it.
        Unauthenticated: the caller may see the group and not change it.
    """
    group = _find_to_edit(identity, reference)
    found = references.find(identity, sensor, visible_sensor(identity))
    both = (GroupSensor.group == group.id) & (GroupSensor.sensor == found.id)
    if not changed(GroupSensor.delete().where(both)):
        raise NotFound(sensor)
    audit.record(actor, "group.remove", group.qualified, sensor=found.qualified)


def visible(identity: Identity) -> Any:
    """Return the condition under which ``identity`` may see a group."""
    public = Group.visibility == "PUBLIC"
    return public | Group.owner.in_(list(identity.accounts)) if identity.accounts else public


def membership(identity: Identity, wanted: Iterable[str]) -> Any:
    """Return the condition that a GroupSensor belongs to one of these groups the caller may see.

    A group is named by id, by ``owner.name`` or by name alone, which means every group of that
    name.
    """
    found = Group.select(Group.id).join(Account, on=(Account.id == Group.owner))
    named = any_of([_named(None, reference) for reference in wanted])
    return GroupSensor.group.in_(found.where(named & visible(identity)))


def _named(identity: Identity | None, reference: str) -> Any:
    """Return the condition that a group has this reference; a name alone is one of the caller's."""
    owner, dot, name = reference.rpartition(".")
    if is_id(reference):
        return Group.id == int(reference)
    if dot:
        return (Group.name == name) & (Account.name == owner)
    named = Group.name == reference
    return named if identity is None else named & (Group.owner == identity.user_id)


def _editable(identity: Identity) -> Any:
    """Return the condition under which ``identity`` may change a group."""
    unlimited = identity.sensors is None
    return Group.owner.in_(list(identity.accounts) if unlimited else [])


def _find(identity: Identity, reference: str, condition: Any) -> references.Found:
    query = Group.select(Group.id, Account.name, Group.name)
    query = query.join(Account, on=(Account.id == Group.owner))
    for found in rows(query.where(_named(identity, reference) & condition)):
        return references.Found(*found)
    raise NotFound(reference)


def _find_to_edit(identity: Identity, reference: str) -> references.Found:
    group = _find(identity, reference, visible(identity))
    if not rows(Group.select(Group.id).where((Group.id == group.id) & _editable(identity))):
        # 401, where a 403 would be expected: what clients of WoTKit know
        raise Unauthenticated(f"{identity.username} may not change the group {group.qualified}")
    return group


def _owner_id(identity: Identity, owner: str) -> int:
    own = Account.id.in_(list(identity.accounts)) & (Account.name == owner)
    for (owner_id,) in rows(Account.select(Account.id).where(own)):
        return int(owner_id)
    raise NotFound(owner)


def _refuse(group: NewGroup | GroupChange) -> None:
    found = problems(group)
    if found:
        raise ValidationFailed(*(f"{name} {why}" for name, why in found.items()), more=found)


def _columns(group: NewGroup | GroupChange) -> dict[str, Any]:
    """Return the columns that are present."""
    names = [name for name in group.__struct_fields__ if name not in _FIXED]
    values = {name: getattr(group, name) for name in names}
    found = {name: value for name, value in values.items() if value is not UNSET}
    for name in found.keys() & {"tags", "metadata"}:
        found[name] = strict_json.encode(found[name]).decode()
    if "visibility" in found:
        found["visibility"] = found["visibility"].upper()
    return found


def _select() -> Any:
    return Group.select(
        Group.id,
        Account.name,
        Group.publisher,
        Group.name,
        Group.long_name,
        Group.description,
        Group.latitude,
        Group.longitude,
        Group.visibility,
        Group.image_url,
        Group.created,
        Group.tags,
        Group.metadata,
    ).join(Account, on=(Account.id == Group.owner))


def _row(values: tuple[Any, ...]) -> GroupRow:
    found = dict(zip(GroupRow.__struct_fields__, values, strict=False))
    for name, nothing in (("tags", b"[]"), ("metadata", b"{}")):
        found[name] = strict_json.decode(found[name].encode() if found[name] else nothing)
    return GroupRow(**found)


def _filled(identity: Identity, query: Any) -> list[GroupRow]:
    """Return groups with their sensors, as many as one answer shows."""
    found: dict[int, GroupRow] = {values[0]: _row(values) for values in rows(query)}
    seen = among(GroupSensor.group, found) & visible_sensor(identity)
    members = GroupSensor.select(GroupSensor.group, GroupSensor.sensor)
    members = members.join(Sensor, on=(Sensor.id == GroupSensor.sensor)).where(seen)
    counts = members.select(GroupSensor.group, fn.COUNT(GroupSensor.sensor))
    for group_id, count in stream(counts.group_by(GroupSensor.group)):
        found[group_id].children = count
    first = members.order_by(GroupSensor.group, GroupSensor.sensor).limit(MOST_THINGS)
    pairs = list(stream(first))
    things = {row.id: row for row in load([sensor_id for _, sensor_id in pairs])}
    for group_id, row in found.items():
        row.things = [things[sensor] for group, sensor in pairs if group == group_id]
    return list(found.values())
