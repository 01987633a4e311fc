"""HTTP to the platform: one connection, the key, and what went wrong in words."""

import json
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

import urllib3
from urllib3.exceptions import HTTPError

from gateway_agent import __version__
from gateway_agent.config import PlatformConfig
from gateway_agent.credentials import CredentialsError, CredentialSource
from gateway_agent.outputs.base import Denied, Later

_LARGEST_ANSWER: Final = 4 * 1024 * 1024
_LONGEST_RETRY_AFTER: Final = 3600.0
_CONNECT_TIMEOUT: Final = 10.0
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer; `body` is the decoded JSON, or None when it was not JSON."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def code(self) -> str:
        """The platform's error code, or the HTTP status when it named none."""
        error = self._error()
        return str(error.get("code", self.status))

    @property
    def message(self) -> str:
        """What the platform says is wrong, in one line."""
        error = self._error()
        parts = [str(error.get("message", "")) or f"HTTP {self.status}"]
        details = error.get("developerMessage")
        if isinstance(details, list):
            parts += [str(detail) for detail in details[:3]]
        return ": ".join(parts)[:_SHOWN]

    @property
    def has_error(self) -> bool:
        """Whether the body is an error in the platform's form."""
        return "code" in self._error()

    def _error(self) -> Mapping[str, Any]:
        error = self.body.get("error") if isinstance(self.body, dict) else None
        return error if isinstance(error, dict) else {}


class PlatformClient:
    """Talks to the platform's HTTP API with the gateway's key. One thread at a time.

    The credentials are read again at every request, so that a replaced file counts at once.
    Redirects are not followed: the key is for the configured address only.
    """

    def __init__(self, config: PlatformConfig, credentials: CredentialSource) -> None:
        """Raises OSError when the configured certificate authority cannot be read."""
        self._base = config.http
        self._credentials = credentials
        self._log = logging.getLogger(__name__)
        context = ssl.create_default_context(cafile=config.ca_file)
        self._pool = urllib3.PoolManager(
            maxsize=1,
            retries=False,
            ssl_context=context,
            timeout=urllib3.Timeout(
                connect=min(_CONNECT_TIMEOUT, config.timeout), read=config.timeout
            ),
        )

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        with_key: bool = True,
    ) -> Response | Later | Denied:
        """One request to `{base}/{path}`; network trouble and missing credentials are answers."""
        sent = urllib3.make_headers(user_agent=f"gateway-agent/{__version__}")
        if with_key:
            try:
                key = self._credentials.read()
            except CredentialsError as error:
                return Denied(str(error))
            sent |= urllib3.make_headers(basic_auth=f"{key.key_id}:{key.key_password}")
        sent |= {"accept": "application/json", **(headers or {})}
        if body is not None:
            sent["content-type"] = "application/json"
        try:
            answer = self._pool.request(
                method,
                f"{self._base}/{path}",
                body=body,
                headers=sent,
                redirect=False,
                preload_content=False,
            )
            with answer:
                content = answer.read(_LARGEST_ANSWER, decode_content=True)
        except (HTTPError, OSError, ValueError) as error:
            return Later(_network_reason(error))
        return Response(answer.status, answer.headers, _decode(content))

    def close(self) -> None:
        """Close the connection."""
        self._pool.clear()


def trouble(response: Response) -> Later | Denied:
    """What an answer that is no success means for the next attempt."""
    status = response.status
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return Denied(f"HTTP {status}: {response.message}")
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        return Later(f"HTTP {status}: {response.message}", retry_after(response.headers))
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        target = response.headers.get("location", "nowhere")[:_SHOWN]
        return Later(f"HTTP {status}: redirected to {target}, which is not followed")
    if status == HTTPStatus.NOT_FOUND:
        return Later(f"HTTP {status}: is platform.http the address of the API?")
    return Later(f"HTTP {status}: {response.message}")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds until the moment that `Retry-After` names, as seconds or as a date; at most 1 h.

    A date is compared with the platform's own `Date`, since the gateway's clock may be wrong.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _LONGEST_RETRY_AFTER)
    moment = _http_date(value)
    if moment is None:
        return None
    now = _http_date(headers.get("date", "")) or datetime.now(UTC)
    return min(max(0.0, (moment - now).total_seconds()), _LONGEST_RETRY_AFTER)


def platform_time(headers: Mapping[str, str]) -> float | None:
    """The platform's clock at its answer, in seconds since 1970; None when it does not say."""
    moment = _http_date(headers.get("date", ""))
    return None if moment is None else moment.timestamp()


def _http_date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _decode(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _network_reason(error: Exception) -> str:
    """The innermost reason: urllib3 wraps it, and puts objects into its texts."""
    inner = error.__cause__ or error
    text = str(inner).rpartition(": ")[2] if isinstance(inner, HTTPError) else str(inner)
    return f"{type(inner).__name__}: {text}"[:_SHOWN]
