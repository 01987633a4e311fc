"""A third party's web application: it asks, hears back, and redeems what it got."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

if TYPE_CHECKING:
    from tests.system.server_process import ServerProcess


class Application:
    """The application, with a server of its own."""

    def __init__(self, server: ServerProcess) -> None:
        self.heard: list[dict[str, list[str]]] = []
        """What came to its callback."""
        self._server = server
        application = self

        class Callback(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/callback":
                    application.heard.append(parse_qs(parts.query))
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(b"<!doctype html><title>Plotter</title><h1>Back at Plotter</h1>")

            def log_message(self, *_: Any) -> None:
                pass

        self._http = HTTPServer(("127.0.0.1", 0), Callback)
        self._thread = threading.Thread(target=self._http.serve_forever)
        self.callback = f"http://127.0.0.1:{self._http.server_port}/callback"
        self.made = server.json(
            "app", "create", "--user", "bob-the-builder", "--name", "Plotter",
            "--description", "Plots what your sensors measure.",
            "--website", "https://plotter.example", "--redirect-uri", self.callback,
        )  # fmt: skip

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)
        listed = self._server.json("app", "list", "--user", "bob-the-builder")
        if self.made["client_id"] in str(listed):
            self._server.command("app", "delete", self.made["client_id"])

    def address(self, **more: str) -> str:
        """Where it sends its user."""
        asked = {
            "response_type": "code",
            "client_id": self.made["client_id"],
            "redirect_uri": self.callback,
            "state": "xyz",
            "scope": "read",
            **more,
        }
        return f"/api/oauth/authorize?{urlencode(asked)}"

    def redeem(self) -> dict[str, Any]:
        """Redeem the code that it heard last."""
        fields = {
            "grant_type": "authorization_code",
            "code": self.heard[-1]["code"][0],
            "redirect_uri": self.callback,
        }
        caller = (self.made["client_id"], self.made["client_secret"])
        answer = httpx.post(f"{self._server.url}/api/oauth/token", data=fields, auth=caller)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


def status(url: str, token: str) -> int:
    """Return what a call of the API with a token is answered."""
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{url}/api/v2/sensors", headers=headers).status_code


def device_asks(url: str, client_id: str) -> dict[str, str]:
    """Ask for a code as a device does (RFC 8628 section 3.1)."""
    asked = {"client_id": client_id, "scope": "read"}
    found: dict[str, str] = httpx.post(f"{url}/api/oauth/device_authorization", data=asked).json()
    return found


OOB = "urn:ietf:wg:oauth:2.0:oob"


def desktop_address(client_id: str) -> str:
    """Where a desktop program sends its user to be shown a code."""
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": OOB,
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
    return f"/api/oauth/authorize?{urlencode(query)}"
