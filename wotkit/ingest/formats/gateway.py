"""A gateway's batch: readings of a numbered stream, and the answer to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import Meta, Struct

from wotkit.errors import ValidationFailed, WotkitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wotkit.ingest.accept import Accepted

LARGEST_SEQ: Final = (1 << 63) - 1


class GatewayBatch(Struct):
    """What a gateway sends."""

    stream: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=128,
            pattern=r"^[\x21-\x7e]+$",
            description="The gateway's name of its stream; random, made once.",
        ),
    ]
    readings: Annotated[
        list[dict[str, Any]],
        Meta(
            description="Readings in rising order of `seq`, each with `sensor`, `timestamp` and "
            "its fields. An empty list asks for the position."
        ),
    ]


class RejectedReading(Struct):
    """A reading that will never be stored as it is."""

    seq: int
    code: Annotated[int, Meta(description="As in the catalogue of errors.")]
    message: str


class GatewayAnswer(Struct):
    """How far the stream is stored."""

    acked_through: Annotated[
        int,
        Meta(description="Every reading through this number is stored, or among `rejected`."),
    ]
    rejected: list[RejectedReading]


def sequence_of(readings: list[dict[str, Any]]) -> list[int]:
    """Take the numbers out of the readings, and check that they rise.

    Raises:
        ValidationFailed: one is missing or does not.
    """
    sequence: list[int] = []
    last = 0
    for index, reading in enumerate(readings):
        seq = reading.pop("seq", None)
        if type(seq) is not int or not last < seq <= LARGEST_SEQ:
            raise _wrong(f"{index}.seq", f"must be a whole number greater than {last}")
        sequence.append(seq)
        last = seq
    return sequence


def _wrong(name: str, why: str) -> WotkitError:
    return ValidationFailed(f"{name} {why}", more={name: why})


def answer_of(accepted: Accepted, sequence: Sequence[int]) -> GatewayAnswer:
    """Return the answer to a batch with these numbers."""
    rejected = [
        RejectedReading(
            sequence[rejection.position], rejection.error.code.number, str(rejection.error)
        )
        for rejection in accepted.rejected
    ]
    return GatewayAnswer(accepted.outcome.acked_through, rejected)
