"""Failed logins, counted in the database so that restarts and processes share them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wotkit import times
from wotkit.catalog.models import LoginFailure, changed, rows

if TYPE_CHECKING:
    from collections.abc import Mapping


def account(name: str) -> str:
    """Return the subject under which failures for an account are counted."""
    return f"account:{name[:100].lower()}"


def address(remote: str) -> str:
    """Return the subject under which failures from an address are counted."""
    return f"address:{remote[:100]}"


def record(*subjects: str) -> None:
    """Count one failure for each subject."""
    at = times.now()
    LoginFailure.insert_many([{"subject": subject, "at": at} for subject in subjects]).execute()


def wait(subject: str, *, limit: int, window_seconds: int) -> float:
    """Return the seconds until ``subject`` may try again; 0 when it may now."""
    start = times.now() - window_seconds * times.MICROSECONDS
    oldest = (
        LoginFailure.select(LoginFailure.at)
        .where((LoginFailure.subject == subject) & (LoginFailure.at > start))
        .order_by(LoginFailure.at.desc())
        .limit(1)
        .offset(limit - 1)
    )
    for (at,) in rows(oldest):
        # a clock that was set back must not lengthen the wait
        return min(float((at - start) / times.MICROSECONDS), float(window_seconds))
    return 0.0


def longest_wait(limits: Mapping[str, int], *, window_seconds: int) -> float:
    """Return the longest :func:`wait` of several subjects, each with its own limit."""
    return max(
        wait(subject, limit=limit, window_seconds=window_seconds)
        for subject, limit in limits.items()
    )


def forget(subject: str) -> None:
    """Forget the failures of a subject, after a good login."""
    LoginFailure.delete().where(LoginFailure.subject == subject).execute()


def forget_before(at: int) -> int:
    """Delete failures older than ``at`` (microseconds) and return how many."""
    return changed(LoginFailure.delete().where(LoginFailure.at < at))
