from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wotkit.auth import passwords
from wotkit.errors import InvalidObject

COST = 4


@given(st.text(max_size=100))
@example("")
@example("\0")
@example("a" * 72)
@example("a" * 73)
@example("ü" * 36)
@example("\ud800")
@settings(max_examples=25, deadline=None)
def test_only_the_same_password_has_the_hash(password: str) -> None:
    hashed = passwords.hash_password(password, COST)
    assert passwords.verify_password(password, hashed)
    assert not passwords.verify_password(password + "x", hashed)
    assert not password or not passwords.verify_password(password[:-1], hashed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a" * 72, "a" * 73),
        ("a" * 72 + "b", "a" * 72 + "c"),
        ("a" * 71 + "ü", "a" * 71 + "û"),
        ("secret\0one", "secret\0two"),
        ("secret", "secret\0"),
        ("\0", ""),
        ("é", "e\u0301"),
        ("password", "Password"),
    ],
    ids=ascii,
)
def test_password_is_never_cut(one: str, other: str) -> None:
    assert not passwords.verify_password(other, passwords.hash_password(one, COST))
    assert not passwords.verify_password(one, passwords.hash_password(other, COST))


@pytest.mark.parametrize("hashed", ["", "x", "$2b$", "$2b$04$" + "!" * 53, "plain", "é" * 60])
def test_broken_hash_matches_nothing(hashed: str) -> None:
    assert not passwords.verify_password("password", hashed)


def test_same_password_has_another_hash_each_time() -> None:
    assert passwords.hash_password("a", COST) != passwords.hash_password("a", COST)


def test_unmatched_hash_takes_as_long_as_a_real_one() -> None:
    """A user who does not exist must not be told apart by time."""
    decoy = passwords.unmatched_hash(9)
    real = passwords.hash_password("another", 9)
    assert len(decoy) == len(real)
    spent = []
    for hashed in (real, decoy):
        started = time.thread_time()
        for _ in range(3):
            assert not passwords.verify_password("guess", hashed)
        spent.append(time.thread_time() - started)
    assert 0.5 < spent[1] / spent[0] < 2  # refused unread, it would be a thousandth


def test_hash_of_a_lower_cost_is_to_be_renewed() -> None:
    hashed = passwords.hash_password("a", 5)
    assert passwords.needs_rehash(hashed, 6)
    assert not passwords.needs_rehash(hashed, 5)
    assert not passwords.needs_rehash(hashed, 4)
    assert passwords.needs_rehash("broken", 4)


@pytest.mark.parametrize("password", ["", "short", "elevenchars", "password1234", "PASSWORD1234"])
def test_short_or_common_password_is_refused_by_name(password: str) -> None:
    with pytest.raises(InvalidObject) as caught:
        passwords.check_choice(password, 12)
    assert list(caught.value.more) == ["password"]
    assert password not in str(caught.value) or not password


def test_long_uncommon_password_may_be_chosen() -> None:
    passwords.check_choice("correct horse battery", 12)
    passwords.check_choice("x" * 12 + "\0" * 5000, 12)


def test_secret_is_random_letters_and_digits() -> None:
    found = {passwords.make_secret() for _ in range(50)}
    assert len(found) == 50
    assert all(re.fullmatch(r"[A-Za-z0-9]{32}", secret) for secret in found)


def test_secret_hash_is_sha256_and_compared_as_a_whole() -> None:
    hashed = passwords.hash_secret("abc")
    assert hashed == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert passwords.same_hash(hashed, passwords.hash_secret("abc"))
    assert not passwords.same_hash(hashed, hashed[:-1])
    assert not passwords.same_hash(hashed, passwords.hash_secret("abd"))
    assert passwords.hash_secret("\ud800") != passwords.hash_secret("?")
