import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_platform import KEY, StandInPlatform
from click.testing import CliRunner, Result

from gateway_agent.cli import main
from gateway_agent.cli.common import default_config_path, default_spool_path
from gateway_agent.cli.questions import gateway_id_from
from gateway_agent.config import load_config

KEY_ID, _, KEY_PASSWORD = KEY.partition(":")


def call(*arguments: object, typed: str | None = None) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=typed)


def init_arguments(folder: Path, platform: StandInPlatform) -> list[object]:
    (folder / "password").write_text(KEY_PASSWORD + "\n")
    return [
        *("init", "--config", folder / "demo-agent.toml", "--url", platform.url),
        *("--key-id", KEY_ID, "--key-password-file", folder / "password"),
    ]


@pytest.mark.parametrize(
    "command", ["init", "check", "run", "status", "drain", "replay", "simulate"]
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = call(command, "--help")
    assert result.exit_code == 0
    assert f"Example:\n  gateway-agent {command}" in result.output
    assert "--config FILE" in result.output


def test_init_by_options_writes_both_files_and_asks_nothing(
    tmp_path: Path, platform: StandInPlatform
) -> None:
    result = call(*init_arguments(tmp_path, platform))
    assert result.exit_code == 0, result.output
    credentials = tmp_path / "demo-agent.credentials"
    assert credentials.read_text() == KEY + "\n"
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
    config = load_config(tmp_path / "demo-agent.toml")
    assert config.platform.http == platform.url
    assert config.platform.credentials_file == credentials
    assert config.spool.path == tmp_path / "demo-agent.spool.db"
    assert [entry.type for entry in config.inputs] == ["system"]
    assert KEY_PASSWORD not in result.output
    assert KEY_PASSWORD not in (tmp_path / "demo-agent.toml").read_text()


def test_written_file_explains_every_setting(tmp_path: Path, platform: StandInPlatform) -> None:
    call(*init_arguments(tmp_path, platform))
    text = (tmp_path / "demo-agent.toml").read_text()
    assert '# most that a power cut may cost\n# commit_interval = "1s"' in text
    lines = [
        line.removeprefix("# ") if " = " in line or line == "# [[input]]" else line
        for line in text.splitlines()
        if not line.endswith(" =")
    ]
    (tmp_path / "all.toml").write_text("\n".join(lines))
    config = load_config(tmp_path / "all.toml")
    assert config.platform.batch == 500
    assert [entry.type for entry in config.inputs] == ["system", "sim"]


def test_init_reads_the_password_from_standard_input(
    tmp_path: Path, platform: StandInPlatform
) -> None:
    arguments = init_arguments(tmp_path, platform)[:-1]
    result = call(*arguments, "-", "--id", "cellar", typed=KEY_PASSWORD)
    assert result.exit_code == 0, result.output
    assert load_config(tmp_path / "demo-agent.toml").gateway.id == "cellar"


def test_init_takes_a_key_file_and_a_spool(tmp_path: Path, platform: StandInPlatform) -> None:
    (tmp_path / "key").write_text(KEY)
    result = call(
        *("init", "--output", tmp_path / "a.toml", "--url", platform.url),
        *("--key-file", tmp_path / "key", "--spool", tmp_path / "deep" / "s.db"),
    )
    assert result.exit_code == 0, result.output
    assert load_config(tmp_path / "a.toml").spool.path == tmp_path / "deep" / "s.db"


def test_init_asks_for_what_is_missing(tmp_path: Path, platform: StandInPlatform) -> None:
    answers = f"{platform.url}\n{KEY_ID}\n{KEY_PASSWORD}\nattic\ny\n"
    (tmp_path / "machine").mkdir()
    result = call(
        "init", "--config", tmp_path / "a.toml", "--root", tmp_path / "machine", typed=answers
    )
    assert result.exit_code == 0, result.output
    assert load_config(tmp_path / "a.toml").gateway.id == "attic"
    assert KEY_PASSWORD not in result.output


def test_init_with_a_wrong_key_writes_nothing(tmp_path: Path, platform: StandInPlatform) -> None:
    platform.key = "other:key"
    result = call(*init_arguments(tmp_path, platform))
    assert result.exit_code == 1
    assert "401" in result.output
    assert [file.name for file in tmp_path.iterdir()] == ["password"]


def test_init_without_a_platform_says_so_unless_offline(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    arguments = [
        *("init", "--config", tmp_path / "a.toml", "--url", "http://127.0.0.1:9/api"),
        *("--key-file", tmp_path / "key"),
    ]
    result = call(*arguments)
    assert result.exit_code == 1
    assert "Nothing was written" in result.output
    assert call(*arguments, "--offline").exit_code == 0
    assert (tmp_path / "a.toml").exists()


def test_init_again_with_the_same_answers_changes_nothing(
    tmp_path: Path, platform: StandInPlatform
) -> None:
    arguments = init_arguments(tmp_path, platform)
    call(*arguments)
    result = call(*arguments)
    assert result.exit_code == 0
    assert "as it should be" in result.output
    assert not list(tmp_path.glob("*.old"))


def test_init_replaces_another_file_only_with_yes_and_keeps_the_old(
    tmp_path: Path, platform: StandInPlatform
) -> None:
    arguments = init_arguments(tmp_path, platform)
    call(*arguments)
    result = call(*arguments, "--id", "cellar")
    assert result.exit_code == 1
    assert "--yes replaces it" in result.output
    assert call(*arguments, "--id", "cellar", "--yes").exit_code == 0
    assert load_config(tmp_path / "demo-agent.toml").gateway.id == "cellar"
    assert (tmp_path / "demo-agent.toml.old").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--yes"], "--yes needs --url"),
        (["--url", "ftp://x", "--key-file", "KEY"], "expected an address"),
        (["--url", "http://x", "--key-file", "none"], "cannot be read"),
        (["--url", "http://x", "--key-file", "KEY", "--id", "A B"], "cannot name a gateway"),
    ],
)
def test_init_says_what_is_wrong_with_its_options(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "key").write_text(KEY)
    given = [str(tmp_path / "key") if word == "KEY" else word for word in arguments]
    result = call("init", "--config", tmp_path / "a.toml", *given)
    assert result.exit_code == 1
    assert words in result.output


