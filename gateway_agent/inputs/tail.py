"""Follows a file by its name, through rotation and truncation, and knows how far it has come."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

from gateway_agent.inputs.lines import LONGEST_LINE

_CHUNK: Final = 65_536
_DIGESTED: Final = 64
_AFTER_NAME: Final = tuple(".-_~")
_COMPRESSED: Final = (".gz", ".xz", ".bz2", ".zst", ".lz4", ".zip")


@dataclass(frozen=True, slots=True)
class Position:
    """How far was read: to `offset` in the file with this inode, and `done` readings beyond.

    `digest` is of the bytes just before the offset. It tells when another file got the inode, or
    the file was emptied and has grown again, and finds a copy that was made before that.
    `changed` is when the file was changed last, in ns since 1970: what is newer was never read.
    """

    inode: int
    offset: int
    digest: str
    changed: int = 0
    done: int = 0

    def encode(self) -> str:
        """As it is stored."""
        return json.dumps([self.inode, self.offset, self.digest, self.changed, self.done])

    @classmethod
    def decode(cls, text: str) -> "Position":
        """What `encode` wrote."""
        return cls(*json.loads(text))


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its end, where it starts and where the next one does; None: too long."""

    text: str | None
    start: Position
    end: Position


class Tail:
    """Reads what is added to a file.

    When the name stands for another file than before, the rest of the old one is read first, then
    what came and was rotated away in between as far as it is still there uncompressed, then the
    new one. One thread at a time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._position = Position(0, 0, "")
        self._rest = b""
        self._skipping = False
        """Whether what comes is the rest of a line that was given up."""

    def beginning(self, *, at_end: bool) -> Position:
        """Where to begin with the file as it is now; one that comes later is read as a whole."""
        file = _opened(self._path)
        if file is None:
            others = (candidate.stat().st_mtime_ns for candidate in self._candidates()[:-1])
            return Position(0, 0, "", max(others, default=0))
        with file:
            return _position(file, file.seek(0, os.SEEK_END) if at_end else 0)

    def resume(self, position: Position) -> None:
        """Go on from a position, in whichever file that is now."""
        self.close()
        self._position = position
        self._file = self._find(position)
        if self._file is None and (file := self._newer_than(position)) is not None:
            self._begin(file)

    def lines(self) -> Iterator[Line]:
        """The lines that are complete now; also an incomplete one at the end of an old file."""
        if self._file is None and (file := self._newer_than(self._position)) is not None:
            self._begin(file)
        if self._file is None:
            return
        yield from self._new_lines()
        while (following := self._following()) is not None:
            yield from self._new_lines()
            yield from self._last_line()
            self._begin(following)
            yield from self._new_lines()

    def close(self) -> None:
        """Let go of the file."""
        file, self._file, self._rest, self._skipping = self._file, None, b"", False
        if file is not None:
            file.close()

    def _begin(self, file: BinaryIO) -> None:
        self.close()
        self._file = file
        self._position = _position(file, 0)

    def _new_lines(self) -> Iterator[Line]:
        assert self._file is not None
        if not _continues(self._file, self._position):
            self._restart()
        self._file.seek(self._position.offset + len(self._rest))
        changed = os.fstat(self._file.fileno()).st_mtime_ns
        self._position = replace(self._position, changed=changed)
        while chunk := self._file.read(_CHUNK):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for data in lines:
                line = self._line(data, ended=True)
                if not self._skipping:
                    yield line
                self._skipping = False
            if len(self._rest) > LONGEST_LINE:
                rest, self._rest = self._rest, b""
                line = self._line(rest, ended=False)
                if not self._skipping:
                    yield line
                self._skipping = True

    def _restart(self) -> None:
        """The file was emptied: go on in the copy that was made before that, or else from 0."""
        assert self._file is not None
        copy = self._find(self._position)
        file, self._file = self._file, copy or self._file
        self._rest, self._skipping = b"", False
        if copy is None:
            self._position = _position(file, 0)
        else:
            file.close()
            self._position = _position(copy, self._position.offset)

    def _last_line(self) -> Iterator[Line]:
        rest, self._rest = self._rest, b""
        if rest and not self._skipping:
            yield self._line(rest, ended=False)

    def _line(self, data: bytes, *, ended: bool) -> Line:
        start = self._position
        length = len(data) + ended
        assert self._file is not None
        tail = (data + b"\n" if ended else data)[-_DIGESTED:]
        if len(tail) < _DIGESTED:
            digest = _position(self._file, start.offset + length).digest
        else:
            digest = _digest(tail)
        self._position = Position(start.inode, start.offset + length, digest, start.changed)
        text = None if len(data) > LONGEST_LINE else data.decode("utf-8", "replace").strip()
        return Line(text, start, self._position)

    def _following(self) -> BinaryIO | None:
        """The file to go on with, if the open one is no longer the one of that name."""
        assert self._file is not None
        own = os.fstat(self._file.fileno())
        with contextlib.suppress(OSError):
            current = self._path.stat()
            if (current.st_dev, current.st_ino) == (own.st_dev, own.st_ino) or not current.st_size:
                return None  # an empty one may be new while the writer still has the old one
            for candidate in self._candidates():
                status = candidate.stat()
                is_later = status.st_mtime_ns > own.st_mtime_ns or candidate == self._path
                if is_later and status.st_ino != own.st_ino:
                    return _opened(candidate)
        return None

    def _newer_than(self, position: Position) -> BinaryIO | None:
        """The oldest file that was written to after a position whose own file is not there."""
        for candidate in self._candidates():
            with contextlib.suppress(FileNotFoundError):
                if candidate.stat().st_mtime_ns > position.changed:
                    return _opened(candidate)
        return _opened(self._path)

    def _find(self, position: Position) -> BinaryIO | None:
        """The file that holds a position: by its inode, else a copy of it by its content."""
        if position.offset == 0 and not position.inode:
            return None
        copies: list[BinaryIO] = []
        try:
            for candidate in self._candidates():
                file = _opened(candidate)
                if file is None:
                    continue
                if _continues(file, position):
                    return file
                if position.offset and _digest_before(file, position.offset) == position.digest:
                    copies.append(file)
                else:
                    file.close()
            if copies:
                copy = copies.pop()
                self._position = _position(copy, position.offset)
                return copy
            return None
        finally:
            for file in copies:
                file.close()

    def _candidates(self) -> list[Path]:
        """What the file was renamed or copied to (`log.1`, `log-2026`), oldest first, then it."""
        own = self._path
        found: list[tuple[int, Path]] = []
        with contextlib.suppress(OSError):
            for candidate in own.parent.iterdir():
                rest = candidate.name.removeprefix(own.name)
                if (
                    candidate.name.startswith(own.name)
                    and rest.startswith(_AFTER_NAME)
                    and not rest.endswith(_COMPRESSED)
                    and candidate.is_file()
                ):
                    found.append((candidate.stat().st_mtime_ns, candidate))
        return [candidate for _, candidate in sorted(found)] + [own]


def _opened(path: Path) -> BinaryIO | None:
    """The file for reading without a buffer of its own; None when it is not there."""
    try:
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        return None


def _position(file: BinaryIO, offset: int) -> Position:
    status = os.fstat(file.fileno())
    return Position(status.st_ino, offset, _digest_before(file, offset), status.st_mtime_ns)


def _continues(file: BinaryIO, position: Position) -> bool:
    """Whether this is the file of a position, and nothing before that changed."""
    status = os.fstat(file.fileno())
    if status.st_ino != position.inode or status.st_size < position.offset:
        return False
    return _digest_before(file, position.offset) == position.digest


def _digest_before(file: BinaryIO, offset: int) -> str:
    begin = max(0, offset - _DIGESTED)
    return _digest(os.pread(file.fileno(), offset - begin, begin))


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()
