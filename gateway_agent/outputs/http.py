"""Delivery over HTTP: `POST {base}/v2/ingest`."""

import gzip
import logging
from http import HTTPStatus
from typing import Final

from gateway_agent.outputs.base import Answer, Later, Refused, TooLarge
from gateway_agent.outputs.client import PlatformClient, Response, trouble
from gateway_agent.outputs.encoding import acknowledgement, encode_batch
from gateway_agent.spool import Batch

_GZIP_FROM: Final = 500
_GZIP_LEVEL: Final = 6
_INVALID: Final = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}


class HttpOutput:
    """Sends batches to the platform's ingest endpoint."""

    def __init__(self, client: PlatformClient, *, compress: bool) -> None:
        self._client = client
        self._compress = compress
        self._log = logging.getLogger(__name__)

    def send(self, batch: Batch) -> Answer:
        """Post a batch. Only an answer that names a position counts as stored.

        Where gzip is refused (415, RFC 9110 section 15.5.16), it goes without from then on.
        """
        body = encode_batch(batch)
        headers = {}
        if self._compress and len(body) >= _GZIP_FROM:
            body = gzip.compress(body, _GZIP_LEVEL)
            headers["content-encoding"] = "gzip"
        response = self._client.request("POST", "v2/ingest", body, headers)
        if headers and getattr(response, "status", None) == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
            self._compress = False
            self._log.warning(
                "the platform does not take gzip, batches go uncompressed from now on"
            )
            return self.send(batch)
        return self._judge(response, batch) if isinstance(response, Response) else response

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _judge(self, response: Response, batch: Batch) -> Answer:
        if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            return acknowledgement(response.body, batch) or Later(
                f"HTTP {response.status} without an acknowledgement: not the platform's answer"
            )
        if response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return TooLarge(response.message)
        if response.status in _INVALID:
            return Refused(response.code, response.message)
        return trouble(response)
