from gateway_agent.toml_lines import LineIndex

TEXT = '''# a comment
title = "x"
[spool]
path = """
not = a key
[nor.a.table]
"""
sizes = [
  [1, 2],
  [3],
]
max_mb = 4 # comment
[[input]]
type = "a"
[[input.point]]
field = "one"
[[input.point]]
field = "two"
[[ "input" ]] # again
name.first = 1
'''


def test_keys_are_found_at_their_lines() -> None:
    lines = LineIndex(TEXT)
    assert lines.line("title") == 2
    assert lines.line("spool") == 3
    assert lines.line("spool", "path") == 4
    assert lines.line("spool", "sizes") == 8
    assert lines.line("spool", "max_mb") == 12


def test_elements_of_lists_are_told_apart() -> None:
    lines = LineIndex(TEXT)
    assert lines.line("input", 0, "type") == 14
    assert lines.line("input", 0, "point", 0, "field") == 16
    assert lines.line("input", 0, "point", 1, "field") == 18
    assert lines.line("input", 1) == 19
    assert lines.line("input", 1, "name", "first") == 20


def test_text_inside_values_is_no_key() -> None:
    assert LineIndex(TEXT).line("nor") is None


def test_missing_key_is_shown_at_its_section() -> None:
    assert LineIndex(TEXT).line("spool", "missing") == 3
    assert LineIndex(TEXT).line("nothing") is None
