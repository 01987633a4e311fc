"""How many readings go into one request."""

from typing import Final

_CALM: Final = 100
"""Deliveries without a "too large" until the full size is tried again."""


class BatchSize:
    """Halves when the platform refuses a batch, grows again when it takes them.

    Halving finds the one reading that is to blame in a few requests, and gets the others through.
    A size that was too large is not tried again at once; one that was invalid is, since then not
    the size was wrong.
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._ceiling = largest
        self._size = largest
        self._calm = 0

    @property
    def size(self) -> int:
        """Most readings in the next request."""
        return self._size

    def too_large(self, sent: int) -> None:
        """A batch of so many readings was too large."""
        self._ceiling = self._size = max(1, sent // 2)
        self._calm = 0

    def invalid(self, sent: int) -> None:
        """A batch of so many readings has an invalid one in it."""
        self._size = max(1, sent // 2)

    def delivered(self) -> None:
        """A batch was taken, or its only reading was given up."""
        self._calm += 1
        if self._calm >= _CALM:
            self._ceiling = self._largest
        self._size = min(self._ceiling, self._size * 2)
