"""Deliveries in the database: made once, claimed by one worker at a time, ended once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import peewee
import pytest

from pacifica.notifications import orm
from pacifica.notifications.orm import DeliveryAttempt, EventLog, EventLogMatch, Settlement
from pacifica.notifications.retry import Failure, Outcome, State

from .rows import again, at_once, broken_off, deliveries, lanes, stored, subscription

pytestmark = pytest.mark.usefixtures("database")

#: Seconds of a lease that ends at once, and of one that outlives any test.
NONE, LONG = 0.0, 3600.0
OK = Outcome(status=200, seconds=0.25, answer=b"taken")
BUSY = Outcome(status=503, failure=Failure.HTTP, seconds=1.5)
AWAY = Outcome(failure=Failure.REFUSED, seconds=0.1)


def settle(delivery: EventLogMatch, state: State, **members: Any) -> EventLogMatch:
    """Settle one delivery and return it as it is then."""
    with orm.transaction():
        EventLogMatch.settle([Settlement(delivery, state, "because", **members)])
    return again(delivery)


def due(row: EventLogMatch) -> float | None:
    """Return the seconds until a delivery is due."""
    return None if row.next_attempt_at is None else (row.next_attempt_at - orm.now()).total_seconds()


def states(rows: Sequence[EventLogMatch]) -> list[str]:
    """Return the states of deliveries as they are now."""
    return [again(row).state for row in rows]


# Made.


def test_a_delivery_is_made_pending_and_due() -> None:
    """A match becomes a delivery that is due at once, by the database's clock, without an attempt."""
    before = orm.now()

    [row] = deliveries()

    assert (row.state, row.attempts, row.attempts_before, row.replay) == (State.PENDING, 0, 0, 0)
    assert before <= row.created <= orm.now()
    assert before <= row.next_attempt_at <= orm.now()
    assert (row.lease, row.finished, row.reason) == (None, None, None)


def test_an_event_goes_to_a_subscription_once() -> None:
    """What is routed again makes only the deliveries that are missing; a replay is one of its own."""
    event, rows = stored(), [subscription() for _ in range(3)]
    first, second, third = (row.uuid for row in rows)

    counts = [
        EventLogMatch.add(event, lanes(*rows[:2])),
        EventLogMatch.add(event, lanes(*rows)),
        EventLogMatch.add(event, {}),
        EventLogMatch.add(event, lanes(rows[0]), replay=1),
        EventLogMatch.add(event, lanes(rows[0]), replay=1),
    ]

    assert counts == [2, 1, 0, 1, 0]
    assert Counter((row.event_match_id, row.replay) for row in EventLogMatch.select()) == {
        (first, 0): 1,
        (second, 0): 1,
        (third, 0): 1,
        (first, 1): 1,
    }


def test_many_that_route_the_same_event_at_once_make_each_delivery_once() -> None:
    """However many workers add the matches of an event, each delivery is made by one of them."""
    event, subscriptions = stored(), lanes(*(subscription() for _ in range(30)))

    counts = at_once([partial(EventLogMatch.add, event, subscriptions)] * 8)

    assert sum(counts) == EventLogMatch.select().count() == 30


def test_many_events_are_added_at_once() -> None:
    """Deliveries of several events are made together, each in its lane; those that are there already are left out."""
    events, owners = [stored() for _ in range(3)], [subscription(), subscription(ordered=True)]
    EventLogMatch.add(events[1], lanes(owners[0]))
    accepted = orm.EventLog.get_by_id(events[2]).created
    wanted = [orm.NewDelivery(event, owner.uuid, owner.lane) for event in events[:2] for owner in owners]
    wanted.append(orm.NewDelivery(events[2], owners[1].uuid, owners[1].lane, accepted=accepted))

    with orm.transaction():
        count = EventLogMatch.add_all(iter(wanted))

    made = {
        (row.event_log_id, row.event_match_id): (row.lane, row.replay, row.accepted) for row in EventLogMatch.select()
    }
    assert count == 4
    assert made == {each[:2]: (each.lane, 0, each.accepted) for each in wanted}
    assert EventLogMatch.add_all([]) == 0


def test_an_event_may_match_very_many() -> None:
    """The number of matches is bounded by nothing but the table."""
    event, owner = stored(), subscription()
    copies = [owner.__data__ | {"uuid": uuid4()} for _ in range(1200)]
    orm.EventMatch.insert_many(copies).execute()

    assert EventLogMatch.add(event, {copy["uuid"]: owner.lane for copy in copies}) == 1200


# Claimed.


