from collections.abc import Callable
from pathlib import Path

import pytest
from input_bench import Workbench

Bench = Callable[..., Workbench]

TANK = '''
"""A level that falls with every reading."""

from dataclasses import dataclass
from typing import Annotated

from gateway_agent.inputs import (
    Failure, FieldSpec, Input, Sample, SensorSpec, Setting, sensor_name, settings
)


class Tank(Input):
    @dataclass(frozen=True, kw_only=True)
    class Options:
        height: Annotated[float, Setting(settings.number, "metres")]
        step: Annotated[int, Setting(settings.whole(1, 9), "centimetres")] = 1

    def __init__(self, config, context):
        self._options = config.options
        self._sensor = sensor_name(context.gateway_id, config, config.sensor)
        self._level = 0.0

    def open(self):
        self._level = self._options.height

    def sensors(self):
        return [SensorSpec(self._sensor, "Tank", "", (FieldSpec("level", "Level", "m"),))]

    def read(self):
        self._level -= self._options.step / 100
        if self._level < 0:
            yield Failure("the tank is empty")
        else:
            yield Sample(self._sensor, {"level": round(self._level, 2)})


class Plain(Input):
    def __init__(self, config, context):
        self._options = config.options

    def sensors(self):
        return []

    def read(self):
        return [Sample("tank", {"n": self._options["n"]})]
'''
SECTION = '[[input]]\ntype = "python"\npath = "tank.py"\nclass = "Tank"\ninterval = "10ms"\n'


@pytest.fixture
def tank(tmp_path: Path) -> Path:
    file = tmp_path / "tank.py"
    file.write_text(TANK)
    return file


def test_class_beside_the_configuration_is_read(bench: Bench, tank: Path) -> None:
    text = SECTION + "[input.options]\nheight = 1.5\nstep = 5\n"
    with bench(text) as running:
        assert running.wait_for_values(2)[:2] == [{"level": 1.45}, {"level": 1.4}]
        assert running.declared[0].name == "green-python"
        running.wait_for(lambda: running.figures.last_error == "the tank is empty")


def test_class_without_options_of_its_own_gets_the_table(bench: Bench, tank: Path) -> None:
    text = SECTION.replace("Tank", "Plain") + "options = {n = 7}\n"
    samples, _ = bench(text).read_once()
    assert [(s.sensor, s.fields) for s in samples] == [("tank", {"n": 7})]


def test_changed_file_counts_for_the_next_configuration(bench: Bench, tank: Path) -> None:
    text = SECTION.replace("Tank", "Plain") + "options = {n = 7}\n"
    bench(text).read_once()
    tank.write_text(TANK.replace('"tank", {"n"', '"tank", {"m"'))
    assert [s.fields for s in bench(text).read_once()[0]] == [{"m": 7}]


def test_class_that_cannot_be_made_is_told_and_tried_again(bench: Bench, tank: Path) -> None:
    code = TANK.replace(
        "        self._options = config.options\n", "        raise OSError('no bus')\n", 1
    )
    tank.write_text(code)
    with bench(SECTION + "options = {height = 1}\n") as running:
        running.wait_for(lambda: running.figures.errors >= 2)
        assert running.figures.last_error == "OSError: no bus"


def test_mistakes_are_told_with_their_lines(
    mistakes: Callable[[str], list[str]], tank: Path
) -> None:
    assert mistakes(SECTION) == ["1: input.options.height: is required"]
    assert mistakes(SECTION + "[input.options]\nheight = 1\nstep = 10\nhight = 2\n") == [
        "8: input.options.step: expected 1 to 9, not 10",
        "9: input.options.hight: unknown key, did you mean height?",
    ]
    assert mistakes(SECTION.replace("Tank", "Tonk")) == [
        "4: input.class: there is no such class in tank.py, did you mean Tank?"
    ]
    assert mistakes(SECTION.replace("Tank", "dataclass"))[0].startswith(
        "4: input.class: is not a class that extends Input in tank.py"
    )
    assert mistakes(SECTION.replace('path = "tank.py"\n', "")) == ["1: input.path: is required"]
    assert mistakes(SECTION.replace("tank.py", "none.py"))[0].startswith(
        "3: input.path: cannot be loaded: FileNotFoundError"
    )
    tank.write_text("import no_such_library\n")
    assert mistakes(SECTION) == [
        "3: input.path: cannot be loaded: ModuleNotFoundError: No module named 'no_such_library'"
    ]
    tank.write_text("def (:\n")
    assert mistakes(SECTION)[0].startswith("3: input.path: cannot be loaded: SyntaxError")
