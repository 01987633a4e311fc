"""The fields of a sensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wotkit.api.operation import Returns, operation
from wotkit.api.requests import convert
from wotkit.api.responses import answer_json, answer_nothing
from wotkit.api.v1.sensor_forms import FieldAnswer, field_answers
from wotkit.api.v1.sensors import SensorNoun
from wotkit.catalog import fields
from wotkit.catalog.fields import NewField
from wotkit.catalog.identity import MANAGE, READ
from wotkit.errors import (
    InvalidFieldContent,
    InvalidObject,
    MalformedBody,
    NotFound,
    Overloaded,
    StoreUnavailable,
)

if TYPE_CHECKING:
    import falcon.asgi


TAG: Final = "Fields"


class FieldsResource(SensorNoun):
    """All fields of a sensor."""

    @operation(
        tag=TAG,
        summary="List the fields of a sensor",
        privacy="public or private",
        scope=READ,
        returns={200: Returns("The fields, by index.", list[FieldAnswer])},
        errors=(NotFound,),
    )
    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str
    ) -> None:
        """Answer the fields of a sensor."""
        identity = await self._callers.identify(req, READ)
        sensor_id, rows = await self._catalog.reading(fields.list_for, identity, sensor)
        latest = await self._readers.latest([sensor_id])
        answer_json(resp, field_answers(rows, latest.get(sensor_id)))


class FieldResource(SensorNoun):
    """One field of a sensor."""

    @operation(
        tag=TAG,
        summary="Show a field",
        privacy="public or private",
        scope=READ,
        returns={200: Returns("The field.", FieldAnswer)},
        errors=(NotFound, InvalidFieldContent),
    )
    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str, field: str
    ) -> None:
        """Answer one field."""
        identity = await self._callers.identify(req, READ)
        sensor_id, row = await self._catalog.reading(fields.get, identity, sensor, field)
        latest = await self._readers.latest([sensor_id])
        answer_json(resp, field_answers([row], latest.get(sensor_id))[0])

    @operation(
        tag=TAG,
        summary="Add or change a field",
        description="`name` (as in the path), `longName` and `type` are required. Values that "
        "readings carried before the field was declared are cast to its type where they can be.",
        privacy="private",
        scope=MANAGE,
        body=NewField,
        example={"name": "temperature", "longName": "Temperature", "type": "NUMBER"},
        returns={204: Returns("Added or changed.")},
        errors=(NotFound, InvalidObject, MalformedBody, Overloaded, StoreUnavailable),
    )
    async def on_put(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str, field: str
    ) -> None:
        """Add or change one field."""
        identity = await self._callers.identify_sender(req, MANAGE)
        wanted = _read_field(await self._read(req), field)
        actor = self._callers.actor(req, identity)
        cast = await self._catalog.writing(fields.put, identity, sensor, wanted, actor)
        await self._cast([] if cast is None else [cast])
        answer_nothing(resp)

    @operation(
        tag=TAG,
        summary="Delete a field",
        description="The index of each later field falls by one. Stored values stay.",
        privacy="private",
        scope=MANAGE,
        returns={204: Returns("Deleted.")},
        errors=(NotFound, InvalidFieldContent),
    )
    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str, field: str
    ) -> None:
        """Delete one field."""
        identity = await self._callers.identify(req, MANAGE)
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(fields.delete, identity, sensor, field, actor)
        answer_nothing(resp)


def _read_field(body: Any, name: str) -> NewField:
    """Return the field of a body that was sent to the path of ``name``.

    Raises:
        MalformedBody: it is not an object.
        InvalidObject: an attribute is missing or wrong; ``more`` names each.
    """
    problems: dict[str, str] = {}
    field: NewField | None = None
    try:
        field = convert(NewField, body, InvalidObject)
    except InvalidObject as wrong:
        problems.update(wrong.more)
    if isinstance(body, dict) and not body.get("longName"):
        problems.setdefault("longName", fields.REQUIRED)
    if field is not None and field.name != name:
        problems["name"] = f"is invalid: the path says {name!r}"
    if field is None or problems:
        raise InvalidObject(*(f"{name} {why}" for name, why in problems.items()), more=problems)
    return field
