"""The gateway's door: batches of a numbered stream, stored exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from wotkit.api.operation import Returns, operation
from wotkit.api.requests import read_object
from wotkit.api.responses import answer_json
from wotkit.api.v1.readings import WRITE_ERRORS
from wotkit.catalog.identity import WRITE
from wotkit.errors import TooLarge, ValidationFailed, WotkitError

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.ingest.accept import Ingest
    from wotkit.settings import Settings

LARGEST_SEQ = (1 << 63) - 1


class GatewayBatch(Struct):
    """What a gateway sends."""

    stream: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=128,
            pattern=r"^[\x21-\x7e]+$",
            description="The gateway's name of its stream; random, made once.",
        ),
    ]
    readings: Annotated[
        list[dict[str, Any]],
        Meta(
            description="Readings in rising order of `seq`, each with `sensor`, `timestamp` and "
            "its fields. An empty list asks for the position."
        ),
    ]


class RejectedReading(Struct):
    """A reading that will never be stored as it is."""

    seq: int
    code: Annotated[int, Meta(description="As in the catalogue of errors.")]
    message: str


class GatewayAnswer(Struct):
    """How far the stream is stored."""

    acked_through: Annotated[
        int,
        Meta(description="Every reading through this number is stored, or among `rejected`."),
    ]
    rejected: list[RejectedReading]


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
        identity = await self._callers.identify_known(req, WRITE)
        batch = await read_object(req, GatewayBatch, self._max_body, error=ValidationFailed)
        if len(batch.readings) > self._max_items:
            raise TooLarge(f"{len(batch.readings)} readings are more than {self._max_items}")
        sequence = _sequence(batch.readings)
        accepted = await self._ingest.append_stream(
            identity, batch.stream, sequence, batch.readings
        )
        rejected = [
            RejectedReading(
                sequence[rejection.position], rejection.error.code.number, str(rejection.error)
            )
            for rejection in accepted.rejected
        ]
        answer_json(resp, GatewayAnswer(accepted.outcome.acked_through, rejected))


def _sequence(readings: list[dict[str, Any]]) -> list[int]:
    """Take the numbers out of the readings, and check that they rise."""
    sequence: list[int] = []
    last = 0
    for index, reading in enumerate(readings):
        seq = reading.pop("seq", None)
        if type(seq) is not int or not last < seq <= LARGEST_SEQ:
            raise _wrong(f"{index}.seq", f"must be a whole number greater than {last}")
        sequence.append(seq)
        last = seq
    return sequence


def _wrong(name: str, why: str) -> WotkitError:
    return ValidationFailed(f"{name} {why}", more={name: why})
