"""Log lines: one event, one line, key=value, and never a credential."""

import logging
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TextIO

_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), 127)} | {10: "\\n", 13: "\\r"}
_PRIORITIES: Final = ((50, 2), (40, 3), (30, 4), (20, 6))
"""From a level of logging on, that of syslog."""
_DEBUG_PRIORITY: Final = 7
_MOST_LINES: Final = 20
_PERIOD: Final = 60.0
_REMEMBERED: Final = 200


class LineFormatter(logging.Formatter):
    """`time level=… from=… message`, with control characters made visible so it stays one line."""

    def __init__(self, *, journal: bool = False) -> None:
        """For the journal of systemd a line begins with its priority, and the time is left out."""
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """One line for one record; an exception is named, its traceback only in debug."""
        name = record.name.removeprefix("gateway_agent.")
        line = f"level={record.levelname.lower()} from={name} {record.getMessage()}"
        if record.exc_info and record.exc_info[1] is not None:
            line += f" exception={type(record.exc_info[1]).__name__}"
            line += f" traceback={self.formatException(record.exc_info)!r}"
        if suppressed := getattr(record, "suppressed", 0):
            line += f" suppressed={suppressed}"
        return (self._prefix(record) + line).translate(_CONTROL)

    def _prefix(self, record: logging.LogRecord) -> str:
        if self._journal:
            found = (priority for level, priority in _PRIORITIES if record.levelno >= level)
            return f"<{next(found, _DEBUG_PRIORITY)}>"
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{moment}.{int(record.msecs):03d}Z "


@dataclass(slots=True)
class _Seen:
    since: float
    lines: int = 0
    suppressed: int = 0


class RateLimit(logging.Filter):
    """Lets each kind of message through 20 times a minute; the next one tells how many were not."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: OrderedDict[tuple[str, int, str], _Seen] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written; debugging is not limited."""
        if record.levelno < logging.INFO:
            return True
        now = self._clock()
        key = (record.name, record.levelno, str(record.msg))
        seen = self._seen.get(key)
        if seen is None or now - seen.since >= _PERIOD:
            record.suppressed = seen.suppressed if seen else 0
            seen = self._seen[key] = _Seen(now)
            self._seen.move_to_end(key)
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        seen.lines += 1
        if seen.lines <= _MOST_LINES:
            return True
        seen.suppressed += 1
        return False


def start_logging(
    level: int = logging.INFO,
    stream: TextIO | None = None,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Send the agent's log lines to `stream` (standard error by default)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(LineFormatter(journal=_is_journal(handler.stream, environment)))
    handler.addFilter(RateLimit())
    logger = logging.getLogger("gateway_agent")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(level)


def _is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether the stream is the one that systemd has connected to its journal."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
