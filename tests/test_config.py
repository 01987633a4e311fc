from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from wotkit import config
from wotkit.config import SETTINGS, ConfigError, Setting, load, shown


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(text: str, name: str = "wotkit.toml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def mistakes(**sources: Any) -> tuple[str, ...]:
    sources.setdefault("environment", {})
    with pytest.raises(ConfigError) as caught:
        load(**sources)
    assert str(caught.value) == "\n".join(caught.value.mistakes)
    return caught.value.mistakes


def test_without_sources_every_setting_has_its_default() -> None:
    loaded = load(environment={"PATH": "/bin", "WOTKITX": "1"})
    assert loaded.settings == config.Settings()
    assert loaded.origins == {}


def test_later_source_wins_and_is_named(write: Any) -> None:
    file = write("[server]\nport = 1001\nhost = 'file'\nbacklog = 7\n")
    environment = {"WOTKIT_SERVER_PORT": "1002", "WOTKIT_SERVER_HOST": "variable"}
    loaded = load(file=file, environment=environment, overrides={"server.port": 1003})
    server = loaded.settings.server
    assert (server.port, server.host, server.backlog, server.workers) == (1003, "variable", 7, 1)
    assert loaded.origins == {
        "server.port": "command line",
        "server.host": "WOTKIT_SERVER_HOST",
        "server.backlog": str(file),
    }


def test_file_named_by_the_environment_is_read_and_an_argument_comes_before_it(write: Any) -> None:
    named = write("[server]\nport = 1\n", "named.toml")
    argument = write("[server]\nport = 2\n", "argument.toml")
    environment = {"WOTKIT_CONFIG": str(named)}
    assert load(environment=environment).settings.server.port == 1
    assert load(file=argument, environment=environment).settings.server.port == 2
    assert load(environment={"WOTKIT_CONFIG": ""}).settings.server.port == 8080


def test_text_becomes_the_type_of_the_setting() -> None:
    settings = load(
        environment={
            "WOTKIT_SERVER_WORKERS": "3",
            "WOTKIT_STORAGE_BUSY_SECONDS": "2.5",
            "WOTKIT_HTTP_CORS_ORIGINS": " https://a.example , https://b.example,",
            "WOTKIT_SERVER_TRUSTED_PROXIES": "",
            "WOTKIT_LOG_LEVEL": "debug",
            "WOTKIT_INGEST_RATE": "5",
        }
    ).settings
    assert settings.server.workers == 3
    assert settings.storage.busy_seconds == 2.5
    assert settings.http.cors_origins == ("https://a.example", "https://b.example")
    assert settings.server.trusted_proxies == ()
    assert settings.log.level == "debug"
    assert settings.ingest.rate == 5.0


def test_list_in_the_file_becomes_a_tuple_setting(write: Any) -> None:
    file = write('[http]\ncors_origins = ["https://a.example"]\n')
    assert load(file=file, environment={}).settings.http.cors_origins == ("https://a.example",)


def test_all_mistakes_of_all_sources_are_told_at_once(write: Any) -> None:
    file = write('[server]\nport = "x"\nprot = 1\n[sevrer]\na = 1\n[log]\nlevel = "loud"\n')
    found = mistakes(
        file=file,
        environment={"WOTKIT_SERVER_WORKERS": "0", "WOTKIT_SERVER_HOTS": "h"},
        overrides={"ingest.bacth_readings": 1, "auth.bcrypt_cost": 99},
    )
    for expected in (
        r"server\.port: Expected `int`",
        r"no setting server\.prot; did you mean server\.port\?",
        r"no section \[sevrer\]; did you mean server\?",
        r"log\.level: .*loud",
        r"WOTKIT_SERVER_WORKERS: server\.workers: .*>= 1",
        r"WOTKIT_SERVER_HOTS: no such setting; did you mean WOTKIT_SERVER_HOST\?",
        r"command line: no setting ingest\.bacth_readings; did you mean ingest\.batch_readings\?",
        r"command line: auth\.bcrypt_cost: .*<= 31 .*99",
    ):
        assert sum(bool(re.search(expected, line)) for line in found) == 1, expected
    assert len(found) == 8


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("server.port", True),
        ("server.port", 65536),
        ("server.port", "80.5"),
        ("server.port", ""),
        ("server.host", 5),
        ("storage.busy_seconds", "nan"),
        ("storage.busy_seconds", "inf"),
        ("storage.busy_seconds", float("inf")),
        ("storage.busy_seconds", float("nan")),
        ("storage.busy_seconds", -1),
        ("http.cors_origins", [1]),
        ("log.format", "xml"),
        ("auth.password_min_length", 7),
    ],
)
def test_value_outside_type_or_limits_is_refused_with_its_name(name: str, value: Any) -> None:
    (line,) = mistakes(overrides={name: value})
    assert line.startswith(f"command line: {name}: ")
    assert repr(value) in line


