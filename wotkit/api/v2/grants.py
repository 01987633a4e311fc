"""Grants: what the caller lets applications do, and the end of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wotkit.api.operation import Returns, operation
from wotkit.api.responses import answer_json, answer_nothing
from wotkit.api.v2.app_forms import GrantAnswer, grant_answer
from wotkit.catalog import grants
from wotkit.catalog.references import is_id
from wotkit.errors import NotFound

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.catalog import Catalog

TAG: Final = "Applications"
_WHAT: Final = "what applications may do"


class GrantsResource:
    """``/api/v2/grants``."""

    def __init__(self, catalog: Catalog, callers: Callers) -> None:
        self._catalog = catalog
        self._callers = callers

    @operation(
        tag=TAG,
        summary="List what you let applications do",
        privacy="private",
        user_only=True,
        returns={200: Returns("Newest first.", list[GrantAnswer])},
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer the caller's grants."""
        identity = await self._callers.identify_user(req, _WHAT)
        found = await self._catalog.reading(grants.list_for, identity.user_id)
        answer_json(resp, [grant_answer(row) for row in found])


class GrantResource:
    """``/api/v2/grants/{grant}``."""

    def __init__(self, catalog: Catalog, callers: Callers) -> None:
        self._catalog = catalog
        self._callers = callers

    @operation(
        tag=TAG,
        summary="Show what you let an application do",
        privacy="private",
        user_only=True,
        returns={200: Returns("The grant.", GrantAnswer)},
        errors=(NotFound,),
    )
    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, grant: str
    ) -> None:
        """Answer one grant."""
        identity = await self._callers.identify_user(req, _WHAT)
        row = await self._catalog.reading(grants.get, identity, _id(grant))
        answer_json(resp, grant_answer(row))

    @operation(
        tag=TAG,
        summary="Revoke what you let an application do",
        description="Its tokens are refused from the very next request on.",
        privacy="private",
        user_only=True,
        returns={204: Returns("Revoked.")},
        errors=(NotFound,),
    )
    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, grant: str
    ) -> None:
        """End one grant."""
        identity = await self._callers.identify_user(req, _WHAT)
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(grants.revoke, identity, _id(grant), actor)
        answer_nothing(resp)


def _id(text: str) -> int:
    if not is_id(text):
        raise NotFound(text[:100])
    return int(text)
