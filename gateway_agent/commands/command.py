"""A command as it came from the platform, over MQTT or over HTTP."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway_agent.clock import parse_time

ACCEPTED: Final = "accepted"
DONE: Final = "done"
FAILED: Final = "failed"
_ADDED: Final = frozenset({"id", "expires", "timestamp", "sensor_id"})
"""What the platform adds to the pairs of a message over HTTP."""
_LONGEST_KEY: Final = 200


@dataclass(frozen=True, slots=True)
class Command:
    """What is asked of an actuator. `stale_at` is monotonic time."""

    key: str
    """Tells it from every other one: the platform's id, and when it expires."""
    sensor: str
    message: Mapping[str, Any]
    stale_at: float | None
    done: Callable[[], None]
    """To be called once it is in the journal, when it need not come again."""

    def is_stale(self) -> bool:
        """Whether it came, or waited, too long."""
        return self.stale_at is not None and time.monotonic() >= self.stale_at


def from_mqtt(
    body: Mapping[str, Any], expires_in: float | None, *, synced: bool, done: Callable[[], None]
) -> Command:
    """A command as it comes on `commands`. Raises ValueError when it is none.

    `expires_in` is what the broker says is left; the gateway's own clock is asked too when it is
    synchronized, or when the broker says nothing.
    """
    message = body.get("message")
    if not isinstance(message, dict) or "id" not in body:
        raise ValueError("no id or no message")
    left = expires_in
    if body.get("expires") is not None and (synced or left is None):
        by_clock = parse_time(body["expires"]) / 1e6 - time.time()
        left = by_clock if left is None else min(left, by_clock)
    return _command(body, str(body.get("sensor", "")), message, left, done)


def from_http(
    body: Mapping[str, Any], sensor: str, platform_now: float, done: Callable[[], None]
) -> Command:
    """A message as a long poll gives it. Raises ValueError.

    `platform_now` is the platform's time, in seconds since 1970, since the gateway's may be wrong.
    A plain message has no id; it is known by its time.
    """
    left = None
    if body.get("expires") is not None:
        left = parse_time(body["expires"]) / 1e6 - platform_now
    message = {name: value for name, value in body.items() if name not in _ADDED}
    named = body if "id" in body else {"id": f"plain-{sensor}-{body.get('timestamp')}"}
    return _command(named, sensor, message, left, done)


def _command(
    body: Mapping[str, Any],
    sensor: str,
    message: Mapping[str, Any],
    left: float | None,
    done: Callable[[], None],
) -> Command:
    expires = body.get("expires")
    key = f"{body['id']}@{expires}" if expires is not None else f"{body['id']}"
    if len(key) > _LONGEST_KEY or not key.isascii():
        raise ValueError("its id cannot be one of the platform's")
    return Command(key, sensor, message, None if left is None else time.monotonic() + left, done)
