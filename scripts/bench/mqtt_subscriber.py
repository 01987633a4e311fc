"""What one would write behind a broker: paho-mqtt takes messages, another thread stores them.

It parses and checks readings with the server's own code and commits them with the server's own
store, as many at once as have come. Messages are acknowledged by paho, as it does by default.

    python mqtt_subscriber.py PORT READINGS_FILE COUNT_FILE SENSOR…

After each commit it writes into COUNT_FILE, in eight bytes, how many readings are stored.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from wotkit import strict_json, times
from wotkit.ingest.fields import NUMBER, FieldChecks
from wotkit.ingest.formats.readings import parse_one
from wotkit.readings.sqlite import SqliteStore
from wotkit.readings.store import Append, NewReading
from wotkit.settings import IngestSettings

MOST: Final = 2000
"""Readings of one commit, as in the server."""


def main() -> None:
    """Subscribe, and store for ever."""
    port, readings_file, count_file, *sensors = sys.argv[1:]
    limits = IngestSettings()
    checks = {
        name: (number, FieldChecks([("value", NUMBER, False)], limits))
        for number, name in enumerate(sensors, 1)
    }
    store = SqliteStore(Path(readings_file))
    count = os.open(count_file, os.O_RDWR | os.O_CREAT)
    arrived: SimpleQueue[Any] = SimpleQueue()
    _subscribe(int(port), arrived)
    stored = 0
    while True:
        messages = [arrived.get()]
        messages += [arrived.get() for _ in range(min(arrived.qsize(), MOST - 1))]
        store.apply([Append([_reading(each, checks) for each in messages])], times.now())
        stored += len(messages)
        os.pwrite(count, stored.to_bytes(8, "little"), 0)


def _subscribe(port: int, arrived: SimpleQueue[Any]) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, "subscriber", protocol=paho.MQTTv311)
    client.on_message = lambda _client, _data, message: arrived.put(message)
    client.on_connect = lambda *_: client.subscribe("wotkit/+/sensors/+/data", 1)
    client.on_subscribe = lambda *_: print("subscribed", flush=True)
    client.connect("127.0.0.1", port)
    client.loop_start()


def _reading(message: Any, checks: dict[str, tuple[int, FieldChecks]]) -> NewReading:
    """Return a checked reading, as the server makes it.

    Raises:
        ValueError: it is none.
    """
    number, check = checks[message.topic.split("/")[3]]
    parsed = parse_one(message.payload)
    wrong = check.check(parsed.values)
    if wrong:
        raise ValueError(wrong)
    ts = times.now() if parsed.ts is None else parsed.ts
    return NewReading(number, ts, strict_json.encode(parsed.values), parsed.values)


if __name__ == "__main__":
    main()
