"""Keys: made, changed, rotated and revoked by their owner, never by a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from wotkit import times
from wotkit.api.operation import Returns, operation
from wotkit.api.requests import convert, read_body, read_object
from wotkit.api.responses import answer_json, answer_nothing
from wotkit.auth import passwords
from wotkit.catalog import keys
from wotkit.errors import NotFound, ValidationFailed
from wotkit.strict_json import decode

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.catalog import Catalog
    from wotkit.catalog.keys import KeyChange, KeyRow
    from wotkit.settings import Settings

TAG: Final = "Keys"
_WHAT: Final = "keys"
_LONGEST_OVERLAP_HOURS: Final = 8760.0
_NO_STORE: Final = ("Cache-Control", "no-store")
_EXAMPLE: Final = {
    "name": "greenhouse gateway",
    "scopes": ["write"],
    "sensors": ["alice.greenhouse"],
    "expires": "2027-12-31T00:00:00Z",
}


class KeyAttributes(Struct, rename="camel", kw_only=True):
    """What of a key may be changed; an attribute that is absent stays as it is."""

    name: Annotated[str, Meta(max_length=255, description="For people to tell keys apart.")] | (
        UnsetType
    ) = UNSET
    description: Annotated[str, Meta(max_length=4000, description="Any text.")] | UnsetType = UNSET
    scopes: (
        Annotated[
            list[str],
            Meta(
                description="What the key allows: `read`, `write`, `manage`, `control`, `all` "
                "(these four, the default) and, for administrators, `admin`."
            ),
        ]
        | UnsetType
    ) = UNSET
    sensors: (
        Annotated[
            list[str] | None,
            Meta(description="Sensors the key is limited to, by name or id; null is no limit."),
        ]
        | UnsetType
    ) = UNSET
    expires: (
        Annotated[
            int | str | None,
            Meta(
                description="When the key ends, as ISO 8601 or milliseconds since 1970; null is "
                "never."
            ),
        ]
        | UnsetType
    ) = UNSET


class NewKey(KeyAttributes, rename="camel", kw_only=True):
    """A key to be made."""

    name: Annotated[str, Meta(max_length=255, description="For people to tell keys apart.")]


class Rotation(Struct, rename="camel", kw_only=True):
    """How to rotate a key."""

    overlap_hours: (
        Annotated[
            float,
            Meta(
                ge=0,
                le=_LONGEST_OVERLAP_HOURS,
                description="Hours for which the old password stays good too; 0 ends it at once. "
                "Absent: the setting `auth.rotation_overlap_hours`, 24 by default.",
            ),
        ]
        | UnsetType
    ) = UNSET


class KeyAnswer(Struct, rename="camel", kw_only=True):
    """A key, without its password."""

    id: Annotated[str, Meta(description="The key id: 16 hex digits, the user name in basic auth.")]
    name: str
    description: str
    scopes: list[str]
    sensors: Annotated[
        list[str] | None,
        Meta(description="Sensors it is limited to, as `owner.name`; null is no limit."),
    ]
    expires: Annotated[str | None, Meta(description="ISO 8601; null is never.")]
    created: Annotated[str, Meta(description="ISO 8601.")]
    last_used: Annotated[
        str | None, Meta(description="ISO 8601, at most a minute late; null is not yet.")
    ]
    last_address: Annotated[str | None, Meta(description="Where it was last used from.")]
    old_password_until: Annotated[
        str | None,
        Meta(description="Until when the password before the last rotation is good; ISO 8601."),
    ]


class KeyWithPassword(KeyAnswer, rename="camel", kw_only=True):
    """A key and its new password, which is shown this once: the server keeps only a hash."""

    password: Annotated[str, Meta(description="32 letters and digits.")]


class KeysResource:
    """The keys of the caller."""

    def __init__(self, catalog: Catalog, callers: Callers, settings: Settings) -> None:
        self._catalog = catalog
        self._callers = callers
        self._max_body = settings.http.max_body_bytes
        self._mqtt = settings.mqtt

    @operation(
        tag=TAG,
        summary="List your keys",
        description="Oldest first. Passwords are never shown again.",
        privacy="private",
        user_only=True,
        returns={200: Returns("The keys of the caller.", list[KeyAnswer])},
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer the caller's keys."""
        identity = await self._callers.identify_user(req, _WHAT)
        found = await self._catalog.reading(keys.list_for, identity.user_id)
        answer_json(resp, [KeyAnswer(**_attributes(row)) for row in found])

    @operation(
        tag=TAG,
        summary="Make a key",
        description="The answer holds the password, this once.",
        privacy="private",
        user_only=True,
        body=NewKey,
        example=_EXAMPLE,
        returns={
            201: Returns(
                "The key with its password.",
                KeyWithPassword,
                headers={"Location": "The path of the new key."},
            )
        },
        errors=(ValidationFailed, NotFound),
    )
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Make a key and answer it with its password."""
        identity = await self._callers.identify_user(req, _WHAT)
        body = await read_object(req, NewKey, self._max_body, error=ValidationFailed)
        password = passwords.make_secret()
        row = await self._catalog.writing(
            keys.create,
            identity,
            _change(body),
            passwords.hash_secret(password),
            self._callers.actor(req, identity),
            passwords.mosquitto_hash(password, self._mqtt),
        )
        resp.set_header(*_NO_STORE)
        resp.set_header("Location", f"/api/v2/keys/{row.id}")
        answer_json(resp, KeyWithPassword(**_attributes(row), password=password), 201)


class KeyResource:
    """One key of the caller."""

    def __init__(self, catalog: Catalog, callers: Callers, settings: Settings) -> None:
        self._catalog = catalog
        self._callers = callers
        self._max_body = settings.http.max_body_bytes

    @operation(
        tag=TAG,
        summary="Show a key",
        privacy="private",
        user_only=True,
        returns={200: Returns("The key, without its password.", KeyAnswer)},
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, key: str) -> None:
        """Answer one key."""
        identity = await self._callers.identify_user(req, _WHAT)
        row = await self._catalog.reading(keys.get, identity, key)
        answer_json(resp, KeyAnswer(**_attributes(row)))

    @operation(
        tag=TAG,
        summary="Change a key",
        description="Changes the attributes that are present, from the key's next request on.",
        privacy="private",
        user_only=True,
        body=KeyAttributes,
        example={"scopes": ["read", "write"], "expires": None},
        returns={204: Returns("Changed.")},
        errors=(ValidationFailed,),
    )
    async def on_put(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, key: str) -> None:
        """Change one key."""
        identity = await self._callers.identify_user(req, _WHAT)
        body = await read_object(req, KeyAttributes, self._max_body, error=ValidationFailed)
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(keys.update, identity, key, _change(body), actor)
        answer_nothing(resp)

    @operation(
        tag=TAG,
        summary="Revoke a key",
        description="It is refused from the very next request on. This cannot be undone.",
        privacy="private",
        user_only=True,
        returns={204: Returns("Revoked.")},
    )
    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, key: str
    ) -> None:
        """Revoke one key."""
        identity = await self._callers.identify_user(req, _WHAT)
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(keys.revoke, identity, key, actor)
        answer_nothing(resp)


class KeyRotationResource:
    """A new password for a key."""

    def __init__(self, catalog: Catalog, callers: Callers, settings: Settings) -> None:
        self._catalog = catalog
        self._callers = callers
        self._max_body = settings.http.max_body_bytes
        self._overlap_hours = settings.auth.rotation_overlap_hours
        self._mqtt = settings.mqtt

    @operation(
        tag=TAG,
        summary="Give a key a new password",
        description="The old password stays good for the overlap, so that a fleet of gateways can "
        "be moved without a gap. A second rotation within the overlap ends the oldest password.",
        privacy="private",
        user_only=True,
        body=Rotation,
        body_optional=True,
        example={"overlapHours": 24},
        returns={200: Returns("The key with its new password.", KeyWithPassword)},
        errors=(ValidationFailed,),
    )
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, key: str) -> None:
        """Rotate one key and answer it with its new password."""
        identity = await self._callers.identify_user(req, _WHAT)
        raw = await read_body(req, self._max_body)
        body = convert(Rotation, decode(raw)) if raw.strip() else Rotation()
        hours = self._overlap_hours if body.overlap_hours is UNSET else body.overlap_hours
        password = passwords.make_secret()
        row = await self._catalog.writing(
            keys.rotate,
            identity,
            key,
            passwords.hash_secret(password),
            overlap_seconds=hours * 3600,
            actor=self._callers.actor(req, identity),
            mosquitto_hash=passwords.mosquitto_hash(password, self._mqtt),
        )
        resp.set_header(*_NO_STORE)
        answer_json(resp, KeyWithPassword(**_attributes(row), password=password))


def _change(body: KeyAttributes) -> KeyChange:
    """Return what the verbs understand.

    Raises:
        ValidationFailed: ``expires`` is not a time.
    """
    expires: int | UnsetType | None = UNSET
    if body.expires is None:
        expires = None
    elif body.expires is not UNSET:
        try:
            expires = times.parse(body.expires)
        except ValueError as wrong:
            raise ValidationFailed(more={"expires": f"is invalid: {wrong}"}) from None
    return keys.KeyChange(
        name=body.name,
        description=body.description,
        scopes=body.scopes,
        sensors=body.sensors,
        expires=expires,
    )


def _attributes(row: KeyRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "scopes": list(row.scopes),
        "sensors": None if row.sensors is None else list(row.sensors),
        "expires": _iso(row.expires),
        "created": times.to_iso(row.created),
        "last_used": _iso(row.last_used),
        "last_address": row.last_address,
        "old_password_until": _iso(row.old_password_until),
    }


def _iso(micros: int | None) -> str | None:
    return None if micros is None else times.to_iso(micros)
