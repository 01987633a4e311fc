"""Failed logins, counted in the database so that restarts and processes share them."""

from __future__ import annotations

from wotkit import times
from wotkit.catalog.models import LoginFailure, changed, rows


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
        return float((at - start) / times.MICROSECONDS)
    return 0.0


def forget(subject: str) -> None:
    """Forget the failures of a subject, after a good login."""
    LoginFailure.delete().where(LoginFailure.subject == subject).execute()


def forget_before(at: int) -> int:
    """Delete failures older than ``at`` (microseconds) and return how many."""
    return changed(LoginFailure.delete().where(LoginFailure.at < at))
