"""Which registers to ask for together, and what they mean."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from gateway_agent.inputs.points import PointConfig, tidy_float32
from gateway_agent.reading import Value
from gateway_agent.settings import Setting, WrongSetting, choice, number, whole

_WORDS: Final = {
    "int16": (1, ">h"),
    "uint16": (1, ">H"),
    "int32": (2, ">i"),
    "uint32": (2, ">I"),
    "float32": (2, ">f"),
    "int64": (4, ">q"),
    "uint64": (4, ">Q"),
    "float64": (4, ">d"),
}
"""Registers that a datatype takes, and its form in bytes."""
_LAST_REGISTER: Final = 65_535
_MOST_REGISTERS: Final = 125
_MOST_BITS: Final = 2000
"""What one request may ask for (Modbus Application Protocol V1.1b3, 6.1 to 6.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusPoint(PointConfig):
    """A value in one or more registers, or a coil."""

    register: Annotated[
        int,
        Setting(whole(0, _LAST_REGISTER), "address from 0, as on the wire: 0 for 40001"),
    ]
    type: Annotated[
        Literal["holding", "input", "coil", "discrete"],
        Setting(choice("holding", "input", "coil", "discrete"), "which of the device's tables"),
    ] = "holding"
    datatype: Annotated[
        Literal[
            "int16", "uint16", "int32", "uint32", "float32", "int64", "uint64", "float64", "string"
        ],
        Setting(choice(*_WORDS, "string"), "what the registers hold"),
    ] = "uint16"
    unit: Annotated[
        int | None, Setting(whole(0, 255), "address of the device; that of the input if left out")
    ] = None
    byte_order: Annotated[
        Literal["big", "little"],
        Setting(choice("big", "little"), "order of the bytes in a register"),
    ] = "big"
    word_order: Annotated[
        Literal["big", "little"],
        Setting(choice("big", "little"), "order of the registers in a value"),
    ] = "big"
    bit: Annotated[int | None, Setting(whole(0, 15), "take only this bit of the register")] = None
    length: Annotated[int, Setting(whole(1, 120), "string: how many registers")] = 8
    invalid: Annotated[
        float | None,
        Setting(number, "what the device says when it has no value, before scale: never sent"),
    ] = None

    def __post_init__(self) -> None:
        """Raises WrongSetting when settings do not go together."""
        if self.bit is not None and self.size != 1:
            raise WrongSetting("bit", "only a value of one register has single bits")
        if self.register + self.size > _LAST_REGISTER + 1:
            raise WrongSetting("register", "the value goes beyond the last register")

    @property
    def is_numeric(self) -> bool:
        """Whether the value is a number, not a text."""
        return self.datatype != "string" or self.is_single_bit

    @property
    def is_single_bit(self) -> bool:
        """Whether its table has bits instead of registers."""
        return self.type in {"coil", "discrete"}

    @property
    def size(self) -> int:
        """Registers, or bits, that it takes."""
        if self.is_single_bit:
            return 1
        return self.length if self.datatype == "string" else _WORDS[self.datatype][0]

    def decode(self, raw: Sequence[int]) -> Value | None:
        """The value in its registers or bit, before scale; None when the device has none."""
        if self.is_single_bit:
            return int(raw[0])
        words = raw if self.word_order == "big" else raw[::-1]
        if self.datatype == "string":
            words = raw
        data = b"".join(word.to_bytes(2, self.byte_order) for word in words)
        if self.datatype == "string":
            return data.split(b"\0")[0].decode("latin-1").strip()
        value: float = struct.unpack(_WORDS[self.datatype][1], data)[0]
        if self.bit is not None:
            return int(value) >> self.bit & 1
        if self.invalid is not None and value == self.invalid:
            return None
        return tidy_float32(value) if self.datatype == "float32" else value


@dataclass(frozen=True, slots=True)
class Batch:
    """Points of one table of one device that are asked for in one request."""

    unit: int
    type: str
    start: int
    count: int
    points: tuple[ModbusPoint, ...]

    def values(self, raw: Sequence[int]) -> Iterator[tuple[ModbusPoint, Value]]:
        """What the answer says of each point."""
        for point in self.points:
            first = point.register - self.start
            value = point.decode(raw[first : first + point.size])
            if value is not None:
                yield point, value

    def alone(self) -> list["Batch"]:
        """The same points, each in a request of its own."""
        return [
            Batch(self.unit, self.type, point.register, point.size, (point,))
            for point in self.points
        ]


def plan(points: Sequence[ModbusPoint], unit: int, gap: int) -> dict[int, list[Batch]]:
    """The requests for each device, by its address, in the order of the points.

    Points go together when at most `gap` registers that nobody wants are between them.
    """
    tables: dict[tuple[int, str], list[ModbusPoint]] = {}
    for point in points:
        device = unit if point.unit is None else point.unit
        tables.setdefault((device, point.type), []).append(point)
    batches: dict[int, list[Batch]] = {}
    for (device, table), wanted in tables.items():
        for group in _groups(sorted(wanted, key=lambda point: point.register), gap):
            start = group[0].register
            end = max(point.register + point.size for point in group)
            batch = Batch(device, table, start, end - start, tuple(group))
            batches.setdefault(device, []).append(batch)
    return batches


def _groups(points: Sequence[ModbusPoint], gap: int) -> Iterator[list[ModbusPoint]]:
    most = _MOST_BITS if points[0].is_single_bit else _MOST_REGISTERS
    group = [points[0]]
    end = points[0].register + points[0].size
    for point in points[1:]:
        next_end = max(end, point.register + point.size)
        if point.register - end > gap or next_end - group[0].register > most:
            yield group
            group = []
        group.append(point)
        end = next_end if len(group) > 1 else point.register + point.size
    yield group
