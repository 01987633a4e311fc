"""Who is signed in: tokens that are refreshed when needed, and calls with them."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from device_flow import reason
from server import Server, Trouble
from token_file import Saved

if TYPE_CHECKING:
    from server import Answer
    from token_file import TokenFile

EARLY: Final = 30
"""Seconds before its end in which an access token is not used any more."""


class SignedOut(Trouble):
    """There is no permission, or it has ended: only the user can help."""


class Account:
    """The sign-in that a file holds."""

    def __init__(self, file: TokenFile) -> None:
        """Read the file.

        Raises:
            SignedOut: there is nothing in it.
        """
        saved = file.read()
        if saved is None:
            raise SignedOut("You are not signed in. Run login first.")
        self._file = file
        self._saved = saved
        self.server = Server(saved.server)

    def call(self, path: str, form: dict[str, str] | None = None, **query: str) -> Any:
        """GET from the API, or POST a form to it, and return the decoded answer.

        Raises:
            SignedOut: the user has ended the permission.
            Trouble: the server refuses, or cannot be reached.
        """
        url = f"{self.server.address}/api/v2/{path}" + (f"?{urlencode(query)}" if query else "")
        if self._saved.expires_at - EARLY < time.time():
            self._refresh()
        answer = self.server.request(url, form, self._saved.access_token)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            # the token ended before its time: that may be all that has ended, so try once more
            self._refresh()
            answer = self.server.request(url, form, self._saved.access_token)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise self._ended()
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise Trouble(_refusal(answer))
        return answer.body

    def _refresh(self) -> None:
        """Exchange the refresh token.

        It works once. If two runs of this program sent the same one, the second would look like a
        thief and the server would end the permission; hence the lock, and the second look at the
        file.
        """
        with self._file.locked():
            saved = self._file.read()
            if saved is None:
                raise SignedOut("You are not signed in any more. Run login again.")
            if saved.access_token != self._saved.access_token:
                self._saved = saved  # another run was faster
                return
            answer = self.server.post(
                "token",
                grant_type="refresh_token",
                refresh_token=saved.refresh_token,
                client_id=saved.client_id,
            )
            if answer.status == HTTPStatus.OK and isinstance(answer.body, dict):
                self._saved = signed_in(saved.server, saved.client_id, answer.body)
                self._file.write(self._saved)  # before anything else: the old one is worthless
                return
            if _is_over(answer):
                raise self._ended()
            raise Trouble(f"The server refuses: {reason(answer.body, answer.status)}")

    def _ended(self) -> SignedOut:
        self._file.remove()
        return SignedOut("The permission has ended or was revoked. Run login again.")

    def sign_out(self) -> None:
        """End the permission at the server (RFC 7009), then forget the tokens.

        Raises:
            Trouble: it could not be ended; the tokens are kept, to try again.
        """
        with self._file.locked():
            saved = self._file.read() or self._saved  # the newest, whoever refreshed it
            answer = self.server.post(
                "revocation", token=saved.refresh_token, client_id=saved.client_id
            )
            if answer.status != HTTPStatus.OK and not _is_over(answer):
                raise Trouble(f"The server refuses: {reason(answer.body, answer.status)}")
            self._file.remove()


def signed_in(server: str, client_id: str, token: dict[str, Any]) -> Saved:
    """Return what to keep of the token endpoint's answer."""
    return Saved(
        server=server,
        client_id=client_id,
        access_token=token["access_token"],
        refresh_token=token["refresh_token"],
        expires_at=time.time() + token["expires_in"],
    )


def _is_over(answer: Answer) -> bool:
    """Return whether the permission has ended, or the application is registered no more."""
    error = answer.body.get("error") if isinstance(answer.body, dict) else None
    return error in {"invalid_grant", "invalid_client"}


def _refusal(answer: Answer) -> str:
    try:
        error = answer.body["error"]
        text = "; ".join([error["message"], *error["developerMessage"]])
    except (KeyError, TypeError):
        text = f"The server answers {answer.status}."
    if 'error="insufficient_scope"' in answer.challenge:
        text += ". Run logout, and login with a --scope that has it"
    return text
