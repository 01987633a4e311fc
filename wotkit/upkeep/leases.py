"""Lets one process at a time do what only one may do; whoever dies loses it by the clock."""

from __future__ import annotations

from wotkit import times
from wotkit.catalog.models import Lease, changed


def claim(name: str, holder: str, seconds: float) -> bool:
    """Take or keep a lease and return whether ``holder`` has it; a unit of work of its own.

    The conditional UPDATE is the lock: of two that try, one changes the row.
    """
    now = times.now()
    Lease.insert(name=name, holder="", until=0).on_conflict_ignore().execute()
    free = (Lease.holder == holder) | (Lease.until < now)
    until = now + int(seconds * times.MICROSECONDS)
    wanted = Lease.update(holder=holder, until=until).where((Lease.name == name) & free)
    return changed(wanted) == 1


def release(name: str, holder: str) -> None:
    """Give a lease back before its time; one that another has is left alone."""
    own = (Lease.name == name) & (Lease.holder == holder)
    changed(Lease.update(holder="", until=0).where(own))
