"""Conditions of alerts: on a sensor's readings, or on a gateway being offline."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from peewee import JOIN, fn

from wotkit import strict_json
from wotkit.catalog import gateways, references
from wotkit.catalog.identity import visible
from wotkit.catalog.models import (
    Account,
    Alert,
    AlertCondition,
    Gateway,
    Sensor,
    changed,
    rows,
)
from wotkit.errors import NotFound, ValidationFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wotkit.catalog.identity import Identity

COMPARISONS: Final = frozenset({"LT", "LE", "GT", "GE"})
NODATA: Final = "NODATA"
OFFLINE: Final = "OFFLINE"
TIMED: Final = frozenset({NODATA, OFFLINE})
"""Operators that become true by time alone."""
OPERATORS: Final = COMPARISONS | {"EQ", "NEQ", "NULL", "NOTNULL"} | TIMED
LONGEST_NAME: Final = 100
LONGEST_TEXT: Final = 4000
_LONGEST_SECONDS: Final = 366 * 86_400.0


class Condition(Struct, kw_only=True):
    """A condition as it is wanted; which sensor or gateway is found for the caller."""

    sensor: str = ""
    gateway: str = ""
    field: str = ""
    operator: str = ""
    value: Any = None
    seconds: float | None = None


class ConditionAnswer(Struct, frozen=True, kw_only=True):
    """A condition as it is listed."""

    sensor_id: int | None
    sensor: str | None
    gateway: str | None
    field: str
    operator: str
    value: Any
    seconds: float | None


def problems(conditions: Sequence[Condition], most: int) -> dict[str, str]:
    """Return what is wrong with conditions, by place."""
    if len(conditions) > most:
        return {"conditions": f"must be at most {most}"}
    found: dict[str, str] = {}
    for index, one in enumerate(conditions):
        for name, why in _wrong(one):
            found[f"conditions.{index}.{name}"] = why
    return found


def _wrong(one: Condition) -> list[tuple[str, str]]:
    if one.operator not in OPERATORS:
        return [("operator", f"must be one of {', '.join(sorted(OPERATORS))}")]
    if bool(one.gateway) != (one.operator == OFFLINE):
        return [("operator", f"must be {OFFLINE} with a gateway, and only then")]
    if one.operator in TIMED:
        if one.seconds is None:
            return [("seconds", f"is required with {one.operator}")]
        within = 0 < one.seconds <= _LONGEST_SECONDS
        return [] if within else [("seconds", "must be above 0 and at most a year")]
    return _wrong_field(one)


def _wrong_field(one: Condition) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if not one.field:
        found.append(("field", "is required"))
    elif len(one.field) > LONGEST_NAME:
        found.append(("field", f"must have at most {LONGEST_NAME} characters"))
    if one.operator in COMPARISONS and not _is_number(one.value):
        found.append(("value", f"must be a number with {one.operator}"))
    elif one.operator in {"EQ", "NEQ"} and not isinstance(one.value, str | int | float):
        found.append(("value", "must be a number or a text"))
    elif isinstance(one.value, str) and len(one.value) > LONGEST_TEXT:
        found.append(("value", f"must have at most {LONGEST_TEXT} characters"))
    return found


def _is_number(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return True
    if not isinstance(value, str):
        return False
    return re.fullmatch(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?\s*", value) is not None


def put(identity: Identity, alert_id: int, conditions: Sequence[Condition]) -> None:
    """Give an alert these conditions instead of those it had.

    Raises:
        NotFound: a sensor or gateway does not exist for the caller.
    """
    changed(AlertCondition.delete().where(AlertCondition.alert == alert_id))
    for position, one in enumerate(conditions):
        valued = one.operator in COMPARISONS | {"EQ", "NEQ"}
        AlertCondition.insert(
            alert=alert_id,
            position=position,
            **_subject(identity, one),
            field=one.field[:LONGEST_NAME],
            operator=one.operator,
            value=strict_json.encode(one.value if valued else None).decode(),
            seconds=one.seconds if one.operator in TIMED else None,
        ).execute()
    changed(Alert.update(conditions=len(conditions)).where(Alert.id == alert_id))


def _subject(identity: Identity, one: Condition) -> dict[str, int]:
    if not one.gateway:
        return {"sensor": references.find(identity, one.sensor, visible(identity)).id}
    row = gateways.get(identity, one.gateway)
    if row.owner != identity.username or identity.sensors is not None:
        raise NotFound(one.gateway)  # an administrator is told of its own; a limited key of none
    return {"gateway": row.id}


def check_complete(alert_id: int) -> None:
    """Refuse to enable an alert that lost a condition: it would mean another."""
    left = AlertCondition.select(fn.COUNT(AlertCondition.position)).where(
        AlertCondition.alert == alert_id
    )
    if rows(Alert.select(Alert.id).where((Alert.id == alert_id) & (Alert.conditions > left))):
        raise ValidationFailed(
            more={"conditions": "are incomplete since a sensor or gateway was deleted"}
        )


def of_alerts(alert_ids: Sequence[int]) -> dict[int, list[ConditionAnswer]]:
    """Return the conditions of alerts, in their order."""
    query = (
        AlertCondition.select(
            AlertCondition.alert,
            Sensor.id,
            Account.name.concat(".").concat(Sensor.name),
            Gateway.name,
            AlertCondition.field,
            AlertCondition.operator,
            AlertCondition.value,
            AlertCondition.seconds,
        )
        .join(Sensor, JOIN.LEFT_OUTER)
        .join(Account, JOIN.LEFT_OUTER, on=(Account.id == Sensor.owner))
        .join(Gateway, JOIN.LEFT_OUTER, on=(Gateway.id == AlertCondition.gateway))
        .where(AlertCondition.alert.in_(list(alert_ids)))
        .order_by(AlertCondition.alert, AlertCondition.position)
    )
    found: dict[int, list[ConditionAnswer]] = {}
    for alert_id, sensor_id, sensor, gateway, field, operator, value, seconds in rows(query):
        found.setdefault(alert_id, []).append(
            ConditionAnswer(
                sensor_id=sensor_id,
                sensor=sensor,
                gateway=gateway,
                field=field,
                operator=operator,
                value=strict_json.decode(value.encode()),
                seconds=seconds,
            )
        )
    return found


def beyond(sensor_ids: Sequence[int]) -> Any:
    """Return the query of alerts that are about more than these sensors."""
    others = AlertCondition.sensor.not_in(list(sensor_ids)) | AlertCondition.sensor.is_null()
    return AlertCondition.select(AlertCondition.alert).where(others)
