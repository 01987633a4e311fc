import itertools
import json
import re
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_agent.clock import Clock, device_stamp, parse_time
from gateway_agent.inputs.json_path import NotThere, find, parse_path
from gateway_agent.inputs.lines import LineSplitter
from gateway_agent.inputs.points import FIELD_NAME, field_from, sensor_from, tidy_float32
from gateway_agent.inputs.record_config import KeyPoint, RecordConfig
from gateway_agent.inputs.records import Novelty, Record, RecordParser
from gateway_agent.inputs.stream import Throttle
from gateway_agent.reading import SENSOR_NAME, Sample
from gateway_agent.redact import redact


def parse(text: str, **settings: Any) -> list[dict[str | None, dict[str, object]]]:
    config = RecordConfig(type="file", name="file", **settings)
    return [
        {sensor: dict(fields) for sensor, fields in record.values.items()}
        for record in RecordParser(config).parse(text)
    ]


documents = st.recursive(
    st.integers() | st.text(max_size=3) | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(exclude_characters='"'), max_size=4), inner, max_size=3
        )
    ),
    max_leaves=8,
)


def leaves(document: object, path: str = "$") -> list[tuple[str, object]]:
    if isinstance(document, dict):
        return [x for k, v in document.items() for x in leaves(v, f'{path}["{k}"]')]
    if isinstance(document, list):
        return [x for i, v in enumerate(document) for x in leaves(v, f"{path}[{i}]")]
    return [(path, document)]


@given(documents)
def test_every_leaf_of_a_document_has_a_path(document: object) -> None:
    for path, leaf in leaves(document):
        assert find(document, parse_path(path)) == leaf


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.b", 1),
        ("$.a.b", 1),
        ("list[1].c", 3),
        ("list.1.c", 3),
        ("list[-1].c", 3),
        ('["x.y"]', 4),
        ("a['b']", 1),
        ("7", 5),
    ],
)
def test_paths_may_be_written_in_several_ways(path: str, expected: int) -> None:
    document = {"a": {"b": 1}, "list": [{"c": 2}, {"c": 3}], "x.y": 4, "7": 5}
    assert find(document, parse_path(path)) == expected


@pytest.mark.parametrize("path", ["a[", "a[x]", ".a", "a..b", "a[1", 'a["b]'])
def test_broken_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="expected a path"):
        parse_path(path)


@pytest.mark.parametrize("path", ["a.c", "list[5]", "a[0]", "a.b.c"])
def test_path_into_nothing_finds_nothing(path: str) -> None:
    with pytest.raises(NotThere):
        find({"a": {"b": 1}, "list": []}, parse_path(path))


def test_json_without_points_gives_all_that_a_field_can_hold() -> None:
    text = json.dumps(
        {"temp-1": 1.5, "on": True, "id": "x", "deep": {"a": 1}, "none": None, "2": 3}
    )
    assert parse(text) == [{None: {"temp_1": 1.5, "on": True, "value_id": "x", "_2": 3}}]
    assert parse("21.5") == [{None: {"value": 21.5}}]
    assert parse('[{"a": 1}, {"a": 2}]') == [{None: {"a": 1}}, {None: {"a": 2}}]


def test_elements_without_any_wanted_value_are_left_out() -> None:
    point = (KeyPoint(key="a"),)
    assert parse('[{"a": 1}, {"b": 2}]', point=point) == [{None: {"a": 1}}]
    with pytest.raises(ValueError, match="nothing that was looked for"):
        parse('{"b": 2}', point=point)


def test_text_that_breaks_its_reader_is_only_a_wrong_text() -> None:
    scaled = (KeyPoint(key="a", scale=0.1),)
    with pytest.raises(ValueError, match="too large for a number"):
        parse(f'{{"a": 1{"0" * 400}}}', point=scaled)
    assert parse(f'[{{"a": 1{"0" * 400}}}, {{"a": 2}}]', point=scaled) == [{None: {"a": 0.2}}]
    with pytest.raises(ValueError, match="field limit"):
        parse(f'1,"{"x" * 140_000}', format="csv", columns=("a", "b"))


def test_text_is_a_number_only_where_the_format_has_no_numbers() -> None:
    assert parse('{"a": "7"}') == [{None: {"a": "7"}}]
    assert parse('{"a": "7"}', point=(KeyPoint(key="a", datatype="number"),)) == [{None: {"a": 7}}]
    assert parse("7,007", format="csv", columns=("a", "b")) == [{None: {"a": 7, "b": 7}}]
    kept = (KeyPoint(key="2", datatype="text", field="b"),)
    assert parse("7,007", format="csv", point=kept) == [{None: {"b": "007"}}]
    assert parse("1_000;nan", format="csv", columns=("a", "b"), delimiter=";") == [
        {None: {"a": "1_000", "b": "nan"}}
    ]


def test_heading_of_a_csv_text_is_no_record() -> None:
    text = 'a,b\n1,"x, y"\n\n2,\n'
    assert parse(text, format="csv", columns=("a", "b")) == [
        {None: {"a": 1, "b": "x, y"}},
        {None: {"a": 2}},
    ]


