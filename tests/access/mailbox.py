"""A mail server that keeps what it is given."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from aiosmtpd.controller import Controller

from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiosmtpd.smtp import SMTP, Envelope, Session


class Mailbox:
    """Takes every mail."""

    def __init__(self) -> None:
        self.port = free_port()
        self.mails: list[str] = []

    @property
    def options(self) -> tuple[str, ...]:
        """How a server is told to send its mail here."""
        settings = ("mail.host=127.0.0.1", f"mail.port={self.port}", "mail.tls=none")
        return tuple(word for setting in settings for word in ("--set", setting))

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  # the library's name
        self.mails.append(bytes(envelope.content or b"").decode())
        return "250 OK"


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A mail server on the loopback."""
    found = Mailbox()
    controller = Controller(found, hostname="127.0.0.1", port=found.port)
    controller.start()
    try:
        yield found
    finally:
        controller.stop()
