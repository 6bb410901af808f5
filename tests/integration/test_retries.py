"""A failing target is tried again on the schedule of the settings; only one that fails for days disables."""

from __future__ import annotations

import threading
from datetime import timedelta
from uuid import UUID

import pytest

from pacifica.notifications import orm
from tests.support.doors import LONG_AGO, Doors
from tests.support.target import Answer, Held, RecordingTarget, Reset, redirect
from tests.support.wait import until

from .conftest import OpenDoors

DEFAULT_SCHEDULE = [5, 30, 120, 600, 3600, 7200, 14400, 28800, 28800]
#: A clock's reading and its way into the table may differ by so much.
TICK = 0.01


@pytest.fixture
def failing(target: RecordingTarget) -> RecordingTarget:
    """A target that answers 500 until it is told otherwise."""
    target.always("/", Answer(500, body=b"the target's words"))
    return target


def failed(doors: Doors, subscription: UUID) -> tuple[bool, int]:
    """Tell whether a subscription is on record as failing, and for how many attempts."""
    row = doors.subscription(subscription)
    return row.failing_since is not None, row.failures


def fail_for(doors: Doors, subscription: UUID, days: float, failures: int) -> None:
    """Let a subscription have failed for so many days and attempts."""
    with orm.session():
        since = orm.now() - timedelta(days=days)
        row = orm.EventMatch
        row.update(failing_since=since, failures=failures).where(row.uuid == subscription).execute()


# The schedule.


def test_default_schedule(doors: Doors, failing: RecordingTarget) -> None:
    """Without settings a delivery is tried ten times, after 5 s, 30 s, … 8 h, and is dead then."""
    doors.subscribe(failing.url())
    doors.send()
    delays = []
    while doors.delivery().state == "pending":
        delays.append(doors.delay())
        doors.again()

    assert delays == pytest.approx(DEFAULT_SCHEDULE, abs=TICK)
    dead = doors.delivery()
    assert (dead.state, dead.attempts, dead.next_attempt_at, dead.reason) == ("dead", 10, None, "answered 500")
    assert dead.finished is not None
    assert [request.attempt for request in failing.requests()] == list(range(1, 11))


def test_schedule_is_the_one_of_the_settings(open_doors: OpenDoors, failing: RecordingTarget) -> None:
    """`delivery.retry_schedule` says how often and after how long a delivery is tried again."""
    doors = open_doors({"delivery.retry_schedule": "7,0.5,1000"})
    doors.subscribe(failing.url())
    doors.send()
    delays = []
    while doors.delivery().state == "pending":
        delays.append(doors.delay())
        doors.again()

    assert delays == pytest.approx([7, 0.5, 1000], abs=TICK)
    assert doors.delivery().attempts == 4


def test_jitter_varies_the_delays(open_doors: OpenDoors, failing: RecordingTarget) -> None:
    """Every delay is varied by the jitter of the settings, evenly to both sides and within its bounds."""
    doors = open_doors({"delivery.retry_schedule": "1000", "delivery.jitter": "0.2"})
    doors.subscribe(failing.url())
    for _ in range(60):
        doors.accept()
    doors.work()

    delays = [doors.delay(delivery) for delivery in doors.deliveries()]

    assert all(800 - TICK <= delay <= 1200 + TICK for delay in delays)
    assert min(delays) < 950
    assert max(delays) > 1050


def test_nothing_is_sent_before_its_time(doors: Doors, failing: RecordingTarget) -> None:
    """A delivery that waits for its next attempt is left alone."""
    doors.subscribe(failing.url())
    doors.send()

    doors.deliver()

    assert len(failing.requests()) == 1


