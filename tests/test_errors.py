from __future__ import annotations

import inspect

import pytest

from wotkit import errors
from wotkit.api.errors import STATUS
from wotkit.errors import CATALOGUE, Category, WotkitError

CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, WotkitError) and kind is not WotkitError
]


def test_numbers_are_unique_and_the_catalogue_is_in_their_order() -> None:
    numbers = [code.number for code in CATALOGUE]
    assert numbers == sorted(set(numbers))


def test_catalogue_lists_every_error_class() -> None:
    assert {kind.code for kind in CLASSES} == set(CATALOGUE)
    assert len(CLASSES) == len(CATALOGUE)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_error_has_a_message_and_help_of_its_own(kind: type[WotkitError]) -> None:
    assert kind.code.message.strip()
    assert kind.code.help.endswith(".")
    assert kind.__doc__
    assert 1000 <= kind.code.number <= 9999


def test_every_category_has_a_status() -> None:
    assert set(STATUS) == set(Category)


def test_error_in_words_has_the_details_a_developer_needs() -> None:
    error = errors.ValidationFailed("first line", more={"1.temp": "expected NUMBER"})
    assert str(error) == "Object has validation errors (first line; 1.temp: expected NUMBER)"
    assert str(errors.NotFound()) == "Could not locate this resource."
