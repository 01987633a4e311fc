"""Keys: what gateways and scripts act for a user with, instead of the user's password."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET, Struct, UnsetType
from peewee import JOIN

from wotkit import times
from wotkit.catalog import audit, references
from wotkit.catalog.identity import ADMIN, SCOPES, Identity, visible
from wotkit.catalog.models import Account, Key, KeySensor, KeyUse, Sensor, changed, rows
from wotkit.errors import NotFound, ValidationFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wotkit.catalog.audit import Actor


MAX_NAME: Final = 255
MAX_DESCRIPTION: Final = 4000
"""Characters that the name and the description of a key may have."""


class KeyRow(Struct, frozen=True, kw_only=True):
    """A key as it is listed: everything but its password."""

    id: str
    owner: str
    name: str
    description: str
    scopes: tuple[str, ...]
    sensors: tuple[str, ...] | None
    """Qualified names of the sensors it is limited to; None is no limit."""
    expires: int | None
    created: int
    last_used: int | None
    last_address: str | None
    old_password_until: int | None


class KeyChange(Struct, kw_only=True):
    """What of a key is to change; UNSET stays as it is."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    scopes: Sequence[str] | UnsetType = UNSET
    sensors: Sequence[str] | UnsetType | None = UNSET
    expires: int | UnsetType | None = UNSET


def _check(change: KeyChange, identity: Identity, before: KeyRow | None = None) -> None:
    """Check what is new; a client may send back what it was given, a passed expiry too."""
    problems: dict[str, str] = {}
    if change.name is not UNSET and not change.name.strip():
        problems["name"] = "is required"
    for name, most in (("name", MAX_NAME), ("description", MAX_DESCRIPTION)):
        text = getattr(change, name)
        if text is not UNSET and len(text) > most:
            problems[name] = f"is invalid: it has more than {most} characters"
    if change.scopes is not UNSET:
        unknown = sorted(set(change.scopes) - SCOPES)
        if unknown:
            problems["scopes"] = f"has unknown scopes: {', '.join(unknown)}"
        elif not change.scopes:
            problems["scopes"] = "must name at least one scope"
        elif ADMIN in change.scopes and not identity.admin:
            problems["scopes"] = "may have admin for administrators only"
    ends = change.expires
    kept = before is not None and ends == before.expires
    if ends is not UNSET and ends is not None and not kept and ends < times.now():
        problems["expires"] = "lies in the past"
    if problems:
        raise ValidationFailed(more=problems)


def create(
    identity: Identity,
    change: KeyChange,
    secret_hash: str,
    actor: Actor,
    mosquitto_hash: str | None = None,
) -> KeyRow:
    """Make a key for the caller; mosquitto has a hash of its own, if it is to know the key.

    Raises:
        ValidationFailed: an attribute is invalid; ``more`` names each.
        NotFound: a sensor it is to be limited to does not exist for the caller.
    """
    if change.name is UNSET:
        change.name = ""
    _check(change, identity)
    scopes = ["all"] if change.scopes is UNSET else change.scopes
    key_id = secrets.token_hex(8)
    Key.insert(
        id=key_id,
        user=identity.user_id,
        name=change.name,
        description="" if change.description is UNSET else change.description,
        scopes=" ".join(sorted(set(scopes))),
        secret_hash=secret_hash,
        mosquitto_hash=mosquitto_hash,
        expires=None if change.expires is UNSET else change.expires,
        created=times.now(),
    ).execute()
    if change.sensors is not UNSET and change.sensors is not None:
        _limit(key_id, identity, change.sensors)
    audit.record(actor, "key.create", key_id, name=change.name, scopes=list(scopes))
    return get(identity, key_id)


def _limit(key_id: str, identity: Identity, sensors: Iterable[str]) -> None:
    KeySensor.delete().where(KeySensor.key == key_id).execute()
    Key.update(limited=True).where(Key.id == key_id).execute()
    for reference in sensors:
        sensor = references.find(identity, reference, visible(identity))
        KeySensor.insert(key=key_id, sensor=sensor.id).on_conflict_ignore().execute()


def list_for(user_id: int) -> list[KeyRow]:
    """Return the keys of a user, oldest first."""
    return _rows(Key.user == user_id)


def list_all() -> list[KeyRow]:
    """Return every key, oldest first."""
    return _rows(True)


def get(identity: Identity, key_id: str) -> KeyRow:
    """Return a key of the caller.

    Raises:
        NotFound: the caller has no such key.
    """
    for row in _rows((Key.id == key_id) & (Key.user == identity.user_id)):
        return row
    raise NotFound(key_id)


