"""Settings of the SQLite library itself, which Python's module does not offer."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from importlib import import_module
from typing import Final

_CONFIG_MEMSTATUS: Final = 9
"""https://sqlite.org/c3ref/c_config_covering_index_scan.html"""


def stop_counting_memory() -> None:
    """Have SQLite keep no statistics of the memory it uses, where that can be set.

    They cost a lock that all threads share, taken for each piece of memory: threads that read at
    the same time would spend more time on it than on reading. It can be set only while this
    process has no connection open; otherwise, and where the library cannot be reached, nothing
    changes.
    """
    with suppress(OSError, AttributeError):
        # the functions that Python's module itself uses, whatever library it was linked with
        library = ctypes.CDLL(import_module("_sqlite3").__file__)
        library.sqlite3_memory_used.restype = ctypes.c_int64
        if library.sqlite3_memory_used() == 0:
            library.sqlite3_shutdown()
            library.sqlite3_config(_CONFIG_MEMSTATUS, ctypes.c_int(0))
            library.sqlite3_initialize()
