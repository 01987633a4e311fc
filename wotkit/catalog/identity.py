"""Who is asking, and what that caller may see and write, as conditions of queries.

Visibility is part of the SQL: what a caller may not see does not exist for it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from wotkit.catalog.models import Member, Sensor, rows
from wotkit.errors import MissingScope, Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Iterable

KEY_ID: Final = re.compile(r"[0-9a-f]{16}")
"""How the id of a key looks; where a user's name may stand too, it must not look like that."""

READ: Final = "read"
WRITE: Final = "write"
MANAGE: Final = "manage"
CONTROL: Final = "control"
ADMIN: Final = "admin"
ALL: Final = "all"

EVERYDAY: Final = frozenset({READ, WRITE, MANAGE, CONTROL})
"""What the scope ``all`` stands for."""
SCOPES: Final = EVERYDAY | {ALL, ADMIN}
"""Every scope a key or an application may ask for."""
IN_WORDS: Final = {
    READ: "See your sensors and their readings, also private ones",
    WRITE: "Post readings to your sensors, change and delete them",
    MANAGE: "Create, change and delete sensors, groups, fields, subscriptions and alerts",
    CONTROL: "Send messages to your actuators and receive them",
    ALL: "Do all that you can do with your sensors: see, write, manage and control them",
    ADMIN: "Administer this server: see and change all users, organizations and sensors",
}
"""What each scope allows, said to the user who is asked to allow it."""


class Identity(Struct, frozen=True, kw_only=True):
    """A caller, once its credentials are verified."""

    user_id: int
    username: str
    accounts: frozenset[int]
    """Ids of the user and of the organizations it is a member of: whose sensors it may use."""
    scopes: frozenset[str]
    admin: bool = False
    """Whether the user has the admin role and the credentials allow it."""
    key_id: str | None = None
    grant_id: int | None = None
    """What an access token hangs off; None when the credentials are none."""
    app: str | None = None
    """Client id of the application that the user let act."""
    expires: int | None = None
    """When the credentials end, in microseconds since 1970 UTC."""
    sensors: frozenset[int] | None = None
    """Ids of the sensors the credentials are limited to; None is no limit."""

    @property
    def anonymous(self) -> bool:
        """Whether no credentials were sent."""
        return self.user_id == 0

    def require(self, scope: str) -> None:
        """Check that the credentials allow ``scope``.

        Raises:
            Unauthenticated: no credentials were sent.
            MissingScope: they do not allow it.
        """
        if scope not in self.scopes:
            if self.user_id == 0:
                raise Unauthenticated("this method needs credentials")
            raise MissingScope(
                f"the scope {scope!r} is needed", scope=scope, token=self.grant_id is not None
            )

    def require_known(self) -> None:
        """Check that credentials were sent.

        Raises:
            Unauthenticated: they were not.
        """
        if self.user_id == 0:
            raise Unauthenticated("this method needs credentials")

    def require_user(self, what: str) -> None:
        """Check that a user, not a key or an application acting for it, is asking.

        Raises:
            Unauthenticated: no credentials were sent.
            MissingScope: neither a key nor an application ever manages ``what``.
        """
        self.require_known()
        if self.key_id is not None:
            raise MissingScope(f"a key never manages {what}; sign in with the user's password")
        if self.grant_id is not None:
            raise MissingScope(
                f"an application never manages {what}; sign in with the user's password", token=True
            )


ANONYMOUS: Final = Identity(
    user_id=0, username="anonymous", accounts=frozenset(), scopes=frozenset({READ})
)
"""The public."""


def expand(scopes: Iterable[str]) -> frozenset[str]:
    """Return the scopes with ``all`` spelled out."""
    found = frozenset(scopes)
    return (found - {ALL}) | EVERYDAY if ALL in found else found


def accounts_of(user_id: int) -> frozenset[int]:
    """Return the ids of a user and of the organizations it is a member of."""
    orgs = rows(Member.select(Member.org).where(Member.user == user_id))
    return frozenset({user_id, *(org_id for (org_id,) in orgs)})


def visible(identity: Identity) -> Any:
    """Return the condition under which ``identity`` may see a sensor."""
    # joined to an empty text so that no index serves it: so many sensors are public that going
    # through the index of visibility, and sorting, is always slower than any other way
    public = Sensor.visibility.concat("") == "PUBLIC"
    condition = public | Sensor.owner.in_(list(identity.accounts)) if identity.accounts else public
    return condition & _within(identity)


def writable(identity: Identity) -> Any:
    """Return the condition under which ``identity`` may write to a sensor."""
    return Sensor.owner.in_(list(identity.accounts)) & _within(identity)


def controllable(identity: Identity) -> Any:
    """Return the condition under which ``identity`` may send messages to a sensor's actuator."""
    anyone = Sensor.control.is_null() | (Sensor.control == "PUBLIC")
    condition = (Sensor.visibility == "PUBLIC") & anyone
    if identity.accounts:
        condition |= Sensor.owner.in_(list(identity.accounts))
    return condition & _within(identity)


def _within(identity: Identity) -> Any:
    if identity.sensors is None:
        return True
    return Sensor.id.in_(list(identity.sensors))
