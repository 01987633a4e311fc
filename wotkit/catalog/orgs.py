"""Organizations, which may own sensors, and their members."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wotkit.catalog import accounts, audit
from wotkit.catalog.models import Account, Member, Org, User, rows
from wotkit.errors import NotFound

if TYPE_CHECKING:
    from wotkit.catalog.audit import Actor

ADMIN: Final = "ADMIN"
MEMBER: Final = "MEMBER"


def create(name: str, long_name: str, actor: Actor) -> int:
    """Add an organization without members and return its id.

    Raises:
        AlreadyExists: a user or organization has the name.
    """
    account = accounts.create(name, "org")
    Org.insert(account=account.id, long_name=long_name).execute()
    audit.record(actor, "org.create", name)
    return int(account.id)


def add_member(name: str, username: str, actor: Actor, role: str = MEMBER) -> None:
    """Make a user a member; one who is a member already stays as it is.

    Raises:
        NotFound: there is no such organization, or no such user.
    """
    org = rows(Org.select(Org.account).join(Account).where(Account.name == name))
    if not org:
        raise NotFound(name)
    user = rows(User.select(User.account).join(Account).where(Account.name == username))
    if not user:
        raise NotFound(username)
    Member.insert(org=org[0][0], user=user[0][0], role=role).on_conflict_ignore().execute()
    audit.record(actor, "org.member", name, username=username, role=role)