def test_password_is_no_option() -> None:
    assert "No such option" in call("init", "--key-password", "x").output


@pytest.mark.parametrize(
    ("hostname", "name"),
    [
        ("raspberrypi", "raspberrypi"),
        ("Green House.local", "green-house"),
        ("4711", "gateway-4711"),
        ("", "gateway"),
        ("x" * 80, "x" * 40),
    ],
)
def test_gateway_is_named_after_the_host(hostname: str, name: str) -> None:
    assert gateway_id_from(hostname) == name


def test_check_tells_that_all_is_well(
    write_config: Callable[..., Path], platform: StandInPlatform
) -> None:
    result = call("check", "--config", write_config('[[input]]\ntype = "sim"'))
    assert result.exit_code == 0, result.output
    assert result.output.count("ok ") == 4
    assert KEY_PASSWORD not in result.output


def test_check_prints_every_mistake_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[gateway]\nidd = 1\n[spool]\nmax_mb = 0\n")
    result = call("check", "--config", tmp_path / "a.toml")
    assert result.exit_code == 78
    assert "a.toml:2: gateway.idd: unknown key, did you mean id?" in result.output
    assert "a.toml:4: spool.max_mb" in result.output


def test_check_tells_what_is_wrong_around_the_file(
    write_config: Callable[..., Path], platform: StandInPlatform
) -> None:
    config = write_config('[[input]]\ntype = "sim"')
    platform.key = "other:key"
    result = call("check", "--config", config)
    assert result.exit_code == 1
    assert "wrong  platform: HTTP 401" in result.output
    assert call("check", "--offline", "--config", config).exit_code == 0
    config.with_name("credentials").chmod(0o644)
    assert "chmod 600" in call("check", "--config", config).output
    config.with_name("credentials").unlink()
    assert "No such file" in call("check", "--config", config).output


