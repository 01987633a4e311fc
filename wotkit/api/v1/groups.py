"""Groups: named sets of sensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from wotkit.api.operation import Returns, operation
from wotkit.api.requests import read_object, read_query
from wotkit.api.responses import answer_json, answer_nothing
from wotkit.api.v1.paging import LINK, PageQuery, link_next
from wotkit.api.v1.sensor_forms import SensorAnswer, iso, sensor_answer
from wotkit.catalog import groups
from wotkit.catalog.group_forms import GroupChange, NewGroup
from wotkit.catalog.identity import MANAGE, READ
from wotkit.errors import (
    AlreadyExists,
    ExtraneousField,
    MalformedBody,
    NotFound,
    ValidationFailed,
)

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.catalog import Catalog
    from wotkit.catalog.groups import GroupRow
    from wotkit.readings.readers import ReaderPool
    from wotkit.settings import Settings

TAG: Final = "Groups"

_EXAMPLE: Final = {
    "name": "glasshouses",
    "longName": "All glasshouses",
    "description": "Every sensor under glass",
    "visibility": "PUBLIC",
    "tags": ["garden"],
}


class GroupAnswer(Struct, kw_only=True, rename="camel"):
    """A group."""

    id: int
    name: str
    long_name: str
    description: str
    latitude: float
    longitude: float
    visibility: str
    owner: str
    publisher: Annotated[str, Meta(description="The user who created it.")] | UnsetType = UNSET
    tags: list[str]
    metadata: dict[str, Any]
    image_url: str | UnsetType = UNSET
    created: Annotated[str, Meta(description="ISO 8601 in UTC, with milliseconds.")]
    child_count: Annotated[int, Meta(description="How many of its sensors the caller may see.")]
    things: Annotated[
        list[SensorAnswer],
        Meta(description=f"These sensors; {groups.MOST_THINGS} at most in one answer."),
    ]
    thing_type: str = "GROUP"


class GroupNoun:
    """What the resources of groups share."""

    def __init__(
        self, catalog: Catalog, callers: Callers, readers: ReaderPool, settings: Settings
    ) -> None:
        self._catalog = catalog
        self._callers = callers
        self._readers = readers
        self._max_body = settings.http.max_body_bytes

    async def _answers(self, found: list[GroupRow]) -> list[GroupAnswer]:
        ids = [thing.id for row in found for thing in row.things]
        latest = await self._readers.latest(ids) if ids else {}
        return [_answer(row, latest) for row in found]


class GroupsResource(GroupNoun):
    """All groups."""

    @operation(
        tag=TAG,
        summary="List groups",
        privacy="public or private",
        scope=READ,
        query=PageQuery,
        returns={
            200: Returns("The groups that the caller may see.", list[GroupAnswer], headers=LINK)
        },
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer a page of groups."""
        identity = await self._callers.identify(req, READ)
        asked = read_query(req, PageQuery)
        found = await self._catalog.reading(
            groups.page, identity, asked.text, asked.limit + 1, asked.offset
        )
        if len(found) > asked.limit:
            link_next(req, resp, asked.offset + asked.limit)
        answer_json(resp, await self._answers(found[: asked.limit]))

    @operation(
        tag=TAG,
        summary="Create a group",
        privacy="private",
        scope=MANAGE,
        body=NewGroup,
        example=_EXAMPLE,
        returns={
            201: Returns(
                "The new group.", GroupAnswer, headers={"Location": "The path of the new group."}
            )
        },
        errors=(ValidationFailed, MalformedBody, NotFound, AlreadyExists),
    )
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Create one group."""
        identity = await self._callers.identify_sender(req, MANAGE)
        group = await read_object(req, NewGroup, self._max_body, error=ValidationFailed)
        actor = self._callers.actor(req, identity)
        row = await self._catalog.writing(groups.create, identity, group, actor)
        resp.set_header("Location", f"{req.path}/{row.id}")
        answer_json(resp, _answer(row, {}), 201)


class GroupResource(GroupNoun):
    """One group."""

    @operation(
        tag=TAG,
        summary="Show a group",
        privacy="public or private",
        scope=READ,
        returns={200: Returns("The group.", GroupAnswer)},
        errors=(NotFound,),
    )
    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, group: str
    ) -> None:
        """Answer one group with its sensors."""
        identity = await self._callers.identify(req, READ)
        row = await self._catalog.reading(groups.get, identity, group)
        (answer,) = await self._answers([row])
        answer_json(resp, answer)

    @operation(
        tag=TAG,
        summary="Change a group",
        description="Changes what is present; tags and metadata replace the old ones.",
        privacy="private",
        scope=MANAGE,
        body=GroupChange,
        example={"longName": "Glasshouses, north side"},
        returns={204: Returns("Changed.")},
        errors=(NotFound, ValidationFailed, MalformedBody, ExtraneousField),
    )
    async def on_put(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, group: str
    ) -> None:
        """Change one group."""
        identity = await self._callers.identify_sender(req, MANAGE)
        wanted = await read_object(req, GroupChange, self._max_body, error=ValidationFailed)
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(groups.change, identity, group, wanted, actor)
        answer_nothing(resp)

    @operation(
        tag=TAG,
        summary="Delete a group",
        description="Its sensors stay.",
        privacy="private",
        scope=MANAGE,
        returns={204: Returns("Deleted.")},
        errors=(NotFound,),
    )
    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, group: str
    ) -> None:
        """Delete one group."""
        identity = await self._callers.identify(req, MANAGE)
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(groups.delete, identity, group, actor)
        answer_nothing(resp)


class GroupSensorResource(GroupNoun):
    """A sensor's membership of a group."""

    @operation(
        tag=TAG,
        summary="Add a sensor to a group",
        description="Any sensor that the caller may see. 401 when the group is not the caller's.",
        privacy="private",
        scope=MANAGE,
        returns={204: Returns("Added.")},
        errors=(NotFound, ValidationFailed),
    )
    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, group: str, sensor: str
    ) -> None:
        """Make a sensor a member."""
        identity = await self._callers.identify(req, MANAGE)
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(groups.add_sensor, identity, group, sensor, actor)
        answer_nothing(resp)

    @operation(
        tag=TAG,
        summary="Take a sensor out of a group",
        description="401 when the group is not the caller's, 404 when the sensor is not in it.",
        privacy="private",
        scope=MANAGE,
        returns={204: Returns("Taken out.")},
        errors=(NotFound,),
    )
    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, group: str, sensor: str
    ) -> None:
        """End a sensor's membership."""
        identity = await self._callers.identify(req, MANAGE)
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(groups.remove_sensor, identity, group, sensor, actor)
        answer_nothing(resp)


def _answer(row: GroupRow, latest: dict[int, Any]) -> GroupAnswer:
    return GroupAnswer(
        id=row.id,
        name=row.name,
        long_name=row.long_name,
        description=row.description,
        latitude=row.latitude,
        longitude=row.longitude,
        visibility=row.visibility,
        owner=row.owner,
        publisher=UNSET if row.publisher is None else row.publisher,
        tags=list(row.tags),
        metadata=row.metadata,
        image_url=UNSET if row.image_url is None else row.image_url,
        created=iso(row.created),
        child_count=row.children,
        things=[sensor_answer(thing, latest.get(thing.id)) for thing in row.things],
    )
