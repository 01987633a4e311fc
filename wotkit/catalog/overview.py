"""How much there is on the server, for its administrators."""

from __future__ import annotations

from msgspec import Struct

from wotkit import times
from wotkit.catalog.audit import LOGIN_FAILED
from wotkit.catalog.models import App, Audit, Grant, Org, Sensor, User

_DAY = 86_400 * times.MICROSECONDS


class Overview(Struct, frozen=True, kw_only=True):
    """Counts."""

    users: int
    disabled: int
    orgs: int
    apps: int
    grants: int
    sensors: int
    failed_logins: int
    """In the last 24 hours."""


def overview() -> Overview:
    """Count; in a unit of work."""
    disabled = User.enabled == False  # noqa: E712  # SQL, not Python
    lately = (Audit.action == LOGIN_FAILED) & (Audit.at > times.now() - _DAY)
    return Overview(
        users=User.select().count(),
        disabled=User.select().where(disabled).count(),
        orgs=Org.select().count(),
        apps=App.select().count(),
        grants=Grant.select().where(Grant.ended.is_null()).count(),
        sensors=Sensor.select().count(),
        failed_logins=Audit.select().where(lately).count(),
    )
