"""Users, managed by administrators."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from wotkit.api.operation import Returns, operation
from wotkit.api.requests import read_object, read_query
from wotkit.api.responses import answer_json, answer_nothing
from wotkit.api.v1.paging import LINK, PageQuery, link_next
from wotkit.auth import passwords
from wotkit.catalog import users
from wotkit.catalog.users import NewUser, UserChange
from wotkit.errors import (
    AlreadyExists,
    CannotPerform,
    ExtraneousField,
    InvalidObject,
    MalformedBody,
    NotFound,
)

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.catalog import Catalog
    from wotkit.catalog.users import UserRow
    from wotkit.settings import Settings

TAG: Final = "Users"

_Name = Annotated[str, Meta(pattern=r"\S", max_length=255)]
_Email = Annotated[str, Meta(pattern=r"\S", max_length=255)]
_Password = Annotated[str, Meta(max_length=1000, description="Not one of the common ones.")]
_TimeZone = Annotated[str, Meta(description="An IANA name such as `Europe/Dublin`.")]


class UserPageQuery(PageQuery, frozen=True, kw_only=True):
    """Which users, and which part of the list."""

    reverse: Annotated[bool, Meta(description="Oldest first.")] = False


class UserBody(Struct, kw_only=True):
    """A user to be created."""

    username: Annotated[str, Meta(description="4 to 50 characters of a-z, 0-9, _ and -.")]
    firstname: _Name
    lastname: _Name
    email: _Email
    password: _Password
    timeZone: _TimeZone = "UTC"  # noqa: N815  # beside firstname: the names that clients know


class UserChangeBody(Struct, kw_only=True):
    """What of a user is to change; what is absent stays as it is."""

    username: Annotated[str, Meta(description="Never changes.")] | UnsetType = UNSET
    firstname: _Name | UnsetType = UNSET
    lastname: _Name | UnsetType = UNSET
    email: _Email | UnsetType = UNSET
    password: _Password | UnsetType = UNSET
    timeZone: _TimeZone | UnsetType = UNSET  # noqa: N815  # as above
    enabled: (
        Annotated[bool, Meta(description="false: every credential of the user is refused.")]
        | UnsetType
    ) = UNSET


class UserAnswer(Struct, kw_only=True, rename="camel"):
    """A user, without its password."""

    id: int
    username: str
    email: str
    firstname: str
    lastname: str
    time_zone: str
    enabled: bool
    account_non_expired: bool = True
    account_non_locked: bool = True
    credentials_non_expired: bool = True


class UserNoun:
    """What the resources of users share."""

    def __init__(self, catalog: Catalog, callers: Callers, settings: Settings) -> None:
        self._catalog = catalog
        self._callers = callers
        self._auth = settings.auth
        self._max_body = settings.http.max_body_bytes

    async def _hashed(self, password: str) -> str:
        """Return the hash of a password that somebody chose.

        Raises:
            InvalidObject: it is too short or too common.
        """

        def work() -> str:
            passwords.check_choice(password, self._auth.password_min_length)
            return passwords.hash_password(password, self._auth.bcrypt_cost)

        return await asyncio.to_thread(work)


class UsersResource(UserNoun):
    """All users."""

    @operation(
        tag=TAG,
        summary="List users",
        description="Newest first. `text` is looked for in the username and the names.",
        privacy="admin",
        query=UserPageQuery,
        returns={200: Returns("The users.", list[UserAnswer], headers=LINK)},
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer a page of users."""
        await self._callers.identify_admin(req)
        asked = read_query(req, UserPageQuery)
        found = await self._catalog.reading(
            users.page, asked.text, asked.limit + 1, asked.offset, reverse=asked.reverse
        )
        if len(found) > asked.limit:
            link_next(req, resp, asked.offset + asked.limit)
        answer_json(resp, [_answer(row) for row in found[: asked.limit]])

    @operation(
        tag=TAG,
        summary="Create a user",
        privacy="admin",
        body=UserBody,
        example={
            "username": "dorothy",
            "firstname": "Dorothy",
            "lastname": "Gale",
            "email": "dorothy@example.org",
            "password": "no place like home",
            "timeZone": "America/Chicago",
        },
        returns={201: Returns("The new user.", UserAnswer, headers={"Location": "Its path."})},
        errors=(InvalidObject, MalformedBody),
    )
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Create one user."""
        identity = await self._callers.identify_admin(req)
        body = await read_object(req, UserBody, self._max_body, error=InvalidObject)
        user = NewUser(
            username=body.username,
            password_hash=await self._hashed(body.password),
            email=body.email,
            first_name=body.firstname,
            last_name=body.lastname,
            time_zone=body.timeZone,
        )
        try:
            await self._catalog.writing(users.create, user, self._callers.actor(req, identity))
        except AlreadyExists as taken:
            # not 409: what clients of WoTKit know
            more = {"username": "is invalid: it already exists"}
            raise InvalidObject(*taken.developer, more=more) from None
        row = await self._catalog.reading(users.get, body.username)
        resp.set_header("Location", f"{req.path}/{row.username}")
        answer_json(resp, _answer(row), 201)


class UserResource(UserNoun):
    """One user."""

    @operation(
        tag=TAG,
        summary="Show a user",
        privacy="admin",
        returns={200: Returns("The user.", UserAnswer)},
        errors=(NotFound,),
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, user: str) -> None:
        """Answer one user."""
        await self._callers.identify_admin(req)
        answer_json(resp, _answer(await self._catalog.reading(users.find, user)))

    @operation(
        tag=TAG,
        summary="Change a user",
        description="Changes what is present. A user that is not enabled is refused from the "
        "next request on.",
        privacy="admin",
        body=UserChangeBody,
        example={"timeZone": "Europe/Dublin"},
        returns={204: Returns("Changed.")},
        errors=(NotFound, InvalidObject, MalformedBody, ExtraneousField),
    )
    async def on_put(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, user: str) -> None:
        """Change one user."""
        identity = await self._callers.identify_admin(req)
        body = await read_object(req, UserChangeBody, self._max_body, error=InvalidObject)
        wanted = UserChange(
            username=body.username,
            password_hash=UNSET if body.password is UNSET else await self._hashed(body.password),
            email=body.email,
            first_name=body.firstname,
            last_name=body.lastname,
            time_zone=body.timeZone,
            enabled=body.enabled,
        )
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(users.change, user, wanted, actor)
        answer_nothing(resp)

    @operation(
        tag=TAG,
        summary="Not supported: delete a user",
        description="What users own must keep an owner. Set `enabled` to false instead.",
        privacy="admin",
        returns={},
        errors=(NotFound, CannotPerform),
    )
    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, user: str
    ) -> None:
        """Refuse to delete a user."""
        del resp
        await self._callers.identify_admin(req)
        row = await self._catalog.reading(users.find, user)
        raise CannotPerform(f"deleting users is not supported; disable {row.username} instead")


def _answer(row: UserRow) -> UserAnswer:
    return UserAnswer(
        id=row.id,
        username=row.username,
        email=row.email,
        firstname=row.first_name,
        lastname=row.last_name,
        time_zone=row.time_zone,
        enabled=bool(row.enabled),
    )
