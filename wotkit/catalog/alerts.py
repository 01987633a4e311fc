"""Alerts: made, changed and deleted by the user who is to be told."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace
from peewee import fn

from wotkit import times
from wotkit.catalog import alert_conditions, audit
from wotkit.catalog.accounts import next_id
from wotkit.catalog.alert_conditions import LONGEST_NAME, LONGEST_TEXT
from wotkit.catalog.alert_rules import GONE
from wotkit.catalog.models import (
    Account,
    Alert,
    AlertState,
    User,
    changed,
    rows,
)
from wotkit.catalog.references import is_id
from wotkit.errors import CannotPerform, NotFound, ValidationFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wotkit.catalog.alert_conditions import Condition, ConditionAnswer
    from wotkit.catalog.audit import Actor
    from wotkit.catalog.identity import Identity
    from wotkit.settings import AlertSettings

NAME: Final = re.compile(r"[a-z0-9_ -]{4,100}")
EMAIL: Final = re.compile(r"[^\s@,;<>\"]{1,64}@[^\s@,;<>\"]{1,189}")
_PLAIN: Final = (
    "id",
    "name",
    "long_name",
    "description",
    "disabled",
    "disabled_reason",
    "in_progress",
    "template",
    "send_email",
    "webhook",
)
_LEAST_SECRET: Final = 16


class AlertRow(Struct, frozen=True, kw_only=True):
    """An alert as it is listed; of its webhook's secret nothing is told."""

    id: int
    owner: str
    name: str
    long_name: str
    description: str
    disabled: bool
    disabled_reason: str
    in_progress: bool
    template: str
    send_email: bool
    email: str
    webhook: str
    conditions: list[ConditionAnswer]


class AlertChange(Struct, kw_only=True):
    """What of an alert is wanted; UNSET stays as it is."""

    name: str | UnsetType = UNSET
    long_name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    template: str | UnsetType = UNSET
    send_email: bool | UnsetType = UNSET
    email: str | UnsetType = UNSET
    webhook: str | UnsetType = UNSET
    webhook_secret: str | UnsetType = UNSET
    conditions: Sequence[Condition] | UnsetType = UNSET


def create(
    identity: Identity, wanted: AlertChange, actor: Actor, settings: AlertSettings
) -> tuple[AlertRow, str]:
    """Add an alert of the caller's; the answer has the secret that signs its webhook too.

    Raises:
        ValidationFailed: an attribute is invalid; ``more`` names each.
        CannotPerform: the caller has as many alerts as a user may have.
        NotFound: a sensor or gateway of a condition does not exist for the caller.
    """
    if wanted.name is UNSET:
        wanted.name = ""
    _check(wanted, settings)
    count = Alert.select(fn.COUNT(Alert.id)).where(Alert.owner == identity.user_id)
    if rows(count)[0][0] >= settings.max_per_user:
        raise CannotPerform(f"a user may have at most {settings.max_per_user} alerts")
    alert_id = next_id("alert")
    columns = {"long_name": wanted.name, "webhook_secret": secrets.token_hex(24)}
    columns |= _columns(wanted)
    now = times.now()
    Alert.insert(id=alert_id, owner=identity.user_id, changed=now, **columns).execute()
    AlertState.insert(alert=alert_id, since=now).execute()
    if wanted.conditions is not UNSET:
        alert_conditions.put(identity, alert_id, wanted.conditions)
    audit.record(actor, "alert.create", str(alert_id), name=wanted.name)
    return get(identity, str(alert_id)), columns["webhook_secret"]


def list_for(identity: Identity, offset: int, limit: int) -> list[AlertRow]:
    """Return alerts of the caller, oldest first."""
    return _rows(own(identity), offset, limit)


def get(identity: Identity, reference: str) -> AlertRow:
    """Return an alert of the caller.

    Raises:
        NotFound: the caller has no such alert.
    """
    if is_id(reference):
        for row in _rows(own(identity) & (Alert.id == int(reference))):
            return row
    raise NotFound(reference)


def own(identity: Identity) -> Any:
    """Return the condition that an alert is the caller's, and of sensors its key may use."""
    mine = Alert.owner == identity.user_id
    if identity.sensors is None:
        return mine
    return mine & Alert.id.not_in(alert_conditions.beyond(list(identity.sensors)))