def test_the_longest_due_are_claimed_first() -> None:
    """A claim takes what has been due longest, no more than it asked for, and nothing that is not due."""
    rows = deliveries(5)
    for age, row in enumerate(rows):
        moment = orm.now() - timedelta(seconds=100 - age) if age < 4 else orm.now() + timedelta(seconds=100)
        EventLogMatch.update(next_attempt_at=moment).where(EventLogMatch.uuid == row.uuid).execute()

    claims = [{row.uuid for row in orm.claim_due(3, LONG)} for _ in range(3)]

    assert claims == [{row.uuid for row in rows[:3]}, {rows[3].uuid}, set()]


def test_a_claim_can_be_for_some_events_alone() -> None:
    """A command that sends by itself takes only what belongs to its events."""
    rows = deliveries(4)

    claimed = orm.claim_due(10, LONG, [rows[1].event_log_id, rows[2].event_log_id])

    assert {row.uuid for row in claimed} == {rows[1].uuid, rows[2].uuid}


def test_a_claim_holds_a_lease_by_the_databases_clock() -> None:
    """What is claimed is due again when the lease ends; all of one claim have one lease."""
    deliveries(3)

    claimed = orm.claim_due(10, LONG)

    assert len({row.lease for row in claimed}) == 1
    assert all(again(row).lease == row.lease for row in claimed)
    assert all(LONG - 60 < (due(again(row)) or 0) <= LONG for row in claimed)
    assert orm.claim_due(10, LONG) == []


def test_no_delivery_is_claimed_by_two_workers() -> None:
    """However many workers claim at once, each delivery goes to one of them, and none is left."""
    rows = {row.uuid for row in deliveries(150)}

    def work() -> list[UUID]:
        mine: list[UUID] = []
        while claimed := orm.claim_due(7, LONG):
            mine += [row.uuid for row in claimed]
        return mine

    found = at_once([work] * 10)

    claimed = [uuid for each in found for uuid in each]
    assert sorted(claimed) == sorted(rows)


def test_claiming_and_settling_at_once_sends_each_once() -> None:
    """Workers that claim, retry and settle beside one another make each attempt once and in order."""
    rows = deliveries(40)
    tries = 3

    def work() -> int:
        made = 0
        while claimed := orm.claim_due(5, LONG):
            with orm.transaction():
                EventLogMatch.settle(
                    Settlement(row, State.DELIVERED, "taken", outcome=OK)
                    if row.attempts == tries - 1
                    else Settlement(row, State.PENDING, "busy", delay=0.0, outcome=BUSY)
                    for row in claimed
                )
            made += len(claimed)
        return made

    made = at_once([work] * 8)

    # A worker may look while the last of them are in other hands, and leave; whoever has them goes on.
    assert sum(made) == len(rows) * tries
    assert states(rows) == [State.DELIVERED] * len(rows)
    attempts = Counter((each.delivery_id, each.attempt) for each in DeliveryAttempt.select())
    assert attempts == {(row.uuid, number): 1 for row in rows for number in range(1, tries + 1)}


def test_a_lease_that_ran_out_is_taken_over_once() -> None:
    """What a vanished worker had is claimed by one of those who look for it at once."""
    rows = {row.uuid for row in deliveries(20)}
    assert len(orm.claim_due(100, NONE)) == 20

    found = at_once([partial(orm.claim_due, 4, LONG)] * 12)

    assert sorted(row.uuid for each in found for row in each) == sorted(rows)


def test_a_late_result_changes_nothing_but_is_on_record() -> None:
    """Whoever comes back after its lease was taken over does not overwrite its successor; its attempt is kept."""
    [row] = deliveries()
    [late] = orm.claim_due(1, NONE)
    [successor] = orm.claim_due(1, LONG)
    before = again(row)

    after_late = settle(late, State.DEAD, outcome=AWAY)
    after_successor = settle(successor, State.DELIVERED, outcome=OK)
    after_later = settle(late, State.PENDING, delay=0.0, outcome=BUSY)

    assert after_late.__data__ == before.__data__
    assert (after_successor.state, after_successor.attempts) == (State.DELIVERED, 1)
    assert after_later.__data__ == after_successor.__data__
    tries = DeliveryAttempt.of_deliveries([row.uuid])
    assert [(each.failure, each.status) for each in tries] == [("refused", None), (None, 200), ("http", 503)]


def test_a_result_of_one_that_was_claimed_again_by_the_same_worker_is_late_too() -> None:
    """A lease is a claim's, not a worker's."""
    deliveries()
    [first] = orm.claim_due(1, NONE)
    [second] = orm.claim_due(1, LONG)

    assert first.lease != second.lease
    assert settle(first, State.DELIVERED, outcome=OK).state == State.PENDING


