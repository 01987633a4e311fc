"""What an application may be registered with, and which addresses it may send people back to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from msgspec import UNSET

from wotkit.catalog.identity import ADMIN, SCOPES
from wotkit.errors import ValidationFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wotkit.catalog.apps import AppChange

WEB: Final = "web"
DESKTOP: Final = "desktop"
BROWSER: Final = "browser"
KINDS: Final = (WEB, DESKTOP, BROWSER)
OUT_OF_BAND: Final = "urn:ietf:wg:oauth:2.0:oob"
"""Instead of an address: the code is shown on a page, to be copied."""
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

MAX_NAME: Final = 100
MAX_DESCRIPTION: Final = 4000
MAX_ADDRESS: Final = 2000
MAX_REDIRECTS: Final = 20
ACCESS_SECONDS: Final = range(60, 31_536_001)
"""Lives of an access token that an application may be given: a minute to a year."""
REFRESH_SECONDS: Final = range(3600, 315_360_001)
"""An hour to ten years."""
GRACE_SECONDS: Final = range(301)

_OWN_SCHEME: Final = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")
"""A scheme of the application's own: a name in reverse order (RFC 8252 section 7.1)."""
_PLAIN: Final = re.compile(r"[!-\[\]-~]+")
"""Visible ASCII without the backslash, which browsers read as a slash."""


def check(change: AppChange, kind: str) -> None:
    """Check what of an application is new.

    Raises:
        ValidationFailed: attributes are invalid; ``more`` names each.
    """
    problems = {
        "name": _name(change),
        "description": _description(change),
        "website": _website(change),
        "icon": _icon(change),
        "kind": None if kind in KINDS else "is invalid: it is none of web, desktop, browser",
        "redirectUris": _redirect_uris(change, kind),
        "scopes": _scopes(change),
        "allowClientCredentials": _client_credentials(change, kind),
        "accessSeconds": _within(change.access_seconds, ACCESS_SECONDS),
        "refreshSeconds": _within(change.refresh_seconds, REFRESH_SECONDS),
        "graceSeconds": _within(change.grace_seconds, GRACE_SECONDS),
    }
    found = {name: wrong for name, wrong in problems.items() if wrong is not None}
    if found:
        raise ValidationFailed(more=found)


def _name(change: AppChange) -> str | None:
    if change.name is UNSET:
        return None
    if not change.name.strip():
        return "is required"
    if len(change.name) > MAX_NAME:
        return f"is invalid: it has more than {MAX_NAME} characters"
    if not change.name.isprintable():
        return "is invalid: it has characters that do not show"
    return None


def _description(change: AppChange) -> str | None:
    if change.description is not UNSET and len(change.description) > MAX_DESCRIPTION:
        return f"is invalid: it has more than {MAX_DESCRIPTION} characters"
    return None


def _website(change: AppChange) -> str | None:
    if change.website is UNSET:
        return None
    if not change.website:
        return "is required"
    parts = _split(change.website)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        return "is invalid: it must be an address that begins with https:// or http://"
    return None


def _icon(change: AppChange) -> str | None:
    if change.icon is UNSET or not change.icon:
        return None
    parts = _split(change.icon)
    if parts is None or parts.scheme != "https" or not parts.hostname:
        return "is invalid: it must be an address that begins with https://"
    return None


def _scopes(change: AppChange) -> str | None:
    if change.scopes is UNSET:
        return None
    unknown = sorted(set(change.scopes) - SCOPES)
    if unknown:
        return f"has unknown scopes: {', '.join(unknown)}"
    if not change.scopes:
        return "must name at least one scope"
    if ADMIN in change.scopes:
        return "may not have admin, which is never asked for but by name"
    return None


def _client_credentials(change: AppChange, kind: str) -> str | None:
    if change.allow_client_credentials is True and kind != WEB:
        return "is for applications of kind web: it needs a client secret"
    return None


def _within(value: object, limits: range) -> str | None:
    if value is UNSET or value is None or value in limits:
        return None
    return f"is invalid: it lies outside {limits[0]} to {limits[-1]}"


def _redirect_uris(change: AppChange, kind: str) -> str | None:
    uris: Sequence[str] = () if change.redirect_uris is UNSET else change.redirect_uris
    if len(uris) > MAX_REDIRECTS:
        return f"has more than {MAX_REDIRECTS} addresses"
    for uri in uris:
        wrong = redirect_problem(uri, kind)
        if wrong is not None:
            return f"is invalid: {uri[:100]!r} {wrong}"
    return None


def redirect_problem(uri: str, kind: str) -> str | None:
    """Return why people may not be sent back to ``uri`` (RFC 9700 section 2.1, RFC 8252)."""
    if uri == OUT_OF_BAND:
        return None
    if "#" in uri:
        return "has a fragment"
    parts = _split(uri)
    if parts is None:
        return "is no absolute address, or has a user name, spaces or characters beyond ASCII"
    if _may_be_called(parts, kind):
        return None
    if kind == DESKTOP:
        return "must begin with https://, http://127.0.0.1 or a scheme such as org.example.app:"
    return "must begin with https://; http:// is for 127.0.0.1, [::1] and localhost"


def _may_be_called(parts: SplitResult, kind: str) -> bool:
    if parts.scheme == "https":
        return bool(parts.hostname)
    if parts.scheme == "http":
        return parts.hostname in LOOPBACK
    return kind == DESKTOP and _OWN_SCHEME.fullmatch(parts.scheme) is not None


def _split(uri: str) -> SplitResult | None:
    """Return the parts of an absolute address; None when it is none, or could be misread."""
    if len(uri) > MAX_ADDRESS or not _PLAIN.fullmatch(uri):
        return None
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return None
    if not parts.scheme or "@" in parts.netloc or "*" in parts.netloc:
        return None
    return parts
