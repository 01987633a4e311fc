"""OAuth2 in four steps: begin, finish, call, disconnect.

Everything that is about OAuth2 is in this file. Authlib makes the addresses, exchanges codes and
refreshes tokens; what a library cannot know, such as whose state belongs to which browser, is done
here.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

import requests
from authlib.integrations.base_client import InvalidTokenError, OAuthError
from authlib.integrations.requests_client import OAuth2Session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCOPE: Final = "read"
"""Ask for no more than what is needed: users read it on the consent page."""
TIMEOUT: Final = (5, 30)
"""Seconds for connecting, and for each wait for a part of the answer."""


class Denied(Exception):
    """The user does not allow it."""


class SignInFailed(Exception):
    """This round cannot be completed; another one may."""


class NotConnected(Exception):
    """The user has taken the permission back, or it has run out: only the user can help."""


class Unreachable(Exception):
    """The server does not answer now; the permission is as good as before."""


class Refused(Exception):
    """The server refuses what was asked for, in its own words."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status
        """Of the API's answer; 0 where another part of the server refuses."""


class Pending(NamedTuple):
    """A round that has begun: what must be remembered until the browser comes back."""

    address: str
    """Where the browser has to go."""
    state: str
    verifier: str


class Platform:
    """A WoTKit server, and this application as it is registered there."""

    def __init__(self, address: str, client_id: str, client_secret: str, redirect_uri: str) -> None:
        """Take what the page of the application's settings shows.

        Raises:
            ValueError: secrets would travel in clear to another machine.
        """
        parts = urlsplit(address)
        loopback = parts.hostname in {"127.0.0.1", "::1", "localhost"}
        if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
            raise ValueError(f"{address} must be an https address, or one of this machine")
        self.address = address.rstrip("/")
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_uri = redirect_uri
        self._about: dict[str, Any] = {}

    @property
    def about(self) -> dict[str, Any]:
        """What the server says of itself (RFC 8414), asked for once, when first needed.

        Raises:
            Unreachable: it does not answer.
            Refused: it answers something else, or speaks for another server.
        """
        if not self._about:
            with _trouble():
                url = f"{self.address}/.well-known/oauth-authorization-server"
                found = _checked(requests.get(url, timeout=TIMEOUT)).json()
            if found.get("issuer") != self.address:
                raise Refused(f"{self.address} says that it is {found.get('issuer')}")
            self._about = found
        return self._about

    def session(self, token: Mapping[str, Any] | None = None) -> OAuth2Session:
        """Return Authlib's session, which refreshes the token by itself once it has expired."""
        return OAuth2Session(
            client_id=self._client_id,
            client_secret=self._client_secret,
            redirect_uri=self._redirect_uri,
            scope=SCOPE,
            token=token,
            token_endpoint=self.about["token_endpoint"],
            code_challenge_method="S256",
            default_timeout=TIMEOUT,
        )

    def begin(self) -> Pending:
        """Step 1: make the address of the page that asks the user.

        The state ties the answer to the browser that began, and the verifier ties the code to this
        application (PKCE, RFC 7636). Both are new for every round.

        Raises:
            Unreachable, Refused: as :attr:`about`.
        """
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        address, _ = self.session().create_authorization_url(
            self.about["authorization_endpoint"], state=state, code_verifier=verifier
        )
        return Pending(address, state, verifier)

    def finish(self, pending: Pending, query: Mapping[str, str]) -> Connection:
        """Step 2: take what the browser brings back, and exchange the code for tokens.

        The order matters: nothing of the query is believed before state and issuer are right.

        Raises:
            Denied: the user said no.
            SignInFailed: the answer is not of this round, or came too late.
            Unreachable, Refused: as :attr:`about`.
        """
        if not hmac.compare_digest(query.get("state", "").encode(), pending.state.encode()):
            raise SignInFailed("This answer belongs to another sign-in.")
        if query.get("iss") != self.about["issuer"]:  # RFC 9207: another server's answer
            raise SignInFailed("This answer is not from the server that was asked.")
        if query.get("error") == "access_denied":
            raise Denied
        if "error" in query or "code" not in query:
            words = query.get("error_description") or query.get("error", "there is no code")
            raise SignInFailed(f"The server says: {words}")
        session = self.session()
        with _trouble():
            try:
                session.fetch_token(
                    self.about["token_endpoint"],
                    code=query["code"],
                    code_verifier=pending.verifier,
                    grant_type="authorization_code",
                )
            except OAuthError as error:
                if error.error != "invalid_grant":
                    raise
                raise SignInFailed("That took too long, or was done twice.") from error
        return Connection(self, session)


