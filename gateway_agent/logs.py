"""Log lines: one event, one line, key=value, and never a credential."""

import logging
import sys
import time
from typing import Final, TextIO

_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), 127)} | {10: "\\n", 13: "\\r"}


class LineFormatter(logging.Formatter):
    """`time level=… from=… message`, with control characters made visible so it stays one line."""

    def format(self, record: logging.LogRecord) -> str:
        """One line for one record; an exception is named, its traceback only in debug."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        name = record.name.removeprefix("gateway_agent.")
        line = f"{moment}.{int(record.msecs):03d}Z level={record.levelname.lower()} from={name}"
        line += f" {record.getMessage()}"
        if record.exc_info and record.exc_info[1] is not None:
            line += f" exception={type(record.exc_info[1]).__name__}"
            line += f" traceback={self.formatException(record.exc_info)!r}"
        return line.translate(_CONTROL)


def start_logging(level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Send the agent's log lines to `stream` (standard error by default)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(LineFormatter())
    logger = logging.getLogger("gateway_agent")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(level)
