"""Sends links that let somebody choose a password."""

from __future__ import annotations

import asyncio
import logging
from email.message import EmailMessage
from typing import TYPE_CHECKING, Final

from wotkit.alerts.transports import DeliveryFailed
from wotkit.alerts.transports.email import EmailTransport
from wotkit.auth import passwords
from wotkit.catalog import links

if TYPE_CHECKING:
    from wotkit.web.pages.page import Site

_under_way: Final[set[asyncio.Task[None]]] = set()
_log: Final = logging.getLogger(__name__)


def send_password_link(site: Site, address: str, user_id: int, username: str, email: str) -> None:
    """Make a link and send it, while the page is answered: its time would tell of the account."""
    task = asyncio.create_task(_send(site, address, user_id, username, email))
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)


async def _send(site: Site, address: str, user_id: int, username: str, email: str) -> None:
    secret = passwords.make_secret()
    seconds = site.settings.web.link_seconds
    await site.catalog.writing(
        links.make,
        links.PASSWORD,
        passwords.hash_secret(secret),
        seconds=seconds,
        user_id=user_id,
    )
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