def test_renewing_holds_what_is_still_held() -> None:
    """A worker renews what is its own, and nothing that somebody else has by now."""
    rows = deliveries(3)
    mine = orm.claim_due(10, NONE)
    [taken] = orm.claim_due(1, NONE)
    by_uuid = {row.uuid: row for row in mine}
    settled = next(row for row in mine if row.uuid != taken.uuid)
    settle(settled, State.DELIVERED, outcome=OK)

    EventLogMatch.renew(mine, LONG)

    left = next(row for row in rows if row.uuid not in (taken.uuid, settled.uuid))
    assert (due(again(left)) or 0) > LONG - 60
    assert (due(again(taken)) or 0) <= 0
    assert due(again(settled)) is None
    assert len(by_uuid) == 3


# Settled.


@pytest.mark.parametrize(
    ("state", "outcome", "attempts", "status"),
    [
        (State.DELIVERED, OK, 1, 200),
        (State.DEAD, BUSY, 1, 503),
        (State.DEAD, AWAY, 1, None),
        (State.DEAD, None, 0, None),
        (State.REFUSED, None, 0, None),
        (State.CANCELLED, None, 0, None),
    ],
)
def test_a_delivery_ends_once(state: State, outcome: Outcome | None, attempts: int, status: int | None) -> None:
    """A terminal state has its time and reason, is due no more, and nothing claims it again."""
    deliveries()
    [claimed] = orm.claim_due(1, NONE)

    row = settle(claimed, state, outcome=outcome, policy_status=412)

    assert (row.state, row.reason, row.attempts) == (state, "because", attempts)
    assert (row.policy_status_code, row.target_status_code) == (412, status)
    assert (row.next_attempt_at, row.lease) == (None, None)
    assert row.created <= row.finished <= orm.now()
    assert orm.claim_due(1, LONG) == []


def test_a_retry_is_due_after_its_delay() -> None:
    """A failed attempt leaves the delivery pending, due after its delay by the database's clock."""
    deliveries()
    [claimed] = orm.claim_due(1, LONG)

    row = settle(claimed, State.PENDING, delay=1000.0, outcome=BUSY)

    assert (row.state, row.attempts, row.target_status_code, row.finished, row.lease) == (
        State.PENDING,
        1,
        503,
        None,
        None,
    )
    assert 900 < (due(row) or 0) <= 1000


def test_without_an_attempt_none_is_counted() -> None:
    """A decision without an attempt, as while the policy server is away, uses up nothing."""
    deliveries()
    [claimed] = orm.claim_due(1, LONG)

    row = settle(claimed, State.PENDING, delay=0.0, policy_status=500)

    assert (row.attempts, row.policy_status_code, row.target_status_code) == (0, 500, None)
    assert DeliveryAttempt.select().count() == 0
    assert len(orm.claim_due(1, LONG)) == 1


def test_what_was_known_stays_known() -> None:
    """A later result that has no status of policy or target does not forget the one before."""
    deliveries()
    [first] = orm.claim_due(1, NONE)
    settle(first, State.PENDING, delay=0.0, outcome=BUSY, policy_status=200)
    [second] = orm.claim_due(1, NONE)

    row = settle(second, State.PENDING, delay=0.0)

    assert (row.policy_status_code, row.target_status_code) == (200, 503)


def test_every_attempt_is_a_row() -> None:
    """An attempt has its number, when it began, how long it took, and its status or failure."""
    deliveries()
    for outcome in (AWAY, BUSY, OK):
        [claimed] = orm.claim_due(1, NONE)
        settle(claimed, State.DELIVERED if outcome is OK else State.PENDING, delay=0.0, outcome=outcome)

    tries = DeliveryAttempt.of_deliveries([claimed.uuid])

    assert [(each.attempt, each.failure, each.status, each.answer) for each in tries] == [
        (1, "refused", None, None),
        (2, "http", 503, None),
        (3, None, 200, None),
    ]
    assert [each.seconds for each in tries] == [0.1, 1.5, 0.25]
    assert again(claimed).finished - tries[2].started == timedelta(seconds=0.25)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (b"taken", "taken"),
        (b"", None),
        (b"x" * 5000, "x" * 1024),
        (b"a\0b", "a\ufffdb"),
        (b"\xff\xfe \xc3\xa4", "\ufffd\ufffd ä"),
        ("ä".encode() * 600, "ä" * 512),
        (b"x" * 1023 + "ä".encode(), "x" * 1023 + "\ufffd"),
    ],
)
def test_the_beginning_of_an_answer_is_kept_on_request(answer: bytes, kept: str | None) -> None:
    """With the setting the first KiB of an answer is kept, whatever bytes it has."""
    deliveries()
    [claimed] = orm.claim_due(1, LONG)

    with orm.transaction():
        result = Settlement(claimed, State.DELIVERED, "taken", outcome=Outcome(status=200, answer=answer))
        EventLogMatch.settle([result], keep_answer=True)

    assert DeliveryAttempt.of_deliveries([claimed.uuid])[0].answer == kept


