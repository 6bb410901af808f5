"""A disabled subscription holds what is pending; reviving continues it, deleting cancels it, time ends it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest

from pacifica.notifications import orm
from pacifica.notifications.subscriptions import place
from tests.support.doors import LONG_AGO, Doors
from tests.support.factories import make_event
from tests.support.processes import Service
from tests.support.target import Held, RecordingTarget
from tests.support.wait import until

from .conftest import OpenDoors

NOW = "2026-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The embedded service, which tries again at once."""
    started = Service(tmp_path_factory.mktemp("service"), {"delivery.retry_schedule": "0.1,0.1,0.1,0.1,0.1,0.1"})
    started.kept = True
    with started:
        yield started


def state(doors: Doors) -> tuple[str, int, bool]:
    """Return the only delivery's state, its attempts, and whether it is held."""
    delivery = doors.delivery()
    return delivery.state, delivery.attempts, delivery.next_attempt_at is None


def disabled_for(doors: Doors, subscription: UUID, seconds: float) -> None:
    """Let a disabled subscription have been so for some time."""
    with orm.session():
        doors.write(subscription, disabled=orm.now() - timedelta(seconds=seconds))


def mend(doors: Doors) -> int:
    """Do what a worker's housekeeping does every few seconds."""
    with orm.session():
        return orm.EventLogMatch.mend_held(doors.settings.retention.held)


def test_disabling_holds_and_reviving_continues(service: Service, target: RecordingTarget) -> None:
    """By REST: disabled, nothing arrives; revived, what was pending arrives; what came meanwhile does not."""
    event = make_event(type="held")
    path = f'$[?(@.eventType = "held" and @.source = "{event["source"]}")]'
    uuid = service.subscribe(jsonpath=path, target_url=target.url())["uuid"]
    target.always("/", 500)
    service.post_event(event)
    target.wait_for(1)

    service.request("PUT", f"/eventmatch/{uuid}", user="alice", json={"disabled": NOW})
    service.post_event(event | {"eventID": "meanwhile"})
    seen = service.subscribe(jsonpath=path, target_url=target.url("/seen"))
    service.post_event(event | {"eventID": "after"})
    target.wait_for(1, "/seen")
    target.always("/", 200)
    before = len(target.requests("/"))
    service.request("PUT", f"/eventmatch/{uuid}", user="alice", json={"disabled": None})

    until(lambda: len(target.requests("/")) > before, what="the delivery that was held")
    assert seen["disabled"] is None
    assert {request.json()["eventID"] for request in target.requests("/")} == {event["eventID"]}
    assert len({request.delivery for request in target.requests("/")}) == 1


def test_deleting_ends_what_is_pending(service: Service, target: RecordingTarget) -> None:
    """By REST: nothing is delivered for a subscription that was deleted."""
    event = make_event(type="deleted")
    path = f'$[?(@.source = "{event["source"]}")]'
    uuid = service.subscribe(jsonpath=path, target_url=target.url())["uuid"]
    target.always("/", 500)
    service.post_event(event)
    target.wait_for(1)

    assert service.request("DELETE", f"/eventmatch/{uuid}", user="alice").status_code == 200
    deleted = len(target.requests("/"))
    service.subscribe(jsonpath=path, target_url=target.url("/seen"))
    target.always("/seen", 500)
    service.post_event(event | {"eventID": "after"})
    target.wait_for(3, "/seen")

    # The one attempt more is what was in flight.
    assert len(target.requests("/")) <= deleted + 1
    assert {request.json()["eventID"] for request in target.requests("/")} == {event["eventID"]}


def test_held_deliveries_use_no_attempts(doors: Doors, target: RecordingTarget) -> None:
    """What is pending when a subscription is disabled is held at once, and its attempts stay as they are."""
    target.always("/", 500)
    subscription = doors.subscribe(target.url())
    doors.send()

    doors.change(subscription, disabled=NOW)
    held = state(doors)
    doors.again()
    doors.again()

    assert held == ("pending", 1, True)
    assert state(doors) == ("pending", 1, True)
    assert len(target.requests()) == 1


def test_revived_deliveries_continue(doors: Doors, target: RecordingTarget) -> None:
    """Reviving makes what was held due at once, with the same id and the next number."""
    target.answers("/", [500, 200])
    subscription = doors.subscribe(target.url())
    doors.send()
    doors.change(subscription, disabled=NOW)

    doors.change(subscription, disabled=None)
    doors.deliver()

    assert state(doors)[:2] == ("delivered", 2)
    first, second = target.requests()
    assert (first.delivery, first.attempt, second.attempt) == (second.delivery, 1, 2)


def test_delivery_that_is_claimed_when_disabled_is_held(doors: Doors, target: RecordingTarget) -> None:
    """A delivery that becomes due while its subscription is disabled is held without an attempt."""
    subscription = doors.subscribe(target.url())
    doors.accept()
    doors.route()
    with orm.session():
        orm.EventMatch.update(disabled=orm.now()).where(orm.EventMatch.uuid == subscription).execute()

    doors.deliver()

    assert state(doors) == ("pending", 0, True)
    assert "disabled" in doors.delivery().reason
    assert target.requests() == []


@pytest.mark.parametrize(("status", "after"), [(200, ("delivered", 1, True)), (500, ("pending", 1, False))])
def test_attempt_in_flight_counts_when_disabled(
    doors: Doors, target: RecordingTarget, status: int, after: tuple[str, int, bool]
) -> None:
    """An attempt that is in flight when its subscription is disabled is settled as it ends, and then held."""
    answer = Held(status)
    target.always("/", answer)
    subscription = doors.subscribe(target.url())
    doors.accept()
    doors.route()
    doors.courier.drain(stopping=lambda: bool(target.requests()))

    doors.change(subscription, disabled=NOW)
    answer.release.set()
    doors.deliver()
    settled = state(doors)
    doors.again()

    assert settled == after
    assert state(doors) == (after[0], 1, True)
    assert len(target.requests()) == 1


