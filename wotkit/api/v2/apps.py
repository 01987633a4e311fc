"""Applications: registered, changed and deleted by their owner, never by a key or a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import UNSET, Meta, Struct

from wotkit import times
from wotkit.api.operation import Returns, operation
from wotkit.api.requests import convert, read_body, read_object, read_query
from wotkit.api.responses import answer_json, answer_nothing
from wotkit.api.v2.app_forms import (
    AppAnswer,
    AppAttributes,
    AppWithSecret,
    NewApp,
    PublicApp,
    SecretRotation,
    SigningSecret,
    TokenAnswer,
    TokenWanted,
    attributes,
    change_of,
    public,
)
from wotkit.auth import passwords, sealing
from wotkit.catalog import apps, developer
from wotkit.errors import CannotPerform, MissingScope, NotFound, ValidationFailed
from wotkit.strict_json import decode

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.catalog import Catalog
    from wotkit.settings import Settings

TAG: Final = "Applications"
_WHAT: Final = "applications"
_NO_STORE: Final = ("Cache-Control", "no-store")
_EXAMPLE: Final = {
    "name": "Plotter",
    "description": "Plots what your sensors measure.",
    "website": "https://plotter.example",
    "redirectUris": ["https://plotter.example/callback"],
}


class AppsQuery(Struct, kw_only=True):
    """Which applications to list."""

    mine: Annotated[bool, Meta(description="Only your own, with all that you may see of them.")] = (
        False
    )
    text: Annotated[str, Meta(description="In their name, description or owner.")] = ""
    limit: Annotated[int, Meta(ge=1, le=1000, description="At most so many.")] = 100
    offset: Annotated[int, Meta(ge=0, description="After so many, in order of name.")] = 0


class _AppsResource:
    """What resources of applications share."""

    def __init__(self, catalog: Catalog, callers: Callers, settings: Settings) -> None:
        self._catalog = catalog
        self._callers = callers
        self._settings = settings
        self._max_body = settings.http.max_body_bytes


class AppsResource(_AppsResource):
    """``/api/v2/apps``."""

    @operation(
        tag=TAG,
        summary="List applications",
        description="Everybody sees name, description, website and owner; with `mine=true` the "
        "owner sees the rest, as of a single one.",
        privacy="public or private",
        query=AppsQuery,
        returns={200: Returns("In order of name.", list[PublicApp])},
        errors=(MissingScope,),
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer applications."""
        query = read_query(req, AppsQuery)
        if query.mine:
            identity = await self._callers.identify_user(req, _WHAT)
            found = await self._catalog.reading(apps.list_mine, identity.user_id)
            answer_json(resp, [AppAnswer(**attributes(row)) for row in found])
            return
        await self._callers.identify_anybody(req)
        found = await self._catalog.reading(apps.page, query.text, query.limit, query.offset)
        answer_json(resp, [public(row) for row in found])

    @operation(
        tag=TAG,
        summary="Register an application",
        description="The answer holds the client secret, this once.",
        privacy="private",
        user_only=True,
        body=NewApp,
        example=_EXAMPLE,
        returns={
            201: Returns(
                "The application with its secret.",
                AppWithSecret,
                headers={"Location": "The path of the new application."},
            )
        },
        errors=(ValidationFailed, CannotPerform),
    )
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Register an application and answer it with its secret."""
        identity = await self._callers.identify_user(req, _WHAT)
        body = await read_object(req, NewApp, self._max_body, error=ValidationFailed)
        secret = passwords.make_secret()
        row = await self._catalog.writing(
            apps.create,
            identity,
            body.kind,
            change_of(body),
            passwords.hash_secret(secret),
            self._callers.actor(req, identity),
        )
        resp.set_header(*_NO_STORE)
        resp.set_header("Location", f"/api/v2/apps/{row.client_id}")
        shown = secret if row.confidential else None
        answer_json(resp, AppWithSecret(**attributes(row), client_secret=shown), 201)


class AppResource(_AppsResource):
    """``/api/v2/apps/{app}``."""

    @operation(
        tag=TAG,
        summary="Show an application of yours",
        privacy="private",
        user_only=True,
        returns={200: Returns("The application, without its secret.", AppAnswer)},
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, app: str) -> None:
        """Answer one application."""
        identity = await self._callers.identify_user(req, _WHAT)
        row = await self._catalog.reading(apps.get, identity, app, admin=True)
        answer_json(resp, AppAnswer(**attributes(row)))

    @operation(
        tag=TAG,
        summary="Change an application of yours",
        description="Changes the attributes that are present. What users allowed stays allowed.",
        privacy="private",
        user_only=True,
        body=AppAttributes,
        example={"description": "Plots and compares.", "scopes": ["read"]},
        returns={204: Returns("Changed.")},
        errors=(ValidationFailed,),
    )
    async def on_put(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, app: str) -> None:
        """Change one application."""
        identity = await self._callers.identify_user(req, _WHAT)
        body = await read_object(req, AppAttributes, self._max_body, error=ValidationFailed)
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(apps.update, identity, app, change_of(body), actor)
        answer_nothing(resp)

    @operation(
        tag=TAG,
        summary="Delete an application",
        description="Everything that users allowed it ends, and every token with it, from the "
        "very next request on. This cannot be undone.",
        privacy="private",
        user_only=True,
        returns={204: Returns("Deleted.")},
    )
    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, app: str
    ) -> None:
        """Delete one application."""
        identity = await self._callers.identify_user(req, _WHAT)
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(apps.delete, identity, app, actor)
        answer_nothing(resp)


class AppRotationResource(_AppsResource):
    """``/api/v2/apps/{app}/rotate``."""

    @operation(
        tag=TAG,
        summary="Give an application a new secret",
        description="The old secret stays good for the overlap.",
        privacy="private",
        user_only=True,
        body=SecretRotation,
        body_optional=True,
        example={"overlapHours": 24},
        returns={200: Returns("The application with its new secret.", AppWithSecret)},
        errors=(ValidationFailed, CannotPerform),
    )
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, app: str) -> None:
        """Rotate the secret of one application and answer it."""
        identity = await self._callers.identify_user(req, _WHAT)
        raw = await read_body(req, self._max_body)
        body = convert(SecretRotation, decode(raw)) if raw.strip() else SecretRotation()
        hours = self._settings.auth.rotation_overlap_hours
        hours = hours if body.overlap_hours is UNSET else body.overlap_hours
        secret = passwords.make_secret()
        row = await self._catalog.writing(
            apps.rotate,
            identity,
            app,
            passwords.hash_secret(secret),
            overlap_seconds=hours * 3600,
            actor=self._callers.actor(req, identity),
        )
        resp.set_header(*_NO_STORE)
        answer_json(resp, AppWithSecret(**attributes(row), client_secret=secret))


class SigningSecretResource(_AppsResource):
    """``/api/v2/apps/{app}/signing-secret``."""

    def __init__(
        self, catalog: Catalog, callers: Callers, settings: Settings, secret_key: str
    ) -> None:
        super().__init__(catalog, callers, settings)
        self._secret_key = secret_key

    @operation(
        tag=TAG,
        summary="Give an application a signing secret",
        description="The older handshake with a frob is signed with it. The one before ends at "
        "once. `allowFrob` switches the handshake on.",
        privacy="private",
        user_only=True,
        returns={201: Returns("The secret, this once.", SigningSecret)},
    )
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, app: str) -> None:
        """Make a signing secret and answer it."""
        identity = await self._callers.identify_user(req, _WHAT)
        actor = self._callers.actor(req, identity)
        secret = passwords.make_secret()

        def give() -> None:
            apps.get(identity, app)  # before the secret is sealed for it
            sealed = sealing.seal(secret, self._secret_key, about=app)
            apps.set_signing_secret(identity, app, sealed, actor)

        await self._catalog.writing(give)
        resp.set_header(*_NO_STORE)
        answer_json(resp, SigningSecret(client_id=app, signing_secret=secret), 201)


class DeveloperTokenResource(_AppsResource):
    """``/api/v2/apps/{app}/developer-token``."""

    @operation(
        tag=TAG,
        summary="Make a developer token",
        description="An access token for your own account, for development and for programs that "
        "run by themselves. One that was made before ends.",
        privacy="private",
        user_only=True,
        body=TokenWanted,
        body_optional=True,
        example={"scopes": ["read"]},
        returns={201: Returns("The token.", TokenAnswer)},
        errors=(ValidationFailed, NotFound),
    )
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, app: str) -> None:
        """Make the token and answer it, this once."""
        identity = await self._callers.identify_user(req, _WHAT)
        raw = await read_body(req, self._max_body)
        body = convert(TokenWanted, decode(raw)) if raw.strip() else TokenWanted()
        made = await self._catalog.writing(
            developer.issue,
            identity,
            app,
            None if body.scopes is UNSET else body.scopes,
            self._settings.oauth.developer_token_seconds,
            self._callers.actor(req, identity),
        )
        resp.set_header(*_NO_STORE)
        answer = TokenAnswer(
            access_token=made.token, scopes=list(made.scopes), expires=times.to_iso(made.expires)
        )
        answer_json(resp, answer, 201)

    @operation(
        tag=TAG,
        summary="Revoke the developer token",
        privacy="private",
        user_only=True,
        returns={204: Returns("There is none any more.")},
    )
    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, app: str
    ) -> None:
        """End the token."""
        identity = await self._callers.identify_user(req, _WHAT)
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(developer.revoke, identity, app, actor)
        answer_nothing(resp)
