"""Removing events: in batches, with all that hangs on them, and nothing that is not finished."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from pacifica.notifications import orm
from pacifica.notifications.orm import DeliveryAttempt, EventLog, EventLogMatch, GateAnswer, Purge, Settlement
from pacifica.notifications.retry import Outcome, State

from .rows import at_once, deliveries, lanes, stored, subscription

pytestmark = pytest.mark.usefixtures("database")

LONG = 3600.0


def route() -> None:
    """Mark every event routed."""
    for row in EventLog.claim_unrouted(10_000, LONG):
        row.finish_routing(1)


def finished(count: int, state: State = State.DELIVERED) -> list[UUID]:
    """Store routed events, each with a delivery that ended after an attempt, and an answer of the policy server."""
    rows = deliveries(count)
    route()
    claimed = orm.claim_due(count, LONG)
    with orm.transaction():
        outcome = Outcome(status=200)
        EventLogMatch.settle(Settlement(row, state, "ended", delay=0.0, outcome=outcome) for row in claimed)
    GateAnswer.claim([(row.event_log_id, "alice") for row in rows], LONG)
    return [row.event_log_id for row in rows]


def later() -> datetime:
    """Return a moment after everything that is stored."""
    return orm.now() + timedelta(seconds=60)


def purge(
    uuids: Sequence[UUID] = (), before: datetime | None = None, force: bool = False, size: int = 500
) -> list[int]:
    """Remove batch by batch, and return how many each removed."""
    removing = Purge(uuids, before or later(), force)
    batches = []
    while removed := removing.batch(size):
        batches.append(removed)
    return batches


def test_events_go_with_all_that_hangs_on_them() -> None:
    """Deliveries, attempts and answers of removed events go, those of others and the subscriptions stay."""
    gone, kept = finished(3), finished(2)

    assert purge(gone) == [3]

    assert {row.uuid for row in EventLog.select()} == set(kept)
    assert {row.event_log_id for row in EventLogMatch.select()} == set(kept)
    assert {row.event_log_id for row in GateAnswer.select()} == set(kept)
    assert DeliveryAttempt.select().count() == 2
    assert orm.EventMatch.select().count() == 2


def test_they_go_in_batches() -> None:
    """No batch is larger than asked for, and at last nothing is left."""
    finished(7)
    removing = Purge((), later(), force=False)

    assert removing.count() == (7, 0)
    assert removing.batch(3) == 3
    assert removing.count() == (4, 0)
    assert [removing.batch(3), removing.batch(3), removing.batch(3)] == [3, 1, 0]
    assert [model.select().count() for model in (EventLog, EventLogMatch, DeliveryAttempt, GateAnswer)] == [0] * 4


@pytest.mark.parametrize("state", [State.DELIVERED, State.REFUSED, State.DEAD, State.CANCELLED])
def test_every_terminal_state_is_finished(state: State) -> None:
    """Whatever a delivery ended as, its event can be removed."""
    finished(1, state)

    assert purge() == [1]


def test_what_is_not_finished_is_left_and_counted() -> None:
    """Events that are not routed, or have one pending delivery among others, stay unless forced."""
    done = finished(2)
    pending = finished(1, State.PENDING)
    EventLogMatch.add(done[1], lanes(subscription()))
    unrouted = stored()

    assert Purge((), later(), force=False).count() == (1, 3)
    assert purge() == [1]
    assert {row.uuid for row in EventLog.select()} == {done[1], *pending, unrouted}
    assert Purge((), later(), force=True).count() == (3, 0)
    assert purge(force=True) == [3]
    assert EventLogMatch.select().count() == 0


def test_an_event_that_matched_nothing_is_finished() -> None:
    """Routed without a delivery is routed."""
    stored()
    route()

    assert purge() == [1]


def test_only_what_is_older_goes() -> None:
    """Without uuids the time of acceptance decides."""
    old, new = finished(2)
    moment = orm.now() - timedelta(hours=2)
    EventLog.update(created=moment).where(EventLog.uuid == old).execute()

    assert purge(before=moment) == []
    assert purge(before=moment + timedelta(seconds=1)) == [1]
    assert [row.uuid for row in EventLog.select()] == [new]


def test_named_events_go_whatever_their_age() -> None:
    """With uuids those alone are meant, also the newest; unknown ones are nobody."""
    [named, _other] = finished(2)

    assert Purge([named, uuid4()], datetime(2000, 1, 1), force=False).count() == (1, 0)
    assert purge([named, uuid4()], datetime(2000, 1, 1)) == [1]
    assert EventLog.select().count() == 1


def test_work_goes_on_while_events_are_removed() -> None:
    """Storing, routing and settling beside a purge fail for nobody and lose nothing that is not finished."""
    owner = subscription()
    over = threading.Event()

    def work() -> int:
        made = 0
        try:
            for _ in range(15):
                stored()
                for row in EventLog.claim_unrouted(10, LONG):
                    with orm.transaction():
                        if row.finish_routing(1):
                            made += EventLogMatch.add(row.uuid, lanes(owner))
                claimed = orm.claim_due(10, LONG)
                with orm.transaction():
                    outcome = Outcome(status=200)
                    EventLogMatch.settle(Settlement(row, State.DELIVERED, "ended", outcome=outcome) for row in claimed)
        finally:
            over.set()
        return made

    def remove() -> int:
        removed = 0
        while not over.is_set():
            removed += sum(purge(size=2))
        return removed + sum(purge())

    made, removed = at_once([work, remove])

    assert made == removed == 15
    assert EventLog.select().count() == 0
