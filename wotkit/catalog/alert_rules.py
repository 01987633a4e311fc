"""Alerts as they are evaluated: which there are for a sensor, and what became of them.

An alert is evaluated while it is enabled, its owner is, and its owner may see the sensors of all
of its conditions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct
from peewee import JOIN, fn

from wotkit import strict_json
from wotkit.catalog import deliveries
from wotkit.catalog.accounts import next_id
from wotkit.catalog.alert_conditions import TIMED
from wotkit.catalog.bulk import among, stream
from wotkit.catalog.models import (
    CURRENT,
    Account,
    Alert,
    AlertCondition,
    AlertState,
    Gateway,
    InboxMessage,
    Member,
    Sensor,
    User,
    changed,
    rows,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from wotkit.settings import AlertSettings

GONE = "a sensor or gateway of a condition was deleted, or is no longer visible to the owner"
"""Why an alert was disabled that nobody disabled."""
_AT_ONCE = 500
"""Rows of one INSERT."""


class ConditionRow(Struct, frozen=True, kw_only=True):
    """One condition."""

    sensor_id: int
    """Of a gateway, minus its id: what is known of both is kept side by side."""
    sensor: str
    """``owner.name``; of a gateway its name."""
    field: str
    operator: str
    value: Any
    seconds: float | None


class RuleRow(Struct, frozen=True, kw_only=True):
    """An alert as far as its evaluation and its messages are concerned."""

    alert_id: int
    owner_id: int
    name: str
    long_name: str
    template: str
    send_email: bool
    email: str
    webhook: str
    since: int
    """When it was last changed: a sensor without readings has been silent since then."""
    in_progress: bool
    conditions: tuple[ConditionRow, ...]


class Firing(Struct, frozen=True, kw_only=True):
    """What is to be told when an alert begins to be in progress."""

    title: str
    message: str
    at: int
    webhook_body: str


class Change(Struct, kw_only=True):
    """What happened to an alert since it was last recorded."""

    row: RuleRow
    steps: list[tuple[Firing | None, int]]
    """In order: with what it began to be in progress, or None for its end, and when."""


def _subject() -> Any:
    """Return what a condition is about: a sensor's id, or minus that of a gateway."""
    return fn.COALESCE(AlertCondition.sensor, 0 - AlertCondition.gateway)


def watched() -> set[int]:
    """Return the ids of the sensors, and minus those of gateways, that enabled alerts are about."""
    query = AlertCondition.select(_subject()).join(Alert)
    return {sensor for (sensor,) in stream(query.where(~Alert.disabled).distinct())}


def timed() -> set[int]:
    """Return those of :func:`watched` for whose silence an enabled alert waits."""
    query = AlertCondition.select(_subject()).join(Alert)
    silent = AlertCondition.operator.in_(TIMED)
    return {sensor for (sensor,) in stream(query.where(~Alert.disabled & silent).distinct())}


def for_sensors(sensor_ids: Collection[int]) -> list[RuleRow]:
    """Return the alerts with a condition on one of these sensors or, below 0, gateways."""
    found = among(AlertCondition.sensor, (one for one in sensor_ids if one > 0))
    gateways = [-one for one in sensor_ids if one < 0]
    if gateways:
        found |= among(AlertCondition.gateway, gateways)
    return _rules(Alert.id.in_(AlertCondition.select(AlertCondition.alert).where(found)))


def get(alert_id: int) -> RuleRow | None:
    """Return one alert as it is evaluated; None when it is not."""
    for row in _rules(Alert.id == alert_id, Alert.id == alert_id):
        return row
    return None


def _seen_by_owner() -> Any:
    """Return the condition that the owner of an alert may see a condition's sensor or gateway."""
    orgs = Member.select(Member.org).where(Member.user == Alert.owner)
    own = (Sensor.owner == Alert.owner) | Sensor.owner.in_(orgs)
    return (Sensor.visibility == "PUBLIC") | own | (Gateway.owner == Alert.owner)


def _rules(wanted: Any, enabled: Any = None) -> list[RuleRow]:
    active = (~Alert.disabled) & User.enabled if enabled is None else enabled
    query: Any = (
        Alert.select(
            Alert.id,
            Alert.owner,
            Alert.name,
            Alert.long_name,
            Alert.template,
            Alert.send_email,
            fn.COALESCE(fn.NULLIF(Alert.email, ""), User.email),
            Alert.webhook,
            Alert.changed,
            AlertState.in_progress,
            Alert.conditions,
            _subject(),
            fn.COALESCE(Account.name.concat(".").concat(Sensor.name), Gateway.name),
            AlertCondition.field,
            AlertCondition.operator,
            AlertCondition.value,
            AlertCondition.seconds,
        )
        .join(AlertState, on=(AlertState.alert == Alert.id))
        .join(User, on=(User.account == Alert.owner))
        .join(AlertCondition, on=(AlertCondition.alert == Alert.id))
        .join(Sensor, JOIN.LEFT_OUTER, on=(Sensor.id == AlertCondition.sensor))
        .join(Account, JOIN.LEFT_OUTER, on=(Account.id == Sensor.owner))
        .join(Gateway, JOIN.LEFT_OUTER, on=(Gateway.id == AlertCondition.gateway))
        .where(active & wanted & _seen_by_owner())
        .order_by(Alert.id, AlertCondition.position)
    )
    grouped: dict[int, list[tuple[Any, ...]]] = {}
    for values in stream(query):
        grouped.setdefault(values[0], []).append(values)
    return [_rule(parts) for parts in grouped.values() if len(parts) == parts[0][10]]


