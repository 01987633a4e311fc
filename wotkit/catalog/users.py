"""Users: people who own sensors, keys and applications."""

from __future__ import annotations

import re
import zoneinfo
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET, Struct, UnsetType

from wotkit import times
from wotkit.catalog import accounts, audit, grants, keys
from wotkit.catalog.bulk import containing
from wotkit.catalog.identity import KEY_ID
from wotkit.catalog.models import Account, OneTimeLink, User, WebSession, changed, rows
from wotkit.catalog.references import is_id
from wotkit.errors import CannotPerform, ExtraneousField, InvalidObject, NotFound

if TYPE_CHECKING:
    from wotkit.catalog.audit import Actor

USERNAME: Final = re.compile(r"[a-z0-9_-]{4,50}")
MAX_NAME: Final = 255
"""Characters that a first or last name or an e-mail address may have."""
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")


class NewUser(Struct, kw_only=True):
    """What a user is made of; the password comes already hashed."""

    username: str
    password_hash: str
    email: str = ""
    first_name: str = ""
    last_name: str = ""
    time_zone: str = "UTC"
    role: str = "user"


class UserChange(Struct, kw_only=True):
    """What of a user is to change; the password comes already hashed."""

    username: str | UnsetType = UNSET
    password_hash: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    first_name: str | UnsetType = UNSET
    last_name: str | UnsetType = UNSET
    time_zone: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    role: str | UnsetType = UNSET


class UserRow(Struct, frozen=True, kw_only=True):
    """A user as it is listed, without its password."""

    id: int
    username: str
    email: str
    first_name: str
    last_name: str
    time_zone: str
    role: str
    enabled: bool
    created: int


def _problems(user: NewUser) -> dict[str, str]:
    problems: dict[str, str] = {}
    if not USERNAME.fullmatch(user.username):
        problems["username"] = "is invalid: at least 4 characters of a-z, 0-9, _ and -"
    elif KEY_ID.fullmatch(user.username):
        problems["username"] = "is invalid: 16 hex digits are the id of a key"
    return problems | _shared_problems(user)


def _shared_problems(user: NewUser | UserChange) -> dict[str, str]:
    problems: dict[str, str] = {}
    if user.role not in {UNSET, "user", "admin"}:
        problems["role"] = "is invalid: it is neither user nor admin"
    for name in ("first_name", "last_name", "email"):
        given = getattr(user, name)
        if given is not UNSET and len(given) > MAX_NAME:
            problems[name] = f"is invalid: it has more than {MAX_NAME} characters"
    if user.email and not (_EMAIL.fullmatch(user.email) and user.email.isprintable()):
        problems["email"] = "is invalid: it is not an e-mail address"
    if user.time_zone is not UNSET and user.time_zone not in zoneinfo.available_timezones():
        problems["timeZone"] = "is invalid: it is not an IANA time zone name such as Europe/Dublin"
    return problems


def _refuse(problems: dict[str, str]) -> None:
    if problems:
        raise InvalidObject(*(f"{name} {why}" for name, why in problems.items()), more=problems)


def create(user: NewUser, actor: Actor) -> int:
    """Add a user and return its id.

    Raises:
        InvalidObject: an attribute is invalid; ``more`` names each.
        AlreadyExists: a user or organization has the name.
    """
    _refuse(_problems(user))
    account = accounts.create(user.username, "user")
    User.insert(
        account=account.id,
        email=user.email,
        first_name=user.first_name,
        last_name=user.last_name,
        time_zone=user.time_zone,
        role=user.role,
        password_hash=user.password_hash,
        password_changed=times.now(),
    ).execute()
    audit.record(actor, "user.create", user.username, role=user.role)
    return int(account.id)


def _select() -> Any:
    return User.select(
        Account.id,
        Account.name,
        User.email,
        User.first_name,
        User.last_name,
        User.time_zone,
        User.role,
        User.enabled,
        Account.created,
    ).join(Account)


def _row(values: tuple[Any, ...]) -> UserRow:
    return UserRow(**dict(zip(UserRow.__struct_fields__, values, strict=True)))


def list_all() -> list[UserRow]:
    """Return every user, oldest first."""
    return [_row(values) for values in rows(_select().order_by(Account.id))]


def get(username: str) -> UserRow:
    """Return a user.

    Raises:
        NotFound: there is none of this name.
    """
    for values in rows(_select().where(Account.name == username)):
        return _row(values)
    raise NotFound(username)


