"""The spool: readings on disk until the platform has stored them. See DESIGN.md."""

from gateway_agent.spool.failures import UnsuitableSpoolError
from gateway_agent.spool.file import SpoolFile
from gateway_agent.spool.identity import machine_hash
from gateway_agent.spool.journal import JournalEntry
from gateway_agent.spool.lock import SpoolLock, SpoolLockedError
from gateway_agent.spool.records import Batch, Refusal, Row, Settlement, SpoolFigures, Work
from gateway_agent.spool.spool import Spool
from gateway_agent.spool.timekeeping import Timekeeper

__all__ = [
    "Batch",
    "JournalEntry",
    "Refusal",
    "Row",
    "Settlement",
    "Spool",
    "SpoolFigures",
    "SpoolFile",
    "SpoolLock",
    "SpoolLockedError",
    "Timekeeper",
    "UnsuitableSpoolError",
    "Work",
    "machine_hash",
]
