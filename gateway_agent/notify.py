"""Telling a service manager how the agent is: the datagrams of systemd's sd_notify(3)."""

import os
import socket
import time
from collections.abc import Mapping
from typing import Final

_MICROSECONDS: Final = 1_000_000
_SHARE: Final = 3
"""How often the watchdog is fed in its time, so that one delay does not matter."""


class Notifier:
    """Sends states to the socket that `NOTIFY_SOCKET` names; does nothing without one."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        self.watchdog_interval = _watchdog_interval(environment)
        """Seconds after which the watchdog wants to be fed; None when there is none."""

    def ready(self, status: str) -> None:
        """The agent runs."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """The agent takes another configuration; `ready` ends that."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The agent stops."""
        self._send("STOPPING=1")

    def waiting(self, seconds: float, status: str) -> None:
        """The start takes so much longer."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * _MICROSECONDS)}", f"STATUS={status}")

    def status(self, status: str) -> None:
        """What `systemctl status` shows."""
        self._send(f"STATUS={status}")

    def feed_watchdog(self) -> None:
        """All parts make progress."""
        if self.watchdog_interval is not None:
            self._send("WATCHDOG=1")

    def _send(self, *states: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(1.0)
                sender.sendto("\n".join(states).encode(), self._address)
        except OSError:
            return  # the manager is gone; that is no reason to stop


def _watchdog_interval(environment: Mapping[str, str]) -> float | None:
    limit = environment.get("WATCHDOG_USEC", "")
    process = environment.get("WATCHDOG_PID", str(os.getpid()))
    if not limit.isdigit() or int(limit) == 0 or process != str(os.getpid()):
        return None
    return int(limit) / _MICROSECONDS / _SHARE
