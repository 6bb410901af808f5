"""The writer of a process: every event that waits is answered, as its own fate is, on every database."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest

from pacifica.notifications import events, orm
from pacifica.notifications.config import Receive
from pacifica.notifications.errors import Overloaded, Unavailable
from pacifica.notifications.orm import EventLog
from pacifica.notifications.writer import Writer
from tests.support.databases import locked
from tests.support.together import together
from tests.support.wait import until

from .rows import event


@pytest.fixture
def made(database: str) -> Iterator[Writer]:
    """A writer."""
    made = Writer(Receive())
    yield made
    made.stop()


def tried(made: Writer, sent: events.Event) -> orm.Stored | Exception:
    """Store an event; give what is raised."""
    try:
        return made.store(orm.NewEvent.of(sent), len(sent.text))
    except Exception as error:  # noqa: BLE001 - the tests look at it
        return error


def test_a_bad_row_fails_alone(made: Writer, database: str) -> None:
    """Of events that are stored in one transaction only the one that can't be is refused; its neighbours are there."""
    good = [event() for _ in range(7)]
    bad = replace(event(), text="\ud800")

    found = together([partial(tried, made, each) for each in [*good[:3], bad, *good[3:]]])

    assert isinstance(found.pop(3), UnicodeEncodeError)
    assert {each.uuid for each in found if isinstance(each, orm.Stored)} == {row.uuid for row in EventLog.select()}
    assert len(found) == EventLog.select().count() == 7


def test_large_events_are_stored_beside_small_ones(made: Writer) -> None:
    """Events of the largest size, in any number, are stored."""
    large = [event(data=str(number) * 1_000_000) for number in range(5)]

    found = together([partial(tried, made, each) for each in [*large, *(event() for _ in range(20))]])

    assert all(isinstance(each, orm.Stored) for each in found)
    assert EventLog.select().count() == 25


def test_what_waits_too_long_is_told_so(database: str) -> None:
    """An event that is not stored in time is answered as unavailable; sent again later, there is one of it."""
    made = Writer(Receive(timeout=0.2))
    sent = event()
    with locked(database):
        first = tried(made, sent)
        # The writer waits for longer than any event may: there is no use in waiting behind it.
        second = tried(made, event())

    made.stop()
    again = Writer(Receive())
    last = tried(again, sent)
    again.stop()

    assert isinstance(first, Unavailable)
    assert isinstance(second, Unavailable)
    assert isinstance(last, orm.Stored)
    assert EventLog.select().where(EventLog.event_id == sent.id).count() == 1


def test_too_many_are_turned_away_at_once(database: str, caplog: pytest.LogCaptureFixture) -> None:
    """Past the bound events are refused while the others still wait, and these are stored; the log has one line."""
    made = Writer(Receive(timeout=60, queue=2))

    with ThreadPoolExecutor(16) as threads:
        with locked(database):
            sent = [threads.submit(tried, made, event()) for _ in range(16)]
            # The writer has one and two may wait; one or another slips in between.
            until(lambda: sum(each.done() for each in sent) >= 8, 30, "answers while nothing can be stored")
            refused = [each.result() for each in sent if each.done()]
        found = [each.result(60) for each in sent]
    made.stop()

    assert {type(each) for each in refused} == {Overloaded}
    assert sum(isinstance(each, orm.Stored) for each in found) == EventLog.select().count() >= 3
    assert {type(each) for each in found} == {Overloaded, orm.Stored}
    assert len([record for record in caplog.records if "intake.overloaded" in record.message]) == 1


def test_the_members_of_a_batch_wait_one_and_all(database: str) -> None:
    """The bound is in events: few requests of many events fill the queue as well."""
    settings = Receive(timeout=60, queue=5)
    made = Writer(settings)

    def batch() -> object:
        try:
            # So large that the writer stores no other one with it.
            return made.store_all([orm.NewEvent.of(event()) for _ in range(3)], settings.max_body // 2)
        except Overloaded as error:
            return error

    with ThreadPoolExecutor(16) as threads:
        with locked(database):
            sent = [threads.submit(batch) for _ in range(16)]
            until(lambda: sum(each.done() for each in sent) >= 12, 30, "answers while nothing can be stored")
        found = [each.result(60) for each in sent]
    made.stop()

    # Two wait, and the writer has one and perhaps the next.
    assert 3 <= sum(isinstance(each, list) for each in found) <= 4