def _rows(condition: Any) -> list[KeyRow]:
    query: Any = (
        Key.select(Key, Account.name.alias("owner"), KeyUse.used, KeyUse.address)
        .join(Account, on=(Account.id == Key.user))
        .join(KeyUse, JOIN.LEFT_OUTER, on=(KeyUse.key == Key.id))
        .where(condition)
        .order_by(Key.created, Key.id)
        .dicts()
    )
    return [_row(values) for values in list(query)]


def _row(values: dict[str, Any]) -> KeyRow:
    return KeyRow(
        id=values["id"],
        owner=values["owner"],
        name=values["name"],
        description=values["description"],
        scopes=tuple(values["scopes"].split()),
        sensors=_sensors(values["id"]) if values["limited"] else None,
        expires=values["expires"],
        created=values["created"],
        last_used=values["used"],
        last_address=values["address"],
        old_password_until=values["old_secret_until"],
    )


def _sensors(key_id: str) -> tuple[str, ...]:
    query: Any = (
        KeySensor.select(Account.name, Sensor.name)
        .join(Sensor)
        .join(Account, on=(Account.id == Sensor.owner))
        .where(KeySensor.key == key_id)
        .order_by(Account.name, Sensor.name)
    )
    return tuple(f"{owner}.{name}" for owner, name in rows(query))


def update(identity: Identity, key_id: str, change: KeyChange, actor: Actor) -> None:
    """Change a key of the caller.

    Raises:
        NotFound: the caller has no such key, or a sensor does not exist for the caller.
        ValidationFailed: an attribute is invalid; ``more`` names each.
    """
    _check(change, identity, get(identity, key_id))
    columns: dict[str, Any] = {}
    if change.name is not UNSET:
        columns["name"] = change.name
    if change.description is not UNSET:
        columns["description"] = change.description
    if change.scopes is not UNSET:
        columns["scopes"] = " ".join(sorted(set(change.scopes)))
    if change.expires is not UNSET:
        columns["expires"] = change.expires
    if columns:
        Key.update(columns).where(Key.id == key_id).execute()
    if change.sensors is None:
        Key.update(limited=False).where(Key.id == key_id).execute()
        KeySensor.delete().where(KeySensor.key == key_id).execute()
    elif change.sensors is not UNSET:
        _limit(key_id, identity, change.sensors)
    named = sorted(columns if change.sensors is UNSET else {*columns, "sensors"})
    audit.record(actor, "key.change", key_id, changed=named)


def rotate(
    identity: Identity,
    key_id: str,
    secret_hash: str,
    *,
    overlap_seconds: float,
    actor: Actor,
    mosquitto_hash: str | None = None,
) -> KeyRow:
    """Give a key of the caller another password; the old one stays good for the overlap.

    Not for mosquitto, which knows one password of a key.

    Raises:
        NotFound: the caller has no such key.
    """
    get(identity, key_id)
    until = times.now() + int(overlap_seconds * times.MICROSECONDS)
    Key.update(
        old_secret_hash=Key.secret_hash if overlap_seconds > 0 else None,
        old_secret_until=until if overlap_seconds > 0 else None,
        secret_hash=secret_hash,
        mosquitto_hash=mosquitto_hash,
    ).where(Key.id == key_id).execute()
    audit.record(actor, "key.rotate", key_id, overlap_seconds=overlap_seconds)
    return get(identity, key_id)


def revoke(identity: Identity, key_id: str, actor: Actor) -> None:
    """Delete a key of the caller: it is refused from the next request on, in every process.

    Raises:
        NotFound: the caller has no such key.
    """
    get(identity, key_id)
    changed(Key.delete().where(Key.id == key_id))
    audit.record(actor, "key.revoke", key_id)


def revoke_all_of_user(user_id: int, actor: Actor) -> None:
    """Delete every key of a user."""
    for (key_id,) in rows(Key.select(Key.id).where(Key.user == user_id)):
        changed(Key.delete().where(Key.id == key_id))
        audit.record(actor, "key.revoke", key_id)


def note_uses(uses: dict[str, tuple[int, str]]) -> None:
    """Write when (microseconds) and from where keys were last used; unknown keys are ignored."""
    for key_id, (used, address) in uses.items():
        if not rows(Key.select(Key.id).where(Key.id == key_id)):
            continue
        KeyUse.insert(key=key_id, used=used, address=address).on_conflict(
            conflict_target=[KeyUse.key], update={KeyUse.used: used, KeyUse.address: address}
        ).execute()