def _rule(parts: list[tuple[Any, ...]]) -> RuleRow:
    first = parts[0]
    return RuleRow(
        alert_id=first[0],
        owner_id=first[1],
        name=first[2],
        long_name=first[3],
        template=first[4],
        send_email=bool(first[5]),
        email=first[6],
        webhook=first[7],
        since=first[8],
        in_progress=bool(first[9]),
        conditions=tuple(
            ConditionRow(
                sensor_id=part[11],
                sensor=part[12],
                field=part[13],
                operator=part[14],
                value=strict_json.decode(part[15].encode()),
                seconds=part[16],
            )
            for part in parts
        ),
    )


def record(changes: Iterable[Change], limits: AlertSettings) -> int:
    """Write what became of alerts, within the limits of what is kept; return how many fired.

    Each state changes by a conditional UPDATE: of two processes that saw the same, one fires. The
    messages of a firing are rows of the same transaction, so whoever is killed loses none. What
    was deleted, disabled or left its owner's sight meanwhile does not fire.
    """
    changes = list(changes)
    alive = {row.alert_id for row in _rules(among(Alert.id, (one.row.alert_id for one in changes)))}
    told: list[tuple[RuleRow, Firing]] = []
    for change in changes:
        alert_id = change.row.alert_id
        for firing, at in change.steps:
            if firing is None:
                _switch(alert_id, at, on=False)
            elif alert_id in alive and _switch(alert_id, at, on=True):
                told.append((change.row, firing))
    if told:
        _tell(told, limits)
        for owner_id in {row.owner_id for row, _ in told}:
            _trim(owner_id, limits.inbox_messages)
    return len(told)


def _switch(alert_id: int, at: int, *, on: bool) -> bool:
    """Note that an alert is in progress, or is not; return whether that was not noted yet."""
    # written out, for hundreds may change at once
    cursor = CURRENT.execute_sql(
        "UPDATE alert_state SET in_progress = ?, since = ? WHERE alert_id = ? AND in_progress = ?",
        (on, at, alert_id, not on),
    )
    return bool(cursor.rowcount == 1)


def _tell(told: list[tuple[RuleRow, Firing]], limits: AlertSettings) -> None:
    messages: list[dict[str, Any]] = []
    outgoing: list[dict[str, Any]] = []
    for row, firing in told:
        message_id = next_id("inbox")
        messages.append(
            {
                "id": message_id,
                "user": row.owner_id,
                "alert": row.alert_id,
                "at": firing.at,
                "title": firing.title,
                "message": firing.message,
                "send_email": row.send_email,
                "email": row.email,
            }
        )
        outgoing += (
            {
                "alert": row.alert_id,
                "inbox_id": message_id,
                "channel": channel,
                "target": target,
                "title": firing.title,
                "body": body,
                "created": firing.at,
            }
            for channel, target, body in _channels(row, firing)
        )
    for start in range(0, len(messages), _AT_ONCE):
        InboxMessage.insert_many(messages[start : start + _AT_ONCE]).execute()
    if outgoing:
        deliveries.add(outgoing, limits.waiting_deliveries, limits.kept_deliveries)


def _channels(row: RuleRow, firing: Firing) -> Iterator[tuple[str, str, str]]:
    """Yield how else than in the inbox the owner is told: channel, target and body."""
    if row.send_email and row.email:
        yield "email", row.email, firing.message
    if row.webhook:
        yield "webhook", row.webhook, firing.webhook_body


def _trim(owner_id: int, most: int) -> None:
    """Delete the oldest messages beyond so many."""
    own = InboxMessage.select(InboxMessage.id).where(InboxMessage.user == owner_id)
    for (last,) in rows(own.order_by(InboxMessage.id.desc()).offset(most).limit(1)):
        old = (InboxMessage.user == owner_id) & (InboxMessage.id <= last)
        changed(InboxMessage.delete().where(old))


def disable_orphans() -> int:
    """Disable alerts that lost a condition or the sight of a sensor; return how many."""
    seen: Any = (
        AlertCondition.select(fn.COUNT(AlertCondition.position))
        .join(Sensor, JOIN.LEFT_OUTER, on=(Sensor.id == AlertCondition.sensor))
        .join(Gateway, JOIN.LEFT_OUTER, on=(Gateway.id == AlertCondition.gateway))
        .where((AlertCondition.alert == Alert.id) & _seen_by_owner())
    )
    orphans = [
        alert_id
        for (alert_id,) in stream(
            Alert.select(Alert.id).where(~Alert.disabled & (Alert.conditions > seen))
        )
    ]
    for alert_id in orphans:
        changed(
            Alert.update(disabled=True, disabled_reason=GONE).where(
                (Alert.id == alert_id) & ~Alert.disabled
            )
        )
        state = AlertState.alert == alert_id
        changed(AlertState.update(in_progress=False).where(state & AlertState.in_progress))
    return len(orphans)