def change(
    identity: Identity, reference: str, wanted: AlertChange, actor: Actor, settings: AlertSettings
) -> None:
    """Change an alert of the caller; with other conditions it begins anew.

    Raises:
        NotFound: the caller has no such alert, or a sensor or gateway does not exist for it.
        ValidationFailed: an attribute is invalid; ``more`` names each.
    """
    before = get(identity, reference)
    _check(wanted, settings)
    columns = _columns(wanted)
    if wanted.conditions is not UNSET:
        alert_conditions.put(identity, before.id, wanted.conditions)
    elif wanted.disabled is False and before.disabled:
        alert_conditions.check_complete(before.id)
    if wanted.disabled is not UNSET:
        columns["disabled_reason"] = before.disabled_reason if wanted.disabled else ""
    changed(Alert.update(changed=times.now(), **columns).where(Alert.id == before.id))
    if wanted.conditions is not UNSET or wanted.disabled:
        idle = AlertState.update(in_progress=False, since=times.now())
        changed(idle.where(AlertState.alert == before.id))
    names = [name for name in wanted.__struct_fields__ if getattr(wanted, name) is not UNSET]
    audit.record(actor, "alert.change", str(before.id), changed=names)


def delete(identity: Identity, reference: str, actor: Actor) -> None:
    """Delete an alert of the caller, with what it was about to send.

    Raises:
        NotFound: the caller has no such alert.
    """
    row = get(identity, reference)
    changed(Alert.delete().where(Alert.id == row.id))
    audit.record(actor, "alert.delete", str(row.id), name=row.name)


def _check(wanted: AlertChange, settings: AlertSettings) -> None:
    problems: dict[str, str] = {}
    if wanted.name is not UNSET and not wanted.name:
        problems["name"] = "is required"
    elif wanted.name is not UNSET and not NAME.fullmatch(wanted.name):
        problems["name"] = (
            "must be 4 to 100 lowercase letters, digits, dashes, underscores and spaces"
        )
    for name, text in (
        ("longName", wanted.long_name),
        ("description", wanted.description),
        ("template", wanted.template),
        ("webhook", wanted.webhook),
    ):
        most = LONGEST_NAME if name == "longName" else LONGEST_TEXT
        if text is not UNSET and len(text) > most:
            problems[name] = f"must have at most {most} characters"
    if wanted.email is not UNSET and wanted.email and not EMAIL.fullmatch(wanted.email):
        problems["email"] = "must be an e-mail address"
    secret = wanted.webhook_secret
    if secret is not UNSET and not _LEAST_SECRET <= len(secret) <= LONGEST_NAME:
        problems["webhookSecret"] = f"must have {_LEAST_SECRET} to {LONGEST_NAME} characters"
    if wanted.conditions is not UNSET:
        problems |= alert_conditions.problems(wanted.conditions, settings.max_conditions)
    if problems:
        raise ValidationFailed(*(f"{name} {why}" for name, why in problems.items()), more=problems)


def _columns(wanted: AlertChange) -> dict[str, Any]:
    names = (
        "name",
        "long_name",
        "description",
        "disabled",
        "template",
        "send_email",
        "email",
        "webhook",
        "webhook_secret",
    )
    found = {name: getattr(wanted, name) for name in names}
    return {name: value for name, value in found.items() if value is not UNSET}


def _rows(condition: Any, offset: int = 0, limit: int = 1) -> list[AlertRow]:
    query: Any = (
        Alert.select(
            Alert, Account.name.alias("username"), User.email.alias("own_email"), AlertState
        )
        .join(User, on=(User.account == Alert.owner))
        .join(Account, on=(Account.id == Alert.owner))
        .join(AlertState, on=(AlertState.alert == Alert.id))
        .where(condition)
        .order_by(Alert.id)
        .offset(offset)
        .limit(limit)
        .dicts()
    )
    found = list(query)
    conditions = alert_conditions.of_alerts([values["id"] for values in found])
    return [_row(values, conditions.get(values["id"], [])) for values in found]


def _row(values: dict[str, Any], conditions: list[ConditionAnswer]) -> AlertRow:
    row = AlertRow(
        owner=values["username"],
        email=values["email"] or values["own_email"],
        conditions=conditions,
        **{name: values[name] for name in _PLAIN},
    )
    if len(conditions) < values["conditions"] and not row.disabled:
        # one went with its sensor or gateway; the next sweep writes that down
        return replace(row, disabled=True, disabled_reason=GONE, in_progress=False)
    return row
