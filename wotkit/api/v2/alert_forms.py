"""How alerts look in bodies and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from wotkit import times
from wotkit.alerts.transports import webhook
from wotkit.api.requests import convert
from wotkit.catalog.alert_conditions import Condition
from wotkit.catalog.alerts import AlertChange
from wotkit.errors import ValidationFailed

if TYPE_CHECKING:
    from wotkit.catalog.alerts import AlertRow
    from wotkit.catalog.deliveries import DeliveryRow
    from wotkit.catalog.inbox import MessageRow

_Scalar = float | int | str | bool
_OPERATORS = "`LT`, `LE`, `GT`, `GE`, `EQ`, `NEQ`, `NULL`, `NOTNULL`, `NODATA` or `OFFLINE`"


class ConditionAttributes(Struct, rename="camel", kw_only=True):
    """One condition of an alert, on a sensor or a gateway."""

    sensor_id: Annotated[
        int | str | None, Meta(description="The sensor's id; its name as in a path works too.")
    ] = None
    gateway: Annotated[
        str | None, Meta(description="Instead of a sensor: a gateway of yours, with `OFFLINE`.")
    ] = None
    operator: Annotated[str, Meta(description=f"{_OPERATORS}.")]
    field: Annotated[
        str, Meta(description="Name of the field; not used by `NODATA` and `OFFLINE`.")
    ] = ""
    value: Annotated[
        _Scalar | None, Meta(description="What the field's last value is compared with.")
    ] = None
    seconds: Annotated[
        float | None,
        Meta(
            description="For `NODATA`: how long nothing may come. For `OFFLINE`: how long the "
            "gateway may be offline."
        ),
    ] = None


class AlertAttributes(Struct, rename="camel", kw_only=True):
    """What of an alert may be changed; an attribute that is absent stays as it is."""

    name: (
        Annotated[
            str,
            Meta(
                description="At least 4 lowercase letters, digits, dashes, underscores and spaces."
            ),
        ]
        | UnsetType
    ) = UNSET
    long_name: Annotated[str, Meta(description="The title of its messages.")] | UnsetType = UNSET
    description: str | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    template: (
        Annotated[
            str,
            Meta(
                description="The message; `${temperature}` is the last value of that field, "
                "`${alice.greenhouse.temperature}` that of a certain sensor of a condition, "
                "`${sensor}`, `${alert}` and `${timestamp}` say which and when. Empty: a text made "
                "from the conditions."
            ),
        ]
        | UnsetType
    ) = UNSET
    send_email: bool | UnsetType = UNSET
    email: Annotated[str, Meta(description="Empty: the owner's.")] | UnsetType = UNSET
    webhook: (
        Annotated[
            str | None,
            Meta(description="An http or https address that gets a signed POST; null is none."),
        ]
        | UnsetType
    ) = UNSET
    webhook_secret: (
        Annotated[
            str,
            Meta(description="What webhooks are signed with, 16 to 100 characters; never shown."),
        ]
        | UnsetType
    ) = UNSET
    conditions: Annotated[list[Any], Meta(description="All of them together.")] | UnsetType = UNSET


class AlertBody(AlertAttributes, rename="camel", kw_only=True):
    """What of an alert may be changed, as it is described."""

    conditions: (
        Annotated[
            list[ConditionAttributes], Meta(description="It fires when all become true together.")
        ]
        | UnsetType
    ) = UNSET


class NewAlert(AlertBody, rename="camel", kw_only=True):
    """An alert to be made, as it is described."""

    name: Annotated[
        str,
        Meta(description="At least 4 lowercase letters, digits, dashes, underscores and spaces."),
    ]


class ConditionAnswer(Struct, rename="camel", kw_only=True):
    """One condition of an alert."""

    sensor_id: int | None
    sensor: Annotated[str | None, Meta(description="The sensor as `owner.name`.")]
    gateway: Annotated[str | None, Meta(description="The gateway, where it is about one.")]
    field: str
    operator: Annotated[str, Meta(description=f"{_OPERATORS}.")]
    value: _Scalar | None
    seconds: float | None


class AlertAnswer(Struct, rename="camel", kw_only=True):
    """An alert."""

    id: int
    owner: str
    name: str
    long_name: str
    description: str
    disabled: bool
    disabled_reason: Annotated[
        str, Meta(description="Why the platform disabled it; empty when it did not.")
    ]
    in_progress: Annotated[bool, Meta(description="Whether it fired and still holds.")]
    template: str
    send_email: bool
    email: Annotated[str, Meta(description="Where e-mail goes: the owner's address by default.")]
    webhook: str | None
    conditions: list[ConditionAnswer]


class NewAlertAnswer(AlertAnswer, rename="camel", kw_only=True):
    """An alert that was just made."""

    webhook_secret: Annotated[
        str, Meta(description="What its webhooks are signed with; shown this once.")
    ]


class DeliveryAnswer(Struct, rename="camel", kw_only=True):
    """An e-mail or a webhook, sent or to be sent."""

    id: Annotated[int, Meta(description="A webhook's header WoTKit-Delivery.")]
    inbox_id: Annotated[int, Meta(description="The message of the inbox it tells of.")]
    channel: Annotated[str, Meta(description="`email` or `webhook`.")]
    target: Annotated[str, Meta(description="Where it goes.")]
    timestamp: Annotated[str, Meta(description="When the alert fired; ISO 8601.")]
    status: Annotated[str, Meta(description="`waiting`, `sent` or `failed`.")]
    attempts: int
    last_attempt: str | None
    next_attempt: str | None
    outcome: Annotated[str, Meta(description="How the last attempt ended.")]


class MessageAnswer(Struct, rename="camel", kw_only=True):
    """A message of the inbox."""

    id: int
    timestamp: Annotated[str, Meta(description="ISO 8601.")]
    title: str
    message: str
    send_email: Annotated[bool, Meta(description="Whether it was to be sent by e-mail too.")]
    email: Annotated[str, Meta(description="Where to.")]
    read: bool
    sent: Annotated[bool, Meta(description="Whether the mail server took it.")]
    alert: Annotated[int | None, Meta(description="The alert that wrote it, if it still exists.")]


def read_alert(value: Any) -> AlertChange:
    """Return what a body asks for.

    Raises:
        MalformedBody: it is no object.
        ValidationFailed: attributes are invalid; ``more`` names each.
    """
    body = convert(AlertAttributes, value)
    conditions: list[Condition] | UnsetType = UNSET
    problems: dict[str, str] = {}
    if body.conditions is not UNSET:
        conditions = []
        for index, item in enumerate(body.conditions):
            try:
                conditions.append(_condition(item, f"conditions.{index}."))
            except ValidationFailed as wrong:
                problems.update(wrong.more)
    if body.webhook is not UNSET and body.webhook:
        try:
            webhook.parse(body.webhook)
        except ValueError as wrong:
            problems["webhook"] = str(wrong)
    if problems:
        raise ValidationFailed(*(f"{name} {why}" for name, why in problems.items()), more=problems)
    address = body.webhook
    return AlertChange(
        name=body.name,
        long_name=body.long_name,
        description=body.description,
        disabled=body.disabled,
        template=body.template,
        send_email=body.send_email,
        email=body.email,
        webhook=address if address is UNSET else address or "",
        webhook_secret=body.webhook_secret,
        conditions=conditions,
    )


def _condition(item: Any, prefix: str) -> Condition:
    if not isinstance(item, dict):
        place = prefix.rstrip(".")
        raise ValidationFailed(more={place: "must be an object"})
    found = convert(ConditionAttributes, item, prefix=prefix)
    if found.sensor_id is None and found.gateway is None:
        raise ValidationFailed(more={f"{prefix}sensorId": "is required"})
    if found.sensor_id is not None and found.gateway is not None:
        raise ValidationFailed(more={f"{prefix}gateway": "cannot stand beside a sensor"})
    return Condition(
        sensor="" if found.sensor_id is None else str(found.sensor_id),
        gateway=found.gateway or "",
        field=found.field,
        operator=found.operator.upper(),
        value=found.value,
        seconds=found.seconds,
    )


def alert_answer(row: AlertRow) -> AlertAnswer:
    """Return an alert as it is answered."""
    return AlertAnswer(**_attributes(row))


def new_alert_answer(row: AlertRow, secret: str) -> NewAlertAnswer:
    """Return a new alert as it is answered, with the secret of its webhook."""
    return NewAlertAnswer(**_attributes(row), webhook_secret=secret)


def _attributes(row: AlertRow) -> dict[str, Any]:
    found = {name: getattr(row, name) for name in row.__struct_fields__}
    found["webhook"] = row.webhook or None
    found["conditions"] = [
        ConditionAnswer(**{name: getattr(one, name) for name in one.__struct_fields__})
        for one in row.conditions
    ]
    return found


def delivery_answer(row: DeliveryRow) -> DeliveryAnswer:
    """Return a delivery as it is answered."""
    return DeliveryAnswer(
        id=row.id,
        inbox_id=row.inbox_id,
        channel=row.channel,
        target=row.target,
        timestamp=times.to_iso(row.created),
        status=row.status,
        attempts=row.attempts,
        last_attempt=None if row.tried is None else times.to_iso(row.tried),
        next_attempt=None if not row.due else times.to_iso(row.due),
        outcome=row.outcome,
    )


def message_answer(row: MessageRow) -> MessageAnswer:
    """Return a message as it is answered."""
    found = {name: getattr(row, name) for name in row.__struct_fields__ if name != "at"}
    return MessageAnswer(timestamp=times.to_iso(row.at), **found)
