"""The older handshake of desktop programs: a frob, and the token for it, as JSON or XML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

from markupsafe import escape
from msgspec import Meta, Struct

from wotkit.api import errors as api_errors
from wotkit.api.operation import Returns, operation
from wotkit.api.requests import FORM, form_pairs, media_type, read_body
from wotkit.api.responses import answer_json
from wotkit.auth import frob
from wotkit.catalog import frobs
from wotkit.edge import ERROR, REQUEST_ID
from wotkit.errors import (
    FrobSpent,
    InvalidQuery,
    MalformedBody,
    NotYetAuthorized,
    Overloaded,
    TooLarge,
    UnsupportedMedia,
    WotkitError,
    WrongSignature,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import falcon.asgi

    from wotkit.catalog import Catalog
    from wotkit.catalog.frobs import Issued
    from wotkit.catalog.models import App

TAG: Final = "Older handshake"
XML: Final = "application/xml"
_BODY_BYTES: Final = 65_536
_EXAMPLE: Final = {"api_key": "0123456789abcdef0123456789abcdef", "api_sig": "0" * 32}
_FROB: Final = {"frob": "unknown"}
_SIGNED: Final = (
    "Signed by an application that has the handshake switched on; parameters may be in the query "
    "or in a form. Answers and errors are JSON, or XML where the path ends in `/xml`."
)
_NO_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML cannot carry (XML 1.0 section 2.2)."""


class SignedCall(Struct, kw_only=True):
    """What every call of the handshake carries; one of the signatures is needed."""

    api_key: Annotated[str, Meta(description="The client id.", examples=[_EXAMPLE["api_key"]])]
    api_sig: (
        Annotated[
            str,
            Meta(description="MD5, in lower-case hex; see Access.", examples=[_EXAMPLE["api_sig"]]),
        ]
        | None
    ) = None
    api_sig_sha256: (
        Annotated[str, Meta(description="HMAC-SHA256 in its place, in lower-case hex.")] | None
    ) = None


class SignedFrob(SignedCall, kw_only=True):
    """A frob to be exchanged."""

    frob: Annotated[str, Meta(description="As `auth.getFrob` answered it.", examples=["unknown"])]


class Frob(Struct):
    """A frob."""

    frob: Annotated[str, Meta(description="Good for 60 minutes, for one token.")]


class FrobAnswer(Struct):
    """The answer of ``auth.getFrob``."""

    auth: Frob


class FrobPermissions(Struct):
    """What the token allows."""

    doc: Annotated[str, Meta(description="`none`, `read`, `write` or `delete`.")]
    blog: str = frobs.NONE
    network: str = frobs.NONE
    user: str = frobs.NONE


class FrobUser(Struct):
    """For whom the token acts."""

    user_id: int
    username: str
    realname: str


class FrobToken(Struct):
    """A token, for ``auth_token`` in signed calls."""

    token: str
    permissions: FrobPermissions
    user: FrobUser


class FrobTokenAnswer(Struct):
    """The answer of ``auth.getToken``."""

    auth: FrobToken


class _Handshake:
    """What both methods have in common."""

    method: str
    needed: tuple[str, ...]

    def __init__(self, catalog: Catalog, secret_key: str) -> None:
        self._catalog = catalog
        self._secret_key = secret_key

    async def _respond(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        work: Callable[[App, dict[str, str]], Any],
        as_xml: Callable[[Any], str],
    ) -> None:
        """Answer what ``work``, a unit of work, makes for the application that signed the call."""
        resp.set_header("Cache-Control", "no-store")
        xml = req.path.endswith("/xml")
        try:
            found = await self._called(req, work)
        except WotkitError as error:
            if not xml:
                raise
            _refuse(req, resp, error)
            return
        if xml:
            resp.content_type = XML
            resp.text = as_xml(found)
        else:
            answer_json(resp, found)

    async def _called(
        self, req: falcon.asgi.Request, work: Callable[[App, dict[str, str]], Any]
    ) -> Any:
        call = frob.read_call(req.scope["query_string"], await _form(req), self.method)
        missing = {name: "is required" for name in self.needed if not call.params.get(name)}
        if missing:
            raise InvalidQuery(more=missing)

        def signed() -> Any:
            return work(frob.signer(call, self._secret_key), call.params)

        # first without the lock of writers, which strangers are not to hold
        await self._catalog.reading(frob.signer, call, self._secret_key)
        return await self._catalog.writing(signed)


async def _form(req: falcon.asgi.Request) -> list[tuple[str, str]]:
    if req.method != "POST":
        return []
    body = await read_body(req, _BODY_BYTES)
    if not body:
        return []
    if media_type(req) != FORM:
        raise UnsupportedMedia(f"the body must be a form: {FORM}")
    return form_pairs(body)


