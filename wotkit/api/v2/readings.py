"""Readings of one sensor, version 2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wotkit.api.operation import Returns, operation
from wotkit.api.resend import HEADERS, REPLAYED
from wotkit.api.v1 import readings as v1
from wotkit.catalog.identity import WRITE

if TYPE_CHECKING:
    import falcon.asgi


class ReadingsResource(v1.ReadingsResource):
    """As version 1, but a PUT replaces only readings of exactly the times it names."""

    exactly = True

    @operation(
        tag="Readings",
        summary="Replace readings of exactly these times",
        description="Each reading needs a timestamp and replaces those of that instant; all of "
        "them, or none.",
        privacy="private",
        scope=WRITE,
        body=list[dict[str, Any]],
        example=v1.EXAMPLE_LIST,
        headers=HEADERS,
        returns={
            204: Returns("The readings are stored in the place of the old ones.", headers=REPLAYED)
        },
        errors=v1.WRITE_ERRORS,
    )
    async def on_put(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str
    ) -> None:
        """Replace readings."""
        await super().on_put(req, resp, sensor)
