"""Devices without a browser that wait for their user (RFC 8628).

The device shows a short code, the user types it in on a page and decides there, and the device,
which keeps asking with a long code, gets its tokens once.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from wotkit import times
from wotkit.catalog import grants
from wotkit.catalog.identity import ADMIN
from wotkit.catalog.models import App, DeviceCode, changed, rows
from wotkit.catalog.tokens import hash_of, owner_of
from wotkit.errors import CannotPerform, NotFound

if TYPE_CHECKING:
    from wotkit.catalog.audit import Actor
    from wotkit.catalog.identity import Identity

PENDING: Final = "pending"
ALLOWED: Final = "allowed"
DENIED: Final = "denied"
USED: Final = "used"

_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so that no words come about (RFC 8628 section 6.1): 20 ** 8 codes."""
_LENGTH: Final = 8
_IGNORED: Final = re.compile(r"[^A-Z]")
_SLOWER_SECONDS: Final = 5
"""By which a device has to slow down that asks too often (RFC 8628 section 3.5)."""
_TOLERANCE: Final = times.MICROSECONDS // 2
"""A device that asks in time may seem early: its last question took longer on the way."""


class Waiting(Struct, frozen=True, kw_only=True):
    """A device that waits, as its user is told of it."""

    user_code: str
    """As the device shows it, such as ``BCDF-GHJK``."""
    client_id: str
    name: str
    description: str
    website: str
    icon: str
    owner: str
    scopes: tuple[str, ...]


def make_user_code() -> str:
    """Return a code for people that no waiting device has."""
    while True:
        code = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
        if not rows(DeviceCode.select(DeviceCode.user_code).where(DeviceCode.user_code == code)):
            return code


def shown(user_code: str) -> str:
    """Return a user code in two halves, as people read and type it."""
    half = _LENGTH // 2
    return f"{user_code[:half]}-{user_code[half:]}"


def add(device_code: str, user_code: str, app: App, scopes: str, seconds: int, pace: int) -> None:
    """Keep a device that waits for ``seconds`` and asks every ``pace`` seconds."""
    DeviceCode.insert(
        hash=hash_of(device_code),
        user_code=user_code,
        app=app.id,
        scopes=scopes,
        expires=times.now() + seconds * times.MICROSECONDS,
        interval=pace,
    ).execute()


def find(user_code: str) -> Waiting | None:
    """Return the device that waits with this code; case, dashes and spaces are ignored."""
    row = _pending(user_code)
    if row is None:
        return None
    app = row.app
    return Waiting(
        user_code=shown(row.user_code),
        client_id=app.client_id,
        name=app.name,
        description=app.description,
        website=app.website,
        icon=app.icon,
        owner=owner_of(app),
        scopes=tuple(row.scopes.split()),
    )


def _pending(user_code: str) -> DeviceCode | None:
    code = _IGNORED.sub("", user_code[:100].upper())
    found: DeviceCode | None = DeviceCode.get_or_none(
        (DeviceCode.user_code == code)
        & (DeviceCode.state == PENDING)
        & (DeviceCode.expires > times.now())
    )
    return found


def allow(user_code: str, identity: Identity, actor: Actor) -> None:
    """Let the device act for the user.

    Raises:
        NotFound: no device waits with this code, or not any more.
        CannotPerform: it wants to administer, and the user is no administrator.
    """
    row = _decided(user_code, identity, ALLOWED)
    if ADMIN in row.scopes.split() and not identity.admin:
        raise CannotPerform("the application asks for the scope admin, which you do not have")
    grant = grants.open_grant(
        identity.user_id, row.app_id, kind=grants.DEVICE, scopes=row.scopes, actor=actor
    )
    changed(DeviceCode.update(grant=grant.id).where(DeviceCode.hash == row.hash))


def deny(user_code: str, identity: Identity) -> None:
    """Refuse the device.

    Raises:
        NotFound: no device waits with this code, or not any more.
    """
    _decided(user_code, identity, DENIED)


def _decided(user_code: str, identity: Identity, state: str) -> DeviceCode:
    row = _pending(user_code)
    if row is None:
        raise NotFound("no device waits with this code, or not any more")
    waits = (DeviceCode.hash == row.hash) & (DeviceCode.state == PENDING)
    if not changed(DeviceCode.update(state=state, user=identity.user_id).where(waits)):
        raise NotFound("no device waits with this code, or not any more")
    return row


def polled(device_code: str, app_id: int) -> DeviceCode | None:
    """Return the application's device that asks with its long code, in whatever state."""
    found: DeviceCode | None = DeviceCode.get_or_none(DeviceCode.hash == hash_of(device_code))
    return found if found is not None and found.app_id == app_id else None


def in_time(row: DeviceCode) -> bool:
    """Note that a device has asked; one that asked too early has to wait longer from now on."""
    now = times.now()
    wait = row.interval * times.MICROSECONDS - _TOLERANCE
    early = row.polled is not None and now - row.polled < wait
    interval = row.interval + (_SLOWER_SECONDS if early else 0)
    asked = DeviceCode.hash == row.hash
    changed(DeviceCode.update(polled=now, interval=interval).where(asked))
    return not early


def claim(row: DeviceCode) -> bool:
    """Use what the user has allowed, once; return whether it was this caller who did."""
    allowed = (DeviceCode.hash == row.hash) & (DeviceCode.state == ALLOWED)
    return changed(DeviceCode.update(state=USED).where(allowed)) == 1


def forget_before(at: int) -> int:
    """Delete devices whose codes expired before ``at`` (microseconds), and return how many."""
    return changed(DeviceCode.delete().where(DeviceCode.expires < at))
