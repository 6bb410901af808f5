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

from .rows import at_once, deliveries, event, lanes, stored, subscription

pytestmark = pytest.mark.usefixtures("database")

LONG = 3600.0


def route() -> None:
    """Mark every event routed."""
    for row in EventLog.claim_unrouted(10_000, LONG):
        EventLog.finish_routing([row], 1)


def finished(count: int, state: State = State.DELIVERED) -> list[UUID]:
    """Store routed events, each with a delivery that ended after an attempt, and an answer of the policy server."""
    rows = deliveries(count)
    route()
    claimed = orm.claim_due(count, LONG)
    with orm.transaction():
        outcome = Outcome(status=200)
        EventLogMatch.settle(Settlement(row, state, "ended", delay=0.0, outcome=outcome) for row in claimed)
    GateAnswer.claim([(str(row.event_log_id), "alice") for row in rows], LONG)
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
                        if EventLog.finish_routing([row], 1):
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


# What has been kept for long enough.

DAY = 86400.0


def expire(events: float = 0, deliveries: float = 0, size: int = 200) -> tuple[int, int]:
    """Go once over all that is old, and return how many events and deliveries were removed."""
    steps = list(orm.expire(events, deliveries, size))
    return sum(step[0] for step in steps), sum(step[1] for step in steps)


def aged(event: UUID, accepted: float | None = None, ended: float | None = None) -> None:
    """Let an event have been accepted, and its deliveries have ended, so many seconds ago."""
    if accepted is not None:
        EventLog.update(created=orm.now() - timedelta(seconds=accepted)).where(EventLog.uuid == event).execute()
    if ended is not None:
        moment = orm.now() - timedelta(seconds=ended)
        EventLogMatch.update(finished=moment).where(EventLogMatch.event_log == event).execute()


def there() -> tuple[set[UUID], set[UUID]]:
    """Return the events that are there, and those of them that have deliveries."""
    return {row.uuid for row in EventLog.select()}, {row.event_log_id for row in EventLogMatch.select()}


@pytest.mark.parametrize("state", [State.DELIVERED, State.REFUSED, State.DEAD, State.CANCELLED])
def test_deliveries_go_by_the_time_when_they_ended(state: State) -> None:
    """A delivery that ended longer ago goes with its attempts, whatever it ended as; its event stays."""
    old, young = finished(2, state)
    aged(old, accepted=2 * DAY, ended=DAY + 60)
    aged(young, accepted=2 * DAY, ended=DAY - 60)

    assert expire(deliveries=DAY) == (0, 1)
    assert there() == ({old, young}, {young})
    assert DeliveryAttempt.select().count() == 1
    assert GateAnswer.select().count() == 2


def test_events_go_by_the_time_when_they_were_accepted() -> None:
    """An event that was accepted longer ago goes with what is left of it, a younger one stays."""
    old, young = finished(2)
    aged(old, accepted=DAY + 60, ended=DAY + 60)
    aged(young, accepted=DAY - 60, ended=DAY - 60)

    assert expire(DAY, DAY) == (1, 1)
    assert there() == ({young}, {young})
    assert [model.select().count() for model in (DeliveryAttempt, GateAnswer)] == [1, 1]
    assert orm.EventMatch.select().count() == 1


def test_an_event_stays_as_long_as_a_delivery_of_it() -> None:
    """A delivery is kept for its own time, and its event with it, however old that is."""
    (only,) = finished(1)
    aged(only, accepted=40 * DAY, ended=60)

    assert expire(DAY, DAY) == (0, 0)
    assert expire(DAY, deliveries=0) == (0, 0)
    aged(only, ended=DAY + 60)
    assert expire(DAY, DAY) == (1, 1)


def test_what_is_not_finished_stays_for_ever() -> None:
    """A pending delivery, and an event that is not routed, are never too old; nor is what they hang on."""
    (both,) = finished(1)
    EventLogMatch.add(both, lanes(subscription()))
    (pending,) = finished(1, State.PENDING)
    unrouted = stored()
    aged(both, accepted=400 * DAY)
    EventLogMatch.update(finished=datetime(2020, 1, 1)).where(EventLogMatch.state == State.DELIVERED).execute()
    for uuid in (pending, unrouted):
        aged(uuid, accepted=400 * DAY)

    assert expire(DAY, DAY) == (0, 1)
    assert there() == ({both, pending, unrouted}, {both, pending})
    assert {row.state for row in EventLogMatch.select()} == {State.PENDING}


def test_zero_keeps_for_ever() -> None:
    """With 0 for both nothing is removed, and nothing is looked at."""
    (only,) = finished(1)
    aged(only, accepted=4000 * DAY, ended=4000 * DAY)

    assert list(orm.expire(0, 0)) == []
    assert there() == ({only}, {only})


def test_each_step_is_bounded() -> None:
    """No step removes more than asked for, and all of them together remove everything."""
    for uuid in finished(25):
        aged(uuid, accepted=2 * DAY, ended=2 * DAY)

    steps = list(orm.expire(DAY, DAY, size=2))

    assert max(steps) == (2, 0)
    assert max(removed for _, removed in steps) == 2
    assert there() == (set(), set())


def test_those_that_stay_are_passed_by() -> None:
    """However many old events stay, also of the same moment, what comes after them is found."""
    held = finished(27, State.PENDING)
    moment = orm.now() - timedelta(days=3)
    free = [stored() for _ in range(3)]
    route()
    EventLog.update(created=moment).where(EventLog.uuid.in_([*held, *free[:2]])).execute()
    aged(free[2], accepted=2 * DAY)

    assert expire(DAY, DAY, size=1) == (3, 0)
    assert there()[0] == set(held)


def test_what_was_sent_again_meanwhile_stays() -> None:
    """A dead delivery that is reopened after it was found is not removed."""
    (only,) = finished(1, State.DEAD)
    aged(only, accepted=2 * DAY, ended=2 * DAY)
    steps = orm.expire(DAY, DAY)
    # The steps before the transaction that removes it: looks for each state up to its own.
    for _ in range(3):
        next(steps)
    EventLogMatch.reopen(EventLogMatch.select().get())

    assert sum(map(sum, steps)) == 0
    assert there() == ({only}, {only})


def test_several_remove_each_row_once() -> None:
    """Workers that remove at the same time harm nobody: together they count every row once, and nothing is left."""
    for uuid in finished(40):
        aged(uuid, accepted=2 * DAY, ended=2 * DAY)

    counts = at_once([lambda: expire(DAY, DAY, size=3)] * 4)
    rest = expire(DAY, DAY)

    removed = [sum(numbers) for numbers in zip(*counts, rest, strict=True)]
    assert removed == [40, 40]
    assert there() == (set(), set())


def test_an_event_that_was_removed_is_new_when_it_comes_again() -> None:
    """Once an event is gone, the same one is stored and routed anew."""
    sent = event()
    first = EventLog.store(sent).uuid
    route()
    aged(first, accepted=2 * DAY)

    assert EventLog.store(sent).duplicate
    expire(DAY, DAY)
    again_stored = EventLog.store(sent)

    assert (again_stored.duplicate, again_stored.uuid != first) == (False, True)
    assert EventLog.claim_unrouted(10, LONG)
