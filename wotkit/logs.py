"""The log on standard error: one event, one line, as key=value pairs or JSON.

Any part of the program logs through :mod:`logging`; what belongs to an event beside its text goes
into ``extra={"fields": {...}}``. Credentials are masked here too, should one ever get so far.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import TYPE_CHECKING, Any, Final

from wotkit import times

if TYPE_CHECKING:
    from typing import TextIO

    from wotkit.settings import LogSettings

MASK: Final = "********"

_OWN_HANDLERS: Final = ("gunicorn.error", "uvicorn", "uvicorn.error", "py.warnings")
"""Loggers that libraries give handlers of their own; they are to write through ours."""
_SILENT: Final = ("gunicorn.access", "uvicorn.access")
_TALKATIVE: Final = ("peewee", "oauthlib")
"""The server writes its own line for a request, with the request's id."""

_SECRET_NAME: Final = re.compile(
    r"password|secret|token|authorization|cookie|api_sig", re.IGNORECASE
)
_SECRET_TEXT: Final = re.compile(
    r"""(?ix)
    (?P<scheme> \b(?:basic|bearer|oauth) \s+ ) (?!authenti|authoriz|credenti) [A-Za-z0-9+/=._~-]{8,}
    | (?P<name> \b[a-z_-]* (?:password|secret|token|api_sig) ["']? \s* [=:] \s* ["']? )
      [^\s"'&,;]+
    | (?P<address> \b[a-z][a-z0-9+.-]*://[^\s/:@]+: ) [^\s/@]+ (?=@)
    """
)
_PLAIN: Final = re.compile(r'[^\s"=\\\x00-\x1f\x7f-\xa0\u2028\u2029]+')
_SEPARATORS: Final = re.compile("[\x7f-\xa0\u2028\u2029]")
"""What JSON leaves as it is and a terminal or a log reader may take for the end of a line."""


def mask(text: str) -> str:
    """Return ``text`` with anything that looks like a credential replaced."""
    return _SECRET_TEXT.sub(_masked, text)


def _masked(match: re.Match[str]) -> str:
    kept = match["scheme"] or match["name"] or match["address"]
    return f"{kept}{MASK}"


class _Formatter(logging.Formatter):
    """Makes one line of a record; a form is a subclass."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        millis = int(record.created * 1000)
        event: dict[str, Any] = {
            "time": times.to_iso(millis * times.MILLISECONDS),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": mask(record.getMessage()),
        }
        for name, value in getattr(record, "fields", {}).items():
            if value is not None:
                event[name] = _safe(name, value)
        if record.exc_info:
            event["traceback"] = mask(self.formatException(record.exc_info))
        return _SEPARATORS.sub(lambda match: f"\\u{ord(match[0]):04x}", self.line(event))

    def line(self, event: dict[str, Any]) -> str:
        """Return the event in this form."""
        raise NotImplementedError


class Logfmt(_Formatter):
    """``time=… level=… logger=… message=…``, then the fields of the event."""

    def line(self, event: dict[str, Any]) -> str:
        """Return the event as key=value pairs; quoted as in JSON where that is needed."""
        return " ".join(f"{name}={_pair_value(value)}" for name, value in event.items())


class JsonLines(_Formatter):
    """One JSON object."""

    def line(self, event: dict[str, Any]) -> str:
        """Return the event as a JSON object."""
        return json.dumps(event, ensure_ascii=False, default=str)


def _safe(name: str, value: Any) -> Any:
    if _SECRET_NAME.search(name):
        return MASK
    return mask(value) if isinstance(value, str) else value


def _pair_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def start(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send every log line of this process to ``stream`` (standard error by default).

    May be called again, for example in a worker after its server gave the loggers handlers.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if settings.format == "json" else Logfmt())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level.upper())
    for name in _OWN_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    for name in _SILENT:
        logger = logging.getLogger(name)
        logger.handlers = []  # none at all: then uvicorn does not even make the records
        logger.propagate = False
    # at debug they write statements and requests whole, hashes of passwords and secrets of
    # applications among them
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
