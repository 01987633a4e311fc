"""Links that work once: to create the first administrator, choose a password, or register.

The secret is in the link; here is only its SHA-256.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from wotkit import times
from wotkit.catalog.models import Account, OneTimeLink, User, changed, rows

ADMIN: Final = "admin"
PASSWORD: Final = "password"  # noqa: S105  # what a link is for
INVITATION: Final = "invitation"


class Link(Struct, frozen=True, kw_only=True):
    """A link that still works."""

    purpose: str
    user_id: int | None
    username: str | None
    email: str
    expires: int


def make(
    purpose: str, secret_hash: str, *, seconds: float, user_id: int | None = None, email: str = ""
) -> None:
    """Have a link work for some time; an earlier one for the same user no longer does."""
    if user_id is not None:
        changed(
            OneTimeLink.delete().where(
                (OneTimeLink.user == user_id) & (OneTimeLink.purpose == purpose)
            )
        )
    now = times.now()
    OneTimeLink.insert(
        hash=secret_hash,
        purpose=purpose,
        user=user_id,
        email=email,
        created=now,
        expires=now + int(seconds * times.MICROSECONDS),
    ).execute()


def find(secret_hash: str, purpose: str) -> Link | None:
    """Return a link that works, if there is one."""
    query = (
        OneTimeLink.select(
            OneTimeLink.purpose,
            OneTimeLink.user,
            Account.name,
            OneTimeLink.email,
            OneTimeLink.expires,
        )
        .left_outer_join(User)
        .left_outer_join(Account)
        .where(
            (OneTimeLink.hash == secret_hash)
            & (OneTimeLink.purpose == purpose)
            & (OneTimeLink.expires > times.now())
        )
    )
    for values in rows(query):
        return Link(**dict(zip(Link.__struct_fields__, values, strict=True)))
    return None


def use(secret_hash: str, purpose: str) -> bool:
    """Use a link up; return whether it worked, which it does for one of several who try."""
    return bool(
        changed(
            OneTimeLink.delete().where(
                (OneTimeLink.hash == secret_hash)
                & (OneTimeLink.purpose == purpose)
                & (OneTimeLink.expires > times.now())
            )
        )
    )


def replace(purpose: str, secret_hash: str, seconds: float) -> None:
    """Have one link of a purpose work, and none that was made before."""
    changed(OneTimeLink.delete().where(OneTimeLink.purpose == purpose))
    make(purpose, secret_hash, seconds=seconds)


def forget() -> int:
    """Delete links that have expired and return how many."""
    return changed(OneTimeLink.delete().where(OneTimeLink.expires <= times.now()))
