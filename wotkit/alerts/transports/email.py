"""Sends e-mail through an SMTP server (RFC 5321)."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

from wotkit.alerts.transports import DeliveryFailed

if TYPE_CHECKING:
    from wotkit.catalog.deliveries import Outgoing
    from wotkit.settings import MailSettings

PERMANENT: Final = 500
"""Replies from here on mean that the same will be refused again (RFC 5321 section 4.2.1)."""
_LONGEST: Final = 200


class EmailTransport:
    """Sends each message on a connection of its own, in a thread."""

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings

    async def send(self, message: Outgoing) -> str:
        """Send a message.

        Raises:
            DeliveryFailed: permanently by a reply of 500 and more, or without a server to ask.
        """
        self._require_server()
        return await asyncio.to_thread(self._send, message)

    async def post(self, composed: EmailMessage) -> str:
        """Send an e-mail that is composed, but for its sender and date.

        Raises:
            DeliveryFailed: as :meth:`send`.
        """
        self._require_server()
        composed["From"] = self._settings.sender
        composed["Date"] = formatdate()
        composed["Auto-Submitted"] = "auto-generated"  # RFC 3834
        return await asyncio.to_thread(self._post, composed)

    def _require_server(self) -> None:
        if not self._settings.host:
            raise DeliveryFailed("the server has no mail.host to send with", permanent=True)

    def _send(self, message: Outgoing) -> str:
        try:
            composed = self._compose(message)
        except (ValueError, MessageError) as error:
            raise DeliveryFailed(f"no e-mail can be made: {error}", permanent=True) from error
        return self._post(composed)

    def _post(self, composed: EmailMessage) -> str:
        try:
            with self._connected() as server:
                server.send_message(composed)
        except smtplib.SMTPRecipientsRefused as error:
            code, reply = next(iter(error.recipients.values()))
            raise _refused(code, reply) from error
        except smtplib.SMTPAuthenticationError as error:
            # the operator's settings are wrong, not the message: it can go once they are right
            reason = f"signing in was refused: {error.smtp_code}"
            raise DeliveryFailed(reason, permanent=False) from error
        except smtplib.SMTPResponseException as error:
            raise _refused(error.smtp_code, error.smtp_error) from error
        except (smtplib.SMTPException, OSError) as error:
            raise DeliveryFailed(f"{type(error).__name__}: {error}", permanent=False) from error
        return "accepted by the mail server"

    def _compose(self, message: Outgoing) -> EmailMessage:
        composed = EmailMessage()
        composed["From"] = self._settings.sender
        composed["To"] = message.target
        composed["Subject"] = message.title
        composed["Date"] = formatdate()
        domain = self._settings.sender.rpartition("@")[2] or "localhost"
        # the same at every attempt, so that who got it twice can tell
        composed["Message-ID"] = f"<alert-{message.alert_id}-{message.id}@{domain}>"
        composed["Auto-Submitted"] = "auto-generated"  # RFC 3834
        composed.set_content(message.body)
        return composed

    def _connected(self) -> smtplib.SMTP:
        """Return a connection that is encrypted and signed in as the settings say."""
        settings = self._settings
        if settings.tls == "tls":
            context = ssl.create_default_context()
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                settings.host, settings.port, timeout=settings.seconds, context=context
            )
        else:
            server = smtplib.SMTP(settings.host, settings.port, timeout=settings.seconds)
        try:
            if settings.tls == "starttls":
                server.starttls(context=ssl.create_default_context())
            if settings.user:
                server.login(settings.user, settings.password)
        except BaseException:
            server.close()
            raise
        return server


def _refused(code: int, reply: bytes | str) -> DeliveryFailed:
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    return DeliveryFailed(f"{code} {text}"[:_LONGEST], permanent=code >= PERMANENT)
