"""Style sheets, scripts and pictures of the pages; all are ours, or recorded in their README."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wotkit.api.responses import answer_cached
from wotkit.errors import NoSuchRoute

if TYPE_CHECKING:
    from pathlib import Path

    import falcon.asgi

_MEDIA: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class StaticFiles:
    """``GET /static/{name}``: the files of one folder, read once."""

    def __init__(self, folder: Path) -> None:
        self._files = {
            path.name: (path.read_bytes(), _MEDIA[path.suffix])
            for path in folder.iterdir()
            if path.suffix in _MEDIA
        }

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, name: str) -> None:
        """Answer a file."""
        if name not in self._files:
            raise NoSuchRoute(f"there is no file {name[:100]}")
        answer_cached(req, resp, *self._files[name])
