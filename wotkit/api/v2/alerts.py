"""Alerts: made, changed, tried over history and deleted by the user who is to be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import Meta, Struct

from wotkit import strict_json, times
from wotkit.alerts import trial
from wotkit.alerts.rules import message
from wotkit.api.operation import Returns, operation
from wotkit.api.requests import convert, read_body, read_query
from wotkit.api.responses import answer_json, answer_nothing
from wotkit.api.v2.alert_forms import (
    AlertAnswer,
    AlertBody,
    DeliveryAnswer,
    NewAlert,
    NewAlertAnswer,
    alert_answer,
    delivery_answer,
    new_alert_answer,
    read_alert,
)
from wotkit.catalog import alert_rules, alerts, deliveries
from wotkit.catalog.alert_conditions import OFFLINE
from wotkit.catalog.identity import MANAGE, READ
from wotkit.errors import CannotPerform, MalformedBody, NotFound, ValidationFailed

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.alerts.trial import Trial
    from wotkit.api.caller import Callers
    from wotkit.catalog import Catalog
    from wotkit.catalog.alert_rules import RuleRow
    from wotkit.catalog.identity import Identity
    from wotkit.readings.readers import ReaderPool
    from wotkit.settings import Settings

TAG: Final = "Alerts"
_DAY: Final = 86_400 * times.MICROSECONDS
_LOG_ROWS: Final = 100
_EXAMPLE: Final = {
    "name": "too warm",
    "longName": "The greenhouse is too warm",
    "template": "It has ${temperature} degrees, open the windows.",
    "sendEmail": True,
    "conditions": [
        {"sensorId": "alice.greenhouse", "field": "temperature", "operator": "GT", "value": 30}
    ],
}


class PageQuery(Struct, kw_only=True):
    """Which part of a list to answer."""

    offset: Annotated[int, Meta(ge=0, description="How many to pass over.")] = 0
    limit: Annotated[int, Meta(ge=0, le=1000, description="How many to answer at most.")] = 1000


class TrialRange(Struct, kw_only=True):
    """Over which readings to run an alert."""

    start: Annotated[
        int | str | None,
        Meta(description="ISO 8601 or milliseconds since 1970; default: a day before the end."),
    ] = None
    end: Annotated[int | str | None, Meta(description="Default: now.")] = None


class EpisodeAnswer(Struct, rename="camel", kw_only=True):
    """A time at which an alert would have fired."""

    timestamp: Annotated[str, Meta(description="When it would have fired; ISO 8601.")]
    ended: Annotated[str | None, Meta(description="When it would have ended; null: not yet.")]
    message: Annotated[str, Meta(description="What it would have said.")]


class TrialAnswer(Struct, rename="camel", kw_only=True):
    """When an alert would have fired."""

    start: str
    end: Annotated[
        str, Meta(description="Before the end asked for, when there were too many readings.")
    ]
    readings: Annotated[int, Meta(description="How many readings were looked at.")]
    fired: list[EpisodeAnswer]


class AlertNoun:
    """What the resources of alerts share."""

    def __init__(
        self, catalog: Catalog, callers: Callers, readers: ReaderPool, settings: Settings
    ) -> None:
        self._catalog = catalog
        self._callers = callers
        self._readers = readers
        self._settings = settings

    async def _read(self, req: falcon.asgi.Request) -> Any:
        return strict_json.decode(await read_body(req, self._settings.http.max_body_bytes))


class AlertsResource(AlertNoun):
    """The alerts of the caller."""

    @operation(
        tag=TAG,
        summary="List your alerts",
        description="Oldest first.",
        privacy="private",
        scope=READ,
        query=PageQuery,
        returns={200: Returns("The alerts of the caller.", list[AlertAnswer])},
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer the caller's alerts."""
        identity = await self._callers.identify_known(req, READ)
        query = read_query(req, PageQuery)
        found = await self._catalog.reading(alerts.list_for, identity, query.offset, query.limit)
        answer_json(resp, [alert_answer(row) for row in found])

    @operation(
        tag=TAG,
        summary="Make an alert",
        description="It fires when all conditions become true together: it is then in progress "
        "until one is no longer true. It writes a message into the inbox and, when asked, an "
        "e-mail and a signed webhook.",
        privacy="private",
        scope=MANAGE,
        body=NewAlert,
        example=_EXAMPLE,
        returns={
            201: Returns(
                "The new alert, with the secret of its webhook, this once.",
                NewAlertAnswer,
                headers={"Location": "The path of the new alert."},
            )
        },
        errors=(ValidationFailed, MalformedBody, NotFound, CannotPerform),
    )
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Make an alert."""
        identity = await self._callers.identify_sender(req, MANAGE)
        wanted = read_alert(await self._read(req))
        actor = self._callers.actor(req, identity)
        row, secret = await self._catalog.writing(
            alerts.create, identity, wanted, actor, self._settings.alerts
        )
        resp.set_header("Location", f"{req.path}/{row.id}")
        resp.set_header("Cache-Control", "no-store")
        answer_json(resp, new_alert_answer(row, secret), 201)


class AlertResource(AlertNoun):
    """One alert of the caller."""

    @operation(
        tag=TAG,
        summary="Show an alert",
        privacy="private",
        scope=READ,
        returns={200: Returns("The alert.", AlertAnswer)},
        errors=(NotFound,),
    )
    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, alert: str
    ) -> None:
        """Answer one alert."""
        identity = await self._callers.identify_known(req, READ)
        answer_json(resp, alert_answer(await self._catalog.reading(alerts.get, identity, alert)))

    @operation(
        tag=TAG,
        summary="Change an alert",
        description="Changes what is present; `conditions` replace the old ones, and it is then "
        "not in progress.",
        privacy="private",
        scope=MANAGE,
        body=AlertBody,
        example={"disabled": False, "template": "It has ${temperature} degrees."},
        returns={204: Returns("Changed.")},
        errors=(NotFound, ValidationFailed, MalformedBody),
    )
    async def on_put(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, alert: str
    ) -> None:
        """Change one alert."""
        identity = await self._callers.identify_sender(req, MANAGE)
        wanted = read_alert(await self._read(req))
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(
            alerts.change, identity, alert, wanted, actor, self._settings.alerts
        )
        answer_nothing(resp)

    @operation(
        tag=TAG,
        summary="Delete an alert",
        description="What it was about to send is not sent; its messages stay in the inbox.",
        privacy="private",
        scope=MANAGE,
        returns={204: Returns("Deleted.")},
        errors=(NotFound,),
    )
    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, alert: str
    ) -> None:
        """Delete one alert."""
        identity = await self._callers.identify(req, MANAGE)
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(alerts.delete, identity, alert, actor)
        answer_nothing(resp)


class AlertTestResource(AlertNoun):
    """A trial of an alert over stored readings."""

    @operation(
        tag=TAG,
        summary="Try an alert over stored readings",
        description="Says when the alert would have fired over readings of `start < t <= end`, at "
        f"most {trial.MOST_READINGS} of them. Nothing is written and nobody is told. Alerts on "
        "gateways cannot be tried.",
        privacy="private",
        scope=READ,
        body=TrialRange,
        body_optional=True,
        example={"start": "2026-06-01T00:00:00Z", "end": "2026-07-01T00:00:00Z"},
        returns={200: Returns("When it would have fired.", TrialAnswer)},
        errors=(NotFound, ValidationFailed, MalformedBody),
    )
    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, alert: str
    ) -> None:
        """Run an alert over stored readings."""
        identity = await self._callers.identify_known(req, READ)
        raw = await read_body(req, self._settings.http.max_body_bytes)
        given = convert(TrialRange, strict_json.decode(raw)) if raw.strip() else TrialRange()
        start, end = _range(given)
        row = await self._catalog.reading(_rule_of, identity, alert)
        found = await self._readers.run(lambda store: trial.run(store, row, start, end))
        answer_json(resp, _trial_answer(row, start, found))


class AlertDeliveriesResource(AlertNoun):
    """What an alert sent."""

    @operation(
        tag=TAG,
        summary="List what an alert sent",
        description=f"E-mails and webhooks with their attempts, newest first, at most {_LOG_ROWS}.",
        privacy="private",
        scope=READ,
        returns={200: Returns("The deliveries.", list[DeliveryAnswer])},
        errors=(NotFound,),
    )
    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, alert: str
    ) -> None:
        """Answer the log of deliveries."""
        identity = await self._callers.identify_known(req, READ)
        row = await self._catalog.reading(alerts.get, identity, alert)
        found = await self._catalog.reading(deliveries.for_alert, row.id, _LOG_ROWS)
        answer_json(resp, [delivery_answer(one) for one in found])


def _rule_of(identity: Identity, reference: str) -> RuleRow:
    """Return an alert of the caller as it is evaluated; a unit of work.

    Raises:
        NotFound: the caller has no such alert.
        ValidationFailed: it has no conditions, not all of them any more, or one on a gateway.
    """
    row = alerts.get(identity, reference)
    rule = alert_rules.get(row.id)
    if rule is None:
        why = alert_rules.GONE if row.conditions or row.disabled_reason else "there are none"
        raise ValidationFailed(f"conditions: {why}", more={"conditions": why})
    if any(one.operator == OFFLINE for one in rule.conditions):
        why = "are about a gateway, of which no history is kept"
        raise ValidationFailed(f"conditions {why}", more={"conditions": why})
    return rule


def _range(given: TrialRange) -> tuple[int, int]:
    problems: dict[str, str] = {}

    def parse(name: str, value: int | str | None, default: int) -> int:
        try:
            return default if value is None else times.parse(value)
        except ValueError as wrong:
            problems[name] = f"is invalid: {wrong}"
            return default

    end = parse("end", given.end, times.now())
    start = parse("start", given.start, max(end - _DAY, times.EARLIEST))
    if not problems and start > end:
        problems["start"] = "lies after the end"
    if problems:
        raise ValidationFailed(*(f"{name} {why}" for name, why in problems.items()), more=problems)
    return start, end


def _trial_answer(row: RuleRow, start: int, found: Trial) -> TrialAnswer:
    return TrialAnswer(
        start=times.to_iso(start),
        end=times.to_iso(found.reached),
        readings=found.readings,
        fired=[
            EpisodeAnswer(
                timestamp=times.to_iso(episode.began.at),
                ended=None if episode.ended is None else times.to_iso(episode.ended),
                message=message(row, episode.began),
            )
            for episode in found.episodes
        ],
    )
