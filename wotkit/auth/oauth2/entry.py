"""Where a user types in the code of a device: guesses are limited, as failed logins are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wotkit.catalog import audit, devices, logins
from wotkit.catalog.audit import Actor
from wotkit.errors import NotFound, TooManyLogins

if TYPE_CHECKING:
    from wotkit.catalog.database import Catalog
    from wotkit.catalog.devices import Waiting
    from wotkit.catalog.identity import Identity
    from wotkit.settings import AuthSettings


class DeviceEntry:
    """Finds devices for the page."""

    def __init__(self, catalog: Catalog, settings: AuthSettings) -> None:
        self._catalog = catalog
        self._settings = settings

    async def find(self, user_code: str, user: Identity, address: str) -> Waiting:
        """Return the device that waits with a code; see :func:`wotkit.catalog.devices.find`.

        Raises:
            NotFound: no device waits with this code, or not any more.
            TooManyLogins: this user, or this address, has guessed too often.
        """
        found = await self._catalog.writing(self._find, user_code, user.username, address)
        if isinstance(found, float):
            raise TooManyLogins(f"wait {found:.0f} seconds", retry_after=found)
        if found is None:
            raise NotFound("no device waits with this code, or not any more")
        return found

    def _find(self, user_code: str, name: str, address: str) -> Waiting | float | None:
        """Return the device, None for a wrong guess, or the seconds to wait after too many."""
        settings = self._settings
        # apart from failed logins: a guess locks nobody out of the account
        limits = {
            logins.account(f"device:{name}"): settings.failures_per_account,
            logins.address(f"device:{address}"): settings.failures_per_address,
        }
        wait = logins.longest_wait(limits, window_seconds=settings.failure_window_seconds)
        if wait > 0:
            return wait
        found = devices.find(user_code)
        if found is None:
            logins.record(*limits)
            audit.record(Actor(name, address), "device.guess", name)
        return found
