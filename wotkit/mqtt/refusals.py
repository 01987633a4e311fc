"""What is refused, in the protocol's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wotkit.errors import Category, MissingScope, NotFound, TooManyLogins, Unauthenticated
from wotkit.mqtt.codec import Reason

if TYPE_CHECKING:
    from wotkit.errors import WotkitError

_STATUS: Final = {
    Category.FORBIDDEN: 403,
    Category.NOT_FOUND: 404,
    Category.TOO_LARGE: 413,
}
_INVALID: Final = 400

NO_SUCH_METHOD: Final = "there is no authentication method of this name"
"""Why CONNECT is refused that wants to sign in another way; the doctor knows a server by it."""


def reason_of(error: WotkitError) -> Reason:
    """Return the reason code of a publish that is refused for good."""
    if isinstance(error, MissingScope | NotFound):
        return Reason.NOT_AUTHORIZED
    return Reason.PAYLOAD_FORMAT_INVALID


def reason_of_login(error: WotkitError) -> Reason:
    """Return the reason code of a CONNECT whose credentials are not accepted."""
    if isinstance(error, TooManyLogins):
        return Reason.CONNECTION_RATE_EXCEEDED
    if isinstance(error, Unauthenticated):
        return Reason.BAD_USER_NAME_OR_PASSWORD
    return Reason.SERVER_UNAVAILABLE


def shape_of(error: WotkitError) -> dict[str, Any]:
    """Return an error in the shape in which the API answers it."""
    return {
        "status": _STATUS.get(error.code.category, _INVALID),
        "code": error.code.number,
        "message": error.code.message,
        "developerMessage": list(error.developer)
        or [f"{name} {wrong}" for name, wrong in error.more.items()],
        "moreInfo": dict(error.more),
    }
