import io
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway_agent.logs import LineFormatter, RateLimit, start_logging


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    logger = logging.getLogger("gateway_agent")
    before = logger.handlers, logger.propagate, logger.level
    yield
    logger.handlers, logger.propagate = before[:2]
    logger.setLevel(before[2])


def test_one_event_is_one_line() -> None:
    stream = io.StringIO()
    start_logging(stream=stream)
    log = logging.getLogger("gateway_agent.outputs.sender")
    log.warning("delivery failed reason=%s", "first\nsecond\x1b[31m")
    try:
        raise ValueError("bad\nworse")
    except ValueError:
        log.exception("trouble")
    first, second, rest = stream.getvalue().split("\n")
    assert (
        "level=warning from=outputs.sender delivery failed reason=first\\nsecond\\x1b[31m" in first
    )
    assert "exception=ValueError" in second
    assert not rest


def test_journal_gets_priorities_and_no_time(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w+") as journal:
        status = os.fstat(journal.fileno())
        start_logging(
            logging.DEBUG, journal, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        )
        log = logging.getLogger("gateway_agent.pipeline")
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            log.log(level, "event")
        log.critical("event")
        journal.seek(0)
        assert [line[:9] for line in journal] == [
            *("<7>level=", "<6>level=", "<4>level=", "<3>level=", "<2>level="),
        ]


def test_another_stream_than_the_journal_keeps_its_time(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w+") as file:
        start_logging(stream=file, environment={"JOURNAL_STREAM": "1:2"})
        logging.getLogger("gateway_agent.pipeline").info("event")
        file.seek(0)
        assert file.read().startswith("20")


def test_repeated_message_is_held_back_and_counted() -> None:
    now = [0.0]
    limit = RateLimit(lambda: now[0])

    def record(message: str, level: int = logging.WARNING) -> logging.LogRecord:
        return logging.LogRecord("gateway_agent.x", level, "", 1, message, (), None)

    passed = [limit.filter(record("failed")) for _ in range(100)]
    assert passed == [True] * 20 + [False] * 80
    assert limit.filter(record("another"))
    assert limit.filter(record("failed", logging.ERROR))
    assert all(limit.filter(record("failed", logging.DEBUG)) for _ in range(100))
    now[0] = 61.0
    later = record("failed")
    assert limit.filter(later)
    assert LineFormatter().format(later).endswith("failed suppressed=80")