class Connection:
    """What one user has allowed."""

    def __init__(self, platform: Platform, session: OAuth2Session) -> None:
        self._platform = platform
        self._session = session
        self._one_at_a_time = threading.Lock()
        """A refresh token works once. Of two requests that find the same expired token, the second
        would come with a used one, which looks like theft and ends everything."""

    def username(self) -> str:
        """Return whose connection this is (RFC 7662).

        Raises:
            Unreachable, Refused: as :meth:`get`.
        """
        with self._one_at_a_time, _trouble():
            answer = self._session.introspect_token(
                self._platform.about["introspection_endpoint"],
                token=self._session.token["access_token"],
            )
            return str(_checked(answer).json().get("username", ""))

    def get(self, path: str, **query: str) -> Any:
        """Step 3: return what the API answers.

        Raises:
            NotConnected: the user has to allow it again.
            Unreachable: the server does not answer now.
            Refused: the server's reason.
        """
        with self._one_at_a_time, _trouble():
            return self._answer(path, query).json()

    def readings(self, sensor: str, **query: str) -> Iterator[dict[str, Any]]:
        """Yield readings as they come in, however many there are.

        Raises:
            NotConnected, Unreachable, Refused: as :meth:`get`.
        """
        path = f"sensors/{quote(sensor, safe='')}/data"
        with (
            self._one_at_a_time,
            _trouble(),
            self._answer(path, query | {"format": "ndjson"}, stream=True) as answer,
        ):
            for line in answer.iter_lines():
                if line:
                    yield json.loads(line)

    def _answer(
        self, path: str, query: Mapping[str, str], *, stream: bool = False
    ) -> requests.Response:
        url = f"{self._platform.address}/api/v2/{path}"
        answer: requests.Response = self._session.get(url, params=query, stream=stream)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            # the token ended before its time: that may be all that has ended, so try once more
            answer.close()
            self._session.refresh_token(self._platform.about["token_endpoint"])
            answer = self._session.get(url, params=query, stream=stream)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            raise NotConnected
        return _checked(answer)

    def disconnect(self) -> None:
        """Step 4: end the tokens at the server too (RFC 7009), so that nobody can use them.

        Raises:
            Unreachable: they could not be ended now.
            Refused: the server's reason.
        """
        with self._one_at_a_time, _trouble():
            answer = self._session.revoke_token(
                self._platform.about["revocation_endpoint"],
                token=self._session.token["refresh_token"],
            )
            _checked(answer)


@contextmanager
def _trouble() -> Iterator[None]:
    """Sort what may go wrong by what can be done about it."""
    try:
        yield
    except InvalidTokenError as error:  # expired, and there is nothing to refresh it with
        raise NotConnected from error
    except OAuthError as error:
        if error.error == "invalid_grant":
            raise NotConnected from error
        raise Refused(f"The server refuses this application: {error}") from error
    except (requests.RequestException, ValueError) as error:  # or what it says is not JSON
        raise Unreachable(str(error)) from error


def _checked(answer: requests.Response) -> requests.Response:
    busy = answer.status_code == HTTPStatus.TOO_MANY_REQUESTS
    if busy or answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Unreachable(f"it answers {answer.status_code}")
    if not answer.ok:
        raise Refused(_reason(answer), answer.status_code)
    return answer


def _reason(answer: requests.Response) -> str:
    try:
        error = answer.json()["error"]
        return "; ".join([error["message"], *error["developerMessage"]])
    except (ValueError, KeyError, TypeError):
        return f"The server answers {answer.status_code}."
