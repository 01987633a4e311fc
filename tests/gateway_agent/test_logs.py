import io
import logging

from gateway_agent.logs import start_logging


def test_one_event_is_one_line() -> None:
    stream = io.StringIO()
    start_logging(stream=stream)
    log = logging.getLogger("gateway_agent.outputs.sender")
    log.warning("delivery failed reason=%s", "first\nsecond\x1b[31m")
    try:
        raise ValueError("bad\nworse")
    except ValueError:
        log.exception("trouble")
    start_logging()
    first, second, rest = stream.getvalue().split("\n")
    assert (
        "level=warning from=outputs.sender delivery failed reason=first\\nsecond\\x1b[31m" in first
    )
    assert "exception=ValueError" in second
    assert not rest
