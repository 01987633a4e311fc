"""Text to documents, and values in them: JSON, CSV, regular expressions, numbers, NMEA."""

import csv
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

from gateway_agent.inputs.json_path import NotThere, find, parse_path
from gateway_agent.inputs.points import field_from
from gateway_agent.inputs.record_config import RecordConfig
from gateway_agent.reading import Value

_NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_WHOLE: Final = re.compile(r"[+-]?\d{1,15}", re.ASCII)
_SHOWN: Final = 80


class Source(ABC):
    """One format: how a text becomes documents, and where values are in a document."""

    numbers_are_texts: ClassVar[bool] = False
    """Whether the format has texts only, some of which are numbers."""

    def __init__(self, config: RecordConfig) -> None:
        self._config = config

    @abstractmethod
    def documents(self, text: str, path: Sequence[str | int]) -> Iterator[Any]:
        """The documents in a text. Raises ValueError."""

    @abstractmethod
    def find(self, document: Any, key: str) -> object:
        """The value at a key. Raises NotThere; None and empty texts are not there either."""

    @abstractmethod
    def everything(self, document: Any) -> Iterator[tuple[str, Value]]:
        """All values under usable field names."""


class _Json(Source):
    def documents(self, text: str, path: Sequence[str | int]) -> Iterator[Any]:
        try:
            document = json.loads(text)
            found = find(document, tuple(path))
        except json.JSONDecodeError as error:
            raise ValueError(f"is not JSON: {error}; {shown(text)}") from error
        except RecursionError as error:
            raise ValueError("JSON is nested too deeply") from error
        except NotThere as error:
            raise ValueError(f"no records: {error}") from error
        if isinstance(found, list) and (path or not self._config.point or _of_objects(found)):
            yield from found
        else:
            yield found

    def find(self, document: Any, key: str) -> object:
        return _there(find(document, parse_path(key)))

    def everything(self, document: Any) -> Iterator[tuple[str, Value]]:
        if isinstance(document, bool | int | float):
            yield "value", document
        elif isinstance(document, dict):
            for name, value in document.items():
                if isinstance(value, str | int | float) and name != self._config.time:
                    yield field_from(name), value


class _Csv(Source):
    numbers_are_texts = True

    def documents(self, text: str, path: Sequence[str | int]) -> Iterator[Any]:  # noqa: ARG002 - for JSON
        names = self._config.columns
        for cells in csv.reader(text.splitlines(), delimiter=self._config.delimiter):
            if any(cell.strip() for cell in cells) and tuple(cells) != names:
                if names and len(cells) != len(names):
                    raise ValueError(f"{len(cells)} columns, not {len(names)}: {shown(text)}")
                yield cells

    def find(self, document: Any, key: str) -> object:
        names = self._config.columns
        index = names.index(key) if key in names else int(key) - 1
        if not 0 <= index < len(document):
            raise NotThere(f"no column {key}")
        return _there(document[index].strip())

    def everything(self, document: Any) -> Iterator[tuple[str, Value]]:
        for name, cell in zip(self._config.columns, document, strict=True):
            if name not in {"-", self._config.time} and cell.strip():
                yield field_from(name), number_or_text(cell.strip())


class _Regex(Source):
    numbers_are_texts = True

    def documents(self, text: str, path: Sequence[str | int]) -> Iterator[Any]:  # noqa: ARG002 - for JSON
        assert self._config.pattern is not None
        match = self._config.pattern.search(text)
        if match is None:
            raise ValueError(f"does not match the pattern: {shown(text)}")
        yield match

    def find(self, document: Any, key: str) -> object:
        return _there(document[int(key) if key.isdecimal() else key])

    def everything(self, document: Any) -> Iterator[tuple[str, Value]]:
        named = document.groupdict()
        if not named and document.re.groups:
            named = {"value": document[1]}
        for name, value in named.items():
            if value is not None and name != self._config.time:
                yield field_from(name), number_or_text(value.strip())


class _Number(Source):
    def documents(self, text: str, path: Sequence[str | int]) -> Iterator[Any]:  # noqa: ARG002 - for JSON
        value = number_or_text(text.strip())
        if isinstance(value, str):
            raise ValueError(f"is not a number: {shown(text)}")
        yield value

    def find(self, document: Any, key: str) -> object:  # noqa: ARG002 - there is only one value
        return document

    def everything(self, document: Any) -> Iterator[tuple[str, Value]]:
        yield "value", document


class _Nmea(Source):
    def __init__(self, config: RecordConfig) -> None:
        from gateway_agent.inputs.nmea import decode

        super().__init__(config)
        self._decode = decode

    def documents(self, text: str, path: Sequence[str | int]) -> Iterator[Any]:  # noqa: ARG002 - for JSON
        values = self._decode(text)
        if values:
            yield values

    def find(self, document: Any, key: str) -> object:
        if key not in document:
            raise NotThere(f"no {key}")
        return document[key]

    def everything(self, document: Any) -> Iterator[tuple[str, Value]]:
        yield from ((name, value) for name, value in document.items() if name != "time")


SOURCES: Final[Mapping[str, Callable[[RecordConfig], Source]]] = {
    "json": _Json,
    "csv": _Csv,
    "regex": _Regex,
    "number": _Number,
    "nmea": _Nmea,
}


def number_or_text(text: str) -> Value:
    """A number when the text is one in plain notation, else the text."""
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def shown(text: str) -> str:
    """The beginning of a text, for messages."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def _of_objects(found: list[Any]) -> bool:
    return all(isinstance(element, dict) for element in found)


def _there(value: object) -> object:
    if value is None or value == "":
        raise NotThere("no value")
    return value