def test_pattern_without_names_gives_its_first_group() -> None:
    assert parse("t=42.8'C", format="regex", pattern=re.compile(r"t=([\d.]+)")) == [
        {None: {"value": 42.8}}
    ]
    two = (KeyPoint(key="2", field="b", scale=10),)
    assert parse("1 2", format="regex", pattern=re.compile(r"(\d) (\d)"), point=two) == [
        {None: {"b": 20}}
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-21T08:00:00Z", 1_795_248_000_000_000),
        ("2026-11-21T09:00:00.25+01:00", 1_795_248_000_250_000),
        ("2026-11-21 08:00:00", 1_795_248_000_000_000),
        (1_795_248_000, 1_795_248_000_000_000),
        ("1795248000.5", 1_795_248_000_500_000),
        (1_795_248_000_123, 1_795_248_000_123_000),
        (1_795_248_000_123_456, 1_795_248_000_123_456),
        (1_795_248_000_123_456_000, 1_795_248_000_123_456),
    ],
)
def test_times_are_read_as_devices_write_them(value: object, expected: int) -> None:
    assert parse_time(value) == expected


@pytest.mark.parametrize("value", ["", "noon", -1, True, None, float("nan"), 1e300, "1e9"])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        parse_time(value)


def test_time_of_the_device_needs_no_correction() -> None:
    stamp = device_stamp(Clock(lambda: False).stamp(), 5)
    assert (stamp.wall_us, stamp.synced) == (5, True)


def test_record_is_new_when_its_time_is_later() -> None:
    novelty = Novelty()
    first, later = Record({None: {"a": 1}}, 10), Record({None: {"a": 1}}, 11)
    assert [novelty.is_new(r) for r in (first, first, later, first)] == [True, False, True, False]
    assert novelty.is_new(first, "another topic")
    untimed = Record({None: {"a": 1}})
    assert novelty.is_new(untimed)
    assert novelty.is_new(untimed)


@given(st.lists(st.binary(max_size=30)), st.integers(1, 40))
def test_lines_do_not_depend_on_how_the_bytes_came(pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    whole, cut = LineSplitter(longest=10**6), LineSplitter(longest=10**6)
    expected = [*whole.feed(data), *whole.end()]
    parts = [data[i : i + size] for i in range(0, len(data), size)]
    assert [*(line for part in parts for line in cut.feed(part)), *cut.end()] == expected


@given(st.text())
def test_any_text_gives_names_that_the_platform_takes(text: str) -> None:
    assert re.fullmatch(FIELD_NAME, field_from(text))
    assert SENSOR_NAME.fullmatch(sensor_from(text))


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_tidy_number_is_the_same_in_32_bits(value: float) -> None:
    assert struct.pack("f", tidy_float32(value)) == struct.pack("f", value)
    assert tidy_float32(struct.unpack("f", struct.pack("f", 21.1))[0]) == 21.1


@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from("ab")), max_size=60))
def test_throttle_sends_the_newest_and_never_too_often(gaps: list[tuple[float, str]]) -> None:
    throttle, now = Throttle(2.0), 0.0
    sent: dict[str, list[tuple[float, object]]] = {"a": [], "b": []}
    offered: dict[str, list[object]] = {"a": [], "b": []}
    for number, (gap, name) in enumerate(gaps):
        for step in range(10):
            for sample in throttle.due(now + gap * step / 10):
                sent[sample.sensor].append((now + gap * step / 10, sample.fields["n"]))
        now += gap
        offered[name].append(number)
        for sample in throttle.offer(Sample(name, {"n": number}), now):
            sent[name].append((now, sample.fields["n"]))
    for sample in throttle.due(now + 10):
        sent[sample.sensor].append((now + 10, sample.fields["n"]))
    for name in "ab":
        times = [at for at, _ in sent[name]]
        assert all(late - early > 2.0 - 1e-6 for early, late in itertools.pairwise(times))
        numbers = [number for _, number in sent[name]]
        assert numbers == sorted(set(map(int, map(str, numbers))))
        assert numbers[-1:] == offered[name][-1:], "the last one is never withheld for good"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mqtt://joe:se:cr@et@host/x", "mqtt://***@host/x"),
        ("cannot reach opc.tcp://u:p@h:4840 now", "cannot reach opc.tcp://***@h:4840 now"),
        ("http://h/p?q=1&appid=abc&x=2", "http://h/p?q=1&appid=***&x=2"),
        ("http://h/p?access_token=abc", "http://h/p?access_token=***"),
        ("mail joe@host about http://h", "mail joe@host about http://h"),
    ],
)
def test_secrets_in_addresses_are_never_shown(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_settings_of_another_format_are_told_with_their_lines(
    mistakes: Callable[[str], list[str]],
) -> None:
    head = '[[input]]\ntype = "file"\npath = "x"\n'
    assert mistakes(head + 'pattern = "a"\n') == ['4: input.pattern: is only for format "regex"']
    assert mistakes(head + 'format = "number"\ntime = "t"\n') == [
        '4: input.format: format "number" has one value and no time'
    ]
    two = '[[input.point]]\nkey = "a"\n[[input.point]]\nkey = "b"\nfield = "a"\n'
    assert mistakes(head + two) == [
        "8: input.point.field: 'a' is fed by another point, give each its own field"
    ]