def test_check_reads_the_certificate_authority(write_config: Callable[..., Path]) -> None:
    config = write_config('[[input]]\ntype = "sim"', platform_lines='ca_file = "none.pem"')
    result = call("check", "--config", config)
    assert result.exit_code == 1
    assert "none.pem: No such file" in result.output


def test_run_without_a_configuration_says_how_to_get_one(tmp_path: Path) -> None:
    result = call("run", "--config", tmp_path / "none.toml")
    assert result.exit_code == 78
    assert "gateway-agent init" in result.output


def test_status_of_an_agent_that_never_ran(write_config: Callable[..., Path]) -> None:
    config = write_config('[[input]]\ntype = "sim"')
    result = call("status", "--config", config)
    assert result.exit_code == 3
    assert "state      not running" in result.output
    document = json.loads(call("status", "--json", "--config", config).output)
    assert document["running"] is False
    assert document["spool"]["depth"] == 0


def test_status_of_a_spool_that_cannot_be_read_says_why(write_config: Callable[..., Path]) -> None:
    config = write_config('[[input]]\ntype = "sim"')
    config.with_name("spool.db").write_text("no database at all")
    document = json.loads(call("status", "--json", "--config", config).output)
    assert document["spool"]["trouble"]


def test_files_of_a_user_are_in_the_xdg_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert default_config_path() == Path("/home/alice/.config/gateway-agent/config.toml")
    assert default_spool_path() == Path("/home/alice/.local/state/gateway-agent/spool.db")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/cfg")
    assert default_config_path() == Path("/cfg/gateway-agent/config.toml")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_config_path() == Path("/etc/gateway-agent/config.toml")
    assert default_spool_path() == Path("/var/lib/gateway-agent/spool.db")


def pi_with_sensors(root: Path) -> Path:
    """A fake machine with a thermometer, a serial port and an i2c bus."""
    (root / "sys/bus/w1/devices/28-0316a2795bff").mkdir(parents=True)
    (root / "dev").mkdir()
    for name in ("ttyUSB0", "ttyUSB1", "i2c-1"):
        (root / "dev" / name).touch()
    return root


def test_init_offers_what_it_finds_one_by_one(tmp_path: Path, platform: StandInPlatform) -> None:
    root = pi_with_sensors(tmp_path / "pi")
    conversation = [
        *(platform.url, KEY_ID, KEY_PASSWORD, "attic"),
        *("n", "y"),  # the machine itself, the thermometer
        *("y", "csv", "19200", "time, temperature"),
        *("y", "modbus", "9600", "7", "100"),
        *("bme280", "ads1115", "none"),
    ]
    typed = "\n".join(conversation) + "\n"
    result = call("init", "--config", tmp_path / "a.toml", "--root", root, typed=typed)
    assert result.exit_code == 0, result.output
    assert "1-wire thermometers 28-0316a2795bff. Read it?" in result.output
    assert "gateway-agent check --probe --config" in result.output
    inputs = load_config(tmp_path / "a.toml").inputs
    assert [entry.name for entry in inputs] == ["onewire", "serial", "modbus", "bme280", "ads1115"]
    assert vars_of(inputs[1], "port", "baud", "columns") == (
        *("/dev/ttyUSB0", 19200),
        ("time", "temperature"),
    )
    assert vars_of(inputs[2], "unit")[0] == 7
    assert "# serial port /dev/ttyUSB0\n[[input]]" in (tmp_path / "a.toml").read_text()


def vars_of(config: object, *names: str) -> tuple[object, ...]:
    return tuple(getattr(config, name) for name in names)


def test_init_takes_found_inputs_by_option(tmp_path: Path, platform: StandInPlatform) -> None:
    root = pi_with_sensors(tmp_path / "pi")
    arguments = [*init_arguments(tmp_path, platform), "--root", root]
    result = call(*arguments, "--input", "all")
    assert result.exit_code == 0, result.output
    types = [entry.type for entry in load_config(tmp_path / "demo-agent.toml").inputs]
    assert types == ["system", "onewire", "serial", "serial"]
    assert call(*arguments, "--yes", "--input", "onewire").exit_code == 0
    types = [entry.type for entry in load_config(tmp_path / "demo-agent.toml").inputs]
    assert types == ["onewire"]


