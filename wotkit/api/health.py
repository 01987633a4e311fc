"""Whether the server runs, whether it is ready, and what it counts."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from wotkit import __version__
from wotkit.api.operation import Returns, operation
from wotkit.api.responses import answer_json
from wotkit.catalog import commands, sensors
from wotkit.errors import WotkitError
from wotkit.readings.store import Probe

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.catalog.database import Catalog
    from wotkit.ingest.door import Door
    from wotkit.metrics import Collector, MqttMetrics

PROBE_SECONDS: Final = 5.0
"""How long a good answer to the probe is believed."""
PATIENCE_SECONDS: Final = 5.0
SCRAPE_SECONDS: Final = 1.0
"""How long metrics wait for the catalog; what it does not tell is left out."""


class Health(Struct):
    """That the process answers."""

    status: str
    version: str


class Readiness(Struct):
    """Whether requests can be served, and what is in the way."""

    ready: bool
    reasons: list[str]


class HealthResource:
    """``GET /healthz``: the process answers. For a watchdog."""

    @operation(
        tag="Operations",
        summary="Whether the process answers",
        privacy="public",
        returns={200: Returns("It does.", Health)},
    )
    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer."""
        answer_json(resp, Health("ok", __version__))


class ReadyResource:
    """``GET /readyz``: requests can be served. For a load balancer."""

    def __init__(self, catalog: Catalog, door: Door) -> None:
        self._catalog = catalog
        self._door = door
        self._good_until = 0.0

    @operation(
        tag="Operations",
        summary="Whether readings can be stored and the catalog can be read",
        privacy="public",
        returns={
            200: Returns("Ready.", Readiness),
            503: Returns("Not ready; the reasons are named.", Readiness),
        },
    )
    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Try what requests need."""
        reasons = await self._reasons()
        answer_json(resp, Readiness(not reasons, reasons), 503 if reasons else 200)
        if reasons:
            resp.set_header("Retry-After", "5")

    async def _reasons(self) -> list[str]:
        if self._door.trouble is None and time.monotonic() < self._good_until:
            return []
        reasons: list[str] = []
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._door.apply(Probe())
        except WotkitError as error:
            reasons.append(f"readings: {'; '.join(error.developer)}")
        except TimeoutError:
            reasons.append("readings: the disk does not answer in time")
        try:
            await self._catalog.reading(sensors.pending_drops)
        except Exception:  # noqa: BLE001  # whatever it is, the catalog cannot be read
            reasons.append("catalog: cannot be read")
        if not reasons:
            self._good_until = time.monotonic() + PROBE_SECONDS
        return reasons


class MetricsResource:
    """``GET /metrics``: for Prometheus."""

    def __init__(self, collector: Collector, catalog: Catalog, mqtt: MqttMetrics) -> None:
        """Take what the process counts, and where it is asked how many commands wait."""
        self._catalog = catalog
        self._mqtt = mqtt
        self._registry = CollectorRegistry()
        self._registry.register(collector)

    @operation(
        tag="Operations",
        summary="Metrics in Prometheus' text format",
        privacy="public",
        returns={200: Returns("The metrics.", str, "text/plain")},
    )
    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer the metrics of this process."""
        try:
            async with asyncio.timeout(SCRAPE_SECONDS):
                self._mqtt.commands_waiting = await self._catalog.reading(commands.waiting)
        except Exception:  # noqa: BLE001  # whatever it is, the rest can be told
            self._mqtt.commands_waiting = None
        resp.content_type = CONTENT_TYPE_LATEST
        resp.data = generate_latest(self._registry)
