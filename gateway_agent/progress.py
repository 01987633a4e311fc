"""Whether the agent's own parts make progress, which is what the watchdog is fed for.

A device that hangs is not the agent's fault, and a restart would cost the other inputs their
readings: it is reported, and the watchdog is fed all the same. The same goes for a platform that
is away and for a full disk, as long as attempts come to an end.
"""

from collections.abc import Sequence
from typing import Final

from gateway_agent.inputs.runner import InputRunner
from gateway_agent.outputs.sender import Sender
from gateway_agent.spool import Spool

LONGEST_WRITE: Final = 120.0
"""Seconds that one commit may take on a slow card."""
LONGEST_DELIVERY: Final = 600.0
"""Seconds that a batch may take with the sensors that are registered for it."""
_TIMEOUTS: Final = 10


def find_stuck(
    spool: Spool, sender: Sender, inputs: Sequence[InputRunner], timeout: float
) -> str | None:
    """Which part has died or hangs; None when all make progress.

    `timeout` is that of one request to the platform, in seconds.
    """
    if not spool.is_alive:
        return "the spool's writer died"
    if spool.busy_for > LONGEST_WRITE:
        return f"the spool's writer has been writing for {spool.busy_for:.0f} s"
    if not sender.is_alive:
        return "the sender died"
    if sender.busy_for > LONGEST_DELIVERY + _TIMEOUTS * timeout:
        return f"the sender has been busy with a batch for {sender.busy_for:.0f} s"
    for runner in inputs:
        if not runner.is_alive:
            return f"input {runner.figures().name} died"
    return None
