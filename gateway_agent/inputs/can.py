"""CAN buses: values in the bits of frames."""

import logging
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import can

from gateway_agent.inputs.base import Context, Failure, InputConfig, Kind
from gateway_agent.inputs.points import PointConfig, Points, check_points, tidy_float32
from gateway_agent.inputs.stream import StreamInput
from gateway_agent.reading import Sample, SensorSpec, Value
from gateway_agent.settings import (
    Setting,
    Tables,
    WrongSetting,
    choice,
    duration,
    flag,
    text,
    whole,
)

_MOST_AT_ONCE: Final = 1000
_LAST_STANDARD: Final = 0x7FF
_LAST_EXTENDED: Final = 0x1FFF_FFFF
_FLOAT_BITS: Final = {32: ("f", "I"), 64: ("d", "Q")}


@dataclass(frozen=True, slots=True, kw_only=True)
class CanPoint(PointConfig):
    """Some bits of the frames with one identifier; numbered as in a DBC file."""

    id: Annotated[int, Setting(whole(0, _LAST_EXTENDED), "the frames' identifier, such as 0x1a0")]
    extended: Annotated[
        bool | None,
        Setting(flag, "29 bit identifier; if left out, when it is larger than 0x7ff"),
    ] = None
    start: Annotated[
        int,
        Setting(
            whole(0, 511),
            "first bit: the lowest of a little endian value, the highest of a big endian one; "
            "bit 0 is the lowest of the first byte, bit 8 of the second",
        ),
    ]
    length: Annotated[int, Setting(whole(1, 64), "how many bits")]
    byte_order: Annotated[
        Literal["big", "little"], Setting(choice("big", "little"), "order of the bytes")
    ] = "little"
    datatype: Annotated[
        Literal["unsigned", "signed", "float"],
        Setting(choice("unsigned", "signed", "float"), "what the bits are; float has 32 or 64"),
    ] = "unsigned"

    def __post_init__(self) -> None:
        """Raises WrongSetting when settings do not go together."""
        if self.datatype == "float" and self.length not in _FLOAT_BITS:
            raise WrongSetting("length", "a float has 32 or 64 bits")
        if self.extended is False and self.id > _LAST_STANDARD:
            raise WrongSetting("id", "an identifier of 11 bits is at most 0x7ff")

    @property
    def frame(self) -> tuple[int, bool]:
        """Which frames have it: their identifier, and whether that is an extended one."""
        extended = self.id > _LAST_STANDARD if self.extended is None else self.extended
        return self.id, extended

    def decode(self, data: bytes) -> Value | None:
        """The value in a frame, before scale; None when the frame is too short for it."""
        if self.byte_order == "little":
            shift = self.start
            number = int.from_bytes(data, "little")
        else:
            from_left = self.start // 8 * 8 + 7 - self.start % 8
            shift = len(data) * 8 - from_left - self.length
            number = int.from_bytes(data, "big")
        if shift < 0 or shift + self.length > len(data) * 8:
            return None
        raw = number >> shift & (1 << self.length) - 1
        if self.datatype == "signed" and raw >> self.length - 1:
            return raw - (1 << self.length)
        if self.datatype == "float":
            form, same_size = _FLOAT_BITS[self.length]
            value: float = struct.unpack(form, struct.pack(same_size, raw))[0]
            return tidy_float32(value) if form == "f" else value
        return raw


@dataclass(frozen=True, slots=True, kw_only=True)
class CanConfig(InputConfig):
    """`type = "can"`: frames of a CAN bus."""

    interface: Annotated[
        str, Setting(text(), "kind of interface as python-can names it; Linux's own is socketcan")
    ] = "socketcan"
    channel: Annotated[str, Setting(text(), "the interface, such as can0")]
    bitrate: Annotated[
        int | None,
        Setting(whole(1000, 8_000_000), "bits per second, for interfaces that are not set up"),
    ] = None
    silence: Annotated[
        float,
        Setting(duration(0, 86_400), "say so after so long without a wanted frame; 0s: never"),
    ] = 0.0
    interval: Annotated[
        float,
        Setting(duration(0, 31 * 86_400), "shortest time between two readings; 0s: every frame"),
    ] = 1.0
    point: Annotated[tuple[CanPoint, ...], Setting(Tables(CanPoint), "the values to take")] = ()

    def __post_init__(self) -> None:
        """Raises WrongSetting when points are missing or collide."""
        check_points(self.point)


class CanInput(StreamInput):
    """Listens to a bus; the points of one frame make one reading."""

    def __init__(self, config: CanConfig, context: Context) -> None:
        super().__init__(context, config.interval)
        logging.getLogger("can").setLevel(logging.CRITICAL + 1)
        self._config = config
        self._points = Points(context.gateway_id, config, config.point)
        self._by_frame: dict[tuple[int, bool], list[CanPoint]] = {}
        for point in config.point:
            self._by_frame.setdefault(point.frame, []).append(point)
        self._bus: can.BusABC | None = None
        self._heard_at = 0.0

    def open(self) -> None:
        """Raises can.CanError or OSError when there is no such interface."""
        options: dict[str, Any] = {}
        if self._config.bitrate is not None:
            options["bitrate"] = self._config.bitrate
        wanted: list[Mapping[str, int | bool]] = [
            {
                "can_id": number,
                "can_mask": _LAST_EXTENDED if extended else _LAST_STANDARD,
                "extended": extended,
            }
            for number, extended in self._by_frame
        ]
        self._bus = can.Bus(
            interface=self._config.interface,
            channel=self._config.channel,
            can_filters=wanted,
            ignore_config=True,
            **options,
        )
        self._heard_at = time.monotonic()

    def sensors(self) -> Sequence[SensorSpec]:
        return self._points.sensors(f"Frames on the CAN bus {self._config.channel}")

    def receive(self, timeout: float) -> Iterable[Sample | Failure]:
        """Raises can.CanError when the interface is gone."""
        assert self._bus is not None
        message = self._bus.recv(timeout)
        for _ in range(_MOST_AT_ONCE):
            if message is None:
                break
            yield from self._samples(message)
            message = self._bus.recv(0)
        silence = self._config.silence
        if silence and time.monotonic() - self._heard_at > silence:
            self._heard_at = time.monotonic()
            yield Failure(f"no wanted frame for {silence:g} s")

    def close(self) -> None:
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.shutdown()

    def _samples(self, message: can.Message) -> Iterable[Sample | Failure]:
        if message.is_error_frame or message.is_remote_frame:
            return
        stamp = self._context.clock.stamp()
        points = self._by_frame.get((message.arbitration_id, message.is_extended_id), [])
        values: list[tuple[CanPoint, Value]] = []
        for point in points:
            value = point.decode(bytes(message.data))
            if value is not None:
                values.append((point, value))
                continue
            size = len(message.data)
            yield Failure(f"{point.field_name}: frame {point.id:#x} has only {size} bytes")
        if points:
            self._heard_at = time.monotonic()
        yield from self._points.samples(values, stamp)


KIND: Final = Kind(CanConfig, CanInput)
