"""Encrypts the few secrets that must stay readable with the server's secret key.

ChaCha20-Poly1305 of the ``cryptography`` package rather than something built here from hashes:
what protects secrets at rest is for others to get right. The package is large, so it is imported
when something is sealed or opened, which only the handshake with a frob asks for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Final

_NONCE_BYTES: Final = 12
_PURPOSE: Final = b"wotkit sealing 1"


class CannotOpen(Exception):
    """It was sealed with another secret key, for something else, or was changed."""


def seal(text: str, secret_key: str, *, about: str) -> str:
    """Return ``text`` encrypted; it can be opened for the same ``about`` only."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = ChaCha20Poly1305(_key(secret_key)).encrypt(nonce, text.encode(), about.encode())
    return base64.urlsafe_b64encode(nonce + sealed).decode()


def open_sealed(sealed: str, secret_key: str, *, about: str) -> str:
    """Return what was sealed.

    Raises:
        CannotOpen: the key or ``about`` is another one, or it was changed.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    try:
        raw = base64.b64decode(sealed, altchars=b"-_", validate=True)
        nonce, rest = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
        return ChaCha20Poly1305(_key(secret_key)).decrypt(nonce, rest, about.encode()).decode()
    except (InvalidTag, binascii.Error, ValueError):
        raise CannotOpen("it cannot be decrypted with this server's secret key") from None


def _key(secret_key: str) -> bytes:
    """Return a key for this purpose alone (HKDF of RFC 5869, with one block)."""
    extracted = hmac.digest(bytes(hashlib.sha256().digest_size), secret_key.encode(), "sha256")
    return hmac.digest(extracted, _PURPOSE + b"\x01", "sha256")
