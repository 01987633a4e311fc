"""An application of the older handshake, as its programmer writes it: it signs what it sends."""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple
from urllib.parse import urlencode


class SigningApp(NamedTuple):
    """What the programmer was given."""

    client_id: str
    secret: str

    def md5(self, method: str, **params: str) -> dict[str, str]:
        """Return parameters with the signature that old programs know."""
        params = {"api_key": self.client_id} | params
        text = "".join(name + params[name] for name in sorted(params)) + method + self.secret
        return params | {"api_sig": hashlib.md5(text.encode()).hexdigest()}

    def sha256(self, method: str, **params: str) -> dict[str, str]:
        """Return parameters with the better signature."""
        params = {"api_key": self.client_id} | params
        text = "".join(name + params[name] for name in sorted(params)) + method
        found = hmac.new(self.secret.encode(), text.encode(), hashlib.sha256)
        return params | {"api_sig_sha256": found.hexdigest()}

    def page(self, frob: str, perm_doc: str = "write", **params: str) -> str:
        """Return the path to which the program sends its user."""
        signed = self.md5("", frob=frob, perm_doc=perm_doc, **params)
        return f"/apps/authorize?{urlencode(signed)}"
