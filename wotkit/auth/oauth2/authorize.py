# ruff: noqa: ARG002  # oauthlib decides what its hooks are given
"""What the authorize page asks, and where it sends people afterwards.

Each function is one unit of work, and takes the query string as the browser sent it:

- :func:`examine` returns :class:`Asked` (show it, and let the user decide), :class:`Redirect` (send
  the browser there: an error the application is to be told) or :class:`Refused` (an error page:
  nobody is to be sent to an address that cannot be trusted). Call it without ``user`` before the
  login, with the user after it.
- :func:`allow` and :func:`deny` examine once more and return Redirect or Refused.

Of a Redirect, ``location`` is where to send the browser with status 303; it is None where the
application has no address, and the page shows ``shown`` (such as ``code``) to be copied.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode

from msgspec import Struct
from oauthlib.oauth2 import AuthorizationEndpoint
from oauthlib.oauth2.rfc6749 import errors
from oauthlib.oauth2.rfc6749.grant_types import ImplicitGrant

from wotkit.auth.oauth2 import redirects
from wotkit.auth.oauth2.asked import Call, Rejected, is_confidential, pairs
from wotkit.auth.oauth2.server import S256Grant, bearer
from wotkit.auth.oauth2.validator import Validator
from wotkit.catalog import grants, tokens
from wotkit.catalog.app_checks import OUT_OF_BAND

if TYPE_CHECKING:
    from oauthlib.common import Request

    from wotkit.catalog.audit import Actor
    from wotkit.catalog.identity import Identity
    from wotkit.settings import Settings

CODE: Final = "code"
TOKEN: Final = "token"  # noqa: S105  # a response type
BOTH: Final = "code token"
_SAME: Final = {"token code": BOTH, "code_and_token": BOTH}
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
"""SHA-256 as base64url without padding (RFC 7636 section 4.2)."""


class Asked(Struct, frozen=True, kw_only=True):
    """What the user is asked to allow."""

    client_id: str
    name: str
    description: str
    website: str
    icon: str
    owner: str
    kind: str
    scopes: tuple[str, ...]
    redirect_uri: str
    out_of_band: bool
    """Whether the answer will be shown on a page, to be copied."""
    may_skip: bool
    """Whether the user has allowed this before, and need not be asked again."""


class Redirect(Struct, frozen=True, kw_only=True):
    """The answer to the application."""

    location: str | None
    redirect_uri: str
    shown: dict[str, str]
    """What is shown where there is no location: ``code``, or ``error`` with its description."""


class Refused(Struct, frozen=True, kw_only=True):
    """An error page: where the answer could be sent to is not known, or not to be trusted."""

    title: str
    detail: str
    """For the user."""
    developer: str
    """For whoever makes the application."""


class _Question:
    """One authorization request, read."""

    def __init__(
        self, query: str, *, issuer: str, settings: Settings, user: Identity | None
    ) -> None:
        raw = [pair for pair in query.split("&") if not pair.startswith("state=")]
        states = [pair for pair in query.split("&") if pair.startswith("state=")]
        if len(states) > 1:
            raise Rejected("invalid_request", "A parameter was sent twice.")
        # the state is the application's own and goes back as it came, whatever its bytes are
        found = parse_qsl(states[0], errors="surrogateescape") if states else []
        self.state = found[0][1] if found else None
        params = pairs("&".join(pair for pair in raw if pair))
        wanted = " ".join(params.get("response_type", "").split())
        wanted = _SAME.get(wanted, wanted)
        if wanted:
            params["response_type"] = wanted
        self.fragment = TOKEN in wanted.split() or params.get("response_mode") == "fragment"
        self.params = params
        self.answer: dict[str, Any] = {}
        call = Call(
            params=params, secret=None, address="", issuer=issuer, settings=settings, user=user
        )
        self.validator = Validator(call)
        self.uri = f"/?{urlencode(params)}"

    def endpoint(self) -> AuthorizationEndpoint:
        """Return oauthlib's part, which leaves the redirect to us."""
        token_type = bearer(self.validator)
        implicit = _Implicit(self)
        both = _Code(self)
        both.register_code_modifier(implicit.add_token)
        kinds = {CODE: _Code(self), TOKEN: implicit, BOTH: both}
        return AuthorizationEndpoint(CODE, token_type, kinds)

    def check(self, request: Request) -> dict[str, Any]:
        """Check what oauthlib does not; called when client and address are known to be good."""
        wanted = self.params.get("response_type")
        if wanted is None:
            raise errors.MissingResponseTypeError(request=request)
        if wanted not in {CODE, TOKEN, BOTH}:
            raise errors.UnsupportedResponseTypeError(request=request)
        if wanted != CODE and request.redirect_uri == OUT_OF_BAND:
            raise errors.InvalidRequestError("Only a code is shown on a page.", request=request)
        challenge = self.params.get("code_challenge")
        if challenge is None and "code_challenge_method" in self.params:
            raise errors.InvalidRequestError("code_challenge is missing.", request=request)
        if challenge is not None and not _CHALLENGE.fullmatch(challenge):
            raise errors.InvalidRequestError("code_challenge is malformed.", request=request)
        return {}

    def redirect(self, redirect_uri: str, answer: dict[str, Any]) -> Redirect:
        """Return where an answer goes; ``state`` and ``iss`` (RFC 9207) are added."""
        pairs_ = [(name, str(value)) for name, value in answer.items()]
        if self.state is not None:
            pairs_.append(("state", self.state))
        pairs_.append(("iss", self.validator.call.issuer))
        location = None
        if redirect_uri != OUT_OF_BAND:
            location = redirects.with_answer(redirect_uri, pairs_, fragment=self.fragment)
        shown = {name: str(value) for name, value in answer.items()}
        return Redirect(location=location, redirect_uri=redirect_uri, shown=shown)


