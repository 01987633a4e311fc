from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from wotkit.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

PASSWORD = "correct horse battery"


class Wotkit:
    """Runs ``wotkit`` on one data folder."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def run(self, *arguments: str, stdin: str = "") -> Result:
        return CliRunner().invoke(main, [*arguments, "--data", str(self.data)], input=stdin)

    def ok(self, *arguments: str, stdin: str = "") -> str:
        """Run a command that must succeed and return what it printed."""
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.ok(*arguments, "--json"))

    def refused(self, *arguments: str, stdin: str = "", status: int = 1) -> str:
        """Run a command that must fail and return what it said."""
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        return result.stderr

    def user(self, name: str, *options: str) -> None:
        self.ok("user", "create", name, "--password-file", "-", *options, stdin=PASSWORD + "\n")


@pytest.fixture
def wotkit(data: Path) -> Wotkit:
    return Wotkit(data)
