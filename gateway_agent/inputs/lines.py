"""Cuts a flow of bytes into lines."""

from collections.abc import Iterator
from typing import Final

LONGEST_LINE: Final = 65_536
"""Bytes of a line; a longer one is given up, and said so."""


class LineSplitter:
    """Takes bytes as they come, gives the whole lines in them.

    What comes before the first end of a line is dropped with `skip_first`: whoever begins to
    listen in the middle of a line would read "1.5" where "21.5" was sent.
    """

    def __init__(self, *, skip_first: bool = False, longest: int = LONGEST_LINE) -> None:
        self._longest = longest
        self._skipping = skip_first
        self._rest = b""
        self.too_long = 0
        """Lines that were given up."""

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines that are complete now, without their ends and without empty ones.

        Bytes that are not UTF-8 become U+FFFD.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if self._skipping:
                self._skipping = False
            elif len(line) > self._longest:
                self.too_long += 1
            elif text := line.decode("utf-8", "replace").strip("\r\0 \t"):
                yield text
        if len(self._rest) > self._longest:
            self._rest = b""
            self.too_long += 1
            self._skipping = True

    def end(self) -> Iterator[str]:
        """The last line, when nothing more will come to end it."""
        rest, self._rest = self._rest, b""
        text = rest.decode("utf-8", "replace").strip("\r\0 \t")
        if text and not self._skipping:
            yield text
