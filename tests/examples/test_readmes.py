"""What the examples' READMEs say works."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement

from tests.examples.conftest import ROOT

if TYPE_CHECKING:
    from tests.examples.conftest import Server

EXAMPLES = ("example-app", "example-desktop")


@pytest.mark.parametrize("example", EXAMPLES)
def test_files_are_all_introduced_and_no_others(example: str) -> None:
    folder = ROOT / "scripts" / example
    named = re.findall(r"\]\((\w+\.py)\)", (folder / "README.md").read_text())
    assert sorted(named) == sorted(path.name for path in folder.glob("*.py"))


@pytest.mark.parametrize(("example", "kind"), list(zip(EXAMPLES, ("web", "desktop"), strict=True)))
def test_registering_works_as_written(server: Server, example: str, kind: str) -> None:
    text = (ROOT / "scripts" / example / "README.md").read_text()
    line = re.search(r"^wotkit (app create .*)", text.replace("\\\n", ""), re.MULTILINE)
    assert line is not None
    made = json.loads(server.command(*shlex.split(line[1]), "--json"))
    assert made["kind"] == kind
    assert bool(made["client_secret"]) == (kind == "web")


def test_example_application_is_tested_with_what_it_asks_for() -> None:
    asked = (ROOT / "scripts/example-app/requirements.txt").read_text().splitlines()
    tested = (ROOT / "pyproject.toml").read_text()
    for line in asked:
        name = Requirement(line.partition("#")[0].strip()).name
        assert f'"{name}~=' in tested, name
