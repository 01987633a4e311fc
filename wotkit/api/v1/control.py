"""The control channel: messages to actuators, and the programs that listen for them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from wotkit import strict_json, times
from wotkit.api.operation import Returns, operation
from wotkit.api.requests import (
    TOKEN_NAMES,
    client_gone,
    is_form,
    parse_form,
    read_body,
    read_object,
    read_query,
)
from wotkit.api.responses import answer_json, answer_nothing
from wotkit.catalog import control
from wotkit.catalog.identity import CONTROL
from wotkit.catalog.references import is_id
from wotkit.control import messages
from wotkit.errors import (
    MalformedBody,
    NotFound,
    Overloaded,
    TooLarge,
    TooManyMessages,
    TooManySubscriptions,
    UnsupportedMedia,
    ValidationFailed,
)

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.catalog import Catalog
    from wotkit.catalog.control import Progress
    from wotkit.control.channel import Channel
    from wotkit.settings import Settings

TAG: Final = "Actuators"
LONGEST_WAIT: Final = 20.0
"""Seconds that a request waits for messages at most; who asks for more gets this."""
MOST_ACKNOWLEDGED: Final = 1000


class WaitQuery(Struct, kw_only=True):
    """How long to wait."""

    wait: Annotated[
        float,
        Meta(ge=0, description="Seconds to wait for the first message; 20 at most."),
    ] = 10.0


class SubscriptionAnswer(Struct, kw_only=True):
    """A new subscription."""

    subscription: Annotated[int, Meta(description="Its number, to ask for messages with.")]


class MessageAnswer(Struct, kw_only=True):
    """A message: the pairs that were sent stand beside these, under their own names."""

    timestamp: Annotated[str, Meta(description="When it was sent.")]
    sensor_id: int
    id: (
        Annotated[int, Meta(description="By which to acknowledge it; of one that expires.")]
        | UnsetType
    ) = UNSET
    expires: (
        Annotated[str, Meta(description="When it expires; such a message is to be acknowledged.")]
        | UnsetType
    ) = UNSET


class Acknowledgement(Struct, kw_only=True):
    """Messages that were received."""

    messages: Annotated[list[int], Meta(max_length=MOST_ACKNOWLEDGED, description="Their ids.")]


class AcknowledgementAnswer(Struct, kw_only=True):
    """Messages that will not be delivered again."""

    acknowledged: Annotated[list[int], Meta(description="Their ids; unknown ones are left out.")]


class ProgressAnswer(Struct, kw_only=True):
    """What became of a message that expires."""

    id: int
    sensor_id: int
    timestamp: str
    expires: str
    status: Annotated[str, Meta(description="`WAITING`, `DELIVERED`, `ACKNOWLEDGED` or `EXPIRED`.")]
    delivered: Annotated[str, Meta(description="When a subscription first got it.")] | UnsetType = (
        UNSET
    )
    acknowledged: (
        Annotated[str, Meta(description="When a subscription first acknowledged it.")] | UnsetType
    ) = UNSET
    state: (
        Annotated[
            str,
            Meta(description="What its gateway said last: `accepted`, `done` or `failed`."),
        ]
        | UnsetType
    ) = UNSET
    detail: Annotated[str, Meta(description="What it said beside that.")] | UnsetType = UNSET
    reported: Annotated[str, Meta(description="When it said so.")] | UnsetType = UNSET


class MessagesResource:
    """Messages to the actuator of a sensor."""

    def __init__(self, callers: Callers, channel: Channel, settings: Settings) -> None:
        self._callers = callers
        self._channel = channel
        self._settings = settings

    @operation(
        tag=TAG,
        summary="Send a message",
        description="To whoever is subscribed. The pairs come as JSON, as a form or as query "
        "parameters. `expires`, in seconds, asks for an acknowledgement: the message is delivered "
        "again until it is acknowledged or expires. Whoever can see the sensor may send, unless "
        "its `control` is `OWNER`.",
        privacy="public or private",
        scope=CONTROL,
        body=dict[str, Any],
        body_optional=True,
        example={"slider": 10},
        form=True,
        returns={
            200: Returns(
                "The message is kept for each subscription.",
                headers={"Location": "Where a message that expires tells what became of it."},
            )
        },
        errors=(
            NotFound,
            ValidationFailed,
            MalformedBody,
            TooLarge,
            UnsupportedMedia,
            TooManyMessages,
        ),
    )
    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str
    ) -> None:
        """Send one message."""
        identity = await self._callers.identify_or_public(req, CONTROL)
        pairs = _pairs_of(req, await read_body(req, self._settings.http.max_body_bytes))
        body, expires = messages.prepare(pairs, self._settings.control)
        sent = await self._channel.send(identity, sensor, body, expires)
        if expires is not None:
            resp.set_header("Location", f"{req.path}/{sent.id}")
        answer_nothing(resp, 200)


class MessageResource:
    """One message that expires."""

    def __init__(self, catalog: Catalog, callers: Callers) -> None:
        self._catalog = catalog
        self._callers = callers

    @operation(
        tag=TAG,
        summary="Ask what became of a message",
        description="For the sender of a message that expires, until an hour after that.",
        privacy="private",
        scope=CONTROL,
        returns={200: Returns("What became of it.", ProgressAnswer)},
        errors=(NotFound,),
    )
    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str, message: str
    ) -> None:
        """Answer what became of a message."""
        identity = await self._callers.identify_known(req, CONTROL)
        found = await self._catalog.reading(control.progress, identity, sensor, _number(message))
        answer_json(resp, _progress_answer(found))


class SubscriptionResource:
    """A subscription to an actuator; a new one is made under the sensor's name."""

    def __init__(
        self, catalog: Catalog, callers: Callers, channel: Channel, settings: Settings
    ) -> None:
        self._catalog = catalog
        self._callers = callers
        self._channel = channel
        self._settings = settings.control

    @operation(
        tag=TAG,
        summary="Subscribe to an actuator",
        description="The path names the sensor. Each subscription gets every message sent from "
        "now on, and those before that have neither expired nor been acknowledged. It ends when "
        "it was not used for five minutes.",
        privacy="private",
        scope=CONTROL,
        returns={200: Returns("The new subscription.", SubscriptionAnswer)},
        errors=(NotFound, TooManySubscriptions),
    )
    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, subscription: str
    ) -> None:
        """Make a subscription."""
        identity = await self._callers.identify_known(req, CONTROL)
        number = await self._catalog.writing(
            control.subscribe, identity, subscription, self._settings
        )
        answer_json(resp, SubscriptionAnswer(subscription=number))

    @operation(
        tag=TAG,
        summary="Wait for messages",
        description="Answers at once when there are messages, when the first one comes, or with "
        "an empty list when the time is over. At most 100 at once, oldest first. A plain message "
        "is handed out once; one that expires again, until it is acknowledged.",
        privacy="private",
        scope=CONTROL,
        query=WaitQuery,
        returns={200: Returns("The messages.", list[MessageAnswer])},
        errors=(NotFound, Overloaded),
    )
    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, subscription: str
    ) -> None:
        """Answer messages, or wait for one."""
        identity = await self._callers.identify_known(req, CONTROL)
        seconds = min(read_query(req, WaitQuery).wait, LONGEST_WAIT)
        receiving = asyncio.ensure_future(
            self._channel.receive(identity, _number(subscription), seconds)
        )
        gone = asyncio.ensure_future(client_gone(req))
        try:
            # who hung up must take no message from whoever asks again
            await asyncio.wait((receiving, gone), return_when=asyncio.FIRST_COMPLETED)
            found = receiving.result() if receiving.done() else []
        finally:
            receiving.cancel()
            gone.cancel()
        answer_json(resp, [messages.shown(message) for message in found])


