"""Reports of gateways: whatever comes is a report that can be kept, or a clear error."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotkit import strict_json
from wotkit.catalog import gateway_reports
from wotkit.catalog.gateway_reports import Report
from wotkit.errors import MalformedBody, ValidationFailed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=10,
)
TIMES = st.sampled_from(["2026-11-21T10:00:00Z", "0", "9999-12-31T23:59:59Z"]) | st.text(max_size=9)
NEARLY = st.fixed_dictionaries(
    {"status": st.sampled_from(["online", "offline"]) | JSON},
    optional={
        "gateway": st.from_regex(gateway_reports.NAME, fullmatch=True) | JSON,
        "version": st.text(max_size=110) | JSON,
        "interval": st.floats(0.1, 86_400) | JSON,
        "uptime": st.integers() | JSON,
        "clock": st.fixed_dictionaries({"synchronized": st.booleans()}) | JSON,
        "spool": st.fixed_dictionaries({}, optional={"depth": st.integers(), "oldest": TIMES}),
        "inputs": st.lists(
            st.fixed_dictionaries({"name": st.text()}, optional={"last_reading": TIMES})
        ),
        "errors": st.lists(st.fixed_dictionaries({"time": TIMES, "message": st.text()})) | JSON,
        "more": JSON,
    },
)


@given(NEARLY | JSON)
def test_whatever_comes_is_a_report_or_an_error_that_is_told(value: Any) -> None:
    try:
        report = gateway_reports.read(value, "shed")
    except (MalformedBody, ValidationFailed):
        return
    kept = strict_json.encode(msgspec.to_builtins(report))
    assert msgspec.convert(strict_json.decode(kept), Report) == report


@given(st.text() | NEARLY.map(lambda value: str(value).replace("'", '"')))
def test_whatever_payload_comes_is_understood_or_refused(payload: str) -> None:
    begins_like_one = payload.strip().startswith("{")
    try:
        report = gateway_reports.of_payload(payload, "0123456789abcdef")
    except (MalformedBody, ValidationFailed):
        assert begins_like_one
        return
    is_word = payload.strip().lower() in {"online", "offline"}
    assert (report is not None) == (begins_like_one or is_word)


@pytest.mark.parametrize("word", ["online", " ONLINE\n", "Offline"])
def test_a_word_reports_the_gateway_of_the_key(word: str) -> None:
    report = gateway_reports.of_payload(word, "0123456789abcdef")
    assert report is not None
    assert report.gateway == "0123456789abcdef"
    assert report.status == word.strip().lower()
    assert not report.whole


@pytest.mark.parametrize("payload", ['{"status": "online", "version": "\\ud800"}', '{"a":1e999}'])
def test_payload_that_cannot_be_kept_is_refused(payload: str) -> None:
    with pytest.raises((MalformedBody, ValidationFailed)):
        gateway_reports.of_payload(payload, "0123456789abcdef")
