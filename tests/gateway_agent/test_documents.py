"""What the documentation says of the agent: its examples are valid, what it names is there."""

import re
import textwrap
import tomllib
from pathlib import Path

import click
import pytest

from gateway_agent.cli import main
from gateway_agent.config import SECTIONS, load_config
from gateway_agent.inputs import kind_names

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "wotkit" / "web" / "docs"
MANUAL = ROOT / "gateway_agent" / "README.md"
PAGES = [*sorted(DOCS.glob("*.md")), MANUAL, ROOT / "README.md"]
TROUBLE = (DOCS / "agent-troubleshooting.md").read_text(encoding="utf-8")
FENCED = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^    .*\n|^\n(?=    ))+", re.MULTILINE)
WHOLE = {
    "gateway": '[gateway]\nid = "greenhouse-1"\n',
    "platform": '[platform]\nhttp = "https://platform.example/api"\n',
    "spool": '[spool]\npath = "spool.db"\n',
    "input": '[[input]]\ntype = "sim"\n',
}
"""What an example of a part is completed with."""


def examples() -> list[tuple[str, str]]:
    """Every TOML example of an agent's configuration, with the page it stands on."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = FENCED.findall(text)
        if page == MANUAL:
            blocks += [textwrap.dedent(block) for block in INDENTED.findall(text)]
        found += [(page.name, block) for block in blocks if block.lstrip().startswith("[")]
    return [
        (f"{name}-{number}", block)
        for number, (name, block) in enumerate(found)
        if tomllib.loads(block).keys() <= set(SECTIONS)
    ]


def python_example() -> str:
    text = (DOCS / "agent-inputs.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]


@pytest.mark.parametrize("example", [pytest.param(text, id=name) for name, text in examples()])
def test_example_of_a_configuration_is_valid(example: str, tmp_path: Path) -> None:
    (tmp_path / "tank.py").write_text(python_example())
    given = tomllib.loads(example)
    rest = "".join(text for section, text in WHOLE.items() if section not in given)
    (tmp_path / "agent.toml").write_text(rest + example)
    assert load_config(tmp_path / "agent.toml").inputs


def test_examples_are_found_on_every_page_that_has_some() -> None:
    pages = {name.rpartition("-")[0] for name, _ in examples()}
    assert {"agent-inputs.md", "agent-start.md", "README.md"} <= pages
    assert len(examples()) > len(kind_names())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_commands_that_are_named_exist_with_their_options(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    context = click.Context(main)
    for name, rest in re.findall(r"gateway-agent ([a-z][a-z-]*)((?: --[a-z-]+)*)", text):
        if f"gateway-agent {name}" not in code_of(text):
            continue
        command = main.get_command(context, name)
        assert command is not None, name
        options = {option for each in command.params for option in each.opts}
        assert set(rest.split()) <= options, f"{name}{rest}"


def code_of(text: str) -> str:
    """What stands in code blocks and between backticks, without systemd's commands."""
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    code = "\n".join([blocks, *re.findall(r"`([^`\n]+)`", text), *INDENTED.findall(text)])
    services = (
        r"(?:systemctl \w+|journalctl -u|id|usermod -aG \w+|sudo -u|ls -ld?) \S*gateway-agent"
    )
    return re.sub(services, "", code)


def symptoms() -> set[str]:
    """What the agent itself says, in the first column of the tables: between backticks."""
    rows = [line for line in TROUBLE.splitlines() if line.startswith("| ")]
    first = [row.split(" | ")[0] for row in rows]
    return {code for cell in first for code in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize("symptom", sorted(symptoms()))
def test_symptom_is_what_the_agent_says(symptom: str) -> None:
    if re.fullmatch(r"HTTP \d+|/dev/.*", symptom):
        return
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "gateway_agent").rglob("*.py")]
    words = re.sub(r'"\s*\n\s*f?"', "", "\n".join(sources))
    assert symptom in words or symptom.replace(" ", "_") in words


def test_every_row_of_the_troubleshooting_says_what_to_do() -> None:
    rows = [line for line in TROUBLE.splitlines() if line.startswith("| ")]
    assert len(rows) > 40
    for row in rows:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
        assert len(cells) == 4, row
        assert all((cells[0], cells[1], cells[3])), row


@pytest.mark.parametrize("kind", kind_names())
def test_every_kind_of_input_has_a_recipe_in_words(kind: str) -> None:
    text = (DOCS / "agent-inputs.md").read_text(encoding="utf-8")
    chapter = text.partition(f"\n## {kind}\n")[2].partition("\n## ")[0]
    before = chapter.partition("```")[0]
    assert len(before.split()) >= 15
