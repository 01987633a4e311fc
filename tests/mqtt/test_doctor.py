"""``wotkit doctor`` sees whether gateways can be served, and what to do where they cannot."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tests.certificates import make_certificate
from tests.mqtt.conftest import OPTIONS, MqttServer
from tests.mqtt.mosquitto_process import Mosquitto
from tests.ports import free_port
from wotkit.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.certificates import Certificate

Findings = dict[str, tuple[str, str]]
"""Level and text by what was checked."""


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Findings]:
    """Examine with these settings of ``mqtt``; its own folder is empty unless one is named."""

    def examine(data: Path | None = None, server_port: int = 0, **mqtt: object) -> Findings:
        monkeypatch.setenv("WOTKIT_SERVER_PORT", str(server_port))
        for name, value in mqtt.items():
            monkeypatch.setenv(f"WOTKIT_MQTT_{name.upper()}", str(value))
        folder = str(data or tmp_path / "nothing")
        result = CliRunner().invoke(main, ["doctor", "--json", "--data", folder])
        assert "Traceback" not in result.output
        findings: list[dict[str, Any]] = json.loads(result.stdout)
        failed = any(each["level"] == "fail" for each in findings)
        assert result.exit_code == failed
        return {
            each["check"]: (each["level"], each["text"])
            for each in findings
            if each["check"].startswith("mqtt")
        }

    return examine


def test_running_server_answers_and_notes_no_failed_login(
    server: MqttServer, doctor: Callable[..., Findings]
) -> None:
    before = server.log.count("login.fail")
    found = doctor(server.data, server.port, port=server.mqtt_port)
    assert found == {
        f"mqtt port {server.mqtt_port}": ("ok", "a WoTKit server answers CONNECT here")
    }
    assert server.json("audit", "list", "--action", "login.fail") == []
    assert server.log.count("login.fail") == before


def test_server_that_took_another_port_is_told(
    server: MqttServer, doctor: Callable[..., Findings]
) -> None:
    port = free_port()
    level, text = doctor(server.data, server.port, port=port)[f"mqtt port {port}"]
    assert level == "warn"
    assert "nothing listens here" in text


def test_port_that_is_free_or_of_nobody_is_fine(doctor: Callable[..., Findings]) -> None:
    port = free_port()
    assert doctor(port=port)[f"mqtt port {port}"][0] == "ok"
    assert doctor(enabled="false") == {
        "mqtt": ("ok", "the server does not speak it (mqtt.enabled)")
    }


def test_port_of_a_broker_or_of_something_silent_fails(
    tmp_path: Path, doctor: Callable[..., Findings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wotkit.cli.mqtt_checkups.ANSWER_SECONDS", 0.3)
    with Mosquitto(tmp_path / "mosquitto") as broker:
        found = doctor(port=broker.mqtt_port)
        assert found[f"mqtt port {broker.mqtt_port}"][0] == "fail"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        level, text = doctor(port=port)[f"mqtt port {port}"]
        assert (level, "another program" in text) == ("fail", True)


def test_tls_is_asked_and_its_certificate_read(
    tmp_path: Path, certificate: Certificate, doctor: Callable[..., Findings]
) -> None:
    files = {"tls_certificate": certificate.certificate, "tls_key": certificate.key}
    options = [f"mqtt.{name}={path}" for name, path in files.items()]
    sets = ["--set", options[0], "--set", options[1], "--set", "mqtt.tls_port=0"]
    with MqttServer(tmp_path / "data", *OPTIONS, *sets) as server:
        tls_port = server.tls_port
        found = doctor(server.data, server.port, port=server.mqtt_port, tls_port=tls_port, **files)
    assert found[f"mqtt tls port {tls_port}"][0] == "ok"
    assert found["mqtt tls"][0] == "warn"
    assert re.match("the certificate expires in [01] days", found["mqtt tls"][1])


def test_certificate_that_expires_is_told_before(
    tmp_path: Path, doctor: Callable[..., Findings]
) -> None:
    files = {"tls_certificate": tmp_path / "certificate.pem", "tls_key": tmp_path / "key.pem"}
    ports = {"port": free_port(), "tls_port": free_port()}
    for days, level in ((-1, "fail"), (13, "warn"), (15, "ok")):
        make_certificate(tmp_path, days)
        assert doctor(**files, **ports)["mqtt tls"][0] == level
    files["tls_key"].write_text("nothing of the kind", encoding="utf-8")
    level, text = doctor(**files, **ports)["mqtt tls"]
    assert level == "fail"
    assert "cannot be used" in text
    files["tls_certificate"].unlink()
    assert doctor(**files, **ports)["mqtt tls"][0] == "fail"


def test_broker_lets_the_bridge_in_or_not(tmp_path: Path, doctor: Callable[..., Findings]) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", passwords, "bridge", "secret"], check=True)
    access = f"allow_anonymous false\npassword_file {passwords}"
    with Mosquitto(tmp_path / "mosquitto", access) as broker:
        settings = {"enabled": "false", "broker_url": broker.url, "broker_user": "bridge"}
        assert doctor(**settings, broker_password="secret")["mqtt broker"] == (
            "ok",
            f"{broker.url} lets the bridge in",
        )
        level, text = doctor(**settings, broker_password="wrong")["mqtt broker"]
        assert level == "fail"
        assert "not_authorized" in text or "bad_user_name_or_password" in text
    level, text = doctor(**settings)["mqtt broker"]
    assert (level, "cannot be reached" in text) == ("fail", True)
