"""Registers sensors and fields that are missing on the platform, before their readings are sent."""

import json
import logging
import threading
import time
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from gateway_agent.outputs.base import Denied, Later
from gateway_agent.outputs.client import PlatformClient, Response, trouble
from gateway_agent.reading import FieldSpec, SensorSpec, infer_fields, title
from gateway_agent.spool import Row

_TRY_AGAIN_AFTER: Final = 300.0


class SpecBook:
    """What the inputs say about their sensors. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._specs: dict[str, SensorSpec] = {}

    def declare(self, spec: SensorSpec) -> None:
        """Remember a sensor; several inputs may each declare fields of the same one."""
        with self._lock:
            before = self._specs.get(spec.name)
            fields = {field.name: field for field in (before.fields if before else ())}
            fields |= {field.name: field for field in spec.fields}
            self._specs[spec.name] = SensorSpec(
                spec.name, spec.long_name, spec.description, tuple(fields.values())
            )

    def find(self, name: str) -> SensorSpec:
        """The declared sensor, or a plain description of one that no input declares any more."""
        with self._lock:
            return self._specs.get(name) or SensorSpec(
                name, title(name), "Registered by a gateway", ()
            )


class SensorRegistry:
    """Makes sure that sensors and their fields exist. One thread at a time.

    What the platform will not let this key create is noted, and tried again after five minutes;
    its readings are sent all the same, and the platform says what becomes of them.
    """

    def __init__(self, client: PlatformClient, specs: SpecBook) -> None:
        self._client = client
        self._specs = specs
        self._known: dict[str, set[str]] = {}
        self._given_up: dict[str, float] = {}
        self._log = logging.getLogger(__name__)

    def ensure(self, rows: Iterable[Row]) -> Later | Denied | None:
        """Register what these readings need; None when they can be sent, else why not yet."""
        for name, fields in _fields_by_sensor(rows).items():
            if self._is_settled(name, fields):
                continue
            problem = self._ensure_sensor(name, fields)
            if problem is not None:
                return problem
        return None

    def forget(self, name: str) -> bool:
        """The platform says that this sensor is not there; True if creating it can be tried."""
        self._known.pop(name, None)
        return self._given_up.get(name, 0.0) <= time.monotonic()

    def _is_settled(self, name: str, fields: Mapping[str, FieldSpec]) -> bool:
        if self._given_up.get(name, 0.0) > time.monotonic():
            return True
        known = self._known.get(name)
        return known is not None and known >= fields.keys()

    def _ensure_sensor(self, name: str, seen: dict[str, FieldSpec]) -> Later | Denied | None:
        spec = self._specs.find(name)
        fields = {field.name: field for field in spec.fields}
        fields |= {field_name: seen[field_name] for field_name in seen.keys() - fields.keys()}
        if name not in self._known:
            response = self._client.request("GET", f"v2/sensors/{quote(name)}")
            if not isinstance(response, Response):
                return response
            if response.status in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN}:
                return self._create(spec, fields)
            if response.status != HTTPStatus.OK:
                return self._judge(name, response)
            self._known[name] = _field_names(response.body)
        for field in fields.values():
            if field.name not in self._known[name]:
                problem = self._add_field(name, field)
                if problem is not None or name not in self._known:
                    return problem
        return None

    def _create(self, spec: SensorSpec, fields: Mapping[str, FieldSpec]) -> Later | Denied | None:
        owner, _, short_name = spec.name.rpartition(".")
        body = {
            "name": short_name,
            "longName": spec.long_name,
            "description": spec.description,
            "fields": [_field_json(field) for field in fields.values()],
        }
        if owner:
            body["owner"] = owner
        response = self._client.request("POST", "v2/sensors", json.dumps(body).encode())
        if not isinstance(response, Response):
            return response
        if response.status not in {HTTPStatus.CREATED, HTTPStatus.OK, HTTPStatus.CONFLICT}:
            return self._judge(spec.name, response)
        if response.status != HTTPStatus.CONFLICT:
            self._log.info("sensor registered sensor=%s fields=%d", spec.name, len(fields))
        self._known[spec.name] = set(fields)
        return None

    def _add_field(self, name: str, field: FieldSpec) -> Later | Denied | None:
        path = f"v2/sensors/{quote(name)}/fields/{quote(field.name, safe='')}"
        response = self._client.request("PUT", path, json.dumps(_field_json(field)).encode())
        if not isinstance(response, Response):
            return response
        if response.status == HTTPStatus.NOT_FOUND:
            self._known.pop(name, None)
            self._give_up(name, response)
            return None
        if response.status >= HTTPStatus.MULTIPLE_CHOICES:
            return self._judge(name, response)
        self._log.info("field registered sensor=%s field=%s", name, field.name)
        self._known[name].add(field.name)
        return None

    def _judge(self, name: str, response: Response) -> Later | Denied | None:
        """A lasting refusal is noted and passed over; anything else delays the batch."""
        lasting = {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY}
        if response.status in lasting:
            self._give_up(name, response)
            return None
        return trouble(response)

    def _give_up(self, name: str, response: Response) -> None:
        self._given_up[name] = time.monotonic() + _TRY_AGAIN_AFTER
        self._log.warning(
            "sensor cannot be registered sensor=%s status=%d message=%r",
            *(name, response.status, response.message),
        )


def _fields_by_sensor(rows: Iterable[Row]) -> dict[str, dict[str, FieldSpec]]:
    found: dict[str, dict[str, FieldSpec]] = {}
    for row in rows:
        fields = found.setdefault(row.sensor, {})
        for field in infer_fields(row.fields):
            fields.setdefault(field.name, field)
    return found


def _field_json(field: FieldSpec) -> dict[str, str]:
    described = {"name": field.name, "longName": field.long_name, "type": field.type}
    return described | ({"units": field.units} if field.units else {})


def _field_names(body: object) -> set[str]:
    fields = body.get("fields") if isinstance(body, dict) else None
    if not isinstance(fields, list):
        return set()
    return {str(field.get("name")) for field in fields if isinstance(field, dict)}
