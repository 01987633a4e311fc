"""Organizations and their members."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from wotkit import strict_json
from wotkit.api.operation import Returns, operation
from wotkit.api.requests import read_body, read_object, read_query
from wotkit.api.responses import answer_json, answer_nothing
from wotkit.api.v1.paging import LINK, PageQuery, link_next
from wotkit.api.v1.sensor_forms import iso
from wotkit.catalog import orgs, sensors
from wotkit.catalog.orgs import NewOrg, OrgChange
from wotkit.errors import (
    AlreadyExists,
    CannotPerform,
    ExtraneousField,
    MalformedBody,
    NotFound,
    Overloaded,
    StoreUnavailable,
    ValidationFailed,
)
from wotkit.readings.store import DropSensor

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.catalog import Catalog
    from wotkit.catalog.orgs import OrgRow
    from wotkit.ingest.door import Door
    from wotkit.settings import Settings

TAG: Final = "Organizations"
MOST_NAMES: Final = 1000
"""Usernames that one request may have."""

_EXAMPLE: Final = {"name": "greenfingers", "longName": "The Green Fingers Society"}
_Names = Annotated[list[str], Meta(max_length=MOST_NAMES)]

_log: Final = logging.getLogger(__name__)


class OrgAnswer(Struct, kw_only=True, rename="camel"):
    """An organization."""

    id: int
    name: str
    long_name: str
    description: str | UnsetType = UNSET
    image_url: str | UnsetType = UNSET
    created: Annotated[str, Meta(description="ISO 8601 in UTC, with milliseconds.")]


class MemberAnswer(Struct, kw_only=True):
    """A member of an organization."""

    username: str
    role: Annotated[str, Meta(description="`ADMIN` or `MEMBER`.")]


class RoleChange(Struct, kw_only=True):
    """Another role for a member."""

    role: Annotated[str, Meta(description="`ADMIN` or `MEMBER`.")]


class OrgNoun:
    """What the resources of organizations share."""

    def __init__(self, catalog: Catalog, callers: Callers, door: Door, settings: Settings) -> None:
        self._catalog = catalog
        self._callers = callers
        self._door = door
        self._max_body = settings.http.max_body_bytes

    async def _names(self, req: falcon.asgi.Request) -> list[str]:
        value: Any = strict_json.decode(await read_body(req, self._max_body))
        if not isinstance(value, list):
            raise MalformedBody("a JSON list of usernames is expected")
        try:
            return msgspec.convert(value, _Names)
        except msgspec.ValidationError as wrong:
            raise ValidationFailed(f"a list of usernames is expected: {wrong}") from None


class OrgsResource(OrgNoun):
    """All organizations."""

    @operation(
        tag=TAG,
        summary="List organizations",
        description="Newest first.",
        privacy="public or private",
        query=PageQuery,
        returns={200: Returns("The organizations.", list[OrgAnswer], headers=LINK)},
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer a page of organizations."""
        await self._callers.identify_anybody(req)
        asked = read_query(req, PageQuery)
        found = await self._catalog.reading(orgs.page, asked.text, asked.limit + 1, asked.offset)
        if len(found) > asked.limit:
            link_next(req, resp, asked.offset + asked.limit)
        answer_json(resp, [_answer(row) for row in found[: asked.limit]])

    @operation(
        tag=TAG,
        summary="Create an organization",
        description="You are its first member, with the role ADMIN.",
        privacy="admin",
        body=NewOrg,
        example=_EXAMPLE,
        returns={
            201: Returns("The new organization.", OrgAnswer, headers={"Location": "Its path."})
        },
        errors=(ValidationFailed, MalformedBody, AlreadyExists),
    )
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Create one organization."""
        identity = await self._callers.identify_admin(req)
        org = await read_object(req, NewOrg, self._max_body, error=ValidationFailed)
        actor = self._callers.actor(req, identity)
        row = await self._catalog.writing(orgs.found, identity, org, actor)
        resp.set_header("Location", f"{req.path}/{row.name}")
        answer_json(resp, _answer(row), 201)


class OrgResource(OrgNoun):
    """One organization."""

    @operation(
        tag=TAG,
        summary="Show an organization",
        privacy="public or private",
        returns={200: Returns("The organization.", OrgAnswer)},
        errors=(NotFound,),
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, org: str) -> None:
        """Answer one organization."""
        await self._callers.identify_anybody(req)
        answer_json(resp, _answer(await self._catalog.reading(orgs.get, org)))

    @operation(
        tag=TAG,
        summary="Change an organization",
        description="Changes what is present.",
        privacy="admin",
        body=OrgChange,
        example={"longName": "The Green Fingers Society"},
        returns={204: Returns("Changed.")},
        errors=(NotFound, ValidationFailed, MalformedBody, ExtraneousField),
    )
    async def on_put(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, org: str) -> None:
        """Change one organization."""
        identity = await self._callers.identify_admin(req)
        wanted = await read_object(req, OrgChange, self._max_body, error=ValidationFailed)
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(orgs.change, org, wanted, actor)
        answer_nothing(resp)

    @operation(
        tag=TAG,
        summary="Delete an organization",
        description="Its sensors, their readings and its groups go too.",
        privacy="admin",
        returns={204: Returns("Deleted.")},
        errors=(NotFound,),
    )
    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, org: str
    ) -> None:
        """Delete one organization with its sensors and their readings."""
        identity = await self._callers.identify_admin(req)
        actor = self._callers.actor(req, identity)
        deleted = await self._catalog.writing(orgs.delete, identity, org, actor)
        try:
            for sensor_id in deleted:
                await self._door.apply(DropSensor(sensor_id))
            await self._catalog.writing(sensors.readings_dropped, deleted)
        except (Overloaded, StoreUnavailable) as error:
            # they are gone for everybody; the catalog remembers what is left to do
            _log.warning("readings of a deleted organization are still to be dropped: %s", error)
        answer_nothing(resp)


class MembersResource(OrgNoun):
    """The members of an organization."""

    @operation(
        tag=TAG,
        summary="List members",
        description="By username.",
        privacy="admin",
        returns={200: Returns("The members.", list[MemberAnswer])},
        errors=(NotFound,),
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, org: str) -> None:
        """Answer the members of one organization."""
        await self._callers.identify_admin(req)
        found = await self._catalog.reading(orgs.members, org)
        answer_json(resp, [MemberAnswer(username=row.username, role=row.role) for row in found])

    @operation(
        tag=TAG,
        summary="Add members",
        description="A list of usernames; unknown ones, and members, are ignored.",
        privacy="admin",
        body=_Names,
        example=["alice", "bobby"],
        returns={204: Returns("Added.")},
        errors=(NotFound, ValidationFailed, MalformedBody),
    )
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, org: str) -> None:
        """Make users members."""
        identity = await self._callers.identify_admin(req)
        names = await self._names(req)
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(orgs.add_members, org, names, actor)
        answer_nothing(resp)

    @operation(
        tag=TAG,
        summary="Remove members",
        description="A list of usernames; others than members are ignored. The last ADMIN stays.",
        privacy="admin",
        body=_Names,
        example=["bobby"],
        returns={204: Returns("Removed.")},
        errors=(NotFound, ValidationFailed, MalformedBody, CannotPerform),
    )
    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, org: str
    ) -> None:
        """End memberships."""
        identity = await self._callers.identify_admin(req)
        names = await self._names(req)
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(orgs.remove_members, org, names, actor)
        answer_nothing(resp)


class MemberResource(OrgNoun):
    """One member of an organization."""

    @operation(
        tag=TAG,
        summary="Give a member another role",
        description="The last ADMIN stays one.",
        privacy="admin",
        body=RoleChange,
        example={"role": "ADMIN"},
        returns={204: Returns("Changed.")},
        errors=(NotFound, ValidationFailed, MalformedBody, CannotPerform),
    )
    async def on_put(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, org: str, user: str
    ) -> None:
        """Change the role of one member."""
        identity = await self._callers.identify_admin(req)
        wanted = await read_object(req, RoleChange, self._max_body, error=ValidationFailed)
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(orgs.set_role, org, user, wanted.role, actor)
        answer_nothing(resp)


def _answer(row: OrgRow) -> OrgAnswer:
    return OrgAnswer(
        id=row.id,
        name=row.name,
        long_name=row.long_name,
        description=row.description or UNSET,
        image_url=row.image_url or UNSET,
        created=iso(row.created),
    )
