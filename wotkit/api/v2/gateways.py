"""Gateways: they report themselves; their owner sees how they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from msgspec import Meta, Struct

from wotkit import strict_json, times
from wotkit.api.operation import Returns, operation
from wotkit.api.requests import read_body, read_query
from wotkit.api.responses import answer_json, answer_nothing
from wotkit.catalog import gateway_reports, gateways
from wotkit.catalog.gateway_reports import (
    ActuatorReport,
    ClockReport,
    ErrorReport,
    Report,
    SpoolReport,
)
from wotkit.catalog.identity import MANAGE, READ, WRITE
from wotkit.errors import CannotPerform, MalformedBody, NotFound, ValidationFailed

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.catalog import Catalog
    from wotkit.catalog.gateways import GatewayRow
    from wotkit.settings import IngestSettings

TAG: Final = "Gateways"
INTERVAL: Final = 60.0
"""Seconds within which a gateway that reports over HTTP does so again, unless it says otherwise."""
_EXAMPLE: Final = {
    "status": "online",
    "version": "1.0",
    "interval": 60,
    "spool": {"depth": 0, "dropped": 0, "bytes": 65536},
    "inputs": [{"name": "boiler", "type": "modbus", "state": "failing", "error": "no answer"}],
}


class GatewayQuery(Struct, kw_only=True):
    """Which gateways to list."""

    status: Annotated[
        Literal["online", "offline"] | None, Meta(description="Only those that are so.")
    ] = None
    q: Annotated[str | None, Meta(description="What is to be found in the name.")] = None
    owner: Annotated[
        str | None, Meta(description="For administrators: whose; yours otherwise.")
    ] = None
    offset: Annotated[int, Meta(ge=0, description="How many to pass over.")] = 0
    limit: Annotated[int, Meta(ge=0, le=1000, description="How many to answer at most.")] = 1000


class InputAnswer(Struct, rename="camel", kw_only=True):
    """How one input is doing."""

    name: str
    type: str
    state: Annotated[str, Meta(description="`ok`, `failing` or `waiting`.")]
    error: str | None
    last_reading: str | None


class GatewayAnswer(Struct, rename="camel", kw_only=True):
    """A gateway: what it last said of itself."""

    id: Annotated[str, Meta(description="Its name, as it calls itself.")]
    owner: str
    status: Annotated[
        str,
        Meta(
            description="`online` or `offline`: as it said, as its last will said, or because it "
            f"has been silent for {gateway_reports.SILENT_AFTER} times its interval."
        ),
    ]
    since: Annotated[str, Meta(description="Since when it is so; ISO 8601.")]
    first_seen: str
    last_seen: Annotated[str, Meta(description="When it last said that it is online.")]
    key: Annotated[str | None, Meta(description="The key it used last, if that still exists.")]
    version: str
    interval: Annotated[float | None, Meta(description="Seconds between its reports.")]
    uptime: Annotated[float | None, Meta(description="Seconds since its agent started.")]
    clock: ClockReport | None
    spool: SpoolReport | None
    inputs: list[InputAnswer]
    actuators: list[ActuatorReport]
    errors: list[ErrorReport]


class GatewaysResource:
    """``/api/v2/gateways``."""

    def __init__(self, catalog: Catalog, callers: Callers) -> None:
        self._catalog = catalog
        self._callers = callers

    @operation(
        tag=TAG,
        summary="List your gateways",
        description="By name. A gateway appears when it first reports.",
        privacy="private",
        scope=READ,
        query=GatewayQuery,
        returns={200: Returns("The gateways.", list[GatewayAnswer])},
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer the caller's gateways."""
        identity = await self._callers.identify_known(req, READ)
        query = read_query(req, GatewayQuery)
        wanted = gateways.Wanted(
            owner=query.owner,
            status=query.status,
            text=query.q,
            offset=query.offset,
            limit=query.limit,
        )
        found = await self._catalog.reading(gateways.list_for, identity, wanted)
        answer_json(resp, [gateway_answer(row) for row in found])


class GatewayResource:
    """``/api/v2/gateways/{gateway}``."""

    def __init__(self, catalog: Catalog, callers: Callers) -> None:
        self._catalog = catalog
        self._callers = callers

    @operation(
        tag=TAG,
        summary="Show a gateway",
        privacy="private",
        scope=READ,
        returns={200: Returns("The gateway.", GatewayAnswer)},
        errors=(NotFound,),
    )
    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, gateway: str
    ) -> None:
        """Answer one gateway."""
        identity = await self._callers.identify_known(req, READ)
        row = await self._catalog.reading(gateways.get, identity, gateway)
        answer_json(resp, gateway_answer(row))

    @operation(
        tag=TAG,
        summary="Delete a gateway",
        description="It appears again when it reports. Alerts on it are disabled; sensors and "
        "readings stay.",
        privacy="private",
        scope=MANAGE,
        returns={204: Returns("Deleted.")},
        errors=(NotFound,),
    )
    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, gateway: str
    ) -> None:
        """Forget one gateway."""
        identity = await self._callers.identify(req, MANAGE)
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(gateways.remove, identity, gateway, actor)
        answer_nothing(resp)


class GatewayStatusResource:
    """``/api/v2/gateways/{gateway}/status``."""

    def __init__(self, catalog: Catalog, callers: Callers, settings: IngestSettings) -> None:
        self._catalog = catalog
        self._callers = callers
        self._most = settings.max_gateways

    @operation(
        tag=TAG,
        summary="Report how a gateway is",
        description="For gateways that deliver over HTTP; over MQTT the same goes to the status "
        "topic. A gateway that was not known appears.",
        privacy="private",
        scope=WRITE,
        body=Report,
        example=_EXAMPLE,
        returns={204: Returns("Noted.")},
        errors=(ValidationFailed, MalformedBody, CannotPerform),
    )
    async def on_put(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, gateway: str
    ) -> None:
        """Note what a gateway says of itself."""
        identity = await self._callers.identify_sender(req, WRITE)
        body = strict_json.decode(await read_body(req, gateway_reports.MOST_BYTES))
        report = gateway_reports.read(body, gateway)
        if report.gateway != gateway:
            why = "is another one than in the path"
            raise ValidationFailed(f"gateway {why}", more={"gateway": why})
        await self._catalog.writing(
            gateways.note, identity, report, most=self._most, interval=INTERVAL
        )
        answer_nothing(resp)


def gateway_answer(row: GatewayRow) -> GatewayAnswer:
    """Return a gateway as it is answered."""
    report = row.report
    return GatewayAnswer(
        id=row.name,
        owner=row.owner,
        status=row.status,
        since=times.to_iso(row.since),
        first_seen=times.to_iso(row.first_seen),
        last_seen=times.to_iso(row.last_seen),
        key=row.key_id,
        version=report.version,
        interval=report.interval,
        uptime=report.uptime,
        clock=report.clock,
        spool=report.spool,
        inputs=[
            InputAnswer(**{name: getattr(one, name) for name in one.__struct_fields__})
            for one in report.inputs
        ],
        actuators=report.actuators,
        errors=report.errors,
    )
