"""Line numbers of the keys of a TOML file, which the standard library's reader does not keep."""

import re
import tomllib
from typing import Final

Path = tuple[str | int, ...]
"""A place in a document, such as ("input", 0, "interval")."""

_NAME: Final = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_DOTTED: Final = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_LIST_HEADER: Final = re.compile(rf"\s*\[\[\s*({_DOTTED})\s*\]\]\s*(?:#.*)?")
_HEADER: Final = re.compile(rf"\s*\[\s*({_DOTTED})\s*\]\s*(?:#.*)?")
_ASSIGNMENT: Final = re.compile(rf"\s*({_DOTTED})\s*=(.*)", re.DOTALL)


class LineIndex:
    """Knows at which line (from 1) each table and key of a valid TOML text stands."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        self._list_sizes: dict[Path, int] = {}
        self._scan(text.split("\n"))

    def line(self, *path: str | int) -> int | None:
        """The line of a key or table, of its nearest known parent otherwise, or None."""
        for length in range(len(path), 0, -1):
            found = self._lines.get(path[:length])
            if found is not None:
                return found
        return None

    def _scan(self, lines: list[str]) -> None:
        table: Path = ()
        position = 0
        while position < len(lines):
            start = position
            line = lines[position]
            position += 1
            if header := _LIST_HEADER.fullmatch(line):
                table = self._enter(_names(header[1]), is_list=True)
                self._note(table[:-1], start)
                self._note(table, start)
            elif header := _HEADER.fullmatch(line):
                table = self._enter(_names(header[1]), is_list=False)
                self._note(table, start)
            elif assignment := _ASSIGNMENT.fullmatch(line):
                names = _names(assignment[1])
                for length in range(1, len(names) + 1):
                    self._note((*table, *names[:length]), start)
                position = _end_of_value(lines, start)

    def _enter(self, names: list[str], *, is_list: bool) -> Path:
        """The path of a header, through the newest element of each list on the way."""
        path: Path = ()
        for name in names[:-1]:
            path = self._newest((*path, name))
        path = (*path, names[-1])
        if not is_list:
            return path
        index = self._list_sizes.get(path, 0)
        self._list_sizes[path] = index + 1
        return (*path, index)

    def _newest(self, path: Path) -> Path:
        size = self._list_sizes.get(path)
        return path if size is None else (*path, size - 1)

    def _note(self, path: Path, position: int) -> None:
        self._lines.setdefault(path, position + 1)


def _names(dotted: str) -> list[str]:
    return [name.strip("\"'") for name in re.findall(_NAME, dotted)]


def _end_of_value(lines: list[str], start: int) -> int:
    """The line after an assignment whose text or array may go over several lines."""
    for end in range(start + 1, len(lines) + 1):
        try:
            tomllib.loads("\n".join(lines[start:end]))
        except tomllib.TOMLDecodeError:
            continue
        return end
    return start + 1
