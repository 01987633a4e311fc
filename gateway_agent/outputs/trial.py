"""Tries the address and the key on the platform before anything depends on them.

Nothing is stored by it: what is sent to where one may write or manage is empty, and refused.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from gateway_agent.outputs.client import PlatformClient, Response, trouble

_SENSORS: Final = "v2/sensors?limit=1"
_NOT_THE_API: Final = "the answer is not the platform's; is this the address of the API?"
_NEEDS_SCOPE: Final[dict[str, tuple[str, str, bytes | None]]] = {
    "read": ("GET", _SENSORS, None),
    "write": ("POST", "v2/ingest", b"{}"),
    "manage": ("POST", "v2/sensors", b"{}"),
    "control": ("GET", "v1/control/sub/0?wait=0", None),
}
"""By scope a request that is refused with 403 without it, and does nothing with it."""


def try_key(client: PlatformClient) -> str | None:
    """Ask the platform for one sensor; what is wrong with address or key, or None."""
    response = client.request("GET", _SENSORS)
    if not isinstance(response, Response):
        return response.reason
    if response.status == HTTPStatus.FORBIDDEN:
        return None  # a known key that may only write
    if response.status != HTTPStatus.OK:
        return trouble(response).reason
    if not isinstance(response.body, list):
        return _NOT_THE_API
    return None


def try_address(client: PlatformClient) -> str | None:
    """Ask for one sensor without the key; why this is not the API's address, or None."""
    response = client.request("GET", _SENSORS, with_key=False)
    if not isinstance(response, Response):
        return response.reason
    if response.status == HTTPStatus.OK and isinstance(response.body, list):
        return None
    if response.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN} and response.has_error:
        return None  # a platform that shows nothing to strangers
    return _NOT_THE_API if response.status == HTTPStatus.OK else trouble(response).reason


def missing_scopes(
    client: PlatformClient, scopes: Iterable[str] = ("read", "write", "manage")
) -> list[str]:
    """Which of some scopes (read, write, manage, control) a good key lacks."""
    missing = []
    for scope in scopes:
        method, path, body = _NEEDS_SCOPE[scope]
        response = client.request(method, path, body)
        if isinstance(response, Response) and response.status == HTTPStatus.FORBIDDEN:
            missing.append(scope)
    return missing
