"""Where people may be sent back to, and how an answer is added to the address."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LOOPBACK: Final = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::([0-9]{1,5}))?((?:[/?].*)?)")
_PORTS: Final = range(1, 65_536)


def matches(uri: str, registered: Iterable[str]) -> bool:
    """Return whether ``uri`` is one of the registered addresses, character for character.

    The port alone may differ where the address is a loopback one (RFC 8252 section 7.3).
    """
    known = list(registered)
    if uri in known:
        return True
    given = _without_port(uri)
    return given is not None and any(given == _without_port(each) for each in known)


def _without_port(uri: str) -> tuple[str, str] | None:
    found = _LOOPBACK.fullmatch(uri)
    if found is None or (found[2] is not None and int(found[2]) not in _PORTS):
        return None
    return found[1], found[3]


def with_answer(uri: str, params: Sequence[tuple[str, str]], *, fragment: bool) -> str:
    """Return the address with an answer; what was there stays as it was written."""
    # bytes that are not UTF-8 went through the state as surrogates, and so leave as they came
    added = urlencode(params, errors="surrogateescape")
    if fragment:
        return f"{uri}#{added}"
    if "?" not in uri:
        return f"{uri}?{added}"
    return f"{uri}{'' if uri.endswith(('?', '&')) else '&'}{added}"
