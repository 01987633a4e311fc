"""The pages' own application: which page answers which path.

It is made when the first page is asked for, so a server that only gateways and scripts talk to
never loads it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import falcon.asgi
import jinja2

from wotkit import times
from wotkit.web.pages.account import PasswordPage, ProfilePage, SessionsPage
from wotkit.web.pages.admin_audit import AuditExportPage, AuditPage
from wotkit.web.pages.admin_home import AdminAppsPage, AdminPage
from wotkit.web.pages.admin_orgs import NewOrgPage, OrgPage, OrgsPage
from wotkit.web.pages.admin_users import NewUserPage, UserPage, UsersPage
from wotkit.web.pages.apps import AppPage, DeleteAppPage, MyAppsPage, NewAppPage, PublicAppsPage
from wotkit.web.pages.authorize import AuthorizePage
from wotkit.web.pages.browsers import browser_of
from wotkit.web.pages.connected import ConnectedPage
from wotkit.web.pages.device import DevicePage
from wotkit.web.pages.entrance import (
    FirstAdminPage,
    ForgottenPage,
    LoginPage,
    LogoutPage,
    NewPasswordPage,
    RegisterPage,
)
from wotkit.web.pages.errors import install
from wotkit.web.pages.frob import FrobPage
from wotkit.web.pages.gateways import GatewayPage, GatewaysPage
from wotkit.web.pages.home import HomePage
from wotkit.web.pages.keys import KeyPage, KeysPage, NewKeyPage
from wotkit.web.pages.page import Site
from wotkit.web.pages.signing import Signer
from wotkit.web.pages.static import StaticFiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wotkit.auth.authenticator import Authenticator
    from wotkit.catalog import Catalog
    from wotkit.settings import Settings

WEB: Final = Path(__file__).parent


def table(site: Site) -> Iterator[tuple[str, Any]]:
    """Yield every path and its page."""
    yield "/", HomePage(site)
    yield "/static/{name}", StaticFiles(WEB / "static")
    yield "/welcome/{secret}", FirstAdminPage(site)
    yield "/login", LoginPage(site)
    yield "/logout", LogoutPage(site)
    yield "/register", RegisterPage(site)
    yield "/forgotten", ForgottenPage(site)
    yield "/password/{secret}", NewPasswordPage(site)
    yield "/account", ProfilePage(site)
    yield "/account/password", PasswordPage(site)
    yield "/account/sessions", SessionsPage(site)
    yield "/account/keys", KeysPage(site)
    yield "/account/keys/new", NewKeyPage(site)
    yield "/account/keys/{key}", KeyPage(site)
    yield "/account/gateways", GatewaysPage(site)
    yield "/account/gateways/{gateway}", GatewayPage(site)
    yield "/apps", PublicAppsPage(site)
    yield "/apps/authorize", FrobPage(site)
    yield "/account/apps", MyAppsPage(site)
    yield "/account/apps/new", NewAppPage(site)
    yield "/account/apps/{app}", AppPage(site)
    yield "/account/apps/{app}/delete", DeleteAppPage(site)
    yield "/account/connected", ConnectedPage(site)
    yield "/admin", AdminPage(site)
    yield "/admin/users", UsersPage(site)
    yield "/admin/users/new", NewUserPage(site)
    yield "/admin/users/{user}", UserPage(site)
    yield "/admin/orgs", OrgsPage(site)
    yield "/admin/orgs/new", NewOrgPage(site)
    yield "/admin/orgs/{org}", OrgPage(site)
    yield "/admin/apps", AdminAppsPage(site)
    yield "/admin/audit", AuditPage(site)
    yield "/admin/audit/export", AuditExportPage(site)
    yield "/api/oauth/authorize", AuthorizePage(site)
    yield "/api/oauthv2/authorize", AuthorizePage(site)
    yield "/device", DevicePage(site)


def create_site(
    settings: Settings, catalog: Catalog, authenticator: Authenticator, secret_key: str
) -> falcon.asgi.App[Any, Any]:
    """Return the application that answers every page."""
    site = Site(settings, catalog, authenticator, secret_key, Signer(secret_key), templates())
    app: falcon.asgi.App[Any, Any] = falcon.asgi.App()
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.keep_blank_qs_values = True
    install(app, site)
    for path, page in table(site):
        if hasattr(page, "on_get"):
            page.on_head = page.on_get  # the server sends no text then (RFC 9110 section 9.3.2)
        app.add_route(path, page)
    return app


def templates() -> jinja2.Environment:
    """Return the templates, which escape whatever they show."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(WEB / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"when": when, "day": day, "iso": iso, "ago": ago, "exactly": exactly}
    environment.filters["browser"] = browser_of
    return environment


def iso(at: int) -> str:
    """Return a time (microseconds) for the ``datetime`` attribute of HTML."""
    return times.in_zone(at, UTC).isoformat(timespec="seconds")


def when(at: int, zone: str) -> str:
    """Return a time as people of a time zone write it, with the zone's short name."""
    return _local(at, zone).strftime("%-d %b %Y, %H:%M %Z")


def exactly(at: int, zone: str) -> str:
    """Return a time to the second, as people of a time zone write it."""
    return _local(at, zone).strftime("%-d %b %Y, %H:%M:%S %Z")


def day(at: int, zone: str) -> str:
    """Return the day of a time in a time zone."""
    return _local(at, zone).strftime("%-d %b %Y")


def ago(at: int) -> str:
    """Return how long ago a time was, in the largest unit that fits."""
    seconds = max(0, (times.now() - at) // times.MICROSECONDS)
    for length, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"


def _local(at: int, zone: str) -> datetime:
    return times.in_zone(at, ZoneInfo(zone))
