import json
import random
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from agent_platform import StandInPlatform
from agent_process import AgentProcess
from input_bench import Shelf, Workbench

from gateway_agent.clock import Clock
from gateway_agent.config import SpoolConfig
from gateway_agent.inputs import Sample
from gateway_agent.inputs.base import BookmarksUnavailable
from gateway_agent.reading import make_reading
from gateway_agent.spool import Spool

Bench = Callable[..., Workbench]

NUMBERS = """
[[input]]
type = "file"
path = "readings.csv"
format = "csv"
columns = ["number"]
interval = "10ms"
"""


def test_lines_become_readings_and_a_wrong_one_is_told(bench: Bench, tmp_path: Path) -> None:
    log = tmp_path / "readings.csv"
    with bench(NUMBERS) as running:
        running.wait_for(lambda: running.figures.open)
        log.write_text("1\n2\n1,2\n3\n")
        assert running.wait_for_values(3) == [{"number": 1}, {"number": 2}, {"number": 3}]
        assert running.figures.last_error == "2 columns, not 1: '1,2'"


def test_line_that_nobody_can_read_does_not_hold_up_those_behind_it(
    bench: Bench, tmp_path: Path
) -> None:
    text = '[[input]]\ntype = "file"\npath = "log"\nstart = "beginning"\ninterval = "10ms"\n'
    (tmp_path / "log").write_text(f'{{"n": 1{"0" * 400}}}\n{{"n": 20}}\n')
    with bench(text + '[[input.point]]\nkey = "n"\nscale = 0.1\n') as running:
        assert running.wait_for_values(1) == [{"n": 2.0}]


def test_a_restarted_input_goes_on_where_its_readings_end(bench: Bench, tmp_path: Path) -> None:
    log, shelf = tmp_path / "readings.csv", Shelf()
    with bench(NUMBERS, shelf) as running:
        running.wait_for(lambda: running.figures.open)
        log.write_text("1\n2\n")
        running.wait_for_values(2)
    with log.open("a") as file:
        file.write("3\n")
    with bench(NUMBERS, shelf) as running:
        assert running.wait_for_values(3) == [{"number": 1}, {"number": 2}, {"number": 3}]


def test_a_line_with_several_readings_is_not_doubled_by_a_stop_between_them(
    bench: Bench, tmp_path: Path
) -> None:
    text = '[[input]]\ntype = "file"\npath = "log"\nstart = "beginning"\nrecords = "r"\n'
    (tmp_path / "log").write_text('{"r": [{"n": 1}, {"n": 2}, {"n": 3}]}\n{"r": [{"n": 4}]}\n')
    shelf = Shelf()
    first = bench(text, shelf)
    first.input.open()
    items = iter(first.input.read())
    for _ in range(2):
        sample = next(items)
        assert isinstance(sample, Sample)
        assert sample.bookmark is not None
        shelf.marks["file"] = sample.bookmark
    first.input.close()
    assert [s.fields for s in bench(text, shelf).read_once()[0]] == [{"n": 3}, {"n": 4}]


def test_a_line_with_its_own_time_keeps_it(bench: Bench, tmp_path: Path) -> None:
    text = NUMBERS.replace('["number"]', '["at", "number"]\ntime = "at"\nstart = "beginning"')
    (tmp_path / "readings.csv").write_text("at,number\n2026-11-21T08:00:00Z,5\n1795248000.5,6\n")
    samples, _ = bench(text).read_once()
    assert [s.fields for s in samples] == [{"number": 5}, {"number": 6}]
    assert [s.stamp.wall_us for s in samples if s.stamp] == [
        1_795_248_000_000_000,
        1_795_248_000_500_000,
    ]


def test_bookmark_is_in_the_transaction_of_its_reading(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    spool = Spool(SpoolConfig(path=path, commit_interval=60), "machine")
    with pytest.raises(BookmarksUnavailable):
        spool.bookmark("log")
    spool.start()
    assert spool.bookmark("log") is None
    stamp = Clock(lambda: True).stamp()
    reading = make_reading(Sample("boiler", {"value": 1}), stamp)
    object.__setattr__(reading, "bookmark", ("log", "line 1"))
    assert spool.put(reading, 0)
    assert spool.bookmark("log") == "line 1", "what is on its way counts for a reopened input"
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT * FROM meta WHERE name = 'bookmark:log'").fetchall() == []
    spool.close()
    again = Spool(SpoolConfig(path=path), "machine")
    again.start()
    assert again.bookmark("log") == "line 1"
    assert again.figures().depth == 1
    again.set_bookmark("log", "line 2")
    assert again.flush(5)
    again.close()
    with sqlite3.connect(path) as db:
        row = db.execute("SELECT value FROM meta WHERE name = 'bookmark:log'").fetchone()
    assert row == ("line 2",)


def test_kill_of_the_agent_neither_loses_nor_doubles_a_line(
    platform: StandInPlatform, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    log = tmp_path / "readings.csv"
    log.touch()
    config = write_config(NUMBERS + 'start = "beginning"\n')
    chance = random.Random(6)
    written = 0

    def append(count: int) -> None:
        nonlocal written
        with log.open("a") as file:
            for _ in range(count):
                file.write(f"{written}\n")
                written += 1

    def has_more_than(count: int) -> bool:
        return len(platform.seqs()) > count

    for round_number in range(4):
        append(300)
        if round_number == 2:
            log.rename(tmp_path / "readings.csv.1")
            append(50)
        stored = len(platform.seqs())
        with AgentProcess(config) as agent:
            append(200)
            agent.wait_until(partial(has_more_than, stored))
            time.sleep(chance.random() * 0.05)
    append(1)
    with AgentProcess(config) as agent:
        agent.wait_until(partial(has_more_than, written - 1))
        assert agent.stop() == 0
    numbers = [reading["number"] for reading in platform.stored]
    assert json.dumps(numbers) == json.dumps(list(range(written)))