def find(reference: str) -> UserRow:
    """Return a user, by its name or else by its id.

    Raises:
        NotFound: there is none.
    """
    named = Account.name == reference
    if is_id(reference):
        named |= Account.id == int(reference)
    candidates = [_row(values) for values in rows(_select().where(named))]
    for row in sorted(candidates, key=lambda row: row.username != reference):
        return row
    raise NotFound(reference)


def page(text: str | None, limit: int, offset: int, *, reverse: bool = False) -> list[UserRow]:
    """Return users with this text in a name of theirs, newest first unless ``reverse``."""
    order = Account.id.asc() if reverse else Account.id.desc()
    query = _select().order_by(order).limit(limit).offset(offset)
    if text:
        whole = User.first_name.concat(" ").concat(User.last_name)
        query = query.where(containing((Account.name, whole), text))
    return [_row(values) for values in rows(query)]


def change(reference: str, wanted: UserChange, actor: Actor) -> None:
    """Change a user; a disabled one's credentials stop working at the next request.

    Another password ends sessions and grants, as :func:`set_password` does.

    Raises:
        NotFound: there is none.
        ExtraneousField: it would get another name.
        InvalidObject: an attribute is invalid; ``more`` names each.
        CannotPerform: no administrator would be left; nothing is changed.
    """
    user = find(reference)
    if wanted.username not in (UNSET, user.username):
        raise ExtraneousField("Cannot change username", more={"username": "cannot be changed"})
    _refuse(_shared_problems(wanted))
    names = [name for name in wanted.__struct_fields__ if name != "username"]
    values = {name: getattr(wanted, name) for name in names}
    columns = {name: value for name, value in values.items() if value is not UNSET}
    shown = ["password" if name == "password_hash" else name for name in columns]
    if "password_hash" in columns:
        columns["password_changed"] = times.now()
    if columns:
        changed(User.update(columns).where(User.account == user.id))
    if user.role == "admin" and user.enabled and not _admins():
        raise CannotPerform("the server would be left without an administrator")
    if "password_hash" in columns:
        _end_access(user.id, actor)
    given = {} if wanted.role is UNSET else {"role": wanted.role}
    audit.record(actor, "user.change", user.username, changed=shown, **given)


def _admins() -> int:
    enabled = User.enabled == True  # noqa: E712  # SQL, not Python
    return int(User.select().where((User.role == "admin") & enabled).count())


def set_password(
    username: str, password_hash: str, actor: Actor, *, revoke_keys: bool = False
) -> None:
    """Give a user another password; sessions and grants end, and with ``revoke_keys`` keys too.

    Raises:
        NotFound: there is none of this name.
    """
    user = get(username)
    User.update(password_hash=password_hash, password_changed=times.now()).where(
        User.account == user.id
    ).execute()
    audit.record(actor, "user.password", username)
    _end_access(user.id, actor)
    if revoke_keys:
        keys.revoke_all_of_user(user.id, actor)


def unchanged_since(user_id: int, at: int) -> bool:
    """Return whether a user may sign in with the password of then (``at``, microseconds).

    For what is done with a password some time after it was verified, since that takes long.
    """
    query = User.select(User.account).where(
        (User.account == user_id) & (User.password_changed <= at) & (User.enabled == True)  # noqa: E712  # SQL, not Python
    )
    return bool(rows(query))


def _end_access(user_id: int, actor: Actor) -> None:
    """End what was let in by the password of before."""
    changed(WebSession.delete().where(WebSession.user == user_id))
    changed(OneTimeLink.delete().where(OneTimeLink.user == user_id))
    grants.end_all_of_user(user_id, actor, "the password was changed")


def rehash(user_id: int, old_hash: str, new_hash: str) -> None:
    """Replace the hash of an unchanged password by one of a higher cost."""
    changed(
        User.update(password_hash=new_hash).where(
            (User.account == user_id) & (User.password_hash == old_hash)
        )
    )


def set_enabled(username: str, enabled: bool, actor: Actor) -> None:
    """Enable or disable an account; its credentials stop working at the next request.

    Raises:
        NotFound: there is none of this name.
    """
    user = get(username)
    User.update(enabled=enabled).where(User.account == user.id).execute()
    audit.record(actor, "user.enable" if enabled else "user.disable", username)