@pytest.mark.parametrize("answer", [500, 404, redirect("http://127.0.0.1/"), Reset()], ids=repr)
def test_empty_schedule_is_no_retry(open_doors: OpenDoors, target: RecordingTarget, answer: object) -> None:
    """With an empty schedule a delivery is dead after its first failure; its subscription stays enabled."""
    doors = open_doors({"delivery.retry_schedule": ""})
    subscription = doors.subscribe(target.url())
    target.always("/", answer)

    doors.send()
    doors.again()

    assert (doors.delivery().state, doors.delivery().attempts) == ("dead", 1)
    assert len(target.requests()) == 1
    assert doors.subscription(subscription).disabled is None


def test_delivery_that_is_taken_late_is_delivered(doors: Doors, target: RecordingTarget) -> None:
    """A target that comes back before the schedule ends gets its delivery, once."""
    doors.subscribe(target.url())
    target.stop()
    doors.send()
    doors.again()

    target.start()
    doors.again()
    doors.again()

    assert (doors.delivery().state, doors.delivery().attempts) == ("delivered", 3)
    assert [request.attempt for request in target.requests()] == [3]


# Disabling.


def test_one_failure_does_not_disable(doors: Doors, failing: RecordingTarget) -> None:
    """A failure is counted, and the subscription goes on."""
    subscription = doors.subscribe(failing.url())

    doors.send()

    assert failed(doors, subscription) == (True, 1)
    assert (doors.subscription(subscription).disabled, doors.subscription(subscription).error) == (None, None)


def test_disabling_at_the_first_failure(open_doors: OpenDoors, failing: RecordingTarget) -> None:
    """With `delivery.disable_after = 0` the first failure disables and there is no retry, as it was in 0.5.2."""
    doors = open_doors({"delivery.disable_after": 0})
    subscription = doors.subscribe(failing.url())

    doors.send()
    doors.again()

    assert (doors.delivery().state, doors.delivery().attempts) == ("dead", 1)
    assert doors.subscription(subscription).disabled is not None
    assert doors.subscription(subscription).error == "the target answered 500"
    assert len(failing.requests()) == 1


