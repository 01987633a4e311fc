from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from wotkit import __version__
from wotkit.cli import main
from wotkit.config import SETTINGS

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "wotkit.toml"
    path.write_text('[server]\nport = 9000\n[auth]\nsecret_key = "hush"\n', encoding="utf-8")
    return path


def test_show_says_where_each_value_came_from(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOTKIT_LOG_LEVEL", "debug")
    result = run("config", "show", "--config", str(file), "--set", "query.max_sensors=5", "--json")
    shown = json.loads(result.stdout)
    assert shown["server.port"] == {"value": 9000, "from": str(file)}
    assert shown["log.level"] == {"value": "debug", "from": "WOTKIT_LOG_LEVEL"}
    assert shown["query.max_sensors"] == {"value": 5, "from": "command line"}
    assert shown["server.host"] == {"value": "127.0.0.1", "from": "default"}
    assert set(shown) == {setting.name for setting in SETTINGS}


def test_secrets_are_masked(file: Path) -> None:
    for form in ((), ("--json",)):
        result = run("config", "show", "--config", str(file), *form)
        assert result.exit_code == 0
        assert "hush" not in result.output
        assert "********" in result.output


def test_data_is_the_setting_of_that_name(tmp_path: Path) -> None:
    result = run("config", "show", "--data", str(tmp_path / "here"))
    assert f"The data folder is {tmp_path / 'here'}" in result.stdout


def test_good_settings_pass_the_check(file: Path) -> None:
    result = run("config", "check", "--config", str(file))
    assert result.exit_code == 0
    assert "good" in result.stdout


def test_every_mistake_has_its_own_line(tmp_path: Path) -> None:
    path = tmp_path / "wotkit.toml"
    path.write_text("[server]\nprot = 9000\n[log]\nlevel = 'loud'\n", encoding="utf-8")
    result = run("config", "check", "--config", str(path), "--set", "query.active_minuets=3")
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert "did you mean server.port?" in result.stderr
    assert "did you mean query.active_minutes?" in result.stderr
    assert any("log.level" in line and "'loud'" in line for line in lines)
    assert all(line.startswith("Error: ") for line in lines)


def test_secret_on_the_command_line_is_refused() -> None:
    result = run("config", "check", "--set", "auth.secret_key=hush")
    assert result.exit_code == 2
    assert "WOTKIT_AUTH_SECRET_KEY_FILE" in result.stderr


def test_set_without_a_value_is_refused() -> None:
    result = run("config", "check", "--set", "server.port")
    assert result.exit_code == 2
    assert "NAME=VALUE" in result.stderr


def test_docs_have_a_row_for_each_setting() -> None:
    rows = run("config", "docs").stdout.splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [setting.name for setting in SETTINGS]


def test_version_is_one_line() -> None:
    assert run("--version").stdout == f"wotkit {__version__}\n"


def _commands() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        inner = getattr(command, "commands", None)
        found += [(name, sub) for sub in inner] if inner else [(name,)]
    return found


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert f"wotkit {' '.join(command)}" in result.stdout


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_every_command_takes_the_data_folder(command: tuple[str, ...]) -> None:
    if command != ("config", "docs"):
        assert "--data DIR" in run(*command, "--help").stdout


def test_no_command_takes_a_password_as_an_argument() -> None:
    for command in _commands():
        assert "--password " not in run(*command, "--help").stdout


def test_unknown_option_is_an_error_of_usage() -> None:
    assert run("user", "list", "--colour").exit_code == 2
