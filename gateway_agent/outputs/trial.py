"""Tries the key on the platform before anything depends on it."""

from http import HTTPStatus

from gateway_agent.outputs.client import PlatformClient, Response, trouble


def try_key(client: PlatformClient) -> str | None:
    """Ask the platform for one sensor; what is wrong with address or key, or None."""
    response = client.request("GET", "v2/sensors?limit=1")
    if not isinstance(response, Response):
        return response.reason
    if response.status == HTTPStatus.FORBIDDEN:
        return None  # a known key that may only write
    if response.status != HTTPStatus.OK:
        return trouble(response).reason
    if not isinstance(response.body, list):
        return "the answer is not the platform's; is this the address of the API?"
    return None
