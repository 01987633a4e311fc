#!/usr/bin/env python3
"""A small web application that plots sensors of its users; see README.md beside this."""

from __future__ import annotations

import argparse
import os
import time
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import connection
import pages
import plot
from browsers import Browser, Browsers

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

COOKIE: Final = "plotter"
STYLE: Final = Path(__file__).with_name("style.css").read_bytes()
POLICY: Final = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"
HTML: Final = ("Content-Type", "text/html; charset=utf-8")


class Visit(NamedTuple):
    """One request."""

    query: dict[str, str]
    browser_id: str
    browser: Browser


class Page(NamedTuple):
    """One answer."""

    body: str | bytes
    status: HTTPStatus = HTTPStatus.OK
    headers: tuple[tuple[str, str], ...] = (HTML,)


class Plotter:
    """The application (WSGI, PEP 3333)."""

    def __init__(self, platform: connection.Platform, address: str) -> None:
        self._platform = platform
        self._secure = address.startswith("https:")
        self._browsers = Browsers()
        self._routes = {
            ("GET", "/"): self.home,
            ("GET", "/sensor"): self.sensor,
            ("GET", "/callback"): self.callback,
            ("GET", "/style.css"): self.style,
            # POST, so that no link of another site can begin or end anything: the cookie is
            # SameSite=Lax, which leaves it out of what other sites post
            ("POST", "/connect"): self.connect,
            ("POST", "/disconnect"): self.disconnect,
        }
        # a form that leads on to the server must be allowed to; nothing else leaves this page
        self._headers = [
            ("Content-Security-Policy", f"{POLICY}; form-action 'self' {platform.address}"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", "no-store"),
        ]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        found = self._answer(environ)
        body = found.body.encode() if isinstance(found.body, str) else found.body
        status = f"{found.status.value} {found.status.phrase}"
        length = ("Content-Length", str(len(body)))
        start_response(status, [*found.headers, *self._headers, length])
        return [body]

    def _answer(self, environ: WSGIEnvironment) -> Page:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        respond = self._routes.get((method, path))
        if respond is None:
            if any(path == known for _, known in self._routes):
                text = pages.problem("That does not work", f"Not with {method}.")
                return Page(text, HTTPStatus.METHOD_NOT_ALLOWED)
            text = pages.problem("There is no such page", "The address may be mistyped.")
            return Page(text, HTTPStatus.NOT_FOUND)
        browser_id = _cookie(environ.get("HTTP_COOKIE", ""))
        query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        visit = Visit(query, browser_id, self._browsers.get(browser_id))
        try:
            return respond(visit)
        except connection.NotConnected:
            # the user took the permission back, or has not used it for long: ask again
            self._browsers.forget(browser_id)
            text = "The permission to read your sensors has ended. Nothing else is lost."
            button = pages.connect_button("Connect again")
            return Page(
                pages.problem("You are no longer connected", text, again=button),
                HTTPStatus.FORBIDDEN,
            )
        except connection.Unreachable as error:
            # nothing has ended: keep the connection, and say that it is not the user's fault
            print(f"{self._platform.address}: {error}", flush=True)
            text = f"{self._platform.address} does not answer. Try again in a moment."
            return Page(
                pages.problem("The server cannot be reached", text, visit.browser.user or None),
                HTTPStatus.BAD_GATEWAY,
            )
        except connection.Refused as error:
            missing = error.status == HTTPStatus.NOT_FOUND
            title = "There is no such sensor" if missing else "The server refuses"
            return Page(
                pages.problem(title, str(error), visit.browser.user or None),
                HTTPStatus.NOT_FOUND if missing else HTTPStatus.BAD_GATEWAY,
            )

    def home(self, visit: Visit) -> Page:
        """Show the user's sensors, or what this is about."""
        browser = visit.browser
        if browser.connection is None:
            return Page(pages.welcome(self._platform.address))
        attributes = "name,owner,longName,lastUpdate"
        found = browser.connection.get(
            "sensors", scope="contributed", fields=attributes, limit="1000"
        )
        return Page(pages.sensors(found, browser.user))

    def sensor(self, visit: Visit) -> Page:
        """Plot one field of one sensor."""
        browser = visit.browser
        name = visit.query.get("name", "")
        if browser.connection is None or not name.strip("."):
            return _see("/")
        found = browser.connection.get(f"sensors/{quote(name, safe='')}")
        fields = pages.numeric(found)
        wanted = visit.query.get("field")
        field = next((each for each in fields if each["name"] == wanted), next(iter(fields), None))
        if field is None:
            return Page(pages.sensor(found, None, None, browser.user))
        start = datetime.now(UTC) - timedelta(hours=plot.HOURS)
        readings = browser.connection.readings(name, start=start.isoformat())
        shown = plot.series(readings, field["name"], time.time())
        return Page(pages.sensor(found, field, shown, browser.user))

    def connect(self, visit: Visit) -> Page:
        """Begin: remember the round in this browser's session, and send the user to the server."""
        pending = self._platform.begin()
        browser, browser_id = visit.browser, visit.browser_id
        browser.pending = pending
        if self._browsers.get(browser_id) is not browser:
            browser_id = self._browsers.add(browser)
        return _see(pending.address, self._remember(browser_id))

    def callback(self, visit: Visit) -> Page:
        """Finish: the user comes back with a code, or with an error."""
        pending, visit.browser.pending = visit.browser.pending, None  # one answer for each round
        again = pages.connect_button("Start again")
        if pending is None:
            text = "No sign-in has begun in this browser, or it was completed before."
            return Page(
                pages.problem("That did not work", text, again=again), HTTPStatus.BAD_REQUEST
            )
        try:
            made = self._platform.finish(pending, visit.query)
        except connection.Denied:
            text = "You did not allow Plotter to read your sensors, so it has nothing to show."
            return Page(pages.problem("Not connected", text, again=again))
        except connection.SignInFailed as error:
            return Page(
                pages.problem("That did not work", str(error), again=again), HTTPStatus.BAD_REQUEST
            )
        # whoever knew the session before the sign-in must not know the one after it
        self._browsers.forget(visit.browser_id)
        browser_id = self._browsers.add(Browser(connection=made, user=made.username()))
        return _see("/", self._remember(browser_id))

    def disconnect(self, visit: Visit) -> Page:
        """End: at the server first, so that a failure is seen, and then here."""
        if visit.browser.connection is not None:
            visit.browser.connection.disconnect()
        self._browsers.forget(visit.browser_id)
        return _see("/", (("Set-Cookie", f"{COOKIE}=; Path=/; Max-Age=0"),))

    def style(self, _: Visit) -> Page:
        """Answer the style sheet."""
        return Page(STYLE, headers=(("Content-Type", "text/css; charset=utf-8"),))

    def _remember(self, browser_id: str) -> tuple[tuple[str, str], ...]:
        # Lax, not Strict: the way back from the server begins at another site
        secure = "; Secure" if self._secure else ""
        return (("Set-Cookie", f"{COOKIE}={browser_id}; Path=/; HttpOnly; SameSite=Lax{secure}"),)


def _see(address: str, headers: tuple[tuple[str, str], ...] = ()) -> Page:
    return Page("", HTTPStatus.SEE_OTHER, (("Location", address), *headers))


def _cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


class Server(ThreadingMixIn, WSGIServer):
    """Several requests at once: browsers open connections before they need them."""

    daemon_threads = True


class Handler(WSGIRequestHandler):
    """Leaves queries out of the log: the code is in one."""

    timeout = 30
    """Seconds until a connection on which nothing comes is closed."""

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Write one line."""
        path = getattr(self, "path", "").partition("?")[0]  # none where the request is junk
        self.log_message("%s %s %s", self.command, path, str(code))
        del size


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Plots sensors of its users, by OAuth2.")
    parser.add_argument("--server", default="http://127.0.0.1:8080", help="address of WoTKit")
    parser.add_argument("--client-id", required=True, help="as WoTKit gave it")
    parser.add_argument(
        "--secret-file",
        type=Path,
        help="file with the client secret; without, it is in PLOTTER_CLIENT_SECRET",
    )
    parser.add_argument("--port", type=int, default=5005, help="port on this machine")
    parser.add_argument("--address", help="as browsers see this, if not http://127.0.0.1:PORT")
    found = parser.parse_args()
    secret = os.environ.get("PLOTTER_CLIENT_SECRET", "")
    if found.secret_file is not None:
        secret = found.secret_file.read_text(encoding="utf-8").strip()
    if not secret:
        parser.error("the client secret is needed, in a file or in PLOTTER_CLIENT_SECRET")
    found.secret = secret
    found.address = (found.address or f"http://127.0.0.1:{found.port}").rstrip("/")
    if not urlsplit(found.address).hostname:
        parser.error(f"{found.address} is no address")
    return found


def main() -> None:
    """Serve until the program is ended."""
    given = _arguments()
    platform = connection.Platform(
        given.server, given.client_id, given.secret, f"{given.address}/callback"
    )
    plotter = Plotter(platform, given.address)
    with make_server("127.0.0.1", given.port, plotter, Server, Handler) as server:
        print(f"Plotter at {given.address}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print()
