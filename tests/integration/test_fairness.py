"""A target that is slow, silent, broken or busy keeps nobody else's deliveries waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from uuid import UUID

import pytest

from pacifica.notifications import orm
from pacifica.notifications.delivery.lanes import Lanes
from pacifica.notifications.retry import Outcome
from tests.support.doors import LONG_AGO, Doors
from tests.support.policy import PolicyServer
from tests.support.target import Answer, Dripping, Endless, Held, RecordingTarget, Reset
from tests.support.wait import until

from .conftest import OpenDoors

#: Seconds that an attempt may take here.
SHORT = 2.0


@pytest.fixture
def others() -> Iterator[list[RecordingTarget]]:
    """Ten targets that answer at once."""
    with ExitStack() as stack:
        yield [stack.enter_context(RecordingTarget()) for _ in range(10)]


def state_of(target: RecordingTarget) -> orm.TargetState | None:
    """Return what is on record about a target."""
    with orm.session():
        return orm.TargetState.get_or_none(orm.TargetState.place == target.url("").rstrip("/"))


def looks_after(seen: Callable[[], object], looks: int = 20) -> Callable[[], bool]:
    """Return what ends a drain so many looks after something was seen: what else would be sent is sent by then."""
    left = iter(range(looks))
    return lambda: bool(seen()) and next(left, None) is None


def let_pass(doors: Doors) -> None:
    """Let the time pass until targets that are left alone are tried again."""
    with orm.session():
        orm.TargetState.update(open_until=LONG_AGO).where(orm.TargetState.open_until.is_null(False)).execute()


# Fair claims.


def test_what_hangs_takes_no_more_than_its_share(doors: Doors, others: list[RecordingTarget]) -> None:
    """With a target that never answers and has most of the rows, the others get theirs while it is waited for."""
    with RecordingTarget(default=Held()) as hanging:
        for _ in range(10):
            doors.subscribe(hanging.url())
        for good in others:
            doors.subscribe(good.url())
        for _ in range(20):
            doors.accept()
        doors.route()

        doors.courier.drain(stopping=lambda: all(len(good.requests()) == 20 for good in others))

        assert 0 < len(hanging.requests()) <= 8
        assert all(len(good.requests()) == 20 for good in others)


def test_nobody_notices_what_misbehaves(open_doors: OpenDoors, others: list[RecordingTarget]) -> None:
    """Two that hang, one that drips, one without end, one that resets and one that mostly fails disturb no other."""
    doors = open_doors({"delivery.timeout": SHORT})
    with ExitStack() as stack:
        bad = [
            stack.enter_context(RecordingTarget(default=answer))
            for answer in (Held(), Held(), Dripping(pause=1.0), Endless(), Reset(), 500)
        ]
        bad[-1].answers("/", [500, 500, 200] * 20)
        for target in [*bad, *others]:
            doors.subscribe(target.url())
        for _ in range(30):
            doors.accept()
        doors.route()

        doors.courier.drain(stopping=lambda: all(len(good.requests()) == 30 for good in others))

        assert all({request.attempt for request in good.requests()} == {1} for good in others)
        assert all(target.requests() for target in bad)


def test_a_quick_target_gets_more_at_once(doors: Doors, target: RecordingTarget) -> None:
    """A target that answers quickly has more in flight later than at first."""
    doors.subscribe(target.url())
    for _ in range(60):
        doors.accept()
    doors.work()
    target.forget()
    release = threading.Event()
    target.always("/", Held(200, release=release))
    for _ in range(60):
        doors.accept()
    doors.route()

    doors.courier.drain(stopping=lambda: len(target.requests()) > 8)

    release.set()
    doors.deliver()
    assert {delivery.state for delivery in doors.deliveries()} == {"delivered"}


def test_a_setting_bounds_what_a_target_has_in_flight(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """`delivery.target_in_flight` is never exceeded, and all arrives nevertheless."""
    doors = open_doors({"delivery.target_in_flight": 2})
    release = threading.Event()
    target.always("/", Held(200, release=release))
    doors.subscribe(target.url())
    for _ in range(10):
        doors.accept()
    doors.route()

    doors.courier.drain(stopping=looks_after(lambda: len(target.requests()) >= 2))
    at_first = len(target.requests())
    release.set()
    doors.deliver()

    assert at_first == 2
    assert len(target.requests()) == 10


def test_a_setting_bounds_the_rate_of_a_target(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """With `delivery.target_rate` a target gets what one second allows, and the rest later."""
    doors = open_doors({"delivery.target_rate": 3})
    doors.subscribe(target.url())
    for _ in range(20):
        doors.accept()
    doors.route()
    begun = time.monotonic()
    doors.deliver()
    at_first, allowed = len(target.requests()), 3 + 3 * (time.monotonic() - begun)

    with orm.session():
        orm.TargetState.update(paced_until=None).execute()
    doors.deliver()

    assert 3 <= at_first <= allowed
    assert len(target.requests()) >= min(20, at_first + 3)


# The breaker.


@pytest.mark.parametrize("answer", [Reset(), 429, 503], ids=repr)
def test_a_target_that_fails_in_a_row_is_left_alone(
    open_doors: OpenDoors, target: RecordingTarget, answer: Answer
) -> None:
    """After five failures that speak of the target nothing is sent to it, for any subscription, by any worker."""
    doors = open_doors({"delivery.breaker_wait": 500})
    target.always("/", answer)
    for _ in range(3):
        doors.subscribe(target.url())
    for _ in range(10):
        doors.accept()
    doors.work()
    at_first = len(target.requests())
    doors.again()
    with doors.new_courier_in_use() as another:
        another.drain()

    assert 5 <= at_first <= 8
    assert len(target.requests()) == at_first
    state = state_of(target)
    assert state is not None
    assert state.opened == 1
    with orm.session():
        assert 400 < (state.open_until - orm.now()).total_seconds() <= 500
    assert {delivery.state for delivery in doors.deliveries()} == {"pending"}


def test_a_target_is_left_alone_until_its_failures_are_written(doors: Doors, target: RecordingTarget) -> None:
    """However long the database takes to write that a target failed five times, nothing more is claimed for it."""
    clock = iter(range(0, 1000, 10)).__next__
    lanes = Lanes(doors.settings, clock)
    doors.subscribe(target.url())
    for _ in range(5):
        doors.accept()
    doors.route()
    place = target.url("").rstrip("/")
    for _ in range(5):
        lanes.sent(place, place)
        lanes.ended(place, place, Outcome(503))

    with orm.session():
        before = lanes.claim(10)
        lanes.written()
        after = lanes.claim(10)

    assert before == []
    assert after


@pytest.mark.parametrize("answer", [500, 404, 408, 302], ids=repr)
def test_other_failures_say_nothing_of_the_target(doors: Doors, target: RecordingTarget, answer: int) -> None:
    """What may be one subscription's fault shuts nobody else's target."""
    target.always("/bad", answer)
    doors.subscribe(target.url("/bad"))
    doors.subscribe(target.url("/good"), user="bob")
    for _ in range(12):
        doors.accept()
    doors.work()

    assert len(target.requests("/bad")) == 12
    assert len(target.requests("/good")) == 12
    assert state_of(target) is None


def test_one_attempt_looks_whether_a_target_is_back(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """When its time is over one attempt is made; as long as it fails the target is left alone for twice as long."""
    doors = open_doors({"delivery.breaker_wait": 100})
    target.always("/", Reset())
    doors.subscribe(target.url())
    for _ in range(20):
        doors.accept()
    doors.work()
    at_first = len(target.requests())
    waits = []
    for _ in range(2):
        let_pass(doors)
        doors.again()
        state = state_of(target)
        assert state is not None
        with orm.session():
            waits.append(round((state.open_until - orm.now()).total_seconds(), -1))

    assert len(target.requests()) == at_first + 2
    assert waits == [200, 400]


def test_a_target_that_is_back_gets_everything(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """An answer opens the target again, and all that waited is sent."""
    doors = open_doors({"delivery.breaker_wait": 100})
    target.always("/", Reset())
    doors.subscribe(target.url())
    for _ in range(20):
        doors.accept()
    doors.work()
    target.always("/", 200)
    let_pass(doors)

    doors.again()
    doors.again()

    assert {delivery.state for delivery in doors.deliveries()} == {"delivered"}
    state = state_of(target)
    assert state is not None
    assert (state.opened, state.failures, state.open_until) == (0, 0, None)


def test_failures_must_be_in_a_row(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """A target that answers in between is not left alone."""
    doors = open_doors({"delivery.retry_schedule": 3600})
    target.answers("/", [503, 503, 503, 503, 200] * 4)
    doors.subscribe(target.url())
    for _ in range(4):
        for _ in range(5):
            doors.send()

    state = state_of(target)
    assert len(target.requests()) == 20
    assert state is None or state.opened == 0


def test_without_a_breaker_a_target_is_always_tried(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """`delivery.breaker_failures = 0` leaves no target alone."""
    doors = open_doors({"delivery.breaker_failures": 0})
    target.always("/", Reset())
    doors.subscribe(target.url())
    for _ in range(12):
        doors.accept()
    doors.work()

    assert len(target.requests()) == 12


# Retry-After.


@pytest.mark.parametrize("status", [429, 503])
def test_a_target_that_asks_for_time_gets_it(doors: Doors, target: RecordingTarget, status: int) -> None:
    """`Retry-After` of a busy target holds all deliveries to it, also those of others, and the delivery itself."""
    target.answers("/", [Answer(status, (("Retry-After", "500"),))])
    doors.subscribe(target.url())
    doors.send()
    first = doors.delivery()
    doors.subscribe(target.url("/other"), user="bob")
    doors.send()

    assert len(target.requests()) == 1
    assert doors.delay(first) >= 500
    state = state_of(target)
    assert state is not None
    assert state.opened == 0
    let_pass(doors)
    doors.again()
    assert {delivery.state for delivery in doors.deliveries()} == {"delivered"}


def test_what_a_target_asks_for_is_bounded(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """Nobody waits longer than `delivery.max_retry_after`."""
    doors = open_doors({"delivery.max_retry_after": 60})
    target.answers("/", [Answer(503, (("Retry-After", "1000000"),))])
    doors.subscribe(target.url())

    doors.send()

    state = state_of(target)
    assert state is not None
    with orm.session():
        assert 50 < (state.open_until - orm.now()).total_seconds() <= 60
    assert doors.delay() <= 61


def test_other_answers_ask_for_nothing(doors: Doors, target: RecordingTarget) -> None:
    """`Retry-After` of a 500 is not looked at."""
    target.answers("/", [Answer(500, (("Retry-After", "500"),))])
    doors.subscribe(target.url())

    doors.send()

    assert doors.delay() < 10
    assert state_of(target) is None


# Limits of a subscription.


def test_a_subscription_bounds_what_it_has_in_flight(doors: Doors, target: RecordingTarget) -> None:
    """Of a subscription with `limits.in_flight` no more is under way, of all workers together; others are not held."""
    release = threading.Event()
    target.always("/", Held(200, release=release))
    doors.subscribe(target.url(), limits={"in_flight": 3})
    doors.subscribe(target.url("/other"))
    for _ in range(8):
        doors.accept()
    doors.route()
    doors.courier.drain(
        stopping=looks_after(lambda: len(target.requests("/")) >= 3 and len(target.requests("/other")) >= 8)
    )
    with doors.new_courier_in_use() as another:
        another.drain(stopping=looks_after(lambda: True))
        in_flight = len(target.requests("/"))
        release.set()
        doors.deliver()

    assert in_flight == 3
    assert len(target.requests("/other")) == 8
    doors.deliver()
    assert {delivery.state for delivery in doors.deliveries()} == {"delivered"}


def test_a_subscription_bounds_its_rate(doors: Doors, target: RecordingTarget) -> None:
    """With `limits.rate` what one second allows begins, and the rest when its time has come."""
    uuid = doors.subscribe(target.url(), limits={"rate": 4})
    for _ in range(20):
        doors.accept()
    doors.route()
    begun = time.monotonic()
    doors.deliver()
    at_first, allowed = len(target.requests()), 4 + 4 * (time.monotonic() - begun)
    with orm.session():
        paced = orm.EventMatch.get_by_id(uuid).paced_until
        orm.EventMatch.update(paced_until=paced - timedelta(seconds=1)).where(orm.EventMatch.uuid == uuid).execute()

    doors.deliver()

    assert 4 <= at_first <= allowed
    assert len(target.requests()) >= min(20, at_first + 4)


# In order.


def ids(target: RecordingTarget) -> list[str]:
    """Return the ids of the events that arrived, in the order of their arrival."""
    return [request.json()["eventID"] for request in target.requests()]


def accepted(doors: Doors, count: int) -> list[str]:
    """Accept events and return their ids in the order of acceptance."""
    found = []
    for _ in range(count):
        uuid = doors.accept()
        with orm.session():
            row = orm.EventLog.get_by_id(uuid)
        found.append(row.event_id)
    return found


def test_an_ordered_subscription_gets_its_events_in_order(doors: Doors, target: RecordingTarget) -> None:
    """One at a time, in the order of acceptance, however they became due."""
    doors.subscribe(target.url(), ordered=True)
    sent = accepted(doors, 12)
    doors.route()
    with orm.session():
        for age, row in enumerate(orm.EventLogMatch.select().order_by(orm.EventLogMatch.accepted.desc())):
            due = orm.now() - timedelta(seconds=1) + timedelta(milliseconds=age)
            orm.EventLogMatch.update(next_attempt_at=due).where(orm.EventLogMatch.uuid == row.uuid).execute()

    doors.deliver()

    assert ids(target) == sent


def test_the_next_in_order_waits_for_the_one_before(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """While a delivery waits for its next attempt the later ones wait with it; once it is dead they go on."""
    doors = open_doors({"delivery.retry_schedule": "1000"})
    target.answers("/", [500, 500])
    doors.subscribe(target.url(), ordered=True)
    sent = accepted(doors, 3)
    doors.work()
    waiting = ids(target)
    with orm.session():
        due = orm.EventLogMatch.next_attempt_at
        orm.EventLogMatch.update(next_attempt_at=orm.now()).where(due.is_null(False)).execute()

    doors.deliver()

    assert waiting == sent[:1]
    assert ids(target) == [sent[0], *sent]
    assert [delivery.state for delivery in doors.deliveries()].count("dead") == 1


def test_what_was_accepted_before_and_is_not_routed_is_waited_for(doors: Doors, target: RecordingTarget) -> None:
    """An event does not overtake an earlier one that no router has looked at yet."""
    doors.subscribe(target.url(), ordered=True)
    early = doors.accept()
    held = orm.EventLog
    with orm.session():
        later = orm.now() + timedelta(hours=1)
        held.update(route_at=later).where(held.uuid == early).execute()
    doors.accept()
    doors.work()
    before = len(target.requests())

    with orm.session():
        held.update(route_at=LONG_AGO).where(held.uuid == early).execute()
    doors.work()

    assert before == 0
    assert len(target.requests()) == 2
    with orm.session():
        assert ids(target)[0] == held.get_by_id(early).event_id


def test_order_begins_and_ends_with_the_member(doors: Doors, target: RecordingTarget) -> None:
    """What is pending when a subscription becomes ordered goes in order; when it ends to be, all goes at once."""
    target.always("/", 500)
    uuid = doors.subscribe(target.url())
    sent = accepted(doors, 5)
    doors.work()
    target.forget()
    target.always("/", 200)
    doors.change(uuid, ordered=True)

    doors.again()

    assert ids(target) == sent
    doors.change(uuid, ordered=False)
    doors.send()
    assert len(target.requests()) == 6


# The policy of a subscription.


def test_a_subscription_has_a_schedule_of_its_own(doors: Doors, target: RecordingTarget) -> None:
    """`retry.schedule` says after how long, and how often, this subscription's deliveries are tried again."""
    target.always("/", 500)
    doors.subscribe(target.url(), retry={"schedule": [7, 9]})
    doors.send()
    delays = []
    while doors.delivery().state == "pending":
        delays.append(round(doors.delay()))
        doors.again()

    assert delays == [7, 9]
    assert doors.delivery().attempts == 3


