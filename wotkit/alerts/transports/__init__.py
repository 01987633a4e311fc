"""Ways to tell somebody: each sends one message, and says whether a failure is permanent.

The inbox is no transport: its message is written in the transaction of the alert's state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from wotkit.catalog.deliveries import Outgoing


class DeliveryFailed(Exception):
    """The message was not taken; ``permanent``: trying again is no use."""

    def __init__(self, reason: str, *, permanent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent


class Transport(Protocol):
    """One way to tell somebody."""

    async def send(self, message: Outgoing) -> str:
        """Send a message and return what the other side said.

        Raises:
            DeliveryFailed: it was not taken.
        """
        ...
