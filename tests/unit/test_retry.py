"""What an attempt came to, and when the next one is."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacifica.notifications.retry import (
    MOST_ATTEMPTS,
    Exponential,
    Failure,
    Outcome,
    Schedule,
    State,
    growing,
    policy,
    varied,
)

HTTP = Outcome(status=500, failure=Failure.HTTP)
#: Chance at its ends and in the middle.
LEAST, MIDDLE, MOST = (lambda: 0.0), (lambda: 0.5), (lambda: 1.0)


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (200, None),
        (201, None),
        (204, None),
        (299, None),
        (300, Failure.REDIRECT),
        (301, Failure.REDIRECT),
        (307, Failure.REDIRECT),
        (399, Failure.REDIRECT),
        (400, Failure.HTTP),
        (410, Failure.HTTP),
        (500, Failure.HTTP),
        (599, Failure.HTTP),
        (199, Failure.HTTP),
        (600, Failure.HTTP),
    ],
)
def test_only_2xx_is_delivered(status: int, failure: Failure | None) -> None:
    """2xx is a success, a redirect a failure of its own, anything else a failure."""
    outcome = Outcome.of_status(status, 1.5, b"answer")

    assert outcome == Outcome(status, failure, 1.5, b"answer")
    assert outcome.delivered == (failure is None)


def test_only_410_is_permanent() -> None:
    """410 alone says that the target never wants anything again."""
    statuses = [status for status in range(200, 600) if Outcome.of_status(status, 0, b"").permanent]

    assert statuses == [410]


def test_what_counts_for_the_target() -> None:
    """No connection, no TLS, no whole answer, and being busy say something about the target; other answers do not."""
    failures = {failure for failure in Failure if Outcome(failure=failure).counts_for_target}
    statuses = {status for status in range(100, 700) if Outcome.of_status(status, 0, b"").counts_for_target}

    assert failures == {Failure.DNS, Failure.REFUSED, Failure.TLS, Failure.TIMEOUT, Failure.RESET}
    assert statuses == {429, 503}


@pytest.mark.parametrize("failure", list(Failure))
def test_every_failure_has_a_reason(failure: Failure) -> None:
    """An attempt without an answer is no delivery and says why in words of its own."""
    outcome = Outcome(failure=failure)

    reasons = {Outcome(failure=other).reason for other in Failure}

    assert not outcome.delivered
    assert not outcome.permanent
    assert len(reasons) == len(Failure)
    assert outcome.reason in reasons


def test_the_reason_of_an_answer_names_its_status() -> None:
    """The reason says what was answered, a redirect that it is not followed, and nothing of the target's text."""
    assert Outcome.of_status(204, 0, b"secret").reason == "answered 204"
    assert Outcome.of_status(503, 0, b"secret").reason == "answered 503"
    assert Outcome.of_status(302, 0, b"secret").reason == "answered 302, a redirect, which is not followed"


def test_each_delay_stands_before_its_attempt() -> None:
    """The schedule gives the delays in order and None after the last."""
    schedule = Schedule((5, 30, 120))

    assert [schedule.after(attempt, HTTP) for attempt in (1, 2, 3, 4, 5)] == [5, 30, 120, None, None]


def test_an_empty_schedule_means_one_attempt() -> None:
    """Without delays nothing is tried again."""
    assert Schedule(()).after(1, HTTP) is None


def test_410_ends_the_attempts() -> None:
    """A target that never wants anything again is not asked again."""
    assert Schedule((5, 30)).after(1, Outcome.of_status(410, 0, b"")) is None


def test_delays_are_varied_by_their_share() -> None:
    """Jitter takes a delay from one end of its range to the other."""
    schedule = Schedule((100,), jitter=0.2)

    assert [schedule.after(1, HTTP, chance) for chance in (LEAST, MIDDLE, MOST)] == [80, 100, 120]


def test_the_age_is_no_matter_to_a_schedule() -> None:
    """A schedule ends with its last delay, however old the delivery is."""
    assert Schedule((5, 30)).after(2, HTTP, age=1e9) == 30


def test_delays_grow_by_their_factor_to_the_cap() -> None:
    """Each delay is the last one times the factor, and none is longer than the cap."""
    doubled = Exponential(base=5, cap=3600)
    halves = Exponential(base=2, factor=1.5, cap=10)
    even = Exponential(base=60, factor=1, cap=60)

    assert [doubled.after(attempt, HTTP) for attempt in (1, 2, 3, 10, 11, 12)] == [5, 10, 20, 2560, 3600, 3600]
    assert [halves.after(attempt, HTTP) for attempt in (1, 2, 3, 4, 5, 6)] == [2, 3, 4.5, 6.75, 10, 10]
    assert [even.after(attempt, HTTP) for attempt in (1, 2, 1000)] == [60, 60, 60]
    assert Exponential(base=1, factor=1000, cap=7).after(MOST_ATTEMPTS - 1, HTTP) == 7


