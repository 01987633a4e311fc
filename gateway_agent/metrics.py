"""The agent's figures in the text format of Prometheus (version 0.0.4)."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

_PREFIX: Final = "gateway_agent_"
_STATES: Final = ("ok", "waiting", "denied")
_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})

Samples = Iterator[tuple[Mapping[str, str], float | None]]


def metrics_text(document: Mapping[str, Any]) -> str:
    """The figures of a status document; those that are not known are left out."""
    lines: list[str] = []
    for name, kind, help_text, samples in _families(document):
        found = [(labels, value) for labels, value in samples if value is not None]
        if found:
            lines.append(f"# HELP {_PREFIX}{name} {help_text}")
            lines.append(f"# TYPE {_PREFIX}{name} {kind}")
        lines += [f"{_PREFIX}{name}{_labels(labels)} {value:.15g}" for labels, value in found]
    return "\n".join(lines) + "\n"


def _families(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Samples]]:
    spool, output = document["spool"], document["output"]
    about = {"gateway": document["gateway"], "version": document["version"]}
    yield "info", "gauge", "The agent.", iter([(about, 1)])
    for name, kind, text, value in (
        ("uptime_seconds", "gauge", "Since the start.", document["updated"] - document["started"]),
        ("clock_synchronized", "gauge", "Whether the kernel says so.", document["synced"]),
        (
            *("spool_readings", "gauge", "Readings that wait."),
            spool["depth"] + spool["queued"],
        ),
        ("spool_oldest_seconds", "gauge", "Age of the oldest.", spool["oldest_age"] or 0),
        ("spool_held", "gauge", "Whether readings wait for the clock.", spool["held"]),
        ("spool_disk_full", "gauge", "Whether the disk is full.", spool["disk_full"]),
        ("spool_dead_letters", "gauge", "Refused readings that are kept.", spool["dead_letters"]),
        ("readings_committed_total", "counter", "Readings on disk so far.", spool["committed"]),
        ("readings_stored_total", "counter", "Stored by the platform.", spool["acknowledged"]),
        ("delivery_failures", "gauge", "In a row.", output["failures"]),
        (
            *("last_acknowledged_timestamp_seconds", "gauge", "Of the platform."),
            output["last_acknowledged"],
        ),
    ):
        yield name, kind, text, iter([({}, value)])
    yield from _by_label(document)


def _by_label(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Samples]]:
    inputs, state = document["inputs"], document["output"]["state"]
    dropped = document["spool"]["dropped"].items()
    yield (
        *("readings_dropped_total", "counter", "Given up, by reason."),
        (({"reason": reason}, count) for reason, count in dropped),
    )
    yield (
        *("delivery_state", "gauge", "1 for the present state."),
        (({"state": each}, float(each == state)) for each in _STATES),
    )
    for name, kind, text, key in (
        ("input_readings_total", "counter", "Since the start.", "readings"),
        ("input_errors_total", "counter", "Since the start.", "errors"),
        ("input_open", "gauge", "Whether the device is open.", "open"),
        ("input_last_reading_timestamp_seconds", "gauge", "When it was made.", "last_reading"),
    ):
        yield name, kind, text, (({"input": one["name"]}, one[key]) for one in inputs)


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""