def test_settling_is_one_transaction() -> None:
    """State and attempt are written together or not at all."""
    deliveries()
    [claimed] = orm.claim_due(1, LONG)

    broken_off(lambda: EventLogMatch.settle([Settlement(claimed, State.DELIVERED, "taken", outcome=OK)]))

    assert again(claimed).state == State.PENDING
    assert DeliveryAttempt.select().count() == 0
    assert settle(claimed, State.DELIVERED, outcome=OK).state == State.DELIVERED


def test_what_was_purged_meanwhile_is_passed_over() -> None:
    """The result of a delivery that is gone does not stop the results beside it."""
    deliveries(2)
    gone, kept = orm.claim_due(2, LONG)
    EventLogMatch.delete().where(EventLogMatch.uuid == gone.uuid).execute()

    with orm.transaction():
        EventLogMatch.settle([Settlement(row, State.DELIVERED, "taken", outcome=OK) for row in (gone, kept)])

    assert again(kept).state == State.DELIVERED
    assert [each.delivery_id for each in DeliveryAttempt.select()] == [kept.uuid]


def test_settling_the_same_ones_at_once_is_no_deadlock() -> None:
    """Workers that write the same results at once, each in its own order, all get through; one of them counts."""
    rows = deliveries(30)

    def work(claimed: list[EventLogMatch]) -> None:
        with orm.transaction():
            EventLogMatch.settle(Settlement(row, State.PENDING, "busy", delay=0.0, outcome=BUSY) for row in claimed)

    for _ in range(5):
        claimed = orm.claim_due(30, NONE)
        at_once([partial(work, order) for order in (claimed, claimed[::-1]) * 3])

    assert {again(row).attempts for row in rows} == {5}


# Held, released, cancelled.


def test_disabling_holds_and_reviving_releases() -> None:
    """What is pending for a disabled subscription waits without an attempt and goes on when it is revived."""
    owner, other = subscription(), subscription()
    mine, theirs = deliveries(2, owner), deliveries(1, other)

    changed = orm.change(again(owner), {"disabled": True})
    assert changed is not None
    assert [due(again(row)) for row in mine] == [None, None]
    held = orm.claim_due(10, NONE)
    orm.change(changed, {"disabled": False})
    released = orm.claim_due(10, LONG, [row.event_log_id for row in mine])

    assert [row.uuid for row in held] == [theirs[0].uuid]
    assert {row.uuid for row in released} == {row.uuid for row in mine}
    assert states(mine) == [State.PENDING] * 2


def test_what_is_in_flight_is_left_to_its_worker() -> None:
    """Disabling and reviving do not touch what a worker has claimed; nobody else gets it, and its result counts."""
    owner = subscription()
    deliveries(1, owner)
    [claimed] = orm.claim_due(1, LONG)

    assert orm.disable(owner.uuid, "broke")

    assert again(claimed).lease == claimed.lease
    orm.change(again(owner), {"disabled": False})
    assert orm.claim_due(1, LONG) == []
    assert settle(claimed, State.DELIVERED, outcome=OK).state == State.DELIVERED


def test_a_worker_can_put_on_hold() -> None:
    """Without a delay a pending delivery is held until its subscription revives."""
    owner = subscription()
    deliveries(1, owner)
    [claimed] = orm.claim_due(1, LONG)

    row = settle(claimed, State.PENDING)

    assert (row.state, row.next_attempt_at, row.lease, row.attempts) == (State.PENDING, None, None, 0)
    EventLogMatch.release_held(owner.uuid)
    assert [each.uuid for each in orm.claim_due(1, LONG)] == [row.uuid]


def test_deleting_cancels_what_is_pending() -> None:
    """Everything pending ends as cancelled, in flight or held or waiting; what has ended stays, late results too."""
    owner = subscription()
    waiting, in_flight, held, dead = deliveries(4, owner)
    settle_of = {row.uuid: row for row in orm.claim_due(10, LONG)}
    settle(settle_of[waiting.uuid], State.PENDING, delay=100.0)
    settle(settle_of[held.uuid], State.PENDING)
    settle(settle_of[dead.uuid], State.DEAD)

    assert orm.remove(again(owner))
    late = settle(settle_of[in_flight.uuid], State.DELIVERED, outcome=OK)

    assert states([waiting, in_flight, held]) == [State.CANCELLED] * 3
    assert again(dead).state == State.DEAD
    assert (late.state, late.reason, late.attempts) == (State.CANCELLED, "the subscription was deleted", 0)
    assert late.finished is not None
    assert len(DeliveryAttempt.of_deliveries([in_flight.uuid])) == 1
    assert orm.claim_due(10, LONG) == []


