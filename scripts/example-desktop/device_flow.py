"""Signing in without a browser on this machine: device authorization (RFC 8628)."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from server import Trouble, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from server import Server

DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"
INTERVAL: Final = 5
"""Seconds between two questions, where the server names none (section 3.2)."""
SLOWER: Final = 5
"""Seconds that ``slow_down`` adds, for good (section 3.5)."""
LONGEST: Final = 60


class Denied(Trouble):
    """The user said no."""


class Expired(Trouble):
    """The user did nothing for too long."""


def begin(server: Server, client_id: str, scope: str) -> dict[str, Any]:
    """Ask for a code that the user can type in (section 3.1).

    Raises:
        Trouble: the server cannot be reached, or knows no such client or scope.
    """
    answer = server.post("device_authorization", client_id=client_id, scope=scope)
    if answer.status != HTTPStatus.OK or not isinstance(answer.body, dict):
        raise Trouble(f"The server refuses to begin: {reason(answer.body, answer.status)}")
    return answer.body


def wait(
    server: Server,
    client_id: str,
    asked: dict[str, Any],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Wait until the user has decided, and return the tokens (sections 3.4 and 3.5).

    Raises:
        Denied, Expired: the user said no, or nothing.
        Trouble: the server refuses for another reason.
    """
    interval = asked.get("interval", INTERVAL)
    deadline = time.monotonic() + asked["expires_in"]
    while True:
        sleep(interval)
        try:
            answer = server.post(
                "token",
                grant_type=DEVICE_CODE,
                device_code=asked["device_code"],
                client_id=client_id,
            )
        except Unreachable:
            answer = None
        if answer is None or _is_busy(answer.status):
            interval = min(2 * interval, LONGEST)  # exponential backoff, as section 3.5 asks for
        elif answer.status == HTTPStatus.OK and isinstance(answer.body, dict):
            return answer.body
        else:
            interval += _judged(answer.body, answer.status)
        if time.monotonic() > deadline:
            raise Expired("Nobody has decided in time. Run login again.")


def _is_busy(status: int) -> bool:
    return status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _judged(body: Any, status: int) -> int:
    """Return how many seconds slower to go on, if at all."""
    error = body.get("error") if isinstance(body, dict) else None
    if error == "authorization_pending":
        return 0
    if error == "slow_down":
        return SLOWER
    if error == "access_denied":
        raise Denied("You did not allow it.")
    if error == "expired_token":
        raise Expired("Nobody has decided in time. Run login again.")
    raise Trouble(f"The server refuses: {reason(body, status)}")


def reason(body: Any, status: int) -> str:
    """Return why the server refuses, in words (RFC 6749 section 5.2)."""
    error = body if isinstance(body, dict) else {}
    return str(error.get("error_description") or error.get("error") or f"it answers {status}")
