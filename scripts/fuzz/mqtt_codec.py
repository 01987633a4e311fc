"""Fuzzes the MQTT codec by mutation; scripts/fuzz/mqtt-codec says how to run it.

Inputs that lead to an outcome not seen before (which packets, which error) are kept and damaged
further, so the search goes deeper than random bytes would.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from collections import Counter
from typing import Final, NamedTuple

from wotkit.mqtt import codec
from wotkit.mqtt.codec import (
    CodecError,
    Decoder,
    Packet,
    PublishProperties,
    Reason,
    Sender,
    Subscription,
    Version,
)

LIMIT: Final = 2_000
"""Bytes of the largest packet that the decoder under test takes."""
LONGEST: Final = 3 * LIMIT
MOST_KEPT: Final = 20_000
SAY_EVERY: Final = 10
INTERESTING: Final = (0x00, 0x01, 0x02, 0x7F, 0x80, 0x81, 0xC0, 0xED, 0xF4, 0xFE, 0xFF)


class Start(NamedTuple):
    """How a decoder is made."""

    version: Version | None
    sender: Sender | None


STARTS: Final = (
    Start(None, None),
    *(Start(version, sender) for version in Version for sender in (None, *Sender)),
)


class Wrong(Exception):
    """The codec did what it must never do."""


def packets_of(version: Version) -> list[Packet]:
    """Return a packet of each type, to begin with."""
    pairs = (("name", "value"), ("", "ü"))
    will = codec.Will("a/b", b"gone", 1, properties=codec.WillProperties(5, 1, 60, "text", "r"))
    properties = PublishProperties(1, 60, 3, "r/s", b"\0", (), "json", pairs)
    ack = codec.AckProperties("why", pairs)
    found: list[Packet] = [
        codec.Connect("c", version, True, 60, "user", b"pass", will),
        codec.ConnAck(properties=codec.ConnAckProperties(1, 2, 1, True, 5, "id", 7, "why")),
        codec.Publish("a/b", b'{"value": 1}', 1, 1, properties=properties),
        codec.Publish("a", b"", 0, retain=True),
        codec.Publish("a", bytes(300), 2, 65_535, dup=True),
        codec.PubAck(1, Reason.QUOTA_EXCEEDED, ack),
        codec.PubRec(1),
        codec.PubRel(2, Reason.PACKET_IDENTIFIER_NOT_FOUND),
        codec.PubComp(3, properties=ack),
        codec.Subscribe(4, (Subscription("a/#", 1), Subscription("$share/g/+/b", 2))),
        codec.SubAck(5, (Reason.GRANTED_QOS_1, Reason.UNSPECIFIED_ERROR), ack),
        codec.Unsubscribe(6, ("a/#", "+")),
        codec.UnsubAck(7, (Reason.SUCCESS,)),
        *(codec.PingReq(), codec.PingResp(), codec.Disconnect()),
    ]
    if version is Version.V5:
        method = codec.AuthProperties("SCRAM", b"data", "why", pairs)
        found.append(codec.Auth(Reason.CONTINUE_AUTHENTICATION, method))
    return found


def mutate(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Return the input, damaged in some places."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(found) + 1)
        match rng.randrange(7):
            case 0 if at < len(found):
                found[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(found):
                found[at] = rng.choice(INTERESTING)
            case 2 if at < len(found):
                found[at] = (found[at] + rng.choice((-2, -1, 1, 2))) % 256
            case 3:
                found[at:at] = bytes(rng.choice(INTERESTING) for _ in range(rng.randrange(1, 5)))
            case 4:
                del found[at : at + rng.randrange(1, 5)]
            case 5:
                found[at:at] = found[at : at + rng.randrange(1, 40)]
            case _:
                found[at:] = rng.choice(others)
    return bytes(found[:LONGEST])


def decoded(start: Start, parts: list[bytes]) -> tuple[list[Packet], CodecError | None]:
    """Return what a decoder makes of the pieces, and see that it holds no more than it may."""
    decoder = Decoder(start.version, max_packet=LIMIT, sender=start.sender)
    got: list[Packet] = []
    for part in parts:
        try:
            got += decoder.feed(part)
        except CodecError as error:
            if decoder.held:
                raise Wrong(f"{decoder.held} bytes are held after an error") from error
            return got + error.before, error
        if decoder.held >= LIMIT:
            raise Wrong(f"{decoder.held} bytes are held; the limit is {LIMIT}")
    return got, None


def check(start: Start, data: bytes, rng: random.Random) -> str:
    """Return what came of an input, in a word; raise :class:`Wrong` for what may not be."""
    got, error = decoded(start, [data])
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(6)))
    parts = [data[one:two] for one, two in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    again, other = decoded(start, parts)
    if got != again or type(error) is not type(other) or str(error) != str(other):
        raise Wrong(f"{got}, {error!r} as a whole; {again}, {other!r} in pieces {cuts}")
    version = start.version or _version_of(got)
    if version is not None:
        sent = b"".join(codec.encode(packet, version) for packet in got)
        if Decoder(version).feed(sent) != got:
            raise Wrong(f"{got} is not the same when it is encoded as {sent.hex()}")
    kinds = " ".join(type(packet).__name__ for packet in got[:3])
    return f"{kinds} | {re.sub(r'0x[0-9a-f]+|[0-9]+', '0', str(error))}"


def _version_of(got: list[Packet]) -> Version | None:
    return got[0].version if got and isinstance(got[0], codec.Connect) else None


def seeds(start: Start) -> list[bytes]:
    """Return the inputs to begin with."""
    found: list[bytes] = []
    for version in Version if start.version is None else (start.version,):
        made = [codec.encode(packet, version) for packet in packets_of(version)]
        found += [made[0] + one for one in made] if start.version is None else made
    return found


def run(seconds: float, rng: random.Random) -> Counter[str]:
    """Fuzz for so long; return how often each outcome was seen."""
    kept = {start: seeds(start) for start in STARTS}
    seen: Counter[str] = Counter()
    began = said = time.monotonic()
    while (now := time.monotonic()) - began < seconds:
        for start, corpus in kept.items():
            data = mutate(rng.choice(corpus), corpus, rng)
            outcome = _checked(start, data, rng)
            if not seen[outcome] and len(corpus) < MOST_KEPT:
                corpus.append(data)
            seen[outcome] += 1
        if now - said > SAY_EVERY:
            said = now
            print(f"{seen.total()} inputs, {len(seen)} outcomes", flush=True)
    return seen


def _checked(start: Start, data: bytes, rng: random.Random) -> str:
    try:
        return check(start, data, rng)
    except Exception:
        index = STARTS.index(start)
        print(f"Wrong: --replay {data.hex() or '00'} --start {index}", file=sys.stderr, flush=True)
        raise


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz/mqtt-codec", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long (default 60)")
    parser.add_argument("--seed", type=int, default=None, help="the same inputs again")
    parser.add_argument("--replay", metavar="HEX", help="one input")
    parser.add_argument(
        "--start", type=int, default=0, choices=range(len(STARTS)), help="its kind of decoder"
    )
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if given.seed is None else given.seed
    rng = random.Random(seed)  # noqa: S311  # inputs must be the same for the same seed
    if given.replay:
        start = STARTS[given.start]
        for _ in range(1_000):
            outcome = check(start, bytes.fromhex(given.replay), rng)
        print(outcome)
        return
    print(f"Seed {seed}", flush=True)
    seen = run(given.seconds, rng)
    refused = sum(count for outcome, count in seen.items() if not outcome.endswith("| None"))
    print(f"Nothing was wrong: {seen.total()} inputs, {refused} refused, {len(seen)} outcomes")


if __name__ == "__main__":
    main()