def test_first_failure_without_an_answer(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """The reason for which a subscription is disabled can be read also when there was no answer."""
    doors = open_doors({"delivery.disable_after": 0})
    subscription = doors.subscribe(target.url())
    target.stop()

    doors.send()

    assert doors.subscription(subscription).error == "the target: the connection was refused"


def test_failing_for_days_disables(doors: Doors, failing: RecordingTarget) -> None:
    """A subscription that failed for five days and ten attempts is disabled, and its owner reads why."""
    subscription = doors.subscribe(failing.url())
    fail_for(doors, subscription, days=5.01, failures=9)

    doors.send()

    row = doors.subscription(subscription)
    assert row.disabled is not None
    assert row.error.startswith("no delivery succeeded in 10 attempts since 2")
    assert row.error.endswith("Z; at last the target answered 500")
    delivery = doors.delivery()
    assert (delivery.state, delivery.attempts) == ("pending", 1)


@pytest.mark.parametrize(("days", "failures"), [(100, 8), (4.99, 500), (0, 1000)])
def test_few_or_short_failures_do_not_disable(
    doors: Doors, failing: RecordingTarget, days: float, failures: int
) -> None:
    """Fewer than ten failures, or failures for less than the setting's days, do not disable."""
    subscription = doors.subscribe(failing.url())
    fail_for(doors, subscription, days, failures)

    doors.send()

    assert doors.subscription(subscription).disabled is None
    assert failed(doors, subscription) == (True, failures + 1)


def test_days_are_a_setting(open_doors: OpenDoors, failing: RecordingTarget) -> None:
    """`delivery.disable_after` says for how many seconds a subscription may fail."""
    doors = open_doors({"delivery.disable_after": 3600})
    subscription = doors.subscribe(failing.url())
    fail_for(doors, subscription, days=1 / 23, failures=20)

    doors.send()

    assert doors.subscription(subscription).disabled is not None


def test_success_clears_the_failures(doors: Doors, failing: RecordingTarget) -> None:
    """One delivery that arrives ends what was counted, however long it was."""
    subscription = doors.subscribe(failing.url())
    fail_for(doors, subscription, days=4, failures=50)
    failing.answers("/", [200])

    doors.send()

    assert failed(doors, subscription) == (False, 0)
    assert doors.subscription(subscription).disabled is None


def test_failures_are_counted_for_each_subscription(doors: Doors, failing: RecordingTarget) -> None:
    """What one subscription's target does counts for no other, not even with the same host."""
    subscription = doors.subscribe(failing.url())
    other = doors.subscribe(failing.url("/other"))
    fail_for(doors, subscription, days=6, failures=50)

    doors.send()

    assert doors.subscription(subscription).disabled is not None
    assert failed(doors, other) == (False, 0)
    assert doors.subscription(other).disabled is None


def test_refusals_of_the_gate_are_no_failures(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """What the policy server says or does not say counts as no failure of a target."""
    doors = open_doors({"notifications.policy_url": target.url()})
    target.always("/events/alice", 500)
    subscription = doors.subscribe(target.url("/in"))

    doors.send()

    assert failed(doors, subscription) == (False, 0)


def test_reviving_starts_anew(doors: Doors, failing: RecordingTarget) -> None:
    """A subscription that its owner revives has no failures on record."""
    subscription = doors.subscribe(failing.url())
    fail_for(doors, subscription, days=6, failures=50)
    doors.send()
    assert doors.subscription(subscription).disabled is not None

    doors.change(subscription, disabled=None)
    revived = failed(doors, subscription), doors.subscription(subscription).error
    doors.again()

    assert revived == ((False, 0), None)
    assert doors.subscription(subscription).disabled is None
    assert failed(doors, subscription) == (True, 1)


def test_another_target_starts_anew(doors: Doors, failing: RecordingTarget) -> None:
    """Failures of a target do not count against the one that takes its place; other changes keep them."""
    subscription = doors.subscribe(failing.url())
    fail_for(doors, subscription, days=6, failures=50)

    doors.change(subscription, name="renamed", target_url=failing.url())
    kept = failed(doors, subscription)
    doors.change(subscription, target_url=failing.url("/moved"))

    assert kept == (True, 50)
    assert failed(doors, subscription) == (False, 0)


def test_many_failures_at_once_are_all_counted(doors: Doors, failing: RecordingTarget) -> None:
    """Several workers count the failures of one subscription together, and one of them disables it."""
    subscription = doors.subscribe(failing.url())
    fail_for(doors, subscription, days=6, failures=0)
    release = threading.Event()
    failing.always("/", Held(500, release=release))
    for _ in range(30):
        doors.accept()
    doors.route()
    couriers = [doors.new_courier() for _ in range(3)]
    couriers[0].drain(stopping=lambda: len(failing.requests()) >= 8)
    threads = [threading.Thread(target=courier.drain) for courier in couriers]
    for thread in threads:
        thread.start()
    until(lambda: len(failing.requests()) >= 10, 30, "as many attempts under way as it takes to disable")

    release.set()
    for thread in threads:
        thread.join(60)

    attempts = [delivery.attempts for delivery in doors.deliveries()]
    assert doors.subscription(subscription).disabled is not None
    # What no worker had in hand by then is held.
    assert set(attempts) <= {0, 1}
    assert failed(doors, subscription) == (True, sum(attempts))


def test_attempts_before_a_crash_are_not_forgotten(doors: Doors, failing: RecordingTarget) -> None:
    """A worker that takes over counts on from the attempts that are on record."""
    doors.subscribe(failing.url())
    doors.send()
    doors.again()
    with orm.session():
        (claimed,) = (doors.make_due(), orm.claim_due(10, 60))[1]
        orm.EventLogMatch.update(next_attempt_at=LONG_AGO).execute()

    doors.new_courier().drain()

    assert claimed.attempts == 2
    assert [request.attempt for request in failing.requests()] == [1, 2, 3]
    assert doors.delivery().attempts == 3