def test_reviving_sends_nothing_twice(doors: Doors, target: RecordingTarget) -> None:
    """What is in flight while its subscription is disabled and revived stays with the worker that has it."""
    answer = Held(200)
    target.always("/", answer)
    subscription = doors.subscribe(target.url())
    doors.accept()
    doors.route()
    doors.courier.drain(stopping=lambda: bool(target.requests()))

    doors.change(subscription, disabled=NOW)
    doors.change(subscription, disabled=None)
    doors.new_courier().drain()
    answer.release.set()
    doors.deliver()

    assert state(doors)[:2] == ("delivered", 1)
    assert len(target.requests()) == 1


def test_reviving_while_a_worker_holds(doors: Doors, target: RecordingTarget) -> None:
    """What a worker puts on hold at the moment of the revival is freed by the housekeeping of any worker."""
    subscription = doors.subscribe(target.url())
    doors.accept()
    doors.route()
    doors.change(subscription, disabled=NOW)
    doors.change(subscription, disabled=None)
    with orm.session():
        # What a worker writes that read the subscription before it was revived.
        orm.EventLogMatch.update(next_attempt_at=None).execute()

    freed = mend(doors)
    doors.deliver()

    assert freed == 1
    assert state(doors)[:2] == ("delivered", 1)


def test_disabling_holds_what_waits_for_the_policy_server(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """A delivery that waits for an answer of the policy server is held too, and goes on when revived."""
    doors = open_doors({"notifications.policy_url": target.url("/policy")})
    target.answers("/policy/events/alice", [500])
    subscription = doors.subscribe(target.url("/in"))
    doors.send()

    doors.change(subscription, disabled=NOW)
    doors.again()
    held = state(doors)
    doors.change(subscription, disabled=None)
    doors.again()

    assert held == ("pending", 0, True)
    assert state(doors)[:2] == ("delivered", 1)
    assert len(target.requests("/policy/events/alice")) == 2


def test_deleting_cancels(doors: Doors, target: RecordingTarget) -> None:
    """Deleting cancels what is pending and what is held; what has ended stays."""
    target.answers("/", [200, 500])
    subscription = doors.subscribe(target.url())
    delivered = doors.send()
    pending = doors.send()

    doors.delete(subscription)

    assert doors.delivery(delivered).state == "delivered"
    cancelled = doors.delivery(pending)
    assert (cancelled.state, cancelled.reason) == ("cancelled", "the subscription was deleted")
    assert cancelled.finished is not None
    assert cancelled.next_attempt_at is None


def test_deleting_cancels_what_is_held(doors: Doors, target: RecordingTarget) -> None:
    """Deleting a disabled subscription cancels what it held."""
    target.always("/", 500)
    subscription = doors.subscribe(target.url())
    doors.send()
    doors.change(subscription, disabled=NOW)

    doors.delete(subscription)

    assert state(doors) == ("cancelled", 1, True)


def test_delivery_made_while_deleting_is_cancelled(doors: Doors, target: RecordingTarget) -> None:
    """A delivery that a router makes for a subscription deleted meanwhile ends cancelled, unsent."""
    subscription = doors.subscribe(target.url())
    event = doors.accept()
    doors.delete(subscription)
    with orm.session():
        orm.EventLogMatch.add(event, {subscription: place(target.url())})

    doors.deliver()

    assert state(doors) == ("cancelled", 0, True)
    assert target.requests() == []


def test_held_too_long_is_dead(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """What is held longer than `retention.held` is dead, with that reason; a shorter time leaves it."""
    doors = open_doors({"retention.held": 1000})
    target.always("/", 500)
    subscription = doors.subscribe(target.url())
    doors.send()
    doors.change(subscription, disabled=NOW)
    disabled_for(doors, subscription, 990)
    mend(doors)
    short = state(doors)

    disabled_for(doors, subscription, 1010)
    mend(doors)

    assert short == ("pending", 1, True)
    assert state(doors) == ("dead", 1, True)
    assert "retention.held" in doors.delivery().reason
    assert doors.delivery().finished is not None


def test_old_deliveries_are_held_as_long_as_new_ones(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """How long a delivery is held counts from its subscription's disabling, not from the event."""
    doors = open_doors({"retention.held": 1000})
    target.always("/", 500)
    subscription = doors.subscribe(target.url())
    doors.send()
    with orm.session():
        orm.EventLogMatch.update(created=LONG_AGO).execute()

    doors.change(subscription, disabled=NOW)
    mend(doors)

    assert state(doors) == ("pending", 1, True)


def test_housekeeping_leaves_what_waits_for_its_time(doors: Doors, target: RecordingTarget) -> None:
    """Housekeeping touches neither what waits for its next attempt nor what has ended."""
    target.answers("/", [200, 500])
    doors.subscribe(target.url())
    doors.send()
    doors.send()
    before = [delivery.__data__ for delivery in doors.deliveries()]

    assert mend(doors) == 0

    assert [delivery.__data__ for delivery in doors.deliveries()] == before


def test_revived_by_the_owner_after_410(doors: Doors, target: RecordingTarget) -> None:
    """What was held when a target answered 410 continues when the owner revives the subscription."""
    target.answers("/", [500, 410, 200])
    subscription = doors.subscribe(target.url())
    waiting = doors.send()
    gone = doors.send()
    held = doors.delivery(waiting).next_attempt_at is None

    doors.change(subscription, disabled=None, error=None)
    doors.deliver()

    assert held
    assert doors.delivery(gone).state == "dead"
    assert doors.delivery(waiting).state == "delivered"
