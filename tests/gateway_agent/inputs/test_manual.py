"""The page about inputs: what it shows works, and it leaves no setting out."""

import re
from pathlib import Path

import pytest
from input_bench import Workbench, configure

from gateway_agent.inputs import InputConfig, find_kind, kind_names
from gateway_agent.inputs.points import PointConfig
from gateway_agent.inputs.record_config import KeyPoint, RecordConfig
from gateway_agent.settings import describe_section, sections_within

PAGE = Path(__file__).parents[3] / "wotkit" / "web" / "docs" / "agent-inputs.md"
TEXT = PAGE.read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[0]
SHARED: tuple[type[object], ...] = (InputConfig, PointConfig, RecordConfig, KeyPoint)


def chapter(name: str) -> str:
    return TEXT.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def rows(section: type[object]) -> list[str]:
    """What stands in a table about a section's settings, but those that are lists of sections."""
    found = []
    for row in describe_section(section):
        default = "required" if row.default is None else f"`{row.default}`"
        if row.default in {"", '""', "[]", "{}"}:
            default = ""
        if row.name != "point":
            found.append(f"| `{row.name}` | {default} | {row.help} |")
    return found


@pytest.mark.parametrize("section", SHARED)
def test_shared_settings_stand_on_the_page_as_they_are(section: type[object]) -> None:
    inherited = {row for base in SHARED if base in section.__mro__[1:] for row in rows(base)}
    assert [row for row in rows(section) if row not in inherited and row not in TEXT] == []


@pytest.mark.parametrize("kind", kind_names())
def test_settings_of_every_kind_stand_in_its_chapter_as_they_are(kind: str) -> None:
    config = find_kind(kind).config
    sections = [config, *sections_within(config)]
    shared = {row for base in SHARED for row in rows(base)}
    text = chapter(kind)
    missing = [
        row for s in sections for row in rows(s) if row not in shared | set(text.split("\n"))
    ]
    assert missing == []


@pytest.mark.parametrize("kind", kind_names())
def test_example_of_every_kind_is_a_valid_configuration(kind: str, tmp_path: Path) -> None:
    (tmp_path / "tank.py").write_text(PYTHON)
    examples = re.findall(r"```toml\n(.*?)```", chapter(kind), re.DOTALL)
    assert examples
    for example in examples:
        assert configure(tmp_path, example).type == kind


def test_class_of_the_manual_reads_its_tank(tmp_path: Path) -> None:
    (tmp_path / "tank.py").write_text(PYTHON)
    level = tmp_path / "level"
    level.write_text("150\n")
    (example,) = re.findall(r"```toml\n(.*?)```", chapter("python"), re.DOTALL)
    one = Workbench(tmp_path, example.replace("/run/tank/level", str(level)))
    samples, failures = one.read_once()
    assert [(s.sensor, s.fields) for s in samples] == [
        ("rain-tank", {"level": 1.5, "volume": pytest.approx(4.8)})
    ]
    assert failures == []
    level.write_text("-1")
    assert one.read_once() == ([], ["the float is stuck"])


def test_every_kind_is_in_the_list_with_its_extra() -> None:
    for kind in kind_names():
        assert re.search(
            rf"^\| \[{kind}\]\(#{kind}\) \|.*`wotkit\[gateway[a-z0-9-]*\]`", TEXT, re.MULTILINE
        )
