"""What the server counts about itself, in Prometheus' terms.

On the path of every reading only plain integers are raised, in the event loop's thread;
:class:`Collector` turns them into metric families when they are asked for
(https://prometheus.io/docs/instrumenting/writing_exporters/).
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client import Metric

SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)


class Histogram:
    """Counts observations in buckets."""

    __slots__ = ("_edges", "counts", "total")

    def __init__(self, edges: tuple[float, ...]) -> None:
        self._edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count one observation, or several of one value."""
        self.counts[bisect_left(self._edges, value)] += times
        self.total += value * times

    def buckets(self) -> list[tuple[str, float]]:
        """Return the cumulative counts, by upper edge."""
        found: list[tuple[str, float]] = []
        count = 0
        for edge, number in zip((*self._edges, float("inf")), self.counts, strict=True):
            count += number
            found.append(("+Inf" if edge == float("inf") else str(edge), count))
        return found


class RequestMetrics:
    """Requests by route, method and status, with how long they took."""

    def __init__(self) -> None:
        self._children: dict[tuple[str, str, int], Histogram] = {}

    def child(self, route: str, method: str, status: int) -> Histogram:
        """Return where requests of one kind are counted."""
        return self._children.setdefault((route, method, status), Histogram(SECONDS))

    def families(self) -> Iterator[Metric]:
        """Yield the metrics."""
        family = HistogramMetricFamily(
            "wotkit_request_seconds",
            "Time until the answer began, by route, method and status",
            labels=["route", "method", "status"],
        )
        for (route, method, status), child in list(self._children.items()):
            family.add_metric([route, method, str(status)], child.buckets(), child.total)
        yield family


