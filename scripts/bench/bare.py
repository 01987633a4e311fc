"""The least a server can do: read the body, answer 201, on the very settings of WoTKit's server."""

from __future__ import annotations

import sys
from typing import Any

import falcon.asgi

from wotkit import config, server
from wotkit.edge import Connections


class _Taken:
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, **_: str) -> None:
        """Read a body and forget it."""
        await req.stream.readall()
        resp.status = 201


class _App(falcon.asgi.App):  # type: ignore[type-arg]  # its parameters are no classes at run time
    """Falcon, with what the server wants to know of what it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.connections = Connections()

    async def stop_waiting(self) -> None:
        """Let go who waits: nobody does."""


class _Bare(server.Application):
    def load(self) -> Any:
        """Return the application, in place of WoTKit's."""
        app = _App()
        app.add_route("/api/v1/sensors/{sensor}/data", _Taken())
        return app


def main() -> None:
    """Serve on the port that the command line names."""
    settings = config.load(overrides={"server.port": sys.argv[1]}).settings
    _Bare(settings, (), lambda address: print(f"bare at {address},", flush=True)).run()


if __name__ == "__main__":
    main()