def test_growing_delays_end_with_the_age() -> None:
    """An attempt that would begin after the total is not made, one at its end is."""
    policy = Exponential(base=5, cap=3600, total=100)

    assert policy.after(3, HTTP, age=80) == 20
    assert policy.after(3, HTTP, age=80.001) is None
    assert Exponential(base=5, total=0).after(1, HTTP) is None
    # With the factor's and the cap's defaults, at once after each: how many there are in a day.
    day, age, attempt = Exponential(base=5), 0.0, 1
    while (delay := day.after(attempt, HTTP, MIDDLE, age=age)) is not None:
        age, attempt = age + delay, attempt + 1
    assert (attempt, age) == (33, 5 * (2**10 - 1) + 22 * 3600)


def test_growing_delays_are_varied_by_their_share() -> None:
    """Jitter varies a delay after the cap, and counts for the age."""
    policy = Exponential(base=100, cap=100, total=110, jitter=0.2)

    assert [policy.after(1, HTTP, chance) for chance in (LEAST, MIDDLE, MOST)] == [80, 100, None]


def test_410_ends_growing_delays() -> None:
    """A target that never wants anything again is not asked again."""
    assert Exponential(base=5).after(1, Outcome.of_status(410, 0, b"")) is None


def test_attempts_are_bounded_however_short_the_delays_are() -> None:
    """Nobody lets the service try for ever."""
    hasty = Exponential(base=1e-9, factor=1)

    assert hasty.after(MOST_ATTEMPTS - 1, HTTP) == 1e-9
    assert hasty.after(MOST_ATTEMPTS, HTTP) is None


DEFAULT = Schedule((5, 30), jitter=0.2)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (None, DEFAULT),
        ({}, DEFAULT),
        ({"schedule": []}, Schedule((), 0.2)),
        ({"schedule": [1, 2.5], "jitter": 0}, Schedule((1.0, 2.5), 0.0)),
        ({"base": 5}, Exponential(5.0, 2.0, 3600.0, 86400.0, 0.2)),
        (
            {"base": 5, "factor": 3, "cap": 60, "total": 600, "jitter": 0.5},
            Exponential(5.0, 3.0, 60.0, 600.0, 0.5),
        ),
    ],
)
def test_a_subscription_has_a_policy_of_its_own(members: Any, expected: Schedule | Exponential) -> None:
    """What a subscription says is its policy; what it does not say is the default's."""
    assert policy(members, DEFAULT) == expected
    assert policy(members, Exponential(7, jitter=0.2)) == (expected if members else Exponential(7, jitter=0.2))


def test_a_policy_reckons_in_fractions() -> None:
    """Whole numbers in JSON are no whole numbers here: their powers would be as long as a book."""
    growing_delays = policy({"base": 1, "factor": 1000, "cap": 10}, DEFAULT)

    assert growing_delays.after(MOST_ATTEMPTS - 1, HTTP, MIDDLE) == 10
    assert {type(value) for value in astuple(growing_delays)} == {float}


@given(st.floats(1e-9, 1e9), st.floats(1, 1000), st.floats(0, 0.9), st.integers(1, MOST_ATTEMPTS), st.floats(0, 1))
def test_no_growing_delay_leaves_its_range(
    base: float, factor: float, jitter: float, attempt: int, chance: float
) -> None:
    """Whatever the members are, a delay is a number from nothing to the cap and its jitter."""
    found = Exponential(base, factor, cap=1e9, total=1e10, jitter=jitter).after(attempt, HTTP, lambda: chance)

    if attempt == MOST_ATTEMPTS:
        assert found is None
    else:
        assert found is not None
        assert 0 <= found <= 1e9 * (1 + jitter) * 1.001


@given(st.floats(0, 1e6), st.floats(0, 0.9), st.floats(0, 1))
def test_no_delay_leaves_its_range(delay: float, jitter: float, chance: float) -> None:
    """A varied delay is never negative and never further off than the jitter says."""
    found = varied(delay, jitter, lambda: chance)

    assert found >= 0
    assert delay * (1 - jitter) == pytest.approx(found) or delay * (1 - jitter) < found
    assert delay * (1 + jitter) == pytest.approx(found) or found < delay * (1 + jitter)


def test_by_itself_the_chance_is_random() -> None:
    """Many deliveries that failed together are not tried again together."""
    schedule = Schedule((100,), jitter=0.2)

    assert len({schedule.after(1, HTTP) for _ in range(20)}) > 10
    assert len({growing(3, 900) for _ in range(20)}) > 10


def test_intervals_grow_to_the_longest() -> None:
    """What failed ever so often is asked again at growing intervals, at last at the longest."""
    assert [growing(times, 900, MIDDLE) for times in (1, 2, 3, 4, 8, 9, 10, 10_000)] == [
        5,
        10,
        20,
        40,
        640,
        900,
        900,
        900,
    ]


def test_every_state_but_pending_is_terminal() -> None:
    """The words of the states are those of the table."""
    assert [str(state) for state in State] == ["pending", "delivered", "refused", "dead", "cancelled"]