def test_init_explains_wrong_answers_and_asks_again(
    tmp_path: Path, platform: StandInPlatform
) -> None:
    conversation = [
        *("ftp://x", "http://127.0.0.1:9", platform.url.removesuffix("/api")),
        *(KEY_ID, "wrong password", KEY_ID, KEY_PASSWORD),
        *("Green House", "green-house"),
        "y",
    ]
    typed = "\n".join(conversation) + "\n"
    (tmp_path / "bare").mkdir()
    result = call("init", "--config", tmp_path / "a.toml", "--root", tmp_path / "bare", typed=typed)
    assert result.exit_code == 0, result.output
    assert "expected an address" in result.output
    assert "http://127.0.0.1:9/api: ConnectionRefusedError" in result.output
    assert "id or password is wrong, or the key was revoked" in result.output
    assert "cannot name a gateway" in result.output
    config = load_config(tmp_path / "a.toml")
    assert (config.platform.http, config.gateway.id) == (platform.url, "green-house")


def test_init_refuses_a_key_that_may_not_write(tmp_path: Path, platform: StandInPlatform) -> None:
    platform.may_write = False
    result = call(*init_arguments(tmp_path, platform))
    assert result.exit_code == 1
    assert "the key may not write; give it the scope write\nNothing was written." in result.output
    assert not (tmp_path / "demo-agent.toml").exists()


def test_init_with_a_key_that_cannot_register_sensors_says_so_and_does_not_try(
    tmp_path: Path, platform: StandInPlatform
) -> None:
    platform.may_manage = False
    result = call(*init_arguments(tmp_path, platform))
    assert result.exit_code == 0, result.output
    assert "The key lacks the scope manage" in result.output
    assert not load_config(tmp_path / "demo-agent.toml").platform.auto_create


def test_init_leaves_no_part_of_a_file_behind_when_the_folder_cannot_be_written(
    tmp_path: Path, platform: StandInPlatform
) -> None:
    (tmp_path / "folder").write_text("")
    arguments = init_arguments(tmp_path, platform)
    arguments[2] = tmp_path / "folder" / "a.toml"
    result = call(*arguments)
    assert result.exit_code == 1
    assert "Error:" in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "password"]


def test_init_keeps_the_old_credentials_private(tmp_path: Path, platform: StandInPlatform) -> None:
    arguments = init_arguments(tmp_path, platform)
    (tmp_path / "demo-agent.credentials").write_text("other:key\n")
    (tmp_path / "demo-agent.credentials").chmod(0o644)
    assert call(*arguments, "--yes").exit_code == 0
    for name in ("demo-agent.credentials", "demo-agent.credentials.old"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert (tmp_path / "demo-agent.credentials.old").read_text() == "other:key\n"


def test_init_writes_the_address_of_mqtt_and_refuses_a_wrong_one(
    tmp_path: Path, platform: StandInPlatform
) -> None:
    arguments = init_arguments(tmp_path, platform)
    result = call(*arguments, "--mqtt", "https://platform.example")
    assert result.exit_code == 1
    assert "mqtt://" in result.output
    assert call(*arguments, "--mqtt", "mqtts://platform.example:8883").exit_code == 0
    broker = load_config(tmp_path / "demo-agent.toml").platform.mqtt
    assert broker is not None
    assert broker.geturl() == "mqtts://platform.example:8883"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_key_that_root_replaces_stays_the_property_of_the_service(
    tmp_path: Path, platform: StandInPlatform
) -> None:
    arguments = init_arguments(tmp_path, platform)
    credentials = tmp_path / "demo-agent.credentials"
    credentials.write_text("other:key\n")
    os.chown(credentials, 12345, 12345)
    assert call(*arguments, "--yes").exit_code == 0
    state = credentials.stat()
    assert credentials.read_text() == KEY + "\n"
    assert (state.st_uid, state.st_gid, stat.S_IMODE(state.st_mode)) == (12345, 12345, 0o600)
