import io
import logging
from collections.abc import Iterator

import pytest

from gateway_agent.logs import start_logging


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