class AcknowledgementsResource:
    """What a subscription acknowledges."""

    def __init__(self, catalog: Catalog, callers: Callers, settings: Settings) -> None:
        self._catalog = catalog
        self._callers = callers
        self._settings = settings

    @operation(
        tag=TAG,
        summary="Acknowledge messages",
        description="Messages that expire are not delivered to this subscription again, and their "
        "sender sees it. Acknowledging twice does no harm.",
        privacy="private",
        scope=CONTROL,
        body=Acknowledgement,
        example={"messages": [17]},
        returns={200: Returns("Which of them are acknowledged.", AcknowledgementAnswer)},
        errors=(NotFound, ValidationFailed, MalformedBody, TooLarge),
    )
    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, subscription: str
    ) -> None:
        """Acknowledge messages."""
        identity = await self._callers.identify_sender(req, CONTROL)
        wanted = await read_object(
            req, Acknowledgement, self._settings.http.max_body_bytes, error=ValidationFailed
        )
        done = await self._catalog.writing(
            control.acknowledge,
            identity,
            _number(subscription),
            wanted.messages,
            self._settings.control,
        )
        answer_json(resp, AcknowledgementAnswer(acknowledged=done))


def _pairs_of(req: falcon.asgi.Request, body: bytes) -> dict[str, Any]:
    """Return the pairs of a message: those of the query, and over them those of the body."""
    pairs: dict[str, Any] = {
        name: value[-1] if isinstance(value, list) else value for name, value in req.params.items()
    }
    if body.strip():
        form = is_form(req, body)
        given = parse_form(body) if form else strict_json.decode(body)
        if not isinstance(given, dict):
            raise MalformedBody("a JSON object is expected")
        pairs |= given
    return {name: value for name, value in pairs.items() if name not in TOKEN_NAMES}


def _number(reference: str) -> int:
    if not is_id(reference):
        raise NotFound(reference)
    return int(reference)


def _progress_answer(found: Progress) -> ProgressAnswer:
    said = found.said
    return ProgressAnswer(
        id=found.id,
        sensor_id=found.sensor_id,
        timestamp=times.to_iso(found.at),
        expires=times.to_iso(found.expires),
        status=found.status,
        delivered=UNSET if found.delivered is None else times.to_iso(found.delivered),
        acknowledged=UNSET if found.acknowledged is None else times.to_iso(found.acknowledged),
        state=UNSET if said is None else said.state,
        detail=UNSET if said is None else said.detail,
        reported=UNSET if said is None else times.to_iso(said.at),
    )
