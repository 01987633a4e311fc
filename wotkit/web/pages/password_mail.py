"""Sends links that let somebody choose a password."""

from __future__ import annotations

import asyncio
import logging
from email.message import EmailMessage
from typing import TYPE_CHECKING, Final

from wotkit.alerts.transports import DeliveryFailed
from wotkit.alerts.transports.email import EmailTransport
from wotkit.auth import passwords
from wotkit.catalog import audit, links
from wotkit.catalog.audit import Actor

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.web.pages.page import Site

_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_under_way: Final[set[asyncio.Task[None]]] = set()
_log: Final = logging.getLogger(__name__)


def known_address(site: Site, req: falcon.asgi.Request) -> str | None:
    """Return the server's address for a link that somebody else is to open; None if it is unknown.

    What a request names as the server's host is believed only where the connection shows it to be
    right: anybody could have a link with a secret sent that leads to a host of one's own.
    """
    if site.settings.server.public_url:
        return site.settings.server.public_url.rstrip("/")
    host, port = req.scope["server"]
    same = req.host == host or {req.host, host} <= _LOCAL
    return req.prefix.rstrip("/") if same and port in {req.port, None} else None


def send_password_link(
    site: Site, address: str, asker: str, user_id: int, username: str, email: str
) -> None:
    """Make a link and send it, while the page is answered: its time would tell of the account.

    ``asker`` is the address from which it was asked for.
    """
    task = asyncio.create_task(_send(site, address, asker, user_id, username, email))
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)


async def _send(
    site: Site, address: str, asker: str, user_id: int, username: str, email: str
) -> None:
    secret = passwords.make_secret()
    seconds = site.settings.web.link_seconds

    def make() -> None:
        secret_hash = passwords.hash_secret(secret)
        links.make(links.PASSWORD, secret_hash, seconds=seconds, user_id=user_id)
        audit.record(Actor(audit.NOBODY, asker), "user.forgotten", username)

    await site.catalog.writing(make)
    message = EmailMessage()
    message["Subject"] = "Choose a new WoTKit password"
    message["To"] = email
    message.set_content(
        f"Somebody, probably you, asked for a new password of {username} at {address}.\n\n"
        f"Choose it here within {seconds / 3600:g} hours:\n{address}/password/{secret}\n\n"
        "If it was not you, there is nothing to do: your password is as it was.\n"
    )
    try:
        await EmailTransport(site.settings.mail).post(message)
    except DeliveryFailed as error:
        _log.warning("a link for a new password could not be sent: %s", error)