class IngestMetrics:
    """The one door: readings accepted and refused, the queue and its commits."""

    def __init__(self) -> None:
        self._queue_depth: Callable[[], int] = int
        self.accepted = 0
        self.refused: dict[str, int] = {}
        self.batch = Histogram(SIZES)
        self.commit = Histogram(SECONDS)

    def watch_queue(self, depth: Callable[[], int]) -> None:
        """Ask ``depth`` how many readings wait."""
        self._queue_depth = depth

    def refuse(self, reason: str, count: int = 1) -> None:
        """Count readings that were refused."""
        self.refused[reason] = self.refused.get(reason, 0) + count

    def families(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield CounterMetricFamily(
            "wotkit_readings_accepted", "Readings that were stored", value=self.accepted
        )
        refused = CounterMetricFamily(
            "wotkit_readings_refused", "Readings that were refused, by reason", labels=["reason"]
        )
        for reason, count in self.refused.items():
            refused.add_metric([reason], count)
        yield refused
        yield GaugeMetricFamily(
            "wotkit_ingest_queue_readings",
            "Readings waiting to be stored",
            value=self._queue_depth(),
        )
        for name, help_text, histogram in (
            ("wotkit_ingest_batch_readings", "Readings in one transaction", self.batch),
            (
                "wotkit_ingest_commit_seconds",
                "Time of one transaction, fsync included",
                self.commit,
            ),
        ):
            family = HistogramMetricFamily(name, help_text)
            family.add_metric([], histogram.buckets(), histogram.total)
            yield family


class LiveMetrics:
    """Live streams: how many are open, what they were offered, how they ended."""

    def __init__(self) -> None:
        self._open: Callable[[], int] = int
        self.readings = 0
        self.ended: dict[str, int] = {}

    def watch(self, count: Callable[[], int]) -> None:
        """Ask ``count`` how many streams are open."""
        self._open = count

    def end(self, code: str) -> None:
        """Count a stream that ended."""
        self.ended[code] = self.ended.get(code, 0) + 1

    def families(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield GaugeMetricFamily("wotkit_live_streams", "Live streams open", value=self._open())
        yield CounterMetricFamily(
            "wotkit_live_readings",
            "Readings for live streams, once for each stream that follows",
            value=self.readings,
        )
        ended = CounterMetricFamily(
            "wotkit_live_ended", "Live streams that ended, by reason", labels=["code"]
        )
        for code, count in self.ended.items():
            ended.add_metric([code], count)
        yield ended


class MqttMetrics:
    """MQTT: connections and how they end, what clients publish and how soon it is acknowledged."""

    def __init__(self) -> None:
        self._connections: Callable[[], int] = int
        self._pending: Callable[[], int] = int
        self._bridge: Callable[[], bool] | None = None
        self.publishes = dict.fromkeys(("stored", "handled", "repeated", "refused", "forbidden"), 0)
        self.acknowledgement = Histogram(SECONDS)
        self.bytes_in = 0
        self.bytes_out = 0
        self.accepted = 0
        self.ended: dict[str, int] = {}
        self.commands_sent = 0
        self.commands_acknowledged = 0
        self.commands_waiting: int | None = None
        """As it was asked for last; None where the catalog could not tell."""

    def watch(self, connections: Callable[[], int], pending: Callable[[], int]) -> None:
        """Ask how many connections there are, and how many of their readings wait."""
        self._connections = connections
        self._pending = pending

    def watch_bridge(self, connected: Callable[[], bool]) -> None:
        """Ask whether the broker is connected."""
        self._bridge = connected

    def end(self, reason: str) -> None:
        """Count a connection that ended."""
        self.ended[reason] = self.ended.get(reason, 0) + 1

    def families(self) -> Iterator[Metric]:
        """Yield the metrics."""
        bridge = None if self._bridge is None else int(self._bridge())
        for name, help_text, count in (
            ("connections", "MQTT connections open", self._connections()),
            ("pending_readings", "Readings that wait for commit and PUBACK", self._pending()),
            ("commands_waiting", "Deliveries of commands to sessions", self.commands_waiting),
            ("bridge_connected", "Whether the broker is connected", bridge),
        ):
            if count is not None:
                yield GaugeMetricFamily(f"wotkit_mqtt_{name}", help_text, value=count)
        for name, help_text, count in (
            ("connects", "MQTT clients that were let in", self.accepted),
            ("received_bytes", "Bytes from MQTT clients", self.bytes_in),
            ("sent_bytes", "Bytes to MQTT clients", self.bytes_out),
            ("commands_sent", "Commands that were sent to clients", self.commands_sent),
            ("commands_acknowledged", "Commands that clients have", self.commands_acknowledged),
        ):
            yield CounterMetricFamily(f"wotkit_mqtt_{name}", help_text, value=count)
        for name, help_text, label, counts in (
            (
                "publishes",
                "Publishes of clients, by what became of them",
                "outcome",
                self.publishes,
            ),
            ("ended", "MQTT connections that ended, by reason", "reason", self.ended),
        ):
            labelled = CounterMetricFamily(f"wotkit_mqtt_{name}", help_text, labels=[label])
            for value, count in list(counts.items()):
                labelled.add_metric([value], count)
            yield labelled
        family = HistogramMetricFamily(
            "wotkit_mqtt_acknowledgement_seconds",
            "Time from reading a publish of QoS 1 or 2 until its acknowledgement",
        )
        family.add_metric([], self.acknowledgement.buckets(), self.acknowledgement.total)
        yield family


class SizeMetrics:
    """How much room the data takes."""

    def __init__(self, catalog: Callable[[], int], readings: Callable[[], int]) -> None:
        self._sizes = {"catalog": catalog, "readings": readings}

    def families(self) -> Iterator[Metric]:
        """Yield the metrics."""
        family = GaugeMetricFamily(
            "wotkit_database_bytes", "Bytes of a database, its log included", labels=["database"]
        )
        for name, size in self._sizes.items():
            family.add_metric([name], size())
        yield family


class Collector:
    """Gives the metrics of this process to a Prometheus registry."""

    def __init__(self, *sources: Callable[[], Iterable[Metric]]) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        for source in self._sources:
            yield from source()
