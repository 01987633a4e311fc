"""Takes secrets out of text that people will see: passwords in addresses, keys in queries."""

import re
from typing import Final

_USER_INFO: Final = re.compile(r"(?P<before>[A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#'\"]*@")
_QUERY_SECRET: Final = re.compile(
    r"(?P<before>[?&][^=&#\s'\"]*(?:key|token|secret|passw|pwd|appid|auth|sig)[^=&#\s'\"]*=)"
    r"[^&#\s'\"]+",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """The text with every user and password in a URL, and every key in its query, as `***`."""
    return _QUERY_SECRET.sub(r"\g<before>***", _USER_INFO.sub(r"\g<before>***@", text))
