"""Calls the API with a key, patiently: what can be tried again is tried again."""

from __future__ import annotations

import base64
import json
import random
import time
from typing import Any, Final
from urllib.parse import quote, urlencode

import urllib3

TRIES: Final = 8
LONGEST_WAIT: Final = 30.0
AGAIN: Final = frozenset({429, 502, 503, 504})


class ApiError(Exception):
    """The server refused; the text says why, in its words."""

    def __init__(self, status: int, code: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


class Platform:
    """One server, seen through one key."""

    def __init__(self, url: str, key: str) -> None:
        """Take the address (with or without ``/api``) and the key as ``ID:PASSWORD``."""
        self._base = url.rstrip("/").removesuffix("/api") + "/api/v2/"
        self._headers = {
            "Authorization": "Basic " + base64.b64encode(key.encode()).decode(),
            "User-Agent": "wotkit-scripts",
        }
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=10, read=60), retries=False
        )

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Return the decoded answer.

        Raises:
            ApiError: the server refused, or could not be reached for a while.
        """
        given = {name: value for name, value in query.items() if value is not None}
        url = self._base + path + (f"?{urlencode(given)}" if given else "")
        headers = dict(self._headers)
        data = None
        if body is not None:
            data = json.dumps(body, ensure_ascii=False).encode()
            headers["Content-Type"] = "application/json"
        for attempt in range(TRIES):
            try:
                answer = self._pool.request(method, url, body=data, headers=headers)
            except urllib3.exceptions.HTTPError as error:
                wait, reason = self._pause(attempt, None), f"{url} cannot be reached: {error}"
            else:
                if answer.status not in AGAIN:
                    return _decoded(answer)
                wait = self._pause(attempt, answer.headers.get("Retry-After"))
                reason = f"{url} answers {answer.status} again and again"
            if attempt + 1 < TRIES:
                time.sleep(wait)
        raise ApiError(0, 0, reason)

    def sensor(self, reference: str) -> Any:
        """Return a sensor.

        Raises:
            ApiError: there is none, or the key may not see it.
        """
        return self.call("GET", f"sensors/{quote(reference)}")

    @staticmethod
    def _pause(attempt: int, asked: str | None) -> float:
        if asked is not None and asked.isdigit():
            return min(float(asked), LONGEST_WAIT)
        return random.uniform(0, min(LONGEST_WAIT, 2.0**attempt))  # noqa: S311  # only jitter


def _decoded(answer: urllib3.BaseHTTPResponse) -> Any:
    text = answer.data.decode("utf-8", "replace")
    if answer.status < 400:  # noqa: PLR2004  # RFC 9110
        return json.loads(text) if text else None
    try:
        error = json.loads(text)["error"]
        reason = "; ".join([error["message"], *error["developerMessage"]])
        code = int(error["code"])
    except (ValueError, KeyError, TypeError):
        reason, code = f"the server answers {answer.status}: {text[:200]}", 0
    raise ApiError(answer.status, code, reason)
