import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway_agent.inputs.lines import LONGEST_LINE
from gateway_agent.inputs.tail import Position, Tail


class Writer:
    """A program with a log, and what rotates it. Each change gets a time of its own."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        self.written: list[str] = []
        self._clock = 1_000_000_000
        self._rotations = 0

    def write(self, count: int = 1, *, end: str = "\n") -> None:
        with self.log.open("a") as file:
            for _ in range(count):
                line = f"line {len(self.written)}" + "x" * (len(self.written) * 7 % 90)
                self.written.append(line)
                file.write(line + end)
        self._touch(self.log)

    def rename(self) -> None:
        if self.log.exists():
            self._rotations += 1
            self.log.rename(self.log.with_name(f"log.{self._rotations}"))

    def copy_and_truncate(self) -> None:
        if self.log.exists():
            self._rotations += 1
            copy = self.log.with_name(f"log.{self._rotations}")
            shutil.copyfile(self.log, copy)
            self._touch(copy)
            os.truncate(self.log, 0)
            self._touch(self.log)

    def _touch(self, path: Path) -> None:
        self._clock += 1
        os.utime(path, (self._clock, self._clock))


def texts(tail: Tail) -> list[str | None]:
    return [line.text for line in tail.lines()]


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    return Writer(tmp_path)


@pytest.fixture
def tail(writer: Writer) -> Iterator[Tail]:
    tail = Tail(writer.log)
    yield tail
    tail.close()


def test_new_lines_come_once_and_an_incomplete_one_when_it_is_complete(
    writer: Writer, tail: Tail
) -> None:
    tail.resume(tail.beginning(at_end=False))
    assert texts(tail) == []
    writer.write(2)
    assert texts(tail) == writer.written
    writer.write(1, end="")
    assert texts(tail) == []
    with writer.log.open("a") as file:
        file.write(" and more\n")
    assert texts(tail) == [writer.written[2] + " and more"]


def test_old_lines_are_left_out_when_beginning_at_the_end(writer: Writer, tail: Tail) -> None:
    writer.write(3)
    tail.resume(tail.beginning(at_end=True))
    writer.write(1)
    assert texts(tail) == writer.written[3:]


def test_lines_between_the_last_look_and_a_rotation_are_read(writer: Writer, tail: Tail) -> None:
    writer.write(2)
    tail.resume(tail.beginning(at_end=False))
    assert len(texts(tail)) == 2
    writer.write(2)
    writer.rename()
    writer.write(1)
    writer.rename()
    writer.write(1)
    assert texts(tail) == writer.written[2:]


def test_old_file_is_followed_until_the_new_one_has_something(writer: Writer, tail: Tail) -> None:
    writer.write(1)
    tail.resume(tail.beginning(at_end=False))
    with writer.log.open("a") as still_open:
        writer.rename()
        writer.log.touch()
        assert len(texts(tail)) == 1
        still_open.write("late\n")
        still_open.flush()
        assert texts(tail) == ["late"]
    writer.write(1)
    assert texts(tail) == writer.written[1:]


def test_emptied_file_that_grew_beyond_the_place_is_noticed(writer: Writer, tail: Tail) -> None:
    writer.write(3)
    tail.resume(tail.beginning(at_end=False))
    assert len(texts(tail)) == 3
    os.truncate(writer.log, 0)
    writer.write(30)
    assert texts(tail) == writer.written[3:]


def test_file_that_is_gone_is_replaced_by_what_was_written_later(
    writer: Writer, tail: Tail
) -> None:
    writer.write(2)
    tail.resume(tail.beginning(at_end=False))
    place = list(tail.lines())[-1].end
    tail.close()
    writer.rename()
    writer.log.with_name("log.1").unlink()
    writer.write(2)
    writer.rename()
    writer.write(2)
    tail.resume(Position.decode(place.encode()))
    assert texts(tail) == writer.written[2:]


def test_line_without_end_is_given_up_at_its_limit(writer: Writer, tail: Tail) -> None:
    tail.resume(tail.beginning(at_end=False))
    with writer.log.open("w") as file:
        file.write("x" * (3 * LONGEST_LINE) + "\nshort\n")
    read = texts(tail)
    assert read[-1] == "short"
    assert None in read
    assert tail._rest == b""


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 5)),
        st.tuples(st.sampled_from(["rename", "copy_and_truncate", "read", "restart"]), st.just(0)),
        st.tuples(st.just("kill"), st.integers(0, 5)),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(steps=steps)
def test_every_line_is_read_once_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    writer = Writer(tmp_path_factory.mktemp("tail"))
    tail = Tail(writer.log)
    first = tail.beginning(at_end=True)
    tail.resume(first)
    stored: list[tuple[str | None, Position]] = []
    for action, count in [*steps, ("read", 0), ("write", 1), ("read", 0)]:
        if action == "copy_and_truncate" and tail._position.offset == 0:
            # a file of which nothing was read cannot be told from its truncated self
            stored += [(line.text, line.end) for line in tail.lines()]
        if action == "write":
            writer.write(count)
        elif action == "read":
            stored += [(line.text, line.end) for line in tail.lines()]
        elif action in {"restart", "kill"}:
            tail.close()
            del stored[max(0, len(stored) - count) :]
            tail = Tail(writer.log)
            place = stored[-1][1] if stored else first
            tail.resume(Position.decode(place.encode()))
        else:
            getattr(writer, action)()
    tail.close()
    assert [text for text, _ in stored] == writer.written


def test_rest_of_a_line_that_is_too_long_is_no_line(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("x" * (3 * LONGEST_LINE) + " 7\n8\n")
    tail = Tail(tmp_path / "log")
    tail.resume(tail.beginning(at_end=False))
    assert [line.text for line in tail.lines()] == [None, "8"]
    tail.close()
