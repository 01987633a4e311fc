"""What the tests of inputs share; `input_bench` is a module beside this."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from input_bench import HEAD, Shelf, Workbench, configure

from gateway_agent.config import ConfigError

FIRST_LINE = HEAD.count("\n") + 1


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Workbench]:
    """Makes the input of a text of TOML."""

    def make(text: str, shelf: Shelf | None = None) -> Workbench:
        return Workbench(tmp_path, text, shelf)

    return make


@pytest.fixture
def mistakes(tmp_path: Path) -> Callable[[str], list[str]]:
    """What is said of a wrong input, as `line: message` with lines counted from its beginning."""

    def find(text: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            configure(tmp_path, text)
        told = []
        for line in caught.value.lines():
            number, _, message = line.removeprefix(f"{tmp_path}/agent.toml:").partition(": ")
            told.append(f"{int(number) - FIRST_LINE + 1}: {message}")
        return told

    return find
