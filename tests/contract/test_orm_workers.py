"""Signs of life in the database: who works under a name, and whether anybody does."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from pacifica.notifications import orm
from pacifica.notifications.orm import Worker

from .rows import at_once

pytestmark = pytest.mark.usefixtures("database")


def silent_for(seconds: float) -> None:
    """Let every worker have been seen so many seconds ago."""
    Worker.update(seen=orm.now() - timedelta(seconds=seconds)).execute()


def test_the_first_takes_the_name_and_keeps_it() -> None:
    """Of two processes under one name the first works as long as it gives signs of life."""
    found = [Worker.beat("embedded", holder, 20) for holder in ("one", "two", "one", "two")]

    assert found == [True, False, True, False]


def test_a_silent_holder_is_replaced() -> None:
    """Whoever was silent for too long has lost the name, and is told so when it comes back."""
    assert Worker.beat("embedded", "one", 20)

    silent_for(19)
    assert not Worker.beat("embedded", "two", 20)
    silent_for(21)
    assert Worker.beat("embedded", "two", 20)
    assert not Worker.beat("embedded", "one", 20)


def test_a_holder_that_was_silent_goes_on_if_nobody_came() -> None:
    """Silence alone costs nothing."""
    Worker.beat("embedded", "one", 20)
    silent_for(1000)

    assert Worker.beat("embedded", "one", 20)
    assert not Worker.beat("embedded", "two", 20)


def test_a_name_that_was_given_up_is_free() -> None:
    """A holder that leaves is replaced at once; nobody else can leave for it."""
    Worker.beat("embedded", "one", 20)

    Worker.leave("embedded", "two")
    assert not Worker.beat("embedded", "two", 20)
    Worker.leave("embedded", "one")
    assert Worker.beat("embedded", "two", 20)


def test_workers_with_names_of_their_own_do_not_meet() -> None:
    """Any number of workers may be at work under different names."""
    assert all(Worker.beat(f"worker-{number}", "holder", 20) for number in range(5))


@pytest.mark.parametrize("old", [False, True])
def test_of_many_that_want_a_name_at_once_one_gets_it(old: bool) -> None:
    """A new name, and one whose holder is gone, goes to one of those who want it at once."""
    if old:
        Worker.beat("embedded", "gone", 20)
        silent_for(1000)

    found = at_once([partial(Worker.beat, "embedded", f"holder-{number}", 20) for number in range(15)])

    assert found.count(True) == 1
    assert Worker.get_by_id("embedded").holder == f"holder-{found.index(True)}"


def test_whether_anybody_is_at_work() -> None:
    """A worker counts from its last sign of life, by the database's clock."""
    assert not Worker.seen_within(1000)

    Worker.beat("one", "holder", 20)
    silent_for(100)
    assert not Worker.seen_within(50)
    Worker.beat("two", "holder", 20)

    assert Worker.seen_within(50)
    silent_for(100)
    assert (Worker.seen_within(50), Worker.seen_within(200)) == (False, True)


def test_names_of_long_ago_are_forgotten() -> None:
    """Workers that were not seen for a long time leave no row for ever."""
    Worker.beat("old", "holder", 20)
    silent_for(100)
    Worker.beat("new", "holder", 20)

    Worker.forget_older(50)

    assert [row.name for row in Worker.select()] == ["new"]
