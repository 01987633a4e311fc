"""Ports of the loopback address for servers that must keep theirs through a restart."""

from __future__ import annotations

import os
import re
import socket
from random import SystemRandom
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST: Final = 20_000
END: Final = 32_768
"""Where systems begin to give out ports by themselves (``net.ipv4.ip_local_port_range``)."""
SHARE: Final = 1_000
"""Ports for each of the processes that run tests side by side."""


def ports_in_turn(first: int, end: int) -> Iterator[int]:
    """Yield the ports of a range in an order of chance, over and over."""
    while True:
        yield from SystemRandom().sample(range(first, end), end - first)


def share_of(worker: str) -> range:
    """Return the ports of a process, by the name that pytest-xdist gives it."""
    number = int("".join(re.findall(r"\d+", worker)) or "0")
    first = FIRST + number * SHARE % (END - FIRST - SHARE)
    return range(first, first + SHARE)


_mine = share_of(os.environ.get("PYTEST_XDIST_WORKER", ""))
_next = ports_in_turn(_mine.start, _mine.stop)


def free_port() -> int:
    """Return a port that nobody listens at, and that nobody else is given.

    A port that the system chooses may go to any connection of any process as soon as it is
    closed, so a server could not be sure to get it, nor to get it back after a restart.

    Raises:
        RuntimeError: every port of this process's share is in use.
    """
    for _ in range(SHARE):
        port = next(_next)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    message = f"no port is free from {_mine.start} to {_mine.stop}"
    raise RuntimeError(message)
