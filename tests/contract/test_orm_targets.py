"""What is kept of targets in trouble, and for how long."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pacifica.notifications import orm
from pacifica.notifications.config import Delivery
from pacifica.notifications.orm import TargetState

pytestmark = pytest.mark.usefixtures("database")

HOUR = 3600.0


def failed(place: str, times: int = 1) -> None:
    """Let a target fail."""
    with orm.transaction():
        TargetState.failed(place, times, None, Delivery(breaker_failures=5))


def test_what_says_nothing_any_more_is_forgotten() -> None:
    """A target that answered, or was left alone long ago, has no row; one that fails, or is left alone now, has."""
    for place, times in (("answered", 1), ("shut and answered", 5), ("shut long ago", 5), ("fails", 2), ("shut", 5)):
        failed(place, times)
    with orm.transaction():
        TargetState.answered(["answered", "shut and answered"])
    long_ago = orm.now() - timedelta(seconds=2 * HOUR)
    TargetState.update(open_until=long_ago).where(TargetState.place == "shut long ago").execute()

    TargetState.forget_older(HOUR)

    assert {row.place for row in TargetState.select()} == {"fails", "shut"}


def test_a_pace_is_kept_as_long_as_it_holds() -> None:
    """The rate of a target that never failed is forgotten once it bounds nothing."""
    for place in ("now", "before"):
        assert TargetState.take(place, 1.0, 1) == 1
    long_ago = orm.now() - timedelta(seconds=2 * HOUR)
    TargetState.update(paced_until=long_ago).where(TargetState.place == "before").execute()

    TargetState.forget_older(HOUR)

    assert [row.place for row in TargetState.select()] == ["now"]