def test_what_is_held_for_too_long_is_dead() -> None:
    """Deliveries of a subscription that has been disabled for longer than the retention end; others do not."""
    long_ago, lately = subscription(), subscription()
    old, new = deliveries(1, long_ago), deliveries(1, lately)
    for owner, age in ((long_ago, 100), (lately, 10)):
        orm.disable(owner.uuid, "broke")
        disabled = orm.now() - timedelta(seconds=age)
        orm.EventMatch.update(disabled=disabled).where(orm.EventMatch.uuid == owner.uuid).execute()

    assert EventLogMatch.mend_held(50) == 1

    assert (states(old), states(new)) == ([State.DEAD], [State.PENDING])
    assert "retention.held" in again(old[0]).reason
    assert again(old[0]).finished is not None
    assert due(again(new[0])) is None
    assert EventLogMatch.mend_held(50) == 0


def test_what_is_held_for_nobodys_sake_is_freed() -> None:
    """A delivery that a worker put on hold just as its subscription was revived goes on."""
    owner = subscription()
    deliveries(1, owner)
    orm.disable(owner.uuid, "broke")
    EventLogMatch.release_held(owner.uuid)
    [claimed] = orm.claim_due(1, LONG)
    orm.change(again(owner), {"disabled": False})
    settle(claimed, State.PENDING)

    assert EventLogMatch.mend_held(1000) == 1

    assert [row.uuid for row in orm.claim_due(1, LONG)] == [claimed.uuid]


# Sent again.


def test_a_dead_delivery_is_reopened() -> None:
    """Sending a dead delivery again keeps its id and its attempts, and starts its schedule anew."""
    deliveries()
    [claimed] = orm.claim_due(1, NONE)
    dead = settle(claimed, State.DEAD, outcome=BUSY)

    EventLogMatch.reopen(dead)

    row = again(dead)
    assert (row.state, row.reason, row.finished) == (State.PENDING, None, None)
    assert (row.attempts, row.attempts_before) == (1, 1)
    [once_more] = orm.claim_due(1, NONE)
    assert settle(once_more, State.DELIVERED, outcome=OK).attempts == 2
    assert settle(claimed, State.DEAD, outcome=AWAY).state == State.DELIVERED


@pytest.mark.parametrize("state", [State.DELIVERED, State.REFUSED, State.CANCELLED])
def test_nothing_else_is_reopened(state: State) -> None:
    """Only what is dead is sent again under its own id."""
    deliveries()
    [claimed] = orm.claim_due(1, NONE)
    ended = settle(claimed, state)

    EventLogMatch.reopen(ended)

    assert again(ended).state == state


def test_a_replay_is_a_delivery_of_its_own() -> None:
    """A replay has the next number, its own id and no attempts; the one before stays as it ended."""
    deliveries()
    [claimed] = orm.claim_due(1, NONE)
    delivered = settle(claimed, State.DELIVERED, outcome=OK)

    EventLogMatch.replay_of(delivered)
    EventLogMatch.replay_of(delivered)

    rows = EventLogMatch.of_events([delivered.event_log_id])
    assert [(row.replay, row.state, row.attempts) for row in rows] == [
        (0, State.DELIVERED, 1),
        (1, State.PENDING, 0),
        (2, State.PENDING, 0),
    ]
    assert len({row.uuid for row in rows}) == 3


def test_no_number_of_a_replay_is_given_twice() -> None:
    """Many that replay at once leave no two deliveries with one number, and none fails."""
    [row] = deliveries()

    at_once([partial(EventLogMatch.replay_of, row)] * 8)

    numbers = [each.replay for each in EventLogMatch.of_events([row.event_log_id])]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 1


def test_a_delivery_needs_its_event_and_its_subscription() -> None:
    """The database itself refuses a delivery of nothing, and an event that goes while its deliveries stay."""
    [row] = deliveries()

    with pytest.raises(peewee.IntegrityError):
        EventLogMatch.add(uuid4(), {row.event_match_id: row.lane})
    with pytest.raises(peewee.IntegrityError):
        EventLog.delete().where(EventLog.uuid == row.event_log_id).execute()