class FrobResource(_Handshake):
    """``/api/auth.getFrob``."""

    method = "auth.getFrob"
    needed = (frob.API_KEY,)

    @operation(
        tag=TAG,
        summary="Get a frob",
        description=f"{_SIGNED} The user is then asked at `/apps/authorize`.",
        privacy="public",
        query=SignedCall,
        returns={200: Returns("The frob.", FrobAnswer, also=(XML,))},
        errors=(WrongSignature, Overloaded),
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer a frob."""
        await self._respond(req, resp, _frob, _frob_xml)

    @operation(
        tag=TAG,
        summary="Get a frob, with a form",
        description=_SIGNED,
        privacy="public",
        body=SignedCall,
        body_optional=True,
        form_only=True,
        example=_EXAMPLE,
        returns={200: Returns("The frob.", FrobAnswer, also=(XML,))},
        errors=(
            InvalidQuery,
            MalformedBody,
            TooLarge,
            UnsupportedMedia,
            WrongSignature,
            Overloaded,
        ),
    )
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer a frob."""
        await self._respond(req, resp, _frob, _frob_xml)


class FrobTokenResource(_Handshake):
    """``/api/auth.getToken``."""

    method = "auth.getToken"
    needed = (frob.API_KEY, "frob")

    @operation(
        tag=TAG,
        summary="Exchange a frob for a token",
        description=f"{_SIGNED} Once the user has allowed it, and once only.",
        privacy="public",
        query=SignedFrob,
        returns={200: Returns("The token.", FrobTokenAnswer, also=(XML,))},
        errors=(WrongSignature, NotYetAuthorized, FrobSpent, Overloaded),
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer a token."""
        await self._respond(req, resp, _token, _token_xml)

    @operation(
        tag=TAG,
        summary="Exchange a frob for a token, with a form",
        description=_SIGNED,
        privacy="public",
        body=SignedFrob,
        body_optional=True,
        form_only=True,
        example=_EXAMPLE | _FROB,
        returns={200: Returns("The token.", FrobTokenAnswer, also=(XML,))},
        errors=(
            InvalidQuery,
            MalformedBody,
            TooLarge,
            UnsupportedMedia,
            WrongSignature,
            NotYetAuthorized,
            FrobSpent,
            Overloaded,
        ),
    )
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer a token."""
        await self._respond(req, resp, _token, _token_xml)


def _frob(app: App, _: dict[str, str]) -> FrobAnswer:
    return FrobAnswer(Frob(frobs.make(app)))


def _frob_xml(answer: FrobAnswer) -> str:
    return f"<auth>{_element('frob', answer.auth.frob)}</auth>"


def _token(app: App, params: dict[str, str]) -> FrobTokenAnswer:
    issued: Issued = frobs.redeem(params["frob"], app)
    user = FrobUser(issued.user_id, issued.username, issued.real_name)
    return FrobTokenAnswer(FrobToken(issued.token, FrobPermissions(issued.permission), user))


def _token_xml(answer: FrobTokenAnswer) -> str:
    auth = answer.auth
    parts = (
        _element("token", auth.token),
        _element("permissions", **{name: getattr(auth.permissions, name) for name in _PERMITTED}),
        _element("user", **{name: str(getattr(auth.user, name)) for name in _OF_USER}),
    )
    return f"<auth>{''.join(parts)}</auth>"


_PERMITTED: Final = FrobPermissions.__struct_fields__
_OF_USER: Final = FrobUser.__struct_fields__


def _refuse(req: falcon.asgi.Request, resp: falcon.asgi.Response, error: WotkitError) -> None:
    """Answer an error as XML: what the JSON of the API says, in an element ``err``."""
    req.scope[ERROR] = error
    status = api_errors.status_of(error)
    resp.status = status
    resp.set_headers(api_errors.headers(error))
    resp.content_type = XML
    details = api_errors.body(error)["error"]["developerMessage"]
    resp.text = _element(
        "err",
        *details,
        code=str(error.code.number),
        msg=error.code.message,
        status=str(status),
        request_id=req.scope.get(REQUEST_ID, ""),
    )


def _element(name: str, *lines: str, **attributes: str) -> str:
    """Return an element of XML with attributes and lines of text."""
    given = "".join(f' {key}="{_escaped(value)}"' for key, value in attributes.items())
    text = "\n".join(_escaped(line) for line in lines)
    return f"<{name}{given}>{text}</{name}>" if text else f"<{name}{given}/>"


def _escaped(text: str) -> str:
    plain = str(escape(_NO_XML.sub("\ufffd", text)))
    # as they are, a parser would make spaces of them in an attribute
    return plain.replace("\t", "&#9;").replace("\n", "&#10;").replace("\r", "&#13;")
