"""The developer token: an application acting for the very user who has registered it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from wotkit import times
from wotkit.catalog import apps, grants, tokens
from wotkit.catalog.identity import ADMIN, SCOPES
from wotkit.catalog.models import App, Grant, rows
from wotkit.errors import ValidationFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wotkit.catalog.audit import Actor
    from wotkit.catalog.identity import Identity


class DeveloperToken(Struct, frozen=True):
    """A token that was made; it is shown this once."""

    token: str
    scopes: tuple[str, ...]
    expires: int


def issue(
    identity: Identity, client_id: str, scopes: Sequence[str] | None, seconds: int, actor: Actor
) -> DeveloperToken:
    """Make the developer token of an application of the caller; one made before ends.

    ``scopes`` of None are the application's registered ones.

    Raises:
        NotFound: the caller has no such application.
        ValidationFailed: a scope is unknown, or ``admin`` for somebody who is no administrator.
    """
    row = apps.get(identity, client_id)
    wanted = row.scopes if scopes is None else tuple(sorted(set(scopes)))
    _check(identity, wanted)
    _end(client_id, actor, "another developer token was made")
    ((app_id,),) = rows(App.select(App.id).where(App.client_id == client_id))
    text = " ".join(wanted)
    grant = grants.open_grant(
        identity.user_id, app_id, kind=grants.DEVELOPER, scopes=text, actor=actor
    )
    until = times.now() + seconds * times.MICROSECONDS
    return DeveloperToken(tokens.issue_access(grant, text, seconds), wanted, until)


def _check(identity: Identity, scopes: Sequence[str]) -> None:
    unknown = sorted(set(scopes) - SCOPES)
    wrong = None
    if unknown:
        wrong = f"has unknown scopes: {', '.join(unknown)}"
    elif not scopes:
        wrong = "must name at least one scope"
    elif ADMIN in scopes and not identity.admin:
        wrong = "may have admin for administrators only"
    if wrong is not None:
        raise ValidationFailed(more={"scopes": wrong})


def revoke(identity: Identity, client_id: str, actor: Actor) -> None:
    """End the developer token of an application of the caller, if there is one.

    Raises:
        NotFound: the caller has no such application.
    """
    apps.get(identity, client_id)
    _end(client_id, actor, "revoked")


def _end(client_id: str, actor: Actor, reason: str) -> None:
    condition: Any = (App.client_id == client_id) & (Grant.kind == grants.DEVELOPER)
    found = Grant.select(Grant.id).join(App).where(condition & Grant.ended.is_null())
    for (grant_id,) in rows(found):
        grants.end(grant_id, actor, reason)
