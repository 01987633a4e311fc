"""Users: people who own sensors, keys and applications."""

from __future__ import annotations

import re
import zoneinfo
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from wotkit import times
from wotkit.catalog import accounts, audit
from wotkit.catalog.identity import KEY_ID
from wotkit.catalog.models import Account, User, changed, rows
from wotkit.errors import InvalidObject, NotFound

if TYPE_CHECKING:
    from wotkit.catalog.audit import Actor

USERNAME: Final = re.compile(r"[a-z0-9_-]{4,50}")
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
    if user.email and not _EMAIL.fullmatch(user.email):
        problems["email"] = "is invalid: it is not an e-mail address"
    if user.time_zone not in zoneinfo.available_timezones():
        problems["timeZone"] = "is invalid: it is not an IANA time zone name such as Europe/Dublin"
    if user.role not in {"user", "admin"}:
        problems["role"] = "is invalid: it is neither user nor admin"
    return problems


def create(user: NewUser, actor: Actor) -> int:
    """Add a user and return its id.

    Raises:
        InvalidObject: an attribute is invalid; ``more`` names each.
        AlreadyExists: a user or organization has the name.
    """
    problems = _problems(user)
    if problems:
        raise InvalidObject(*(f"{name} {why}" for name, why in problems.items()), more=problems)
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


def set_password(username: str, password_hash: str, actor: Actor) -> None:
    """Give a user another password.

    Raises:
        NotFound: there is none of this name.
    """
    user = get(username)
    User.update(password_hash=password_hash, password_changed=times.now()).where(
        User.account == user.id
    ).execute()
    audit.record(actor, "user.password", username)


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
