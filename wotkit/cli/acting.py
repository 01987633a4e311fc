"""As whom a command acts: whoever may write to the data folder may act as any of its users."""

from __future__ import annotations

from wotkit.auth import credentials
from wotkit.catalog import users
from wotkit.catalog.identity import Identity
from wotkit.errors import CannotPerform


def as_user(username: str) -> Identity:
    """Return the identity of an enabled user; in a unit of work.

    Raises:
        NotFound: there is none of this name.
        CannotPerform: the account is disabled.
    """
    users.get(username)
    candidate = credentials.candidate(username)
    if candidate is None:
        raise CannotPerform(f"the account {username} is disabled")
    return candidate.identity


def as_owner(owner_id: int, name: str = "") -> Identity:
    """Return an identity that owns what this user or organization does, and may do no more."""
    return Identity(
        user_id=owner_id, username=name, accounts=frozenset({owner_id}), scopes=frozenset()
    )
