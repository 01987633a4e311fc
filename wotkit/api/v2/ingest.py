"""The gateway's door: batches of a numbered stream, stored exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wotkit.api.operation import Returns, operation
from wotkit.api.requests import read_object
from wotkit.api.responses import answer_json
from wotkit.api.v1.readings import WRITE_ERRORS
from wotkit.catalog.identity import WRITE
from wotkit.errors import TooLarge, ValidationFailed
from wotkit.ingest.formats.gateway import GatewayAnswer, GatewayBatch, answer_of, sequence_of

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.ingest.accept import Ingest
    from wotkit.settings import Settings


class IngestResource:
    """``POST /api/v2/ingest``."""

    def __init__(self, callers: Callers, ingest: Ingest, settings: Settings) -> None:
        self._callers = callers
        self._ingest = ingest
        self._max_body = settings.http.max_body_bytes
        self._max_items = settings.ingest.max_readings

    @operation(
        tag="Readings",
        summary="Send a gateway's batch",
        description="Readings carry `seq` 1, 2, 3 … in the gateway's stream. The position of the "
        "stream is kept in the transaction of the readings, so what is sent again is not stored "
        "again. Items fail alone.",
        privacy="private",
        scope=WRITE,
        body=GatewayBatch,
        example={
            "stream": "gw-7f3a9c51",
            "readings": [
                {
                    "seq": 1,
                    "sensor": "alice.greenhouse",
                    "timestamp": "2026-06-19T22:45:36Z",
                    "temperature": 21.5,
                }
            ],
        },
        returns={200: Returns("The batch is stored, but what was rejected.", GatewayAnswer)},
        errors=WRITE_ERRORS,
    )
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Store what the stream does not hold yet."""
        identity = await self._callers.identify_sender(req, WRITE)
        batch = await read_object(req, GatewayBatch, self._max_body, error=ValidationFailed)
        if len(batch.readings) > self._max_items:
            raise TooLarge(f"{len(batch.readings)} readings are more than {self._max_items}")
        sequence = sequence_of(batch.readings)
        accepted = await self._ingest.append_stream(
            identity, batch.stream, sequence, batch.readings
        )
        answer_json(resp, answer_of(accepted, sequence))
