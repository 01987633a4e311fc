"""Web pages of other devices and services, asked at every interval."""

import contextlib
import logging
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import SplitResult, unquote

import httpx

from gateway_agent.inputs.base import Context, Failure, Input, Kind, sensor_name
from gateway_agent.inputs.points import Points
from gateway_agent.inputs.record_config import RecordConfig
from gateway_agent.inputs.records import Novelty, RecordParser, declared
from gateway_agent.reading import Sample, SensorSpec
from gateway_agent.redact import redact
from gateway_agent.settings import (
    Setting,
    WrongSetting,
    address,
    duration,
    flag,
    path,
    secret_texts,
)

_LARGEST_BODY: Final = 1024 * 1024
_LONGEST_RETRY_AFTER: Final = 86_400.0
_BUSY: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_SHORTEST_POLL: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig(RecordConfig):
    """`type = "http"`: GETs a page and reads its body."""

    url: Annotated[
        SplitResult,
        Setting(
            address("http", "https"),
            "address of the page; a user and password in it are sent, and never logged",
        ),
    ]
    headers: Annotated[
        Mapping[str, str], Setting(secret_texts, "more request headers, as a table of texts")
    ] = field(default_factory=dict)
    bearer_file: Annotated[
        Path | None,
        Setting(path, "file with a token that is sent as Authorization: Bearer; read every time"),
    ] = None
    ca_file: Annotated[
        Path | None, Setting(path, "certificate authority of the server, if not a public one")
    ] = None
    verify: Annotated[bool, Setting(flag, "check the server's certificate")] = True
    timeout: Annotated[float, Setting(duration(0.05, 600), "longest wait for the whole answer")] = (
        10.0
    )

    def __post_init__(self) -> None:
        """Raises WrongSetting as RecordConfig does, for a URL without host and endless polls."""
        RecordConfig.__post_init__(self)
        if not self.url.hostname:
            raise WrongSetting("url", "has no host")
        if self.interval < _SHORTEST_POLL:
            raise WrongSetting("interval", f"expected at least {_SHORTEST_POLL:g} s")


class TooLarge(ValueError):
    """A body that is larger than any list of readings."""


class HttpInput(Input):
    """Asks for the page; what the server says has not changed is not sent again."""

    def __init__(self, config: HttpConfig, context: Context) -> None:
        for library in ("httpx", "httpcore"):
            logging.getLogger(library).setLevel(logging.CRITICAL + 1)
        self._config = config
        self._context = context
        self._sensor = sensor_name(context.gateway_id, config, None)
        self._parser = RecordParser(config)
        self._novelty = Novelty()
        self._validators: dict[str, str] = {}
        self._asks_again_at = 0.0
        self._client: httpx.Client | None = None
        parts = config.url
        host = parts.netloc.rpartition("@")[2]
        self._url = parts._replace(netloc=host).geturl()
        self._auth = None
        if parts.username is not None:
            self._auth = (unquote(parts.username), unquote(parts.password or ""))

    def open(self) -> None:
        """Raises OSError when `ca_file` cannot be read."""
        self._client = httpx.Client(
            auth=self._auth,
            headers={"User-Agent": "gateway-agent", **self._config.headers},
            timeout=self._config.timeout,
            verify=_verification(self._config),
        )

    def sensors(self) -> Sequence[SensorSpec]:
        points = Points(self._context.gateway_id, self._config, self._config.point)
        return declared(self._config, points, f"Asked from {self._config.url.hostname}")

    def read(self) -> Iterator[Sample | Failure]:
        if time.monotonic() < self._asks_again_at:
            return
        try:
            text = self._fetch()
            records = [] if text is None else self._parser.parse(text)
        except httpx.TimeoutException:
            yield Failure(f"no answer within {self._config.timeout:g} s")
            return
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            yield Failure(f"{type(error).__name__}: {redact(str(error))}")
            return
        stamp = self._context.clock.stamp()
        for record in filter(self._novelty.is_new, records):
            yield from record.samples(self._sensor, self._context.clock, stamp)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _fetch(self) -> str | None:
        """The body; None when it has not changed. Raises httpx.HTTPError, ValueError, OSError."""
        assert self._client is not None
        headers = dict(self._validators)
        if self._config.bearer_file is not None:
            token = self._config.bearer_file.read_text(encoding="utf-8").strip()
            headers["Authorization"] = f"Bearer {token}"
        deadline = time.monotonic() + self._config.timeout
        with self._client.stream("GET", self._url, headers=headers) as response:
            if response.status_code == HTTPStatus.NOT_MODIFIED:
                return None
            if response.status_code in _BUSY:
                self._wait_as_told(response.headers)
            if response.status_code != HTTPStatus.OK:
                raise ValueError(f"the answer is {response.status_code} {response.reason_phrase}")
            body = self._body(response, deadline)
            self._validators = _validators(response.headers)
            return body.decode(response.encoding or "utf-8", "replace")

    def _body(self, response: httpx.Response, deadline: float) -> bytes:
        """The whole body; a server that trickles it out is cut off as one that does not answer."""
        body = bytearray()
        for part in response.iter_bytes():
            body += part
            if len(body) > _LARGEST_BODY:
                raise TooLarge(f"the answer has more than {_LARGEST_BODY} bytes")
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("the answer takes too long")
            if self._context.stopping.is_set():
                raise InterruptedError("the agent stops")
        return bytes(body)

    def _wait_as_told(self, headers: Mapping[str, str]) -> None:
        """Ask no more until the server wants it (RFC 9110, 10.2.3).

        A date is compared with the server's own, since the gateway's clock may be wrong.
        """
        seconds, retry_after = 0.0, headers.get("retry-after", "")
        with contextlib.suppress(ValueError):
            if retry_after.isdecimal():
                seconds = float(retry_after)
            elif retry_after:
                now = parsedate_to_datetime(headers["date"]) if "date" in headers else None
                until = parsedate_to_datetime(retry_after).timestamp()
                seconds = until - (time.time() if now is None else now.timestamp())
        self._asks_again_at = time.monotonic() + min(max(0.0, seconds), _LONGEST_RETRY_AFTER)


def _verification(config: HttpConfig) -> bool | ssl.SSLContext:
    if config.ca_file is None:
        return config.verify
    return ssl.create_default_context(cafile=str(config.ca_file))


def _validators(headers: Mapping[str, str]) -> dict[str, str]:
    """What the next request says it has already (RFC 9110, 13.1)."""
    names = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}
    return {ask: headers[given] for given, ask in names.items() if given in headers}


KIND: Final = Kind(HttpConfig, HttpInput)