def test_a_subscription_has_growing_delays_of_its_own(doors: Doors, target: RecordingTarget) -> None:
    """`retry.base`, `factor` and `cap` say how the delays grow, `total` after how long there is no more."""
    target.always("/", 500)
    doors.subscribe(target.url(), retry={"base": 2, "factor": 3, "cap": 10, "total": 20})
    doors.send()
    delays = []
    for _ in range(4):
        delays.append(round(doors.delay()))
        doors.again()
    with orm.session():
        old = orm.now() - timedelta(seconds=15)
        orm.EventLogMatch.update(created=old).execute()

    doors.again()

    assert delays == [2, 6, 10, 10]
    assert (doors.delivery().state, doors.delivery().attempts) == ("dead", 6)


def lost(doors: Doors, delivery: UUID) -> int:
    """Return how often a delivery was claimed without being settled."""
    with orm.session():
        return int(orm.EventLogMatch.get_by_id(delivery).starts)


def deliver_until_all_ended(doors: Doors) -> None:
    """Deliver until nothing is pending: what was lost twice is left to a worker that is at work for a while."""

    def ended() -> bool:
        doors.deliver()
        return all(delivery.state != "pending" for delivery in doors.deliveries())

    until(ended, 30, "all to end")


# What crashes its worker.


def test_what_its_worker_died_of_is_given_up(doors: Doors, target: RecordingTarget) -> None:
    """A delivery that was in hand of five workers that were lost is dead with the reason, and is not sent."""
    doors.subscribe(target.url())
    doors.accept()
    doors.route()
    with orm.session():
        for _ in range(5):
            assert len(orm.claim_due(10, 0.0)) == 1

    deliver_until_all_ended(doors)

    found = doors.delivery()
    assert (found.state, found.attempts, found.lease) == ("dead", 0, None)
    assert "lost 5 times" in found.reason
    assert target.requests() == []


