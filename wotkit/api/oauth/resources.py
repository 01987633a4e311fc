"""Tokens, revocation, introspection and devices: forms in, JSON out, errors in OAuth's shape."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import Meta, Struct, structs

from wotkit import times
from wotkit.api.caller import address_of
from wotkit.api.errors import status_of
from wotkit.api.oauth.metadata import TAG, issuer_of
from wotkit.api.operation import Returns, operation
from wotkit.api.requests import media_type, read_body
from wotkit.api.responses import answer_json
from wotkit.auth.oauth2.asked import Answer, Call, Rejected, read_call, refusal
from wotkit.errors import Category, Unauthenticated, WotkitError

if TYPE_CHECKING:
    from collections.abc import Callable

    import falcon.asgi

    from wotkit.auth.authenticator import Authenticator
    from wotkit.catalog import Catalog
    from wotkit.settings import Settings

_BODY_BYTES: Final = 65_536
_NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_CHALLENGE: Final = 'Basic realm="WoTKit", charset="UTF-8"'
_CLIENT: Final = (
    "An application with a secret authenticates with HTTP basic authentication (client id and "
    "client secret) or with `client_id` and `client_secret` in the form, never both; one without "
    "sends `client_id`."
)
_UNKNOWN: Final = {"client_id": "0123456789abcdef0123456789abcdef"}


class OAuthError(Struct, kw_only=True):
    """A refusal (RFC 6749 section 5.2)."""

    error: Annotated[str, Meta(description="The code of the standard, such as `invalid_grant`.")]
    error_description: str | None = None


class TokenAnswer(Struct, kw_only=True, omit_defaults=True):
    """Tokens."""

    access_token: str
    token_type: str
    expires_in: Annotated[int, Meta(description="Seconds.")]
    scope: Annotated[str, Meta(description="The scopes, between spaces.")]
    refresh_token: str | None = None


class DeviceAnswer(Struct, kw_only=True):
    """What a device shows its user, and what it keeps asking with."""

    device_code: str
    user_code: Annotated[str, Meta(description="To be shown to the user.")]
    verification_uri: Annotated[str, Meta(description="Where the user enters it.")]
    verification_uri_complete: Annotated[str, Meta(description="The same, with the code in it.")]
    expires_in: Annotated[int, Meta(description="Seconds.")]
    interval: Annotated[int, Meta(description="Seconds to wait between two questions.")]


class TokenForm(Struct, kw_only=True):
    """What is exchanged for tokens; which parameters are needed depends on ``grant_type``."""

    grant_type: Annotated[
        str,
        Meta(
            description="`authorization_code`, `refresh_token`, `password`, `client_credentials` "
            "or `urn:ietf:params:oauth:grant-type:device_code`."
        ),
    ]
    client_id: str | None = None
    client_secret: str | None = None
    code: str | None = None
    redirect_uri: str | None = None
    code_verifier: str | None = None
    refresh_token: str | None = None
    username: str | None = None
    password: str | None = None
    device_code: str | None = None
    scope: str | None = None


class TokenToCheck(Struct, kw_only=True):
    """A token of the application."""

    token: str
    token_type_hint: str | None = None
    client_id: str | None = None
    client_secret: str | None = None


class DeviceForm(Struct, kw_only=True):
    """A device that begins."""

    client_id: str
    client_secret: str | None = None
    scope: str | None = None


def _returns(meaning: str, body: Any) -> dict[int, Returns]:
    return {
        200: Returns(meaning, body),
        400: Returns("Refused; `error` says why.", OAuthError),
        401: Returns(
            "The client did not authenticate as it has to: `invalid_client`.",
            OAuthError,
            headers={"WWW-Authenticate": "The scheme that is asked for."},
        ),
        413: Returns("The form is too large.", OAuthError),
        415: Returns("The form is encoded in a way that is not supported.", OAuthError),
        429: Returns("Too many failed.", OAuthError, headers={"Retry-After": "Seconds."}),
        503: Returns("The server is busy.", OAuthError, headers={"Retry-After": "Seconds."}),
    }


class _Endpoint:
    """What the four have in common."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self._catalog = catalog
        self._settings = settings

    async def _respond(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        choose: Callable[[Any], Callable[[Call], Answer]],
    ) -> None:
        """Answer what a function of the protocol says; ``choose`` picks it from its module."""
        try:
            answer = await self._answer(req, choose)
        except WotkitError as error:
            answer = _of_error(error)
        resp.set_headers(_NO_STORE)
        if answer.status == 401:  # noqa: PLR2004  # the status has a name of its own: challenge
            resp.set_header("WWW-Authenticate", _CHALLENGE)
        if answer.retry_after is not None:
            resp.set_header("Retry-After", str(max(1, math.ceil(answer.retry_after))))
        answer_json(resp, answer.body, answer.status)

    async def _answer(
        self, req: falcon.asgi.Request, choose: Callable[[Any], Callable[[Call], Answer]]
    ) -> Answer:
        # loaded with the first application, and oauthlib with it
        from wotkit.auth.oauth2 import server

        try:
            call = read_call(
                await read_body(req, _BODY_BYTES),
                media_type(req),
                req.query_string,
                req.get_header("authorization"),
                address=address_of(req),
                issuer=issuer_of(req, self._settings),
                settings=self._settings,
            )
        except Rejected as wrong:
            # no client can be told from it
            return await self._catalog.writing(
                server.limited, wrong.answer, "", address_of(req), self._settings.auth
            )
        call = await self._prepared(call)
        return await self._catalog.writing(choose(server), call)

    async def _prepared(self, call: Call) -> Call:
        return call