class _Code(S256Grant):
    """The flow with a code, and with a token beside it."""

    def __init__(self, question: _Question) -> None:
        super().__init__(question.validator, pre_auth=[question.check])
        self._question = question

    def create_authorization_code(self, request: Request) -> dict[str, str]:
        """Make and keep a code."""
        validator = self._question.validator
        assert validator.grant is not None
        code = tokens.make()
        given = self._question.params.get("redirect_uri", "")
        tokens.keep_code(
            code,
            validator.grant,
            redirect_uri=given,
            scopes=" ".join(request.scopes),
            challenge=request.code_challenge,
            seconds=validator.call.settings.oauth.code_seconds,
        )
        return {"code": code}

    def prepare_authorization_response(
        self, request: Request, token: Any, headers: Any, body: Any, status: Any
    ) -> Any:
        """Leave the redirect to the question."""
        self._question.answer = dict(token)
        return headers, body, status


class _Implicit(ImplicitGrant):
    """The flow with a token in the fragment."""

    def __init__(self, question: _Question) -> None:
        super().__init__(question.validator, pre_auth=[question.check])
        self._question = question

    def prepare_authorization_response(
        self, request: Request, token: Any, headers: Any, body: Any, status: Any
    ) -> Any:
        """Leave the redirect to the question."""
        self._question.answer = dict(token)
        return headers, body, status


def examine(
    query: str, *, issuer: str, settings: Settings, user: Identity | None
) -> Asked | Redirect | Refused:
    """Return what an application asks of the user, or why it may not."""
    found = _examined(query, issuer=issuer, settings=settings, user=user)
    if not isinstance(found, tuple):
        return found
    question, redirect_uri, scopes = found
    app = question.validator.client
    skip = (
        user is not None
        and is_confidential(app)
        and question.params["response_type"] == CODE
        and grants.live(user.user_id, app.id, " ".join(scopes)) is not None
    )
    return Asked(
        client_id=app.client_id,
        name=app.name,
        description=app.description,
        website=app.website,
        icon=app.icon,
        owner=tokens.owner_of(app),
        kind=app.kind,
        scopes=tuple(scopes),
        redirect_uri=redirect_uri,
        out_of_band=redirect_uri == OUT_OF_BAND,
        may_skip=skip,
    )


def allow(
    query: str, *, issuer: str, settings: Settings, user: Identity, actor: Actor
) -> Redirect | Refused:
    """Let the application act for the user, and return the answer to it."""
    found = _examined(query, issuer=issuer, settings=settings, user=user)
    if not isinstance(found, tuple):
        return found
    question, redirect_uri, scopes = found
    validator = question.validator
    validator.grant = grants.open_grant(
        user.user_id,
        validator.client.id,
        kind=grants.CONSENT,
        scopes=" ".join(scopes),
        actor=actor,
    )
    question.endpoint().create_authorization_response(question.uri, scopes=scopes)
    return question.redirect(redirect_uri, question.answer)


def deny(
    query: str,
    *,
    issuer: str,
    settings: Settings,
    user: Identity | None,
    error: str = "access_denied",
    why: str = "The user denied it.",
) -> Redirect | Refused:
    """Return the answer to an application that the user does not let act, or is not asked about."""
    found = _examined(query, issuer=issuer, settings=settings, user=user)
    if not isinstance(found, tuple):
        return found
    question, redirect_uri, _ = found
    answer = {"error": error, "error_description": why}
    return question.redirect(redirect_uri, answer)


def _examined(
    query: str, *, issuer: str, settings: Settings, user: Identity | None
) -> tuple[_Question, str, list[str]] | Redirect | Refused:
    try:
        question = _Question(query, issuer=issuer, settings=settings, user=user)
        try:
            scopes, about = question.endpoint().validate_authorization_request(question.uri)
        except errors.FatalClientError as error:
            return _refused(error)
        except errors.OAuth2Error as error:
            answer = {"error": error.error, "error_description": error.description}
            told = {name: value for name, value in answer.items() if value}
            return question.redirect(str(error.redirect_uri), told)
    except (Rejected, ValueError) as error:
        return _page(f"The request cannot be read: {error}")
    return question, str(about["redirect_uri"]), list(scopes)


def _refused(error: errors.FatalClientError) -> Refused:
    if isinstance(error, errors.InvalidClientIdError | errors.MissingClientIdError):
        return Refused(
            title="This application is not known here",
            detail="The link that brought you here names no application of this server. It may "
            "have been deleted by its owner.",
            developer=str(error.description),
        )
    redirecting = (
        errors.InvalidRedirectURIError,
        errors.MissingRedirectURIError,
        errors.MismatchingRedirectURIError,
    )
    if isinstance(error, redirecting):
        return Refused(
            title="The application asked to send you to an address it has not registered",
            detail="You were not sent there, since it could be somebody else's.",
            developer=f"{error.description} redirect_uri must be one of those registered, "
            "character for character; only the port of 127.0.0.1 and [::1] may differ.",
        )
    return _page(str(error.description))


def _page(developer: str) -> Refused:
    return Refused(
        title="The application's request is malformed",
        detail="Nothing was allowed. Go back to the application, and tell who makes it.",
        developer=developer,
    )
