from gateway_agent.backoff import Backoff


def upper(_: float, high: float) -> float:
    return high


def lower(low: float, _: float) -> float:
    return low


def test_bound_doubles_up_to_the_longest() -> None:
    backoff = Backoff(1, 300, upper)
    assert [backoff.next() for _ in range(11)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_full_jitter_may_be_no_delay_at_all() -> None:
    assert Backoff(1, 300, lower).next() == 0


def test_success_starts_again_from_the_first_bound() -> None:
    backoff = Backoff(1, 300, upper)
    backoff.next()
    backoff.next()
    backoff.reset()
    assert backoff.next() == 1
    assert backoff.failures == 1


def test_named_time_is_never_undercut() -> None:
    assert Backoff(1, 300, lower).next_at_least(120) == 120
    assert Backoff(1, 300, upper).next_at_least(120) == 133


def test_denied_key_waits_between_floor_and_ceiling() -> None:
    assert Backoff(60, 900, lower).next_between() == 60
    slow = Backoff(60, 900, upper)
    assert [slow.next_between() for _ in range(5)] == [120, 240, 480, 900, 900]


def test_thousands_of_failures_do_not_overflow() -> None:
    backoff = Backoff(1, 300, upper)
    assert max(backoff.next() for _ in range(5000)) == 300
