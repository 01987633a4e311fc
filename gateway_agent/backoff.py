"""How long to wait before trying again."""

import random
from collections.abc import Callable
from typing import Final

Jitter = Callable[[float, float], float]
"""Draws a number between two bounds, as `random.uniform` does."""

_SHIFT_LIMIT: Final = 30


class Backoff:
    """Exponential delays with full jitter: uniform between 0 and a bound that doubles.

    The bound starts at `first` seconds and stops at `longest` seconds. Full jitter spreads a
    fleet of gateways that lost the platform at the same moment.
    """

    def __init__(self, first: float, longest: float, jitter: Jitter = random.uniform) -> None:
        self._first = first
        self._longest = longest
        self._jitter = jitter
        self._failures = 0

    @property
    def failures(self) -> int:
        """Delays asked for since the last `reset`."""
        return self._failures

    def next(self) -> float:
        """Seconds to wait after one more failure."""
        bound = min(self._longest, self._first * 2 ** min(self._failures, _SHIFT_LIMIT))
        self._failures += 1
        return self._jitter(0.0, bound)

    def next_at_least(self, seconds: float) -> float:
        """Seconds to wait when the other side named a time: that, plus up to a tenth and 1 s."""
        self._failures += 1
        return seconds + self._jitter(0.0, min(self._first, 1.0) + seconds / 10)

    def next_between(self) -> float:
        """Seconds to wait with a floor: between `first` and the doubling bound."""
        bound = min(self._longest, self._first * 2 ** min(self._failures + 1, _SHIFT_LIMIT))
        self._failures += 1
        return self._jitter(min(self._first, bound), bound)

    def reset(self) -> None:
        """Something worked: start again from the shortest delay."""
        self._failures = 0