def _of_error(error: WotkitError) -> Answer:
    busy = error.code.category in {Category.UNAVAILABLE, Category.TOO_MANY}
    name = "temporarily_unavailable" if busy else "invalid_request"
    return Answer(
        body=refusal(name, error.code.message),
        status=status_of(error),
        retry_after=error.retry_after,
    )


class TokenResource(_Endpoint):
    """The token endpoint."""

    def __init__(self, catalog: Catalog, settings: Settings, authenticator: Authenticator) -> None:
        super().__init__(catalog, settings)
        self._authenticator = authenticator

    @operation(
        tag=TAG,
        summary="Exchange a code, a refresh token or other credentials for tokens",
        description=f"{_CLIENT} Refresh tokens are replaced at every use; one that comes back "
        "ends everything that the user has granted with it.",
        privacy="public",
        oauth=True,
        body=TokenForm,
        example={"grant_type": "client_credentials", **_UNKNOWN},
        returns=_returns("Tokens.", TokenAnswer),
    )
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer tokens."""
        await self._respond(req, resp, lambda server: server.token)

    async def _prepared(self, call: Call) -> Call:
        """Verify name and password where they are sent, for bcrypt is slow."""
        params = call.params
        if params.get("grant_type") != "password" or "password" not in params:
            return call
        from wotkit.auth.oauth2 import server

        if not await self._catalog.reading(server.wants_password, call):
            return call
        began = times.now()
        try:
            user = await self._authenticator.verify(
                params.get("username", ""), params["password"], call.address
            )
        except Unauthenticated:
            return call
        return structs.replace(call, user=user, verified_at=began)


class RevokeResource(_Endpoint):
    """The revocation endpoint (RFC 7009)."""

    @operation(
        tag=TAG,
        summary="Revoke a token",
        description=f"{_CLIENT} A refresh token ends with all that was granted with it. An unknown "
        "token is answered alike.",
        privacy="public",
        oauth=True,
        body=TokenToCheck,
        example={"token": "unknown", **_UNKNOWN},
        returns=_returns("Revoked, or unknown: an empty object.", dict[str, Any]),
    )
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Revoke a token."""
        await self._respond(req, resp, lambda server: server.revoke)


class IntrospectResource(_Endpoint):
    """The introspection endpoint (RFC 7662)."""

    @operation(
        tag=TAG,
        summary="Ask what a token of your application is good for",
        description="For applications that have a secret. Of a token that is unknown, expired or "
        'another application\'s the answer is `{"active": false}`.',
        privacy="public",
        oauth=True,
        body=TokenToCheck,
        example={"token": "unknown", **_UNKNOWN},
        returns=_returns("Whether it is active, and what it is.", dict[str, Any]),
    )
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer what a token is."""
        await self._respond(req, resp, lambda server: server.introspect)


class DeviceAuthorizationResource(_Endpoint):
    """Where a device without a browser begins (RFC 8628)."""

    @operation(
        tag=TAG,
        summary="Begin on a device without a browser",
        description=f"{_CLIENT} The device shows the user code and the address, and asks the token "
        "endpoint until the user has decided.",
        privacy="public",
        oauth=True,
        body=DeviceForm,
        example=_UNKNOWN,
        returns=_returns("The codes.", DeviceAnswer),
    )
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer a device code and a user code."""
        await self._respond(req, resp, lambda server: server.begin_device)
