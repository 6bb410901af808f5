"""How often a password may be tried, by a clock that the test sets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from pacifica.notifications.errors import TooOften
from pacifica.notifications.rest.throttle import Throttle


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        """Give the time."""
        return self.at


def test_tries_are_bounded_until_the_first_is_old() -> None:
    """As many tries as a key may have are taken, then none until the window of the first has passed."""
    clock = Clock()
    throttle = Throttle(clock)

    throttle.take({"alice": 2}, 60)
    clock.at += 20
    throttle.take({"alice": 2}, 60)
    with pytest.raises(TooOften) as caught:
        throttle.take({"alice": 2}, 60)

    assert caught.value.seconds == 40
    throttle.take({"bob": 2}, 60)
    clock.at += 40
    throttle.take({"alice": 2}, 60)
    with pytest.raises(TooOften):
        throttle.take({"alice": 2}, 60)


def test_a_try_that_succeeded_does_not_count() -> None:
    """What is forgotten leaves room, and what was refused under one key counts under no other."""
    throttle = Throttle(Clock())

    for _ in range(5):
        throttle.take({"alice": 1, "address": 2}, 60)
        throttle.forget({"alice": 1, "address": 2})
    throttle.take({"alice": 1, "address": 2}, 60)
    for _ in range(5):
        with pytest.raises(TooOften):
            throttle.take({"alice": 1, "address": 2}, 60)

    throttle.take({"bob": 1, "address": 2}, 60)
    with pytest.raises(TooOften):
        throttle.take({"carol": 1, "address": 2}, 60)


def test_tries_at_once_are_counted() -> None:
    """Of many tries at the same time as many are taken as may be."""
    throttle = Throttle(Clock())

    def taken(_: int) -> bool:
        try:
            throttle.take({"alice": 7}, 60)
        except TooOften:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(taken, range(200))) == 7


def test_names_without_end_take_no_memory_without_end() -> None:
    """Of more names than are remembered the oldest are forgotten, the newest are not."""
    throttle = Throttle(Clock())

    for number in range(25_000):
        throttle.take({f"user {number}": 1}, 60)

    throttle.take({"user 0": 1}, 60)
    with pytest.raises(TooOften):
        throttle.take({"user 24999": 1}, 60)
