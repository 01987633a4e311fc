import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway_agent
from gateway_agent.config import Config, ConfigError, PlatformConfig, SpoolConfig, load_config
from gateway_agent.inputs.sim import SimConfig
from gateway_agent.settings import describe_section

GOOD = """
[gateway]
id = "greenhouse-1"

[platform]
http = "https://platform.example/api/"
credentials_file = "credentials"
retry_max = "5m"

[spool]
path = "/var/lib/gateway-agent/spool.db"
commit_interval = "250ms"
on_full = "reject_new"

[[input]]
type = "system"
interval = "5s"

[[input]]
type = "sim"
name = "wave"
mode = "sine"
"""


def load(folder: Path, text: str) -> Config:
    file = folder / "agent.toml"
    file.write_text(text, encoding="utf-8")
    return load_config(file)


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return [line.removeprefix(f"{folder}/") for line in caught.value.lines()]


def test_good_file_gives_typed_settings_and_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD)
    assert config.gateway.id == "greenhouse-1"
    assert config.platform.http == "https://platform.example/api"
    assert config.platform.retry_max == 300
    assert config.platform.auto_create
    assert config.spool.commit_interval == 0.25
    assert config.spool.max_mb == 256
    assert [entry.name for entry in config.inputs] == ["system", "wave"]
    assert isinstance(config.inputs[1], SimConfig)


def test_relative_paths_start_at_the_configuration_file(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD).platform.credentials_file == tmp_path / "credentials"


def test_unknown_key_names_its_line_and_the_nearest_known(tmp_path: Path) -> None:
    text = GOOD.replace("commit_interval", "comit_interval")
    assert mistakes(tmp_path, text) == [
        "agent.toml:12: spool.comit_interval: unknown key, did you mean commit_interval?"
    ]


def test_unknown_section_names_its_line_and_the_nearest_known(tmp_path: Path) -> None:
    text = GOOD + '\n[[imput]]\ntype = "sim"\n'
    assert mistakes(tmp_path, text) == [
        "agent.toml:24: imput: unknown section, did you mean input?"
    ]


def test_all_mistakes_are_told_at_once_in_order(tmp_path: Path) -> None:
    text = """[gateway]
id = "Green House"
[platform]
http = "https://user:secret@platform.example/api"
retry_min = 5
[spool]
max_mb = 1
on_full = "drop_newest"
[[input]]
type = "sytem"
[[input]]
type = "sim"
burst = true
period = "0s"
"""
    lines = mistakes(tmp_path, text)
    assert [line.split(": ")[:2] for line in lines] == [
        ["agent.toml:2", "gateway.id"],
        ["agent.toml:4", "platform.http"],
        ["agent.toml:5", "platform.retry_min"],
        ["agent.toml:6", "spool.path"],
        ["agent.toml:7", "spool.max_mb"],
        ["agent.toml:8", "spool.on_full"],
        ["agent.toml:10", "input.type"],
        ["agent.toml:13", "input.burst"],
        ["agent.toml:14", "input.period"],
    ]
    assert "did you mean system?" in lines[6]
    assert not any("secret" in line for line in lines)


def test_missing_sections_are_mistakes_too(tmp_path: Path) -> None:
    lines = mistakes(tmp_path, "")
    assert "agent.toml: gateway.id: is required" in lines
    assert "agent.toml: platform.http: is required" in lines
    assert any("at least one [[input]]" in line for line in lines)


def test_two_inputs_of_one_name_are_refused(tmp_path: Path) -> None:
    lines = mistakes(tmp_path, GOOD + '[[input]]\ntype = "sim"\nname = "wave"\n')
    assert lines == [
        "agent.toml:25: input.name: 'wave' is taken by another input, give each its own"
    ]


def test_wrong_shapes_are_refused(tmp_path: Path) -> None:
    lines = mistakes(tmp_path, 'gateway = 1\ninput = "x"\n[platform]\nhttp = "ftp://x"\n')
    assert "agent.toml:1: gateway: must be a section, [gateway]" in lines
    assert "agent.toml:2: input: must be a list of sections, [[input]]" in lines
    assert any(line.startswith("agent.toml:4: platform.http:") for line in lines)


def test_last_delay_below_the_first_is_refused(tmp_path: Path) -> None:
    text = GOOD.replace('retry_max = "5m"', 'retry_max = "100ms"\ndenied_retry_max = "1s"')
    assert mistakes(tmp_path, text) == [
        "agent.toml:8: platform.retry_max: is shorter than retry_min",
        "agent.toml:9: platform.denied_retry_max: is shorter than denied_retry_min",
    ]


def test_broken_toml_says_where(tmp_path: Path) -> None:
    (line,) = mistakes(tmp_path, "[gateway\n")
    assert "is not TOML" in line
    assert "line 1" in line


def test_file_that_cannot_be_read_is_one_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'id = "\xff"')
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(tmp_path / "latin.toml")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "platform.example",
        "http://",
        "http://x:99999/",
        "http://[::1",
        "http://x/?a=1",
        "http://x:0",
    ],
)
def test_address_that_cannot_be_right_is_refused(tmp_path: Path, address: str) -> None:
    (line,) = mistakes(tmp_path, GOOD.replace("https://platform.example/api/", address))
    assert line.startswith("agent.toml:6: platform.http:")


@given(st.text(alphabet='[]="x.\n#', max_size=30))
def test_no_text_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzz.toml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        load_config(file)


def test_every_setting_has_help_and_its_default_is_toml() -> None:
    rows = describe_section(SpoolConfig)
    assert [row.name for row in rows][:3] == ["path", "max_mb", "commit_interval"]
    assert all(row.help for row in rows)
    assert rows[0].default is None
    assert rows[2].default == '"1s"'
    defaults = {row.name: row.default for row in describe_section(PlatformConfig)}
    assert defaults["auto_create"] == "true"
    assert defaults["ca_file"] == ""


def test_missing_library_of_an_input_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gateway_agent.inputs.system", None)
    (line,) = mistakes(tmp_path, GOOD)
    assert line.startswith("agent.toml:16: input.type: input 'system' needs the Python library")
    assert "install wotkit[gateway]" in line


def test_configuration_in_the_readme_is_valid(tmp_path: Path) -> None:
    readme = Path(gateway_agent.__file__).with_name("README.md").read_text(encoding="utf-8")
    block = readme[readme.index("    [gateway]") : readme.index("The key may also come")]
    config = load(tmp_path, textwrap.dedent(block))
    assert [entry.name for entry in config.inputs] == ["system", "wave"]
