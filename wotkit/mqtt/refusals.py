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

DEVELOPER: Final = "developerMessage"
PROPERTIES: Final = 20
PROPERTY_CHARACTERS: Final = 500
"""How much of an explanation goes with an acknowledgement; ``errors`` has all of it."""

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


def user_properties_of(error: WotkitError) -> tuple[tuple[str, str], ...]:
    """Return what a developer is told, as user properties (MQTT 5, section 3.4.2.2.3).

    A text of MQTT has no null character and an end, which what a client has sent may not have.
    """
    lines = shape_of(error)["developerMessage"][:PROPERTIES]
    return tuple((DEVELOPER, line[:PROPERTY_CHARACTERS].replace("\0", "\ufffd")) for line in lines)


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
