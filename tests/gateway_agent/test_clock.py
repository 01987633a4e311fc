import time
from pathlib import Path

import pytest

from gateway_agent.clock import Clock, KernelClock, can_be_written, iso_time, parse_time


def test_stamp_has_wall_time_boot_time_and_boot_id(tmp_path: Path) -> None:
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("11111111-2222-3333-4444-555555555555\n")
    before = time.time_ns() // 1000
    stamp = Clock(lambda: True, boot_id).stamp()
    assert before <= stamp.wall_us <= time.time_ns() // 1000
    assert 0 < stamp.boot_us <= time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
    assert stamp.boot_id == "11111111-2222-3333-4444-555555555555"
    assert stamp.synced


def test_unsynchronized_clock_is_noted() -> None:
    assert not Clock(lambda: False).stamp().synced


def test_missing_boot_id_is_no_obstacle(tmp_path: Path) -> None:
    assert Clock(lambda: True, tmp_path / "none").stamp().boot_id == "unknown"


def test_kernel_says_whether_the_clock_is_synchronized() -> None:
    assert KernelClock().synchronized() in {True, False}


def test_time_is_written_with_microseconds_and_z() -> None:
    assert iso_time(1_403_218_005_000_281) == "2014-06-19T22:46:45.000281Z"
    assert iso_time(0) == "1970-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    "text", ["9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59.999999", "0001-01-01T00:00:00+14:00"]
)
def test_time_that_cannot_be_written_in_utc_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        parse_time(text)


@pytest.mark.parametrize("text", ["9999-12-31T00:00:00.000000", "0001-01-01"])
def test_first_and_last_time_can_be_written(text: str) -> None:
    assert can_be_written(parse_time(text))
    assert iso_time(parse_time(text)).startswith(text)
    assert iso_time(round(parse_time(text) / 1e6 * 1e6)).startswith(text)
