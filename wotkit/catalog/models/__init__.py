"""The catalog's tables as peewee models, one file per part.

Times are integer microseconds since 1970 UTC.
"""

from __future__ import annotations

from typing import Final

from wotkit.catalog.models.accounts import (
    Account,
    Audit,
    Key,
    KeyUse,
    LoginFailure,
    Member,
    Org,
    User,
)
from wotkit.catalog.models.alerts import (
    Alert,
    AlertCondition,
    AlertDelivery,
    AlertState,
    InboxMessage,
)
from wotkit.catalog.models.base import (
    CURRENT,
    Base,
    Counter,
    Lease,
    Revision,
    UnitDatabase,
    changed,
    rows,
)
from wotkit.catalog.models.control import ControlDelivery, ControlMessage, ControlSubscription
from wotkit.catalog.models.sensors import (
    DroppedSensor,
    Field,
    Group,
    GroupSensor,
    KeySensor,
    Metadata,
    PendingCast,
    Sensor,
    Subscription,
    Tag,
    TagUse,
)

CACHED: Final[tuple[type[Base], ...]] = (
    Account,
    User,
    Org,
    Member,
    Key,
    KeySensor,
    Sensor,
    Field,
    Alert,
    AlertCondition,
)
"""Tables that processes keep in memory; a change to one raises the revision."""

MODELS: Final[tuple[type[Base], ...]] = (
    Counter,
    Account,
    User,
    Org,
    Member,
    Sensor,
    Field,
    Tag,
    TagUse,
    Metadata,
    Subscription,
    Group,
    GroupSensor,
    Key,
    KeySensor,
    KeyUse,
    LoginFailure,
    Audit,
    DroppedSensor,
    PendingCast,
    ControlSubscription,
    ControlMessage,
    ControlDelivery,
    Alert,
    AlertCondition,
    AlertState,
    InboxMessage,
    AlertDelivery,
    Lease,
    Revision,
)

__all__ = [
    "CACHED",
    "CURRENT",
    "MODELS",
    "Account",
    "Alert",
    "AlertCondition",
    "AlertDelivery",
    "AlertState",
    "Audit",
    "Base",
    "ControlDelivery",
    "ControlMessage",
    "ControlSubscription",
    "Counter",
    "DroppedSensor",
    "Field",
    "Group",
    "GroupSensor",
    "InboxMessage",
    "Key",
    "KeySensor",
    "KeyUse",
    "Lease",
    "LoginFailure",
    "Member",
    "Metadata",
    "Org",
    "PendingCast",
    "Revision",
    "Sensor",
    "Subscription",
    "Tag",
    "TagUse",
    "UnitDatabase",
    "User",
    "changed",
    "rows",
]
