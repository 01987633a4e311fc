"""Organizations, which may own sensors, and their members."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from wotkit.catalog import accounts, audit, sensors
from wotkit.catalog.bulk import containing
from wotkit.catalog.models import (
    Account,
    Member,
    Org,
    Sensor,
    Subscription,
    User,
    changed,
    rows,
)
from wotkit.catalog.references import is_id
from wotkit.errors import CannotPerform, ExtraneousField, NotFound, ValidationFailed

if TYPE_CHECKING:
    from collections.abc import Collection

    from wotkit.catalog.audit import Actor
    from wotkit.catalog.identity import Identity

ADMIN: Final = "ADMIN"
MEMBER: Final = "MEMBER"
NAME: Final = re.compile(r"[a-z0-9_-]{4,50}")
LONG_NAME: Final = range(4, 256)
"""How many characters a longName may have."""

_Text = Annotated[str, Meta(max_length=10_000)]
_Url = Annotated[str, Meta(max_length=2000, description="Address of a picture; null is none.")]


class NewOrg(Struct, kw_only=True, rename="camel"):
    """An organization to be created."""

    name: Annotated[
        str,
        Meta(
            description="4 to 50 characters of a-z, 0-9, _ and -; unique among users and "
            "organizations; it never changes."
        ),
    ]
    long_name: Annotated[str, Meta(description="What people call it; at least 4 characters.")]
    description: _Text | None = None
    image_url: _Url | None = None


class OrgChange(Struct, kw_only=True, rename="camel"):
    """What of an organization is to change; what is absent stays as it is."""

    id: Annotated[int, Meta(description="Never changes.")] | UnsetType = UNSET
    name: Annotated[str, Meta(description="Never changes.")] | UnsetType = UNSET
    long_name: str | UnsetType = UNSET
    description: _Text | UnsetType | None = UNSET
    image_url: _Url | UnsetType | None = UNSET


class OrgRow(Struct, frozen=True):
    """An organization as it is kept."""

    id: int
    name: str
    long_name: str
    description: str | None
    image_url: str | None
    created: int


class MemberRow(Struct, frozen=True):
    """A member of an organization."""

    username: str
    role: str


def create(name: str, long_name: str, actor: Actor) -> int:
    """Add an organization without members and return its id.

    Raises:
        AlreadyExists: a user or organization has the name.
    """
    return _insert(NewOrg(name=name, long_name=long_name), actor)


def found(founder: Identity, org: NewOrg, actor: Actor) -> OrgRow:
    """Add an organization with its first member, who has the role ADMIN.

    Raises:
        ValidationFailed: an attribute is invalid; ``more`` names each.
        AlreadyExists: a user or organization has the name.
    """
    problems = _problems(org)
    if not NAME.fullmatch(org.name):
        problems["name"] = "is invalid: 4 to 50 characters of a-z, 0-9, _ and -"
    _refuse(problems)
    org_id = _insert(org, actor)
    Member.insert(org=org_id, user=founder.user_id, role=ADMIN).execute()
    audit.record(actor, "org.member", org.name, username=founder.username, role=ADMIN)
    return get(org.name)


def get(reference: str) -> OrgRow:
    """Return an organization, by its name or else by its id.

    Raises:
        NotFound: there is none.
    """
    named = Account.name == reference
    if is_id(reference):
        named |= Account.id == int(reference)
    candidates = [OrgRow(*values) for values in rows(_select().where(named))]
    for row in sorted(candidates, key=lambda row: row.name != reference):
        return row
    raise NotFound(reference)


def page(text: str | None, limit: int, offset: int) -> list[OrgRow]:
    """Return organizations with this text in name, longName or description, newest first."""
    query = _select().order_by(Account.id.desc()).limit(limit).offset(offset)
    if text:
        texts = (Account.name, Org.long_name, Org.description)
        query = query.where(containing(texts, text))
    return [OrgRow(*values) for values in rows(query)]


def change(reference: str, wanted: OrgChange, actor: Actor) -> None:
    """Change an organization.

    Raises:
        NotFound: there is none.
        ExtraneousField: it would get another id or name.
        ValidationFailed: an attribute is invalid; ``more`` names each.
    """
    org = get(reference)
    for name in ("id", "name"):
        value = getattr(wanted, name)
        if value is not UNSET and value != getattr(org, name):
            raise ExtraneousField(
                f'Cannot change the field "{name}"', more={name: "cannot be changed"}
            )
    _refuse(_problems(wanted))
    values = {name: getattr(wanted, name) for name in ("long_name", "description", "image_url")}
    columns = {name: value for name, value in values.items() if value is not UNSET}
    if columns:
        changed(Org.update(columns).where(Org.account == org.id))
    audit.record(actor, "org.change", org.name, changed=list(columns))


def delete(identity: Identity, reference: str, actor: Actor) -> list[int]:
    """Delete an organization with its sensors; return their ids, as :func:`sensors.delete` does.

    Raises:
        NotFound: there is none.
    """
    org = get(reference)
    # for the organization, whose member the administrator need not be
    as_owner = msgspec.structs.replace(identity, accounts=frozenset({org.id}), sensors=None)
    owned = rows(Sensor.select(Sensor.id).where(Sensor.owner == org.id).order_by(Sensor.id))
    dropped = [sensors.delete(as_owner, str(sensor_id), actor) for (sensor_id,) in owned]
    changed(Account.delete().where(Account.id == org.id))
    audit.record(actor, "org.delete", org.name, id=org.id, sensors=len(dropped))
    return dropped


def members(reference: str) -> list[MemberRow]:
    """Return the members of an organization, by name.

    Raises:
        NotFound: there is no such organization.
    """
    query = Member.select(Account.name, Member.role).join(Account, on=(Account.id == Member.user))
    of_org = Member.org == get(reference).id
    return [MemberRow(*values) for values in rows(query.where(of_org).order_by(Account.name))]


def add_member(name: str, username: str, actor: Actor, role: str = MEMBER) -> None:
    """Make a user a member; one who is a member already stays as it is.

    Raises:
        NotFound: there is no such organization, or no such user.
    """
    org = get(name)
    user = _user_ids([username])
    if not user:
        raise NotFound(username)
    _join(org, user, role, actor)


def add_members(reference: str, usernames: Collection[str], actor: Actor) -> None:
    """Make users members; unknown names are ignored, and members stay as they are.

    Raises:
        NotFound: there is no such organization.
    """
    _join(get(reference), _user_ids(usernames), MEMBER, actor)


def remove_members(reference: str, usernames: Collection[str], actor: Actor) -> None:
    """End memberships; names of others are ignored.

    Who leaves follows the private sensors of the organization no more.

    Raises:
        NotFound: there is no such organization.
        CannotPerform: no ADMIN would be left; nothing is changed.
    """
    org = get(reference)
    users = list(_user_ids(usernames).values())
    before = _admins(org)
    if changed(Member.delete().where((Member.org == org.id) & Member.user.in_(users))):
        _check_admin_left(org, before)
        # they can see these no more, and so could not unsubscribe either
        hidden = (Sensor.owner == org.id) & (Sensor.visibility != sensors.PUBLIC)
        unseen = Subscription.sensor.in_(Sensor.select(Sensor.id).where(hidden))
        changed(Subscription.delete().where(Subscription.user.in_(users) & unseen))
        audit.record(actor, "org.leave", org.name, usernames=sorted(usernames))


def set_role(reference: str, username: str, role: str, actor: Actor) -> None:
    """Give a member another role.

    Raises:
        NotFound: there is no such organization, or the user is no member of it.
        ValidationFailed: there is no such role.
        CannotPerform: no ADMIN would be left.
    """
    org = get(reference)
    if role not in {ADMIN, MEMBER}:
        _refuse({"role": f"is invalid: it is neither {ADMIN} nor {MEMBER}"})
    before = _admins(org)
    users = list(_user_ids([username]).values())
    one = (Member.org == org.id) & Member.user.in_(users)
    if not changed(Member.update(role=role).where(one)):
        raise NotFound(username)
    _check_admin_left(org, before)
    audit.record(actor, "org.role", org.name, username=username, role=role)


def _insert(org: NewOrg, actor: Actor) -> int:
    account = accounts.create(org.name, "org")
    Org.insert(
        account=account.id,
        long_name=org.long_name,
        description=org.description,
        image_url=org.image_url,
    ).execute()
    audit.record(actor, "org.create", org.name)
    return int(account.id)


def _select() -> Any:
    return Org.select(
        Account.id, Account.name, Org.long_name, Org.description, Org.image_url, Account.created
    ).join(Account)


def _problems(org: NewOrg | OrgChange) -> dict[str, str]:
    if org.long_name is UNSET or len(org.long_name.strip()) in LONG_NAME:
        return {}
    return {"longName": f"is invalid: {LONG_NAME.start} to {LONG_NAME.stop - 1} characters"}


def _refuse(problems: dict[str, str]) -> None:
    if problems:
        raise ValidationFailed(*(f"{name} {why}" for name, why in problems.items()), more=problems)


def _user_ids(usernames: Collection[str]) -> dict[str, int]:
    query = User.select(Account.name, Account.id).join(Account)
    return dict(rows(query.where(Account.name.in_(list(usernames)))))


def _join(org: OrgRow, users: dict[str, int], role: str, actor: Actor) -> None:
    for username, user_id in users.items():
        joining = Member.insert(org=org.id, user=user_id, role=role).on_conflict_ignore()
        if changed(joining.as_rowcount()):
            audit.record(actor, "org.member", org.name, username=username, role=role)


def _admins(org: OrgRow) -> int:
    admins = (Member.org == org.id) & (Member.role == ADMIN)
    return len(rows(Member.select(Member.user).where(admins)))


def _check_admin_left(org: OrgRow, before: int) -> None:
    """Refuse what took the last ADMIN; an organization that had none needs none."""
    if before and not _admins(org):
        raise CannotPerform(f"the organization {org.name} would be left without an {ADMIN}")
