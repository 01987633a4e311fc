"""Alerts: made, changed and deleted by the user who is to be told."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace
from peewee import fn

from wotkit import strict_json, times
from wotkit.catalog import audit, references
from wotkit.catalog.accounts import next_id
from wotkit.catalog.alert_rules import GONE
from wotkit.catalog.identity import visible
from wotkit.catalog.models import (
    Account,
    Alert,
    AlertCondition,
    AlertState,
    Sensor,
    User,
    changed,
    rows,
)
from wotkit.catalog.references import is_id
from wotkit.errors import CannotPerform, NotFound, ValidationFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wotkit.catalog.audit import Actor
    from wotkit.catalog.identity import Identity
    from wotkit.settings import AlertSettings

NAME: Final = re.compile(r"[a-z0-9_ -]{4,100}")
EMAIL: Final = re.compile(r"[^\s@,;<>\"]{1,64}@[^\s@,;<>\"]{1,189}")
COMPARISONS: Final = frozenset({"LT", "LE", "GT", "GE"})
OPERATORS: Final = COMPARISONS | {"EQ", "NEQ", "NULL", "NOTNULL", "NODATA"}
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
_LONGEST_TEXT: Final = 4000
_LONGEST_NAME: Final = 100
_LEAST_SECRET: Final = 16
_LONGEST_SECONDS: Final = 366 * 86_400.0


class Condition(Struct, kw_only=True):
    """A condition as it is wanted; which sensor is found for the caller."""

    sensor: str
    field: str = ""
    operator: str = ""
    value: Any = None
    seconds: float | None = None


class ConditionAnswer(Struct, frozen=True, kw_only=True):
    """A condition as it is listed."""

    sensor_id: int
    sensor: str
    field: str
    operator: str
    value: Any
    seconds: float | None


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
        NotFound: a sensor of a condition does not exist for the caller.
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
        _put_conditions(identity, alert_id, wanted.conditions)
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
    beyond = AlertCondition.select(AlertCondition.alert).where(
        AlertCondition.sensor.not_in(list(identity.sensors))
    )
    return mine & Alert.id.not_in(beyond)


def change(
    identity: Identity, reference: str, wanted: AlertChange, actor: Actor, settings: AlertSettings
) -> None:
    """Change an alert of the caller; with other conditions it begins anew.

    Raises:
        NotFound: the caller has no such alert, or a sensor does not exist for the caller.
        ValidationFailed: an attribute is invalid; ``more`` names each.
    """
    before = get(identity, reference)
    _check(wanted, settings)
    columns = _columns(wanted)
    if wanted.conditions is not UNSET:
        _put_conditions(identity, before.id, wanted.conditions)
    elif wanted.disabled is False and before.disabled:
        _check_complete(before.id)
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


def _check_complete(alert_id: int) -> None:
    """Refuse to enable an alert that lost a condition with its sensor: it would mean another."""
    left = AlertCondition.select(fn.COUNT(AlertCondition.position)).where(
        AlertCondition.alert == alert_id
    )
    if rows(Alert.select(Alert.id).where((Alert.id == alert_id) & (Alert.conditions > left))):
        raise ValidationFailed(more={"conditions": "are incomplete since a sensor was deleted"})


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
        most = _LONGEST_NAME if name == "longName" else _LONGEST_TEXT
        if text is not UNSET and len(text) > most:
            problems[name] = f"must have at most {most} characters"
    if wanted.email is not UNSET and wanted.email and not EMAIL.fullmatch(wanted.email):
        problems["email"] = "must be an e-mail address"
    secret = wanted.webhook_secret
    if secret is not UNSET and not _LEAST_SECRET <= len(secret) <= _LONGEST_NAME:
        problems["webhookSecret"] = f"must have {_LEAST_SECRET} to {_LONGEST_NAME} characters"
    if wanted.conditions is not UNSET:
        problems |= _condition_problems(wanted.conditions, settings.max_conditions)
    if problems:
        raise ValidationFailed(*(f"{name} {why}" for name, why in problems.items()), more=problems)


def _condition_problems(conditions: Sequence[Condition], most: int) -> dict[str, str]:
    if len(conditions) > most:
        return {"conditions": f"must be at most {most}"}
    problems: dict[str, str] = {}
    for index, one in enumerate(conditions):
        for name, why in _wrong(one):
            problems[f"conditions.{index}.{name}"] = why
    return problems


def _wrong(one: Condition) -> list[tuple[str, str]]:
    if one.operator not in OPERATORS:
        return [("operator", f"must be one of {', '.join(sorted(OPERATORS))}")]
    found: list[tuple[str, str]] = []
    if one.operator == "NODATA":
        if one.seconds is None:
            found.append(("seconds", "is required with NODATA"))
        elif not 0 < one.seconds <= _LONGEST_SECONDS:
            found.append(("seconds", "must be above 0 and at most a year"))
        return found
    if not one.field:
        found.append(("field", "is required"))
    elif len(one.field) > _LONGEST_NAME:
        found.append(("field", f"must have at most {_LONGEST_NAME} characters"))
    if one.operator in COMPARISONS and not _is_number(one.value):
        found.append(("value", f"must be a number with {one.operator}"))
    elif one.operator in {"EQ", "NEQ"} and not isinstance(one.value, str | int | float):
        found.append(("value", "must be a number or a text"))
    elif isinstance(one.value, str) and len(one.value) > _LONGEST_TEXT:
        found.append(("value", f"must have at most {_LONGEST_TEXT} characters"))
    return found


def _is_number(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return True
    if not isinstance(value, str):
        return False
    return re.fullmatch(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?\s*", value) is not None


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


def _put_conditions(identity: Identity, alert_id: int, conditions: Sequence[Condition]) -> None:
    changed(AlertCondition.delete().where(AlertCondition.alert == alert_id))
    for position, one in enumerate(conditions):
        sensor = references.find(identity, one.sensor, visible(identity))
        timed = one.operator == "NODATA"
        valued = one.operator in COMPARISONS | {"EQ", "NEQ"}
        AlertCondition.insert(
            alert=alert_id,
            position=position,
            sensor=sensor.id,
            field=one.field[:_LONGEST_NAME],
            operator=one.operator,
            value=strict_json.encode(one.value if valued else None).decode(),
            seconds=one.seconds if timed else None,
        ).execute()
    changed(Alert.update(conditions=len(conditions)).where(Alert.id == alert_id))


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
    conditions = _conditions([values["id"] for values in found])
    return [_row(values, conditions.get(values["id"], [])) for values in found]


def _row(values: dict[str, Any], conditions: list[ConditionAnswer]) -> AlertRow:
    row = AlertRow(
        owner=values["username"],
        email=values["email"] or values["own_email"],
        conditions=conditions,
        **{name: values[name] for name in _PLAIN},
    )
    if len(conditions) < values["conditions"] and not row.disabled:
        # one went with its sensor; the next sweep writes that down
        return replace(row, disabled=True, disabled_reason=GONE, in_progress=False)
    return row


def _conditions(alert_ids: Sequence[int]) -> dict[int, list[ConditionAnswer]]:
    query = (
        AlertCondition.select(
            AlertCondition.alert,
            Sensor.id,
            Account.name.concat(".").concat(Sensor.name),
            AlertCondition.field,
            AlertCondition.operator,
            AlertCondition.value,
            AlertCondition.seconds,
        )
        .join(Sensor)
        .join(Account, on=(Account.id == Sensor.owner))
        .where(AlertCondition.alert.in_(list(alert_ids)))
        .order_by(AlertCondition.alert, AlertCondition.position)
    )
    found: dict[int, list[ConditionAnswer]] = {}
    for alert_id, sensor_id, sensor, field, operator, value, seconds in rows(query):
        found.setdefault(alert_id, []).append(
            ConditionAnswer(
                sensor_id=sensor_id,
                sensor=sensor,
                field=field,
                operator=operator,
                value=strict_json.decode(value.encode()),
                seconds=seconds,
            )
        )
    return found
