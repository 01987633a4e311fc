# ruff: noqa: ARG002  # oauthlib decides what its questions are and what they bring
"""What oauthlib asks about applications, grants and tokens, answered from the catalog.

One validator serves one request, inside one unit of work, and remembers what it has found.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from oauthlib.oauth2 import RequestValidator
from oauthlib.oauth2.rfc6749 import errors

from wotkit import times
from wotkit.auth.oauth2 import redirects
from wotkit.auth.oauth2.asked import is_confidential
from wotkit.catalog import apps, devices, grants, tokens, users
from wotkit.catalog.audit import Actor
from wotkit.catalog.identity import ADMIN, SCOPES, expand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oauthlib.common import Request

    from wotkit.auth.oauth2.asked import Call
    from wotkit.catalog.models import App, AuthorizationCode, DeviceCode, Grant, RefreshToken

_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")
"""RFC 7636 section 4.1."""


def covers(allowed: Sequence[str], asked: Sequence[str]) -> bool:
    """Return whether each scope asked for is among those allowed, or part of one."""
    return set(asked) <= SCOPES and expand(asked) - {ADMIN} <= expand(allowed)


class Validator(RequestValidator):
    """Answers for one request."""

    def __init__(self, call: Call, *, confidential_only: bool = False) -> None:
        super().__init__()
        self.call = call
        self.app: App | None = None
        self.grant: Grant | None = None
        """What the tokens to be issued will hang off."""
        self.kept_scopes: str | None = None
        """The scopes of the next refresh token, where they are not those of the access token."""
        self._confidential_only = confidential_only
        self._code: AuthorizationCode | None = None
        self._refresh: RefreshToken | None = None
        self._device: DeviceCode | None = None

    # clients

    def _found(self, client_id: str | None) -> App | None:
        if self.app is None or self.app.client_id != client_id:
            self.app = apps.by_client_id(client_id) if client_id else None
        return self.app

    @property
    def client(self) -> App:
        """The application, once it is known."""
        assert self.app is not None
        return self.app

    def client_authentication_required(self, request: Request, *_: Any, **__: Any) -> bool:
        """Return whether the client must show a secret; whoever shows one must show the right."""
        app = self._found(request.client_id)
        shown = self.call.secret is not None
        return shown or self._confidential_only or app is None or is_confidential(app)

    def authenticate_client(self, request: Request, *_: Any, **__: Any) -> bool:
        """Return whether the secret is the client's."""
        app = self._found(request.client_id)
        secret = self.call.secret
        if app is None or secret is None or not apps.secret_matches(app, secret):
            return False
        request.client = app
        return True

    def authenticate_client_id(self, client_id: str, request: Request, *_: Any, **__: Any) -> bool:
        """Return whether this is a client that has no secret."""
        app = self._found(client_id)
        request.client = app
        return app is not None and not is_confidential(app)

    def validate_client_id(self, client_id: str, request: Request, *_: Any, **__: Any) -> bool:
        """Return whether there is such a client."""
        request.client = self._found(client_id)
        return request.client is not None

    def validate_grant_type(
        self, client_id: str, grant_type: str, client: App, request: Request, *_: Any, **__: Any
    ) -> bool:
        """Return whether the client may use this flow."""
        if grant_type == "password":
            return client.allow_password
        if grant_type == "client_credentials":
            return client.allow_client_credentials and is_confidential(client)
        return True

    def validate_response_type(
        self, client_id: str, response_type: str, client: App, request: Request, *_: Any, **__: Any
    ) -> bool:
        """Return whether the client may get this from the authorize page."""
        return response_type == "code" or client.allow_implicit

    def is_pkce_required(self, client_id: str, request: Request) -> bool:
        """Return whether the client has to prove that it is the one that began."""
        return not is_confidential(self.client)

    # where people are sent back to

    def validate_redirect_uri(
        self, client_id: str, redirect_uri: str, request: Request, *_: Any, **__: Any
    ) -> bool:
        """Return whether people may be sent there."""
        return redirects.matches(redirect_uri, apps.redirect_uris(self.client))

    def get_default_redirect_uri(
        self, client_id: str, request: Request, *_: Any, **__: Any
    ) -> str | None:
        """Return the address of a client that has only one."""
        known = apps.redirect_uris(self.client)
        return known[0] if len(known) == 1 else None

    def confirm_redirect_uri(
        self,
        client_id: str,
        code: str,
        redirect_uri: str,
        client: App,
        request: Request,
        *_: Any,
        **__: Any,
    ) -> bool:
        """Check that the address is the one the code was sent to (RFC 6749 section 4.1.3)."""
        assert self._code is not None
        default = self.get_default_redirect_uri(client_id, request)
        wanted = {self._code.redirect_uri} if self._code.redirect_uri else {None, default}
        given = None if request.using_default_redirect_uri else redirect_uri
        if given not in wanted:
            raise errors.InvalidGrantError("The redirect_uri is another one.", request=request)
        return True

    # scopes

    def get_default_scopes(self, client_id: str, request: Request, *_: Any, **__: Any) -> list[str]:
        """Return what an application gets that names no scope."""
        return self.client.scopes.split()

    def validate_scopes(
        self,
        client_id: str,
        scopes: Sequence[str],
        client: App,
        request: Request,
        *_: Any,
        **__: Any,
    ) -> bool:
        """Return whether the client may ask for these."""
        if self._device is not None:
            return True  # they were checked when the device began
        if ADMIN in scopes and not self._may_administer(request):
            return False
        return covers(client.scopes.split(), scopes)

    def _may_administer(self, request: Request) -> bool:
        if request.grant_type == "client_credentials":
            return tokens.role_of(self.client.owner_id) == ADMIN
        return self.call.user is None or self.call.user.admin

    def get_original_scopes(
        self, refresh_token: str, request: Request, *_: Any, **__: Any
    ) -> list[str]:
        """Return what the refresh token stands for."""
        assert self._refresh is not None
        return self._refresh.scopes.split()

    def is_within_original_scope(
        self,
        request_scopes: Sequence[str],
        refresh_token: str,
        request: Request,
        *_: Any,
        **__: Any,
    ) -> bool:
        """Return whether fewer scopes are asked for than the refresh token stands for."""
        assert self._refresh is not None
        original = self._refresh.scopes.split()
        return covers(original, request_scopes) and (
            ADMIN in original or ADMIN not in request_scopes
        )

    # codes

    def validate_code(
        self, client_id: str, code: str, client: App, request: Request, *_: Any, **__: Any
    ) -> bool:
        """Return whether the code works; one that was used before ends its grant."""
        row = tokens.find_code(code, client.id)
        if row is None:
            return False
        if row.used is not None:
            self.end_family(row.grant_id, "a code came back that had been used")
            return False
        if row.expires <= times.now() or not tokens.usable(row.grant):
            return False
        self._code, self.grant = row, row.grant
        request.scopes = row.scopes.split()
        request.user = row.grant.user_id
        verifier = request.code_verifier if "code_verifier" in self.call.params else None
        request.code_verifier = verifier  # oauthlib has no such attribute where none was sent
        if verifier is not None and (row.challenge is None or not _VERIFIER.fullmatch(verifier)):
            raise errors.InvalidGrantError("The code_verifier is wrong.", request=request)
        return True

    def get_code_challenge(self, code: str, request: Request) -> str | None:
        """Return the challenge the code is bound to."""
        assert self._code is not None
        return self._code.challenge

    def get_code_challenge_method(self, code: str, request: Request) -> str:
        """Return the one method there is."""
        return "S256"

    def claim_code(self, request: Request) -> None:
        """Use the code, as the last of all checks."""
        assert self._code is not None
        if not tokens.claim(self._code):
            self.end_family(self._code.grant_id, "a code came back that had been used")
            raise errors.InvalidGrantError(request=request)

    # refresh tokens

    def validate_refresh_token(
        self, refresh_token: str, client: App, request: Request, *_: Any, **__: Any
    ) -> bool:
        """Return whether it works; one that was exchanged before ends its grant."""
        row = tokens.find_refresh(refresh_token, client.id)
        if row is None or not tokens.usable(row.grant):
            return False
        if row.used is not None and not self._within_grace(row, client):
            self.end_family(row.grant_id, "a refresh token came back that had been used")
            return False
        if row.expires <= times.now():
            return False
        self._refresh, self.grant, self.kept_scopes = row, row.grant, row.scopes
        request.user = row.grant.user_id
        return True

    @staticmethod
    def _within_grace(row: RefreshToken, client: App) -> bool:
        assert row.used is not None
        return times.now() - row.used < client.grace_seconds * times.MICROSECONDS

    def claim_refresh(self, request: Request) -> None:
        """Use the refresh token, as the last of all checks."""
        assert self._refresh is not None
        if self._refresh.used is None and not tokens.claim(self._refresh):
            self.end_family(self._refresh.grant_id, "a refresh token came back that had been used")
            raise errors.InvalidGrantError(request=request)

    def rotate_refresh_token(self, request: Request) -> bool:
        """Return whether a refresh token is replaced when it is used."""
        return True

    def end_family(self, grant_id: int, reason: str) -> None:
        """End a grant: somebody has a secret who should not, and it is not known who."""
        grants.end(
            grant_id,
            Actor(self.client.client_id, self.call.address, app=self.client.client_id),
            reason,
        )

    # passwords, clients' own, devices

    def validate_user(
        self, username: str, password: str, client: App, request: Request, *_: Any, **__: Any
    ) -> bool:
        """Return whether name and password were verified, which was done before."""
        if not client.allow_password:
            raise errors.UnauthorizedClientError(request=request)
        user = request.user = self.call.user
        return user is not None and users.unchanged_since(user.user_id, self.call.verified_at)

    def open_for_password(self, request: Request) -> None:
        """Open the grant of a user who gave the application the password."""
        assert self.call.user is not None
        user = self.call.user
        self.grant = grants.open_grant(
            user.user_id,
            self.client.id,
            kind=grants.PASSWORD,
            scopes=" ".join(request.scopes),
            actor=Actor.of(user, self.call.address),
        )

    def open_for_client(self, request: Request) -> None:
        """Open the grant under which an application acts for its owner."""
        self.grant = grants.open_grant(
            self.client.owner_id,
            self.client.id,
            kind=grants.CLIENT,
            scopes=" ".join(request.scopes),
            actor=Actor(self.client.client_id, self.call.address, app=self.client.client_id),
        )
        if not tokens.usable(self.grant):
            raise errors.InvalidGrantError("The owner is disabled.", request=request)

    def validate_device_code(
        self, client_id: str, code: str, request: Request, *_: Any, **__: Any
    ) -> str | None:
        """Return how far the user of a device has come (RFC 8628 section 3.5)."""
        row = devices.polled(code, self.client.id)
        if row is None or row.state == devices.USED:
            return None
        if row.expires <= times.now():
            return "expired_token"
        if row.state == devices.DENIED:
            return "access_denied"
        if row.state != devices.ALLOWED:
            return "authorization_pending" if devices.in_time(row) else "slow_down"
        if row.grant is None or not tokens.usable(row.grant):
            return None
        self._device, self.grant = row, row.grant
        request.scopes = row.scopes.split()
        request.user = row.user_id
        return "authorized"

    def claim_device(self, request: Request) -> None:
        """Use what the user of a device has allowed, as the last of all checks."""
        assert self._device is not None
        if not devices.claim(self._device):
            raise errors.InvalidGrantError(request=request)

    # tokens

    def save_token(self, token: Any, request: Request, *_: Any, **__: Any) -> None:
        """Do nothing: tokens are stored where they are made."""

    def save_authorization_code(self, *_: Any, **__: Any) -> None:
        """Do nothing: codes too are stored where they are made."""

    def invalidate_authorization_code(self, *_: Any, **__: Any) -> None:
        """Do nothing: the code was claimed."""

    def revoke_token(
        self, token: str, token_type_hint: str, request: Request, *_: Any, **__: Any
    ) -> None:
        """End one of the client's tokens; the hint is not needed."""
        tokens.revoke(
            token,
            self.client.id,
            Actor(self.client.client_id, self.call.address, app=self.client.client_id),
        )

    def introspect_token(
        self, token: str, token_type_hint: str, request: Request, *_: Any, **__: Any
    ) -> dict[str, Any] | None:
        """Return what the client may know of one of its tokens (RFC 7662 section 2.2)."""
        found = tokens.facts(token, self.client.id)
        if found is None:
            return None
        return {
            "scope": found.scopes,
            "client_id": self.client.client_id,
            "username": found.username,
            "sub": str(found.user_id),
            "iss": self.call.issuer,
            "iat": found.issued // times.MICROSECONDS,
            "exp": found.expires // times.MICROSECONDS,
            **({} if found.refreshes else {"token_type": "Bearer"}),
        }