def test_what_was_in_hand_with_it_is_not(doors: Doors, target: RecordingTarget) -> None:
    """What was lost less often is sent, and its count begins anew."""
    doors.subscribe(target.url())
    for _ in range(4):
        doors.accept()
    doors.route()
    with orm.session():
        for _ in range(4):
            assert len(orm.claim_due(10, 0.0)) == 4

    deliver_until_all_ended(doors)

    assert [delivery.state for delivery in doors.deliveries()] == ["delivered"] * 4
    assert {lost(doors, delivery.uuid) for delivery in doors.deliveries()} == {0}


def test_an_event_that_its_router_died_of_is_parked(doors: Doors, target: RecordingTarget) -> None:
    """It is routed no more, says why, and holds nobody else; eventretry lets it be routed again."""
    doors.subscribe(target.url())
    poison = doors.accept()
    with orm.session():
        claimed = orm.EventLog.claim_unrouted(10, 0.0)
        while claimed[0].starts < 4:
            found = orm.EventLog.claim_lost(0.0)
            assert found is not None
            claimed = [found]
    doors.accept()

    def parked() -> bool:
        doors.work()
        return doors.event(poison).error is not None

    until(parked, 30, "the event to be parked")
    row = doors.event(poison)
    assert "lost 5 times" in row.error
    assert (row.route_at, row.lease, row.routed) == (None, None, None)
    assert len(target.requests()) == 1


