"""Domain errors, and the catalogue of codes that clients and the documentation rely on.

Nothing here knows HTTP: :mod:`wotkit.api.errors` turns a category into a status. A code never
changes its meaning and is never used again; a new situation gets a new number.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Category(Enum):
    """What kind of trouble an error is; each way in maps it to its own protocol."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not found"
    METHOD_NOT_ALLOWED = "method not allowed"
    CONFLICT = "conflict"
    TOO_LARGE = "too large"
    UNSUPPORTED_MEDIA = "unsupported media"
    UNPROCESSABLE = "unprocessable"
    TOO_MANY = "too many"
    INTERNAL = "internal"
    UNAVAILABLE = "unavailable"


class Code(NamedTuple):
    """One row of the catalogue."""

    number: int
    category: Category
    message: str
    help: str


class WotkitError(Exception):
    """Base of every error a caller can cause or must be told about.

    Attributes:
        code: the row of the catalogue; its message may be shown to a user.
        developer: lines a developer can act on.
        more: field name (or ``index.field`` in a list) to what is wrong with it.
        retry_after: seconds after which a retry makes sense, or None.
    """

    code: ClassVar[Code]

    def __init__(
        self,
        *developer: str,
        more: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(self.code.message, *developer)
        self.developer: Sequence[str] = developer
        self.more: Mapping[str, str] = more or {}
        self.retry_after = retry_after

    def __str__(self) -> str:
        details = [*self.developer, *(f"{name}: {wrong}" for name, wrong in self.more.items())]
        return f"{self.code.message} ({'; '.join(details)})" if details else self.code.message


class NotFound(WotkitError):
    """Nothing is there, or nothing the caller may see; ``developer`` names what was asked for."""

    code = Code(
        1101,
        Category.NOT_FOUND,
        "Could not locate this resource.",
        "Nothing has this id or name, or it is not visible to the caller. Private sensors of "
        "others answer exactly like sensors that do not exist.",
    )


class NoSuchRoute(WotkitError):
    """No resource has this path."""

    code = Code(
        1102,
        Category.NOT_FOUND,
        "There is nothing at this address.",
        "The path is not part of the API. The reference lists all that are.",
    )


class MethodNotAllowed(WotkitError):
    """The resource exists and has no such method."""

    code = Code(
        1103,
        Category.METHOD_NOT_ALLOWED,
        "This method is not allowed here.",
        "The header Allow lists the methods that are.",
    )


class ValidationFailed(WotkitError):
    """An object or a reading fails validation; ``more`` says which fields and why."""

    code = Code(
        1201,
        Category.INVALID,
        "Object has validation errors",
        "moreInfo names each attribute or field that is wrong; in a list as index.field.",
    )


class InvalidObject(WotkitError):
    """A sensor field or a user fails validation."""

    code = Code(
        1202,
        Category.INVALID,
        "The supplied object is invalid",
        "A sensor field or a user has invalid or missing attributes; moreInfo names them.",
    )


class InvalidFieldContent(WotkitError):
    """A sensor's field does not exist, or cannot be deleted."""

    code = Code(
        1203,
        Category.INVALID,
        "Invalid Field Content",
        "The sensor has no field of this name, or it is the last one, which cannot be deleted.",
    )


class ExtraneousField(WotkitError):
    """An attribute that never changes was sent with another value."""

    code = Code(
        1204,
        Category.INVALID,
        "Extraneous field",
        "The attribute is fixed once the object exists.",
    )


class InvalidQuery(WotkitError):
    """A query parameter is malformed or does not go with another."""

    code = Code(
        1205,
        Category.INVALID,
        "The query is invalid",
        "moreInfo names each query parameter that is wrong, and why.",
    )


class InvalidMetadataQuery(WotkitError):
    """The metadata query cannot be parsed."""

    code = Code(
        1206,
        Category.INVALID,
        "Unexpected format for metadata query",
        "The form is key:value;key2;key3:val* with a backslash before a literal * : ; or \\.",
    )


class BoxUpsideDown(WotkitError):
    """The northern edge of a bounding box lies south of the southern one."""

    code = Code(
        1208,
        Category.INVALID,
        "North must not be smaller than south",
        "The form of location is North,West:South,East in degrees.",
    )


class BoxOutOfBounds(WotkitError):
    """A coordinate of a bounding box is not on the globe."""

    code = Code(
        1209,
        Category.INVALID,
        "A coordinate is out of bounds",
        "Latitudes lie between -90 and 90, longitudes between -180 and 180 degrees.",
    )


class MalformedBody(WotkitError):
    """The body cannot be read: not JSON, not UTF-8, not a form."""

    code = Code(
        1207,
        Category.INVALID,
        "The body could not be read",
        "developerMessage says what was expected and where reading stopped (line and column).",
    )


class ConflictingCredentials(WotkitError):
    """A request carries more than one of all credentials."""

    code = Code(
        1210,
        Category.INVALID,
        "Credentials were sent in more than one way",
        "Send one of all: an Authorization header, or access_token or oauth_token in the query or "
        "in a form.",
    )


class Unauthenticated(WotkitError):
    """Credentials are missing or wrong."""

    code = Code(
        1301,
        Category.UNAUTHENTICATED,
        "Authentication is required",
        "No credentials were sent, or they are wrong, expired or revoked. Send a user name and "
        "password, or a key id and key password, with HTTP basic authentication, or an access "
        "token as Authorization: Bearer.",
    )

    def __init__(self, *developer: str, token: bool = False) -> None:
        """Say whether it is an access token that is wrong, expired or revoked."""
        super().__init__(*developer)
        self.token = token


class MissingScope(WotkitError):
    """The credentials are good and do not allow this."""

    code = Code(
        1302,
        Category.FORBIDDEN,
        "These credentials do not allow this",
        "The key or token lacks the scope that developerMessage names, or the method is for "
        "administrators.",
    )

    def __init__(self, *developer: str, scope: str | None = None, token: bool = False) -> None:
        """Say which scope is missing, and whether an access token lacks it."""
        super().__init__(*developer)
        self.scope = scope
        self.token = token


class CannotPerform(WotkitError):
    """The rules of the platform forbid the action; ``developer`` says why."""

    code = Code(
        1303,
        Category.FORBIDDEN,
        "Cannot perform action",
        "The caller may do such things, but not this one now; developerMessage says why.",
    )


class TooManyLogins(WotkitError):
    """Too many failed logins from this address or for this account."""

    code = Code(
        1304,
        Category.TOO_MANY,
        "Too many failed logins",
        "Wait as long as the header Retry-After says. The limits are the settings auth.*.",
    )


class WrongSignature(WotkitError):
    """A call of the handshake with a frob is not signed by an application that may do so."""

    code = Code(
        1305,
        Category.FORBIDDEN,
        "The request is not signed as it has to be",
        "The application is unknown, may not use the handshake, or did not sign this request; "
        "developerMessage says which. How to sign is in the documentation of access.",
    )


class NotYetAuthorized(WotkitError):
    """The user has not decided about the program that brings the frob."""

    code = Code(
        1306,
        Category.FORBIDDEN,
        "Not yet authorized",
        "The user has not decided yet. Ask again when the user has.",
    )


class FrobSpent(WotkitError):
    """A frob gives no token, now or later."""

    code = Code(
        1307,
        Category.FORBIDDEN,
        "This frob gives no token",
        "It is unknown, has expired or was used, or the user denied it. Begin anew with another.",
    )


class AlreadyExists(WotkitError):
    """A sensor, group or organization of that name exists."""

    code = Code(
        1401,
        Category.CONFLICT,
        "This name already exists",
        "Choose another name. Users and organizations share one namespace.",
    )


class TooLarge(WotkitError):
    """The body is over a limit."""

    code = Code(
        1501,
        Category.TOO_LARGE,
        "The body is too large",
        "Send fewer readings at a time. The limit is the setting http.max_body_bytes, also for "
        "the body once it is decompressed.",
    )


class UnsupportedMedia(WotkitError):
    """The content type or encoding is not one that is read."""

    code = Code(
        1502,
        Category.UNSUPPORTED_MEDIA,
        "This content type or encoding is not supported",
        "developerMessage lists the ones that are.",
    )


class RateLimited(WotkitError):
    """A key posts faster than it may."""

    code = Code(
        1503,
        Category.TOO_MANY,
        "Too many requests",
        "The key is over its rate. Wait as long as the header Retry-After says, or send several "
        "readings in one request. The limits are the settings ingest.rate and ingest.burst.",
    )


class ResendMismatch(WotkitError):
    """An idempotency key came back with another body."""

    code = Code(
        1504,
        Category.UNPROCESSABLE,
        "This idempotency key was used with another body",
        "A key vouches for one body. Use a new key for new readings.",
    )


class TooManyMessages(WotkitError):
    """As many messages to an actuator wait as are kept."""

    code = Code(
        1505,
        Category.TOO_MANY,
        "Too many messages wait",
        "The message was not taken: those that were sent before are still to be received. Send it "
        "again after the seconds that Retry-After says. The limit is control.max_messages.",
    )


class TooManySubscriptions(WotkitError):
    """An actuator has as many subscriptions as it may have."""

    code = Code(
        1506,
        Category.TOO_MANY,
        "Too many subscriptions",
        "Go on using a subscription instead of making a new one at each start; an unused one ends "
        "after control.subscription_seconds. The limit is control.max_subscriptions.",
    )


class TooManySessions(WotkitError):
    """A key has as many MQTT sessions that are kept as it may have."""

    code = Code(
        1508,
        Category.TOO_MANY,
        "Too many sessions",
        "Connect with the client id of before, or with a session expiry of 0. The limit is "
        "mqtt.max_sessions_per_key.",
    )


class TooManyStreams(WotkitError):
    """A user has as many live streams open as may be."""

    code = Code(
        1507,
        Category.TOO_MANY,
        "Too many live streams",
        "Close one, or follow more sensors with one stream. The limit is live.max_per_user.",
    )


class Overloaded(WotkitError):
    """The queue of readings to store is full."""

    code = Code(
        1601,
        Category.UNAVAILABLE,
        "The server is busy",
        "Nothing was stored. Send the same again after the seconds that Retry-After says.",
    )


class StoreUnavailable(WotkitError):
    """Readings cannot be stored or read now, for example because the disk is full."""

    code = Code(
        1602,
        Category.UNAVAILABLE,
        "Readings cannot be stored at the moment",
        "Nothing was stored. developerMessage says why; /readyz says it too. Send the same again "
        "after the seconds that Retry-After says.",
    )


class InternalError(WotkitError):
    """A mistake of the server's own; the log has it under the request id."""

    code = Code(
        1901,
        Category.INTERNAL,
        "Something went wrong on the server",
        "Nothing is known to be wrong with the request. The log has the cause under the request "
        "id in developerMessage.",
    )


CATALOGUE: Final[tuple[Code, ...]] = tuple(
    sorted(error.code for error in WotkitError.__subclasses__())
)
"""Every code, in order of its number."""
