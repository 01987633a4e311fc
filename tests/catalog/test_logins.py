from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wotkit import times
from wotkit.catalog import Catalog, logins
from wotkit.catalog.models import LoginFailure

if TYPE_CHECKING:
    from collections.abc import Callable

SECOND = 1_000_000
ALICE = logins.account("alice")
HERE = logins.address("192.0.2.1")


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the clock, in seconds."""

    def at(seconds: float) -> None:
        monkeypatch.setattr(times, "now", lambda: round(seconds * SECOND))

    return at


def wait(catalog: Catalog, subject: str, limit: int) -> float:
    return catalog.read(logins.wait, subject, limit=limit, window_seconds=60)


def test_wait_ends_when_the_oldest_failure_that_counts_leaves_the_window(
    catalog: Catalog, at: Any
) -> None:
    for second in (1000, 1010, 1020):
        at(second)
        catalog.write(logins.record, ALICE)
    assert wait(catalog, ALICE, 4) == 0
    assert wait(catalog, ALICE, 3) == 40
    assert wait(catalog, ALICE, 2) == 50
    assert wait(catalog, ALICE, 1) == 60
    at(1059.5)
    assert wait(catalog, ALICE, 3) == 0.5
    at(1060)
    assert wait(catalog, ALICE, 3) == 0
    assert wait(catalog, ALICE, 2) == 10
    at(1081)
    assert wait(catalog, ALICE, 1) == 0


@given(
    st.lists(st.integers(0, 200), max_size=12),
    st.integers(0, 200),
    st.integers(1, 5),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_wait_is_exactly_as_long_as_the_limit_is_reached(
    catalog: Catalog, failures: list[int], now: int, limit: int
) -> None:
    times_of = [second for second in failures if second <= now]

    def reached(moment: int) -> bool:
        return sum(moment - 60 < second for second in times_of) >= limit

    with pytest.MonkeyPatch.context() as patch:
        catalog.write(lambda: LoginFailure.delete().execute())
        for second in times_of:
            patch.setattr(times, "now", lambda second=second: (1000 + second) * SECOND)
            catalog.write(logins.record, ALICE)
        patch.setattr(times, "now", lambda: (1000 + now) * SECOND)
        seconds = wait(catalog, ALICE, limit)
    assert (seconds > 0) == reached(now)
    if seconds:
        assert not reached(now + int(seconds))
        assert reached(now + int(seconds) - 1)


def test_subjects_are_counted_apart_and_together(catalog: Catalog) -> None:
    catalog.write(logins.record, ALICE, HERE)
    catalog.write(logins.record, logins.account("bobby"), HERE)
    for subject, count in ((ALICE, 1), (logins.account("bobby"), 1), (HERE, 2)):
        assert wait(catalog, subject, count) > 0
        assert wait(catalog, subject, count + 1) == 0
    longest = catalog.read(logins.longest_wait, {ALICE: 2, HERE: 2}, window_seconds=60)
    assert 50 < longest <= 60
    assert catalog.read(logins.longest_wait, {ALICE: 2, HERE: 3}, window_seconds=60) == 0


def test_account_and_address_of_the_same_text_differ() -> None:
    assert logins.account("192.0.2.1") != logins.address("192.0.2.1")
    assert logins.account("Alice") == logins.account("alice")


def test_endless_name_is_kept_short() -> None:
    assert len(logins.account("x" * 1_000_000)) < 120
    assert len(logins.address("x" * 1_000_000)) < 120


def test_clock_set_back_does_not_lengthen_the_wait(catalog: Catalog, at: Any) -> None:
    at(100_000)
    catalog.write(logins.record, ALICE)
    at(1_000)
    assert 0 < wait(catalog, ALICE, 1) <= 60


def test_good_login_forgets_one_subject_only(catalog: Catalog) -> None:
    catalog.write(logins.record, ALICE, HERE)
    catalog.write(logins.forget, ALICE)
    assert wait(catalog, ALICE, 1) == 0
    assert wait(catalog, HERE, 1) > 0


def test_old_failures_are_forgotten(catalog: Catalog, at: Any) -> None:
    for second in (10, 20, 30):
        at(second)
        catalog.write(logins.record, ALICE, HERE)
    assert catalog.write(logins.forget_before, 20 * SECOND) == 2
    assert catalog.read(lambda: LoginFailure.select().count()) == 4


def test_failures_do_not_make_processes_forget(catalog: Catalog) -> None:
    watch = catalog.watch()
    before = watch.revision()
    catalog.write(logins.record, ALICE)
    catalog.write(logins.forget, ALICE)
    assert watch.revision() == before
    watch.close()
