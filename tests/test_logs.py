from __future__ import annotations

import io
import json
import logging
import warnings
from typing import TYPE_CHECKING, Any, Literal

import pytest

from wotkit import logs
from wotkit.settings import LogSettings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def restored() -> Iterator[None]:
    """Logging is of the whole process: give it back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    shown = warnings.showwarning
    yield
    logging.captureWarnings(capture=False)
    warnings.showwarning = shown
    root.handlers = handlers
    root.setLevel(level)


Level = Literal["debug", "info", "warning", "error"]
Form = Literal["logfmt", "json"]


class Log:
    def __init__(self, form: Form, level: Level = "info") -> None:
        self._stream = io.StringIO()
        logs.start(LogSettings(format=form, level=level), self._stream)

    def write(self, text: str, **fields: Any) -> str:
        logging.getLogger("wotkit.test").info(text, extra={"fields": fields})
        return self.text()

    def text(self) -> str:
        return self._stream.getvalue()


@pytest.fixture
def logfmt(restored: None) -> Log:
    return Log("logfmt")


@pytest.fixture
def json_log(restored: None) -> Log:
    return Log("json")


def test_logfmt_line_has_time_level_logger_text_and_fields(logfmt: Log) -> None:
    line = logfmt.write("request", path="/api/sensors", status=200, ms=1.5, client=None)
    time, rest = line.split(" ", 1)
    assert time.startswith("time=20")
    assert time.endswith("Z")
    assert (
        rest
        == "level=info logger=wotkit.test message=request path=/api/sensors status=200 ms=1.5\n"
    )


def test_json_line_keeps_numbers(json_log: Log) -> None:
    event = json.loads(json_log.write("stored", count=3, seconds=0.25))
    assert event["message"] == "stored"
    assert event["level"] == "info"
    assert (event["count"], event["seconds"]) == (3, 0.25)


@pytest.mark.parametrize("character", ["\n", "\r", "\x85", "\u2028", "\x1b", "\x7f"])
def test_what_a_client_sends_never_begins_a_line(logfmt: Log, character: str) -> None:
    line = logfmt.write("request", path=f"/a{character}level=error fake")
    assert len(line.splitlines()) == 1
    assert character not in line.removesuffix("\n")


@pytest.mark.parametrize("character", ["\n", "\x85", "\u2028", "\x7f"])
def test_json_lines_stay_one_line(json_log: Log, character: str) -> None:
    line = json_log.write(f"a{character}b")
    assert len(line.splitlines()) == 1
    assert json.loads(line)["message"] == f"a{character}b"


def test_value_with_a_quote_or_space_is_quoted(logfmt: Log) -> None:
    assert 'why="the disk \\"a\\" is full"' in logfmt.write("x", why='the disk "a" is full')
    assert 'empty=""' in logfmt.write("x", empty="")


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Basic SECRETSECRET123=",
        "sent Bearer SECRETSECRET123",
        "/x?access_token=SECRETSECRET123&a=1",
        '{"key_password": "SECRETSECRET123"}',
        "password=SECRETSECRET123",
        "postgresql://wotkit:SECRETSECRET123@db/wotkit",
    ],
)
def test_credentials_in_a_text_are_masked(logfmt: Log, json_log: Log, text: str) -> None:
    for log in (logfmt, json_log):
        assert "SECRET" not in log.write(text, note=text)
        assert "SECRET" not in log.write("x", authorization="SECRETSECRET123")
    assert logs.MASK in json_log.text()


def test_words_about_credentials_stay_readable() -> None:
    text = "HTTP basic authentication is required"
    assert logs.mask(text) == text


def test_traceback_is_part_of_the_line(json_log: Log) -> None:
    try:
        raise ValueError("broken", "password=hunter2hunter2")
    except ValueError:
        logging.getLogger("wotkit.test").exception("failed")
    (line,) = json_log.text().splitlines()
    event = json.loads(line)
    assert "Traceback" in event["traceback"]
    assert "hunter2" not in event["traceback"]


def test_less_severe_lines_are_not_written(restored: None) -> None:
    log = Log("logfmt", "warning")
    assert log.write("chatter") == ""


def test_lines_of_the_server_below_come_out_in_the_same_form(restored: None) -> None:
    logger = logging.getLogger("gunicorn.error")
    logger.handlers, logger.propagate = [logging.StreamHandler(io.StringIO())], False
    log = Log("json")
    logger.info("Listening at: %s", "http://127.0.0.1:8080")
    assert json.loads(log.text())["logger"] == "gunicorn.error"
