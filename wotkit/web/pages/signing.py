"""Signs what a browser keeps for the server: form tokens and notices."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac


class Signer:
    """Makes and checks signatures with the server's secret key."""

    def __init__(self, secret_key: str) -> None:
        self._key = hashlib.sha256(b"wotkit pages:" + secret_key.encode()).digest()

    def token(self, purpose: str, text: str) -> str:
        """Return what only this server can derive from ``text``."""
        material = f"{purpose}\0{text}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key, material, hashlib.sha256).hexdigest()

    def matches(self, purpose: str, text: str, token: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(
            self.token(purpose, text).encode(), token.encode("utf-8", "replace")
        )

    def seal(self, purpose: str, text: str) -> str:
        """Return ``text`` with its signature, in characters that a cookie or a form may hold."""
        body = base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")
        return f"{body}.{self.token(purpose, text)}"

    def opened(self, purpose: str, sealed: str) -> str | None:
        """Return the text that was sealed, or None when it is not of this server."""
        body, _, token = sealed.partition(".")
        try:
            padded = body + "=" * (-len(body) % 4)
            text = base64.urlsafe_b64decode(padded.encode()).decode("utf-8", "surrogatepass")
        except (binascii.Error, ValueError):
            return None
        return text if self.matches(purpose, text, token) else None
