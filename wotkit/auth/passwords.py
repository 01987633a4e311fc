"""Hashes of passwords that people choose (bcrypt) and of secrets that the server makes (SHA-256).

bcrypt reads 72 bytes, so a longer password is hashed to 44 characters first, never cut
(https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import string
from typing import TYPE_CHECKING, Final

import bcrypt

from wotkit.errors import InvalidObject

if TYPE_CHECKING:
    from wotkit.settings import MqttSettings

_BCRYPT_BYTES: Final = 72
_DIGEST_LENGTH: Final = 31
_SECRET_ALPHABET: Final = string.ascii_letters + string.digits
_SECRET_LENGTH: Final = 32
"""32 of 62 characters are 190 bits."""
_MOSQUITTO_SALT: Final = 12


def hash_password(password: str, cost: int) -> str:
    """Return the bcrypt hash; takes a tenth of a second or more, so never on the event loop."""
    return bcrypt.hashpw(_material(password), bcrypt.gensalt(cost)).decode()


def verify_password(password: str, hashed: str) -> bool:
    """Return whether ``password`` has this hash; as slow as hashing."""
    try:
        return bcrypt.checkpw(_material(password), hashed.encode())
    except ValueError:
        return False


def unmatched_hash(cost: int) -> str:
    """Return a hash that no password has and that takes as long as any other to verify."""
    return bcrypt.gensalt(cost).decode() + secrets.token_hex(31)[:_DIGEST_LENGTH]


def needs_rehash(hashed: str, cost: int) -> bool:
    """Return whether the hash was made with a lower cost than the setting asks for."""
    try:
        return int(hashed.split("$")[2]) < cost
    except (IndexError, ValueError):
        return True


def check_choice(password: str, min_length: int) -> None:
    """Check that a person may choose this password.

    Raises:
        InvalidObject: it is too short or one of the common ones.
    """
    if len(password) < min_length:
        raise InvalidObject(more={"password": f"must have at least {min_length} characters"})
    # 30 000 common passwords; read only when somebody chooses one
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    if password.lower() in FREQUENCY_LISTS["passwords"]:
        raise InvalidObject(more={"password": "is one of the most common passwords"})


def make_secret() -> str:
    """Return a new random secret of 190 bits, ``[A-Za-z0-9]``."""
    return "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(_SECRET_LENGTH))


def hash_secret(secret: str) -> str:
    """Return the SHA-256 of a random secret, as 64 hex digits; it needs no slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def same_hash(one: str, other: str) -> bool:
    """Compare two hashes in constant time."""
    return hmac.compare_digest(one, other)


def _material(password: str) -> bytes:
    raw = password.encode("utf-8", "surrogatepass")
    if len(raw) > _BCRYPT_BYTES or b"\0" in raw:
        return base64.b64encode(hashlib.sha256(raw).digest())
    return raw


def mosquitto_hash(secret: str, settings: MqttSettings) -> str | None:
    """Return the hash by which mosquitto is to know a secret; None where it is to know none."""
    return hash_for_mosquitto(secret, settings) if settings.mosquitto_hashes else None


def hash_for_mosquitto(secret: str, settings: MqttSettings) -> str:
    """Return a hash in mosquitto's form ``$7$``: PBKDF2 with HMAC-SHA-512, iterations, salt."""
    salt = secrets.token_bytes(_MOSQUITTO_SALT)
    rounds = settings.mosquitto_iterations
    digest = hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, rounds)
    encoded = (base64.b64encode(each).decode() for each in (salt, digest))
    return "$".join(("", "7", str(rounds), *encoded))


def has_mosquitto_hash(secret: str, hashed: str) -> bool:
    """Return whether a secret has this hash."""
    try:
        _, _, rounds, salt, expected = hashed.split("$")
        digest = hashlib.pbkdf2_hmac("sha512", secret.encode(), base64.b64decode(salt), int(rounds))
        return hmac.compare_digest(digest, base64.b64decode(expected))
    except ValueError:
        return False
