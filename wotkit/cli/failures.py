"""What may go wrong in any command, in words for whoever typed it."""

from __future__ import annotations

from typing import Final

from wotkit.errors import WotkitError
from wotkit.readings.store import StoreError

_SURROGATES: Final = "surrogates not allowed"
"""What Python says of text that it read as bytes which are not UTF-8."""


def said_by(error: Exception) -> str | None:
    """Return what to print of an error; None for one that only a mistake in the program makes."""
    if isinstance(error, WotkitError):
        return explain(error)
    if isinstance(error, OSError | StoreError):
        return str(error)
    if isinstance(error, UnicodeEncodeError) and error.reason == _SURROGATES:
        return "an argument is not UTF-8"
    # not every command has them in memory already
    import sqlite3

    import peewee

    from wotkit.catalog import CatalogTooNew

    if isinstance(error, CatalogTooNew):
        return str(error)
    if isinstance(error, peewee.DatabaseError | sqlite3.Error):
        return f"the database says: {error}"
    return None


def explain(error: WotkitError) -> str:
    """Return one line that says what is wrong, each thing once."""
    details = [f"{name} {why}" for name, why in error.more.items()] or list(error.developer)
    message = error.code.message.removesuffix(".")
    return f"{message}: {'; '.join(details)}" if details else message
