"""Answers what programs ask: tokens, revocation, introspection, devices.

Each function is one unit of work. It returns every refusal and never raises one: what a refusal
brings about, such as the end of a grant whose code came back, must be committed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from oauthlib.oauth2 import (
    BearerToken,
    ClientCredentialsGrant,
    DeviceAuthorizationEndpoint,
    IntrospectEndpoint,
    RefreshTokenGrant,
    ResourceOwnerPasswordCredentialsGrant,
    RevocationEndpoint,
    TokenEndpoint,
)
from oauthlib.oauth2.rfc6749 import errors
from oauthlib.oauth2.rfc6749.grant_types import AuthorizationCodeGrant
from oauthlib.oauth2.rfc6749.grant_types.authorization_code import code_challenge_method_s256
from oauthlib.oauth2.rfc8628.grant_types import DeviceCodeGrant

from wotkit.auth.oauth2.asked import FORM, Answer, refusal
from wotkit.auth.oauth2.validator import Validator
from wotkit.catalog import apps, audit, devices, logins, tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oauthlib.common import Request

    from wotkit.auth.oauth2.asked import Call
    from wotkit.settings import AuthSettings

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_HEADERS: Final = {"Content-Type": FORM}
_UNAUTHENTICATED: Final = 401


class S256Grant(AuthorizationCodeGrant):
    """The flow with a code; ``plain`` challenges protect nothing and are refused."""

    _code_challenge_methods = {"S256": code_challenge_method_s256}  # noqa: RUF012  # oauthlib's


def bearer(validator: Validator) -> BearerToken:
    """Return what makes tokens: they are stored as they are made."""
    settings = validator.call.settings.oauth

    def seconds(_: Request) -> int:
        own = validator.client.access_seconds
        return settings.access_token_seconds if own is None else own

    def access(request: Request, *_: Any) -> str:
        assert validator.grant is not None
        return tokens.issue_access(
            validator.grant, " ".join(request.scopes), int(request.expires_in)
        )

    def refresh(request: Request, *_: Any) -> str:
        assert validator.grant is not None
        own = validator.client.refresh_seconds
        return tokens.issue_refresh(
            validator.grant,
            validator.kept_scopes or " ".join(request.scopes),
            settings.refresh_token_seconds if own is None else own,
        )

    return BearerToken(validator, access, seconds, refresh)


def token(call: Call) -> Answer:
    """Answer the token endpoint (RFC 6749 section 3.2)."""
    if "grant_type" not in call.params:
        return Answer(body=refusal("invalid_request", "grant_type is missing."), status=400)
    asked = Validator(call)
    kinds: dict[str, Any] = {
        "authorization_code": S256Grant(asked, post_token=[asked.claim_code]),
        "refresh_token": RefreshTokenGrant(asked, post_token=[asked.claim_refresh]),
        "password": ResourceOwnerPasswordCredentialsGrant(
            asked, post_token=[asked.open_for_password]
        ),
        "client_credentials": ClientCredentialsGrant(asked, post_token=[asked.open_for_client]),
        DEVICE_GRANT: DeviceCodeGrant(asked, post_token=[asked.claim_device]),
    }
    if call.params["grant_type"] not in kinds:  # oauthlib would take "openid" for a code's
        unsupported = refusal("unsupported_grant_type", "There is no such grant type.")
        return Answer(body=unsupported, status=400)
    endpoint = TokenEndpoint("authorization_code", bearer(asked), kinds)
    return _answered(call, endpoint.create_token_response)


def revoke(call: Call) -> Answer:
    """Answer the revocation endpoint (RFC 7009)."""
    return _answered(call, RevocationEndpoint(Validator(call)).create_revocation_response)


def introspect(call: Call) -> Answer:
    """Answer the introspection endpoint (RFC 7662), for clients that have a secret."""
    endpoint = IntrospectEndpoint(Validator(call, confidential_only=True))
    return _answered(call, endpoint.create_introspect_response)


def begin_device(call: Call) -> Answer:
    """Answer a device that begins (RFC 8628 section 3.2)."""
    if not call.client_id:
        return _limited(call, Answer(body=refusal("invalid_client", "No client."), status=401))
    asked = Validator(call)
    settings = call.settings.oauth
    page = f"{call.issuer}/device"
    endpoint = DeviceAuthorizationEndpoint(
        asked,
        page,
        expires_in=settings.device_code_seconds,
        interval=settings.device_interval_seconds,
        verification_uri_complete=lambda code: f"{page}?user_code={code}",
        user_code_generator=lambda: devices.shown(devices.make_user_code()),
    )
    try:
        _, body, _ = endpoint.create_device_authorization_response(
            "/", "POST", urlencode(call.params), dict(_HEADERS)
        )
    except (errors.InvalidClientIdError, errors.MissingClientIdError):
        unknown = refusal("invalid_client", "There is no such client.")
        return _limited(call, Answer(body=unknown, status=_UNAUTHENTICATED))
    except errors.OAuth2Error as error:
        answer = Answer(body=dict(error.twotuples), status=error.status_code)
        return _limited(call, answer)
    made: dict[str, Any] = dict(body)
    scopes = str(made.pop("scope"))
    made["device_code"] = tokens.make()
    devices.add(
        made["device_code"],
        made["user_code"].replace("-", ""),
        asked.client,
        scopes,
        settings.device_code_seconds,
        settings.device_interval_seconds,
    )
    return Answer(body=made)


def wants_password(call: Call) -> bool:
    """Return whether name and password are to be verified: the client is good and may send them."""
    app = apps.by_client_id(call.client_id)
    if app is None or not app.allow_password:
        return False
    if call.secret is None:
        return app.secret_hash is None
    return apps.secret_matches(app, call.secret)


def _answered(call: Call, respond: Any) -> Answer:
    try:
        _, body, status = respond("/", "POST", urlencode(call.params), dict(_HEADERS))
    except errors.OAuth2Error as error:
        body, status = json.dumps(dict(error.twotuples)), error.status_code
    except ValueError:
        body, status = json.dumps(refusal("invalid_request", "It cannot be read.")), 400
    found: Mapping[str, Any] = json.loads(body) if body else {}
    return _limited(call, Answer(body=dict(found), status=status))


def _limited(call: Call, answer: Answer) -> Answer:
    return limited(answer, call.client_id, call.address, call.settings.auth)


def limited(answer: Answer, client_id: str, address: str, settings: AuthSettings) -> Answer:
    """Count and note a failed authentication; slow down an address that has too many."""
    if answer.status != _UNAUTHENTICATED:
        return answer
    subject = logins.address(address)
    wait = logins.wait(
        subject,
        limit=settings.failures_per_address,
        window_seconds=settings.failure_window_seconds,
    )
    if wait > 0:
        body = refusal("temporarily_unavailable", "Too many clients failed to authenticate.")
        return Answer(body=body, status=429, retry_after=wait)
    logins.record(subject)
    audit.login_failed(client_id, address)
    return answer