def test_file_that_cannot_be_read_is_one_clear_mistake(write: Any, tmp_path: Path) -> None:
    (line,) = mistakes(file=tmp_path / "missing.toml")
    assert "missing.toml: cannot be read" in line
    (line,) = mistakes(file=tmp_path)
    assert "cannot be read" in line
    (line,) = mistakes(file=write("[server\n"))
    assert "line 1" in line
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    (line,) = mistakes(file=tmp_path / "latin.toml")
    assert "latin.toml" in line
    (line,) = mistakes(file=write("server = 5\n"))
    assert "server must be a section" in line


def test_secret_is_read_from_the_file_that_is_named(write: Any) -> None:
    secret = write("  of the server\n", "secret")
    by_variable = load(environment={"WOTKIT_AUTH_SECRET_KEY_FILE": str(secret)})
    assert by_variable.settings.auth.secret_key == "of the server"
    file = write(f"[auth]\nsecret_key_file = '{secret}'\n")
    by_file = load(file=file, environment={})
    assert by_file.settings.auth.secret_key == "of the server"
    assert load(
        file=file, environment={"WOTKIT_AUTH_SECRET_KEY": "v"}
    ).settings.auth.secret_key == ("v")


def test_file_of_a_secret_must_hold_one(write: Any, tmp_path: Path) -> None:
    variable = "WOTKIT_AUTH_SECRET_KEY_FILE"
    (line,) = mistakes(environment={variable: str(tmp_path / "none")})
    assert variable in line
    assert "cannot read" in line
    (line,) = mistakes(environment={variable: str(write(" \n", "empty"))})
    assert "is empty" in line
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (line,) = mistakes(environment={variable: str(tmp_path / "binary")})
    assert "not a text file" in line
    (line,) = mistakes(file=write('[auth]\nsecret_key_file = "a\\u0000b"\n'))
    assert "secret_key_file" in line


def test_secret_and_its_file_exclude_each_other(write: Any) -> None:
    secret = str(write("s", "secret"))
    environment = {"WOTKIT_AUTH_SECRET_KEY": "x", "WOTKIT_AUTH_SECRET_KEY_FILE": secret}
    (line,) = mistakes(environment=environment)
    assert "exclude each other" in line
    file = write(f"[auth]\nsecret_key = 'x'\nsecret_key_file = '{secret}'\n")
    (line,) = mistakes(file=file)
    assert "exclude each other" in line


def test_only_secrets_may_be_read_from_a_file() -> None:
    (line,) = mistakes(environment={"WOTKIT_SERVER_HOST_FILE": "/etc/hostname"})
    assert "no such setting" in line


def test_secret_is_masked_where_settings_are_shown_and_in_mistakes(write: Any) -> None:
    settings = load(environment={"WOTKIT_AUTH_SECRET_KEY": "hunter2"}).settings
    values = {setting.name: shown(setting, settings) for setting in SETTINGS}
    assert "hunter2" not in repr(values)
    assert values["auth.secret_key"] == "********"
    assert values["server.port"] == 8080
    secret_key = next(setting for setting in SETTINGS if setting.name == "auth.secret_key")
    assert shown(secret_key, config.Settings()) == ""
    assert "hunter2" not in "".join(mistakes(file=write('[auth]\nsecret_key = ["hunter2"]\n')))


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_setting_has_help_a_valid_default_and_a_line_in_the_documentation(
    setting: Setting,
) -> None:
    assert re.fullmatch(r"[A-Z].+[.]", setting.help)
    assert "|" not in setting.help
    assert msgspec.convert(setting.default, setting.type) == setting.default
    line = f"| `{setting.name}` | `{setting.variable}` |"
    assert sum(row.startswith(line) for row in config.documentation().splitlines()) == 1


def test_every_setting_can_be_set_from_text() -> None:
    environment = {
        setting.variable: ",".join(setting.default)
        if isinstance(setting.default, tuple)
        else str(setting.default)
        for setting in SETTINGS
    }
    assert load(environment=environment).settings == config.Settings()


def test_environment_names_are_unambiguous() -> None:
    variables = [setting.variable for setting in SETTINGS]
    assert len(set(variables)) == len(variables)
    assert config.CONFIG_VARIABLE not in variables
    assert not [name for name in variables if name.removesuffix("_FILE") in set(variables) - {name}]


def test_data_folder_is_absolute_and_defaults_to_the_systems_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(environment={"WOTKIT_STORAGE_DATA": "here"}).settings
    assert settings.data_folder == tmp_path / "here"
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert config.Settings().data_folder == Path("/var/lib/wotkit")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert config.Settings().data_folder == tmp_path / "share" / "wotkit"
