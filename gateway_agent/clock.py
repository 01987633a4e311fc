"""When something was measured, and how far that time can be trusted."""

import ctypes
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar, Final

NO_BOOT_ID: Final = "unknown"
"""The boot id where the kernel does not tell one: then boots cannot be told apart."""

_TIME_ERROR: Final = 5
_STA_UNSYNC: Final = 0x0040
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LATEST: Final = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
"""A day before the last, since a time that went through seconds as a float is some too late."""
_EPOCH_UNITS: Final = ((1e11, 1e6), (1e14, 1e3), (1e17, 1), (1e20, 1e-3))
"""Below such a number, so many microseconds each: seconds reach the year 5138."""
_TOO_LARGE: Final = 1e20
_NUMBER: Final = re.compile(r"\d+(\.\d*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Stamp:
    """The moment of a measurement.

    `wall_us` counts microseconds since 1970 UTC, `boot_us` microseconds since this boot
    (suspend included), and `synced` is what the kernel said of the wall clock at that moment.
    With `boot_us` and `boot_id` a wrong wall time can be corrected later.
    """

    wall_us: int
    boot_us: int
    boot_id: str
    synced: bool


class _Timex(ctypes.Structure):
    """The first members of the kernel's `struct timex`, and room for the rest of it."""

    _fields_: ClassVar = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    ]


class KernelClock:
    """Asks the kernel (adjtimex, read only) whether something disciplines the wall clock."""

    def __init__(self) -> None:
        self._adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)

    def synchronized(self) -> bool:
        """Whether the wall clock is synchronized; False also when the kernel does not say."""
        if self._adjtimex is None:
            return False
        state = _Timex()
        answer = self._adjtimex(ctypes.byref(state))
        return answer not in {-1, _TIME_ERROR} and not state.status & _STA_UNSYNC


class Clock:
    """Stamps measurements with wall time, time since boot, boot id and synchronization."""

    def __init__(
        self,
        synchronized: Callable[[], bool] | None = None,
        boot_id_file: Path = Path("/proc/sys/kernel/random/boot_id"),
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        boot_ns: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME),
    ) -> None:
        """`wall_ns` counts nanoseconds since 1970 UTC, `boot_ns` since the boot."""
        self._wall_ns = wall_ns
        self._boot_ns = boot_ns
        self._synchronized = synchronized or KernelClock().synchronized
        self._boot_id = _boot_id(boot_id_file)

    def stamp(self) -> Stamp:
        """The present moment."""
        return Stamp(
            wall_us=self._wall_ns() // 1000,
            boot_us=self._boot_ns() // 1000,
            boot_id=self._boot_id,
            synced=self._synchronized(),
        )


def device_stamp(now: Stamp, wall_us: int) -> Stamp:
    """The stamp of a measurement whose device knows the time itself: nothing to correct."""
    return replace(now, wall_us=wall_us, synced=True)


def parse_time(value: object) -> int:
    """A time as devices write it, in microseconds since 1970 UTC.

    ISO 8601, in UTC unless it says otherwise, or a number: of seconds, or of milli-, micro- or
    nanoseconds when it is too large for the smaller unit in this age. Raises ValueError.
    """
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value.strip()):
            return _parse_iso_time(value)
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value < _TOO_LARGE:
        raise ValueError(f"is not a time: {value!r}")
    for limit, per_unit in _EPOCH_UNITS:
        if 0 <= value < limit:
            return round(value * per_unit)
    raise ValueError(f"is not a time: {value!r}")


def _parse_iso_time(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ValueError(f"is not a time: {text[:40]!r}") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    wall_us = (moment - _EPOCH) // timedelta(microseconds=1)
    if not can_be_written(wall_us):
        raise ValueError(f"is not a time: {text[:40]!r}")
    return wall_us


def can_be_written(wall_us: int) -> bool:
    """Whether `iso_time` can write these microseconds since 1970 UTC: the years 1 to 9999."""
    return _EARLIEST <= wall_us <= _LATEST


def iso_time(wall_us: int) -> str:
    """Microseconds since 1970 UTC as ISO 8601 with microseconds and Z, as the platform takes it.

    Raises OverflowError where `can_be_written` is False.
    """
    moment = _EPOCH + timedelta(microseconds=wall_us)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _boot_id(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return NO_BOOT_ID
