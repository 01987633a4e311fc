from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_open_metrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import CollectorRegistry

from wotkit.metrics import (
    SECONDS,
    SIZES,
    Collector,
    Histogram,
    IngestMetrics,
    RequestMetrics,
    SizeMetrics,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client import Metric


def scrape(*sources: Callable[[], Iterable[Metric]]) -> dict[tuple[str, tuple[Any, ...]], float]:
    """Return every sample as Prometheus reads it, from a page of either format."""
    registry = CollectorRegistry()
    registry.register(Collector(*sources))  # type: ignore[arg-type]  # has collect(), all it needs
    assert generate_open_metrics(registry).endswith(b"# EOF\n")
    return scrape_once(*sources)


def scrape_once(
    *sources: Callable[[], Iterable[Metric]],
) -> dict[tuple[str, tuple[Any, ...]], float]:
    """Return every sample: name and labels to value."""
    registry = CollectorRegistry()
    registry.register(Collector(*sources))  # type: ignore[arg-type]  # has collect(), all it needs
    text = generate_latest(registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@given(st.lists(st.floats(0, 100), max_size=50))
def test_histogram_counts_as_prometheus_defines_it(values: list[float]) -> None:
    histogram = Histogram(SECONDS)
    for value in values:
        histogram.observe(value)
    buckets = histogram.buckets()
    assert [edge for edge, _ in buckets[:-1]] == [str(edge) for edge in SECONDS]
    for edge, count in buckets:
        limit = math.inf if edge == "+Inf" else float(edge)
        assert count == sum(value <= limit for value in values)
    assert buckets[-1] == ("+Inf", len(values))
    assert math.isclose(histogram.total, math.fsum(values), abs_tol=1e-9)


def test_edges_rise() -> None:
    for edges in (SECONDS, SIZES):
        assert list(edges) == sorted(set(edges))


def test_requests_are_exposed_with_count_and_sum() -> None:
    metrics = RequestMetrics()
    metrics.child('/odd"route\n', "GET", 200).observe(0.002)
    metrics.child('/odd"route\n', "GET", 200).observe(0.2)
    found = scrape(metrics.families)
    labels = (("method", "GET"), ("route", '/odd"route\n'), ("status", "200"))
    assert found["wotkit_request_seconds_count", labels] == 2
    assert math.isclose(found["wotkit_request_seconds_sum", labels], 0.202)
    assert found["wotkit_request_seconds_bucket", (("le", "0.0025"), *labels)] == 1


def test_ingest_is_exposed_before_and_after_the_first_reading() -> None:
    metrics = IngestMetrics()
    before = scrape(metrics.families)
    assert before["wotkit_readings_accepted_total", ()] == 0
    assert before["wotkit_ingest_queue_readings", ()] == 0
    metrics.accepted += 3
    metrics.refuse("future")
    metrics.refuse("future", 4)
    metrics.batch.observe(3)
    metrics.commit.observe(0.004)
    metrics.watch_queue(lambda: 17)
    after = scrape(metrics.families)
    assert after["wotkit_readings_accepted_total", ()] == 3
    assert after["wotkit_readings_refused_total", (("reason", "future"),)] == 5
    assert after["wotkit_ingest_queue_readings", ()] == 17
    assert after["wotkit_ingest_batch_readings_count", ()] == 1
    assert after["wotkit_ingest_commit_seconds_bucket", (("le", "0.005"),)] == 1


def test_sizes_are_asked_for_at_each_scrape() -> None:
    sizes = iter([1, 2])
    metrics = SizeMetrics(lambda: next(sizes), lambda: 7)
    for expected in (1, 2):
        found = scrape_once(metrics.families)
        assert found["wotkit_database_bytes", (("database", "catalog"),)] == expected
        assert found["wotkit_database_bytes", (("database", "readings"),)] == 7
