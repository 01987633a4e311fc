from collections.abc import Iterator

import pytest
from agent_platform import KEY, StandInPlatform

from gateway_agent.config import PlatformConfig
from gateway_agent.credentials import ENVIRONMENT, CredentialSource
from gateway_agent.outputs.base import Denied, Later
from gateway_agent.outputs.client import PlatformClient
from gateway_agent.outputs.registry import SensorRegistry, SpecBook
from gateway_agent.reading import FieldSpec, SensorSpec
from gateway_agent.spool import Row

SPEC = SensorSpec(
    "boiler", "The boiler", "In the cellar", (FieldSpec("temp", "Temperature", "°C"),)
)


def row(sensor: str = "boiler", fields: str = '{"temp":1}') -> Row:
    return Row(1, sensor, 0, fields, 0)


@pytest.fixture
def registry(platform: StandInPlatform) -> Iterator[SensorRegistry]:
    client = PlatformClient(
        PlatformConfig(http=platform.url, timeout=5), CredentialSource({ENVIRONMENT: KEY}, None)
    )
    specs = SpecBook()
    specs.declare(SPEC)
    yield SensorRegistry(client, specs)
    client.close()


def test_missing_sensor_is_registered_with_fields_and_units(
    platform: StandInPlatform, registry: SensorRegistry
) -> None:
    assert registry.ensure([row(fields='{"temp":1,"state":"on"}')]) is None
    assert platform.sensors["boiler"] == {
        "name": "boiler",
        "longName": "The boiler",
        "description": "In the cellar",
        "fields": [
            {"name": "temp", "longName": "Temperature", "type": "NUMBER", "units": "°C"},
            {"name": "state", "longName": "State", "type": "STRING"},
        ],
    }


def test_known_sensor_is_asked_for_only_once(
    platform: StandInPlatform, registry: SensorRegistry
) -> None:
    for _ in range(3):
        assert registry.ensure([row(), row()]) is None
    assert [request.method for request in platform.requests] == ["GET", "POST"]


def test_missing_fields_of_an_existing_sensor_are_added(
    platform: StandInPlatform, registry: SensorRegistry
) -> None:
    platform.sensors["boiler"] = {"name": "boiler", "fields": [{"name": "value"}]}
    assert registry.ensure([row()]) is None
    assert [field["name"] for field in platform.sensors["boiler"]["fields"]] == ["value", "temp"]
    assert registry.ensure([row(fields='{"temp":1,"new":2}')]) is None
    assert platform.sensors["boiler"]["fields"][-1]["name"] == "new"


def test_sensor_that_no_input_declares_is_described_from_its_reading(
    platform: StandInPlatform, registry: SensorRegistry
) -> None:
    assert registry.ensure([row("old-pump", '{"flow":2.5}')]) is None
    assert platform.sensors["old-pump"]["longName"] == "Old pump"
    assert platform.sensors["old-pump"]["fields"][0]["name"] == "flow"


def test_sensor_of_an_organization_is_registered_for_it(
    platform: StandInPlatform, registry: SensorRegistry
) -> None:
    assert registry.ensure([row("acme.pump")]) is None
    assert platform.sensors["pump"]["owner"] == "acme"


def test_sensor_that_another_made_meanwhile_is_fine(
    platform: StandInPlatform, registry: SensorRegistry
) -> None:
    platform.sensors["pump"] = {"name": "pump", "fields": []}
    assert registry.ensure([row("acme.pump")]) is None
    assert [request.status for request in platform.requests] == [404, 409]


def test_key_that_may_not_manage_sends_all_the_same(
    platform: StandInPlatform, registry: SensorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    platform.may_manage = False
    assert registry.ensure([row()]) is None
    assert registry.ensure([row()]) is None
    assert [request.status for request in platform.requests] == [404, 403]
    assert not registry.forget("boiler")
    assert "cannot be registered" in caplog.text


def test_sensor_that_was_deleted_is_registered_again(
    platform: StandInPlatform, registry: SensorRegistry
) -> None:
    registry.ensure([row()])
    platform.sensors.clear()
    assert registry.forget("boiler")
    registry.ensure([row()])
    assert "boiler" in platform.sensors


def test_refused_key_delays_the_batch(platform: StandInPlatform, registry: SensorRegistry) -> None:
    platform.key = "other:key"
    assert isinstance(registry.ensure([row()]), Denied)


def test_unreachable_platform_delays_the_batch(registry: SensorRegistry) -> None:
    registry._client._base = "http://127.0.0.1:9/api"
    assert isinstance(registry.ensure([row()]), Later)


def test_two_inputs_may_each_declare_fields_of_one_sensor() -> None:
    specs = SpecBook()
    specs.declare(SPEC)
    specs.declare(SensorSpec("boiler", "Boiler", "", (FieldSpec("state", "State"),)))
    assert [field.name for field in specs.find("boiler").fields] == ["temp", "state"]