# What comes in between.


@pytest.mark.parametrize(("gone", "state"), [("deleted", "cancelled"), ("disabled", "pending")])
def test_a_stray_in_a_lane_of_its_own_is_not_forgotten(
    doors: Doors, target: RecordingTarget, gone: str, state: str
) -> None:
    """What a router made for a subscription that was deleted or disabled meanwhile ends, or is held, as any other."""
    uuid = doors.subscribe(target.url(), limits={"in_flight": 1})
    event = doors.accept()
    doors.change(uuid, disabled="2026-01-01T00:00:00Z") if gone == "disabled" else doors.delete(uuid)
    with orm.session(), orm.transaction():
        orm.EventLogMatch.add(event, {uuid: str(uuid)})

    doors.deliver()

    found = doors.delivery()
    assert (found.state, found.next_attempt_at, found.lease) == (state, None, None)
    assert target.requests() == []


def test_a_look_at_a_target_with_nothing_to_send_is_given_back(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """A target that is left alone is tried with the next event, also where there was none when its time was over."""
    doors = open_doors({"delivery.breaker_wait": 100})
    target.always("/", Reset())
    old = doors.subscribe(target.url())
    for _ in range(10):
        doors.accept()
    doors.work()
    doors.delete(old)
    let_pass(doors)
    doors.again()
    target.always("/", 200)
    new = doors.subscribe(target.url())

    doors.send()

    assert doors.delivery(subscription=new).state == "delivered"


def test_a_refused_delivery_is_no_look_at_a_target(
    open_doors: OpenDoors, policy_server: PolicyServer, target: RecordingTarget
) -> None:
    """The attempt that looks whether a target is back is made with one that may be sent, after the policy's answer."""
    doors = open_doors({"delivery.breaker_wait": 100, "notifications.policy_url": policy_server.policy_url})
    target.always("/", Reset())
    doors.subscribe(target.url())
    for _ in range(10):
        doors.accept()
    doors.work()
    target.always("/", 200)
    let_pass(doors)
    for _ in range(3):
        doors.accept()
    doors.route()

    doors.again()
    doors.again()

    assert {delivery.state for delivery in doors.deliveries()} == {"delivered"}


def test_a_new_target_is_not_held_by_the_old_one(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """A subscription with limits whose target is left alone goes on when its owner names another."""
    doors = open_doors({"delivery.breaker_wait": 800})
    uuid = doors.subscribe(target.url(), limits={"in_flight": 10})
    target.always("/", Reset())
    for _ in range(10):
        doors.accept()
    doors.work()
    doors.again()
    with RecordingTarget() as other:
        doors.change(uuid, target_url=other.url())

        def arrived() -> bool:
            doors.again()
            return {delivery.state for delivery in doors.deliveries()} == {"delivered"}

        until(arrived, 30, "all to arrive at the new target")
