import threading
from pathlib import Path

import pytest

from gateway_agent.credentials import (
    ENVIRONMENT,
    CredentialsError,
    CredentialSource,
    parse_credentials,
)


def test_line_is_split_at_the_first_colon() -> None:
    key = parse_credentials("abc:pass:word\n", "file")
    assert (key.key_id, key.key_password) == ("abc", "pass:word")


@pytest.mark.parametrize("text", ["", "abc", "abc:", ":secret", "a:b\nc:d", "a:\x00b", "a:€"])
def test_unusable_line_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        parse_credentials(text, "the file")
    assert "the file" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_password_stays_out_of_representations() -> None:
    assert "secret" not in repr(parse_credentials("abc:secret", "file"))


def test_environment_comes_before_systemd_and_file(tmp_path: Path) -> None:
    (tmp_path / "gateway-agent").write_text("systemd:pw")
    (tmp_path / "file").write_text("file:pw")
    environment = {ENVIRONMENT: "env:pw", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert CredentialSource(environment, tmp_path / "file").read().key_id == "env"
    del environment[ENVIRONMENT]
    assert CredentialSource(environment, tmp_path / "file").read().key_id == "systemd"
    assert CredentialSource({}, tmp_path / "file").read().key_id == "file"


def test_systemd_folder_without_ours_leaves_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("file:pw")
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert CredentialSource(environment, tmp_path / "file").read().key_id == "file"


def test_replaced_file_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("one:pw")
    source = CredentialSource({}, file)
    source.read()
    assert not source.changed()
    file.write_text("two:pw")
    assert source.changed()
    assert source.read().key_id == "two"
    assert not source.changed()


def test_file_that_appears_later_is_noticed(tmp_path: Path) -> None:
    source = CredentialSource({}, tmp_path / "file")
    with pytest.raises(CredentialsError, match="No such file"):
        source.read()
    assert not source.changed()
    (tmp_path / "file").write_text("one:pw")
    assert source.changed()


def test_no_source_at_all_says_what_to_do() -> None:
    with pytest.raises(CredentialsError, match=ENVIRONMENT):
        CredentialSource({}, None).read()


def test_binary_file_is_no_credentials(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff\xfe")
    with pytest.raises(CredentialsError, match="not text"):
        CredentialSource({}, tmp_path / "file").read()


def test_file_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("a:b")
    file.chmod(0o644)
    assert "chmod 600" in (CredentialSource({}, file).warning() or "")
    file.chmod(0o600)
    assert CredentialSource({}, file).warning() is None
    assert CredentialSource({}, tmp_path / "none").warning() is None
    assert CredentialSource({ENVIRONMENT: "a:b"}, file).warning() is None


def test_each_thread_sees_a_replaced_key_whoever_reads_it_first(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("key:old")
    source = CredentialSource({}, file)
    source.read()
    file.write_text("key:new")
    other = threading.Thread(target=source.read)
    other.start()
    other.join()
    assert source.changed()
    source.read()
    assert not source.changed()
