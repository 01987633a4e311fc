"""What a message from a gateway means: readings, a batch, a status, or the result of a command.

The listener and the bridge share this. Whatever will never become valid is an error that is told
and not tried again; errors with ``retry_after`` say that nothing is known yet, so the message must
not be acknowledged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta

from wotkit import strict_json
from wotkit.catalog import commands, gateway_reports, gateways
from wotkit.catalog.identity import CONTROL, WRITE
from wotkit.catalog.references import LARGEST_ID
from wotkit.errors import MalformedBody, TooLarge, ValidationFailed
from wotkit.ingest.formats.gateway import GatewayBatch, answer_of, sequence_of
from wotkit.ingest.formats.readings import of_item
from wotkit.mqtt.topics import Kind

if TYPE_CHECKING:
    from wotkit.catalog.database import Catalog
    from wotkit.catalog.identity import Identity
    from wotkit.ingest.accept import Ingest
    from wotkit.ingest.directory import SensorDirectory
    from wotkit.mqtt.topics import Topic
    from wotkit.readings.store import NewReading, Resend
    from wotkit.settings import IngestSettings

VALUE: Final = "value"
"""The field of a bare number."""
MESSAGE: Final = "message"
"""The field of a bare text."""
DETAIL_CHARACTERS: Final = 2000
_JSON_BEGINS: Final = b'{["'


class Result(msgspec.Struct, frozen=True):
    """What a gateway says of a command."""

    id: Annotated[int, Meta(ge=0, le=LARGEST_ID)]
    state: str
    detail: str = ""


class Reply(NamedTuple):
    """What is sent back to the key, on its own topic."""

    kind: Kind
    payload: bytes


class Inbound:
    """Does what messages say; to be used on the event loop's thread."""

    def __init__(
        self,
        catalog: Catalog,
        ingest: Ingest,
        directory: SensorDirectory,
        settings: IngestSettings,
    ) -> None:
        self._catalog = catalog
        self._ingest = ingest
        self._directory = directory
        self._max_items = settings.max_readings
        self._max_gateways = settings.max_gateways

    def quick(self, identity: Identity, topic: Topic, payload: bytes) -> list[NewReading] | None:
        """Return checked readings where nothing must be waited for; None means: :meth:`readings`.

        The identity must be known to hold as of the catalog's present revision.

        Raises:
            MalformedBody, ValidationFailed: the payload is no reading of the sensor.
            RateLimited: the key sends too fast.
        """
        if topic.sensor is None or WRITE not in identity.scopes:
            return None
        target = self._directory.remembered(identity, topic.sensor)
        if target is None:
            return None
        decoded = _decode(payload)
        if type(decoded) is list:
            return None
        self._ingest.take(identity)
        return [self._ingest.check_one(target, of_item(_as_object(decoded)))]

    async def readings(self, identity: Identity, topic: Topic, payload: bytes) -> list[NewReading]:
        """Return the readings of a message on a data topic, all of them checked.

        Raises:
            MissingScope, MalformedBody, ValidationFailed, NotFound, TooLarge: they are refused.
            RateLimited, Overloaded, StoreUnavailable: try again later.
        """
        identity.require(WRITE)
        self._ingest.take(identity)
        decoded = _decode(payload)
        if type(decoded) is not list:
            decoded = [_as_object(decoded)]
        if not decoded:
            raise MalformedBody("a list of readings has at least one")
        if len(decoded) > self._max_items:
            raise TooLarge(f"{len(decoded)} readings are more than {self._max_items}")
        return await self._ingest.check_all(identity, decoded, topic.sensor)

    async def store(self, readings: list[NewReading], resend: Resend | None = None) -> Any:
        """Have readings stored; return how that ended.

        Raises:
            Overloaded, StoreUnavailable: try again later.
        """
        outcome = await self._ingest.submit(readings, resend)
        return outcome.kind

    async def other(self, identity: Identity, topic: Topic, payload: bytes) -> Reply | None:
        """Do what a message on another topic says; return what is to be sent back.

        Raises:
            MissingScope, MalformedBody, ValidationFailed, NotFound, TooLarge: it is refused.
            RateLimited, Overloaded, StoreUnavailable: try again later.
        """
        if topic.kind is Kind.INGEST:
            return await self._batch(identity, payload)
        if topic.kind is Kind.STATUS:
            return await self._status(identity, topic.key_id, payload)
        await self._result(identity, payload)
        return None

    async def _batch(self, identity: Identity, payload: bytes) -> Reply:
        identity.require(WRITE)
        batch = _convert(payload, GatewayBatch)
        if len(batch.readings) > self._max_items:
            raise TooLarge(f"{len(batch.readings)} readings are more than {self._max_items}")
        sequence = sequence_of(batch.readings)
        accepted = await self._ingest.append_stream(
            identity, batch.stream, sequence, batch.readings
        )
        answer = {"stream": batch.stream, **msgspec.to_builtins(answer_of(accepted, sequence))}
        return Reply(Kind.ACK, strict_json.encode(answer))

    async def _status(self, identity: Identity, key_id: str, payload: bytes) -> Reply:
        """Keep a status; it is about a gateway too where the key may write readings."""
        if len(payload) > gateway_reports.MOST_BYTES:
            raise TooLarge(f"a status has at most {gateway_reports.MOST_BYTES} bytes")
        text = _utf8(payload)
        report = gateway_reports.of_payload(text, key_id)
        if WRITE not in identity.scopes:
            report = None
        await self._catalog.writing(
            gateways.note_status, key_id, text, identity, report, self._max_gateways
        )
        return Reply(Kind.STATUS, payload)

    async def _result(self, identity: Identity, payload: bytes) -> None:
        identity.require(CONTROL)
        result = _convert(payload, Result)
        if result.state not in commands.STATES:
            raise ValidationFailed(
                f"state is none of {', '.join(sorted(commands.STATES))}",
                more={"state": "is not known"},
            )
        detail = result.detail[:DETAIL_CHARACTERS]
        await self._catalog.writing(commands.note_result, identity, result.id, result.state, detail)


def _decode(payload: bytes) -> Any:
    """Return JSON decoded; a payload that does not look like JSON is a text."""
    try:
        return strict_json.decode(payload)
    except MalformedBody:
        text = payload.strip()
        if not text or text[:1] in _JSON_BEGINS or not _is_utf8(text):
            raise
        return text.decode()


def _as_object(decoded: Any) -> Any:
    kind = type(decoded)
    if kind is int or kind is float:
        return {VALUE: decoded}
    return {MESSAGE: decoded} if kind is str else decoded


def _convert(payload: bytes, kind: type[Any]) -> Any:
    decoded = strict_json.decode(payload)
    try:
        return msgspec.convert(decoded, kind)
    except msgspec.ValidationError as error:
        raise ValidationFailed(str(error)) from None


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return b"\x00" not in text


def _utf8(payload: bytes) -> str:
    if not _is_utf8(payload):
        raise MalformedBody("the payload is not UTF-8")
    return payload.decode()
