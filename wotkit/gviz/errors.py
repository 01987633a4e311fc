"""The errors of the data source protocol, which has reasons of its own.

See https://developers.google.com/chart/interactive/docs/dev/implementing_data_source.
"""

from __future__ import annotations

from typing import Final

MESSAGES: Final = {
    "invalid_query": "Invalid query",
    "invalid_request": "Invalid request",
    "not_modified": "Data not modified",
    "unsupported_query_operation": "Unsupported query operation",
    "user_not_authenticated": "User not signed in",
    "access_denied": "Access denied",
    "internal_error": "Internal error",
    "other": "Could not complete request",
}
"""Every reason that is answered, and its message."""


class ProtocolError(Exception):
    """A query or request cannot be answered with a table."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{MESSAGES[reason]}: {detail}" if detail else MESSAGES[reason])
        self.reason = reason
        self.message = MESSAGES[reason]
        self.detail = detail


class InvalidTableQuery(ProtocolError):
    """The query cannot be parsed, or makes no sense for its table."""

    def __init__(self, detail: str) -> None:
        super().__init__("invalid_query", detail)
