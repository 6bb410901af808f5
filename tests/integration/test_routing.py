"""An event goes to the subscriptions that match it, once, whatever is wrong with the others."""

from __future__ import annotations

import gc
import logging
import re
import threading
from collections import Counter
from collections.abc import Hashable
from pathlib import Path
from typing import ClassVar
from uuid import UUID, uuid4

import pytest
from playhouse.db_url import connect

from pacifica.notifications import orm
from pacifica.notifications.matching import Index
from pacifica.notifications.routing import Router, Subscribers
from tests.support import tables
from tests.support.doors import LONG_AGO, Doors
from tests.support.factories import INGEST, ingest, make_event, make_event_1_0
from tests.support.target import RecordingTarget
from tests.support.wait import until

from .conftest import OpenDoors

URL = "http://127.0.0.1:9/"
#: Finds nothing, and tries each pair of numbers on each item of a list to find out.
RUNAWAY = '$.data[*][?(@.b.substring($.data[*].a, $.data[*].a) = "zz")]'


def matched(doors: Doors, event: UUID) -> set[UUID]:
    """Return the subscriptions that an event was routed to."""
    return {delivery.event_match_id for delivery in doors.deliveries(event)}


def large(**changes: object) -> dict[str, object]:
    """Return an event with a long list, on which a runaway takes more work than it may."""
    return make_event(data=[{"a": number, "b": f"{number}"} for number in range(300)], **changes)


def test_event_goes_to_those_that_match(doors: Doors) -> None:
    """Every subscription that finds something gets one delivery, due at once; the others get none."""
    everything = doors.subscribe(URL)
    ingests = doors.subscribe(URL, jsonpath=f'$[?(@.eventType = "{INGEST}")]')
    documented = doors.subscribe(URL, jsonpath="data")
    project = doors.subscribe(
        URL, jsonpath='$.data[*][?(@.destinationTable = "Transactions.project" and @.value = "1234a")]'
    )
    doors.subscribe(URL, jsonpath='$[?(@.eventType = "another")]')
    doors.subscribe(URL, jsonpath="$.missing")
    event = doors.accept(ingest(1))

    made = doors.route()

    assert matched(doors, event) == {everything, ingests, documented, project}
    assert made == 4
    for delivery in doors.deliveries(event):
        assert (delivery.state, delivery.attempts, delivery.replay) == ("pending", 0, 0)
        assert delivery.next_attempt_at is not None
    assert doors.event(event).routed is not None


@pytest.mark.parametrize(
    ("event", "jsonpath"),
    [
        (make_event(data=None), "data"),
        (make_event(data=[]), "$.data"),
        (make_event(data="10.1/x"), '$[?(@.data = "10.1/x")]'),
        (make_event(data=2**64 + 1), f"$[?(@.data = {2**64 + 1})]"),
        (make_event(source="Zürich"), '$[?(@.source = "Zürich")]'),
        (make_event_1_0(type="new"), '$[?(@.type = "new")]'),
        (make_event_1_0(subject="s"), "subject"),
    ],
)
def test_events_match_as_they_arrived(doors: Doors, event: dict[str, object], jsonpath: str) -> None:
    """An expression sees the event's own names and values, 0.1 names for 0.1 events."""
    doors.subscribe(URL, jsonpath=jsonpath)
    doors.subscribe(URL, jsonpath="type" if "eventType" in event else "eventType")
    doors.accept(event)

    assert doors.route() == 1


def test_event_is_routed_once(doors: Doors) -> None:
    """An event that was sent again with another time has one row and one delivery."""
    doors.subscribe(URL)
    event = make_event(time="2026-01-01T00:00:00")
    first = doors.accept(event)
    doors.route()

    second = doors.accept(event | {"eventTime": "2026-01-01T00:00:09"})
    doors.route()

    assert second == first
    assert len(doors.deliveries()) == 1


def test_disabled_and_deleted_get_nothing(doors: Doors) -> None:
    """An event that is routed while a subscription is disabled or deleted makes no delivery for it, nor later."""
    disabled, deleted, enabled = (doors.subscribe(URL) for _ in range(3))
    first = doors.accept()
    doors.route()
    doors.change(disabled, disabled="2026-01-01T00:00:00Z")
    doors.delete(deleted)

    event = doors.accept()
    doors.route()
    doors.change(disabled, disabled=None)
    later = doors.accept()
    doors.route()

    assert matched(doors, first) == {disabled, deleted, enabled}
    assert matched(doors, event) == {enabled}
    assert matched(doors, later) == {disabled, enabled}


def test_changed_expression_counts_from_the_next_event(doors: Doors) -> None:
    """A router takes up a changed expression before the next event that is accepted after the change."""
    subscription = doors.subscribe(URL, jsonpath="$.missing")
    before = doors.accept()
    doors.route()

    doors.change(subscription, jsonpath="$.data")
    after = doors.accept()
    doors.route()
    doors.change(subscription, jsonpath="$.missing")
    last = doors.accept()
    doors.route()

    assert (matched(doors, before), matched(doors, after), matched(doors, last)) == (
        set(),
        {subscription},
        set(),
    )


def test_subscription_sees_every_event_after_it(doors: Doors) -> None:
    """Whatever two routers do at the same time, a subscription gets each event accepted after it was committed."""
    ending = threading.Event()
    routers = [Router(doors.settings) for _ in range(2)]

    def keep_routing(router: Router) -> None:
        while not ending.is_set():
            router.drain()

    threads = [threading.Thread(target=keep_routing, args=(router,)) for router in routers]
    for thread in threads:
        thread.start()
    expected: dict[UUID, set[UUID]] = {}
    made: set[UUID] = set()
    try:
        for number in range(30):
            made.add(doors.subscribe(URL, name=str(number)))
            for renamed in list(made)[:2]:
                doors.change(renamed, name=f"renamed {number}")
            expected[doors.accept()] = set(made)
        until(lambda: all(doors.event(event).routed for event in expected), what="all events to be routed")
    finally:
        ending.set()
        for thread in threads:
            thread.join(30)

    for event, subscriptions in expected.items():
        assert matched(doors, event) >= subscriptions


#: How to keep everybody out of the subscriptions, and how many wait for them; SQLite lets nobody wait who reads.
LOCKS = {
    "postgresql": (
        "LOCK TABLE eventmatch IN ACCESS EXCLUSIVE MODE",
        "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND relation = 'eventmatch'::regclass",
    ),
    "mariadb": (
        "LOCK TABLES eventmatch WRITE, subscriptionrevision WRITE",
        "SELECT COUNT(*) FROM information_schema.processlist"
        " WHERE db = DATABASE() AND LEFT(state, 17) = 'Waiting for table'",
    ),
}


@pytest.mark.parametrize("server", LOCKS)
def test_subscription_that_is_changed_while_a_router_reads(
    server: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A subscription that is changed at the moment when a router looks for changes is not missed."""
    url: str = request.getfixturevalue(f"{server}_url")
    lock, waiting = LOCKS[server]
    with Doors(tmp_path, url) as doors:
        subscription = doors.subscribe(URL)
        event = doors.accept()
        routing = threading.Thread(target=doors.route)
        # One transaction in PostgreSQL; in MariaDB the lock commits it, and ends with the connection.
        with connect(url) as other:
            other.execute_sql(lock)
            routing.start()
            until(lambda: tables.one(url, waiting), what="the router to wait for the table")
            other.execute_sql("UPDATE subscriptionrevision SET value = value + 1")
            ((revision,),) = other.execute_sql("SELECT value FROM subscriptionrevision").fetchall()
            other.execute_sql("UPDATE eventmatch SET name = 'changed', revision = %s", (revision,))
        routing.join(30)

        assert matched(doors, event) == {subscription}


#: How to keep everybody out of the events, and how many wait for them.
LOCKED_EVENTS = {
    "postgresql": (
        "LOCK TABLE eventlog IN ACCESS EXCLUSIVE MODE",
        "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND relation = 'eventlog'::regclass",
    ),
    "mariadb": (
        "LOCK TABLES eventlog WRITE, eventmatch WRITE, subscriptionrevision WRITE",
        "SELECT COUNT(*) FROM information_schema.processlist"
        " WHERE db = DATABASE() AND LEFT(state, 17) = 'Waiting for table' AND LOCATE('eventlog', info)",
    ),
}


@pytest.mark.parametrize("server", LOCKED_EVENTS)
def test_subscriptions_are_read_after_the_claim(server: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A change that is committed before an event can be claimed is known when that event is matched."""
    url: str = request.getfixturevalue(f"{server}_url")
    lock, waiting = LOCKED_EVENTS[server]
    with Doors(tmp_path, url) as doors:
        subscription = doors.subscribe(URL, jsonpath="$.nothing")
        doors.route()
        event = doors.accept()
        routing = threading.Thread(target=doors.route)
        with connect(url) as other:
            other.execute_sql(lock)
            routing.start()
            until(lambda: tables.one(url, waiting), what="the router to wait for the events")
            other.execute_sql("UPDATE subscriptionrevision SET value = 2")
            other.execute_sql("UPDATE eventmatch SET jsonpath = '$.data', revision = 2")
        routing.join(30)

        assert matched(doors, event) == {subscription}
        assert doors.event(event).revision == 2


def test_revision_is_kept_with_the_event(doors: Doors) -> None:
    """An event keeps the revision of the subscriptions with which it was routed."""
    first = doors.accept()
    doors.route()
    doors.subscribe(URL)
    second = doors.accept()
    doors.route()
    doors.delete(doors.subscribe(URL))
    third = doors.accept()
    doors.route()

    revisions = [doors.event(event).revision for event in (first, second, third)]

    assert revisions == [0, 1, 3]


def test_batches_are_routed_to_the_end(open_doors: OpenDoors) -> None:
    """More events than one batch takes are all routed."""
    doors = open_doors({"matching.batch": 3})
    doors.subscribe(URL)
    events = {doors.accept() for _ in range(10)}

    assert doors.route() == 10

    assert {delivery.event_log_id for delivery in doors.deliveries()} == events


def test_oldest_comes_first(open_doors: OpenDoors) -> None:
    """What has waited longest is routed first."""
    doors = open_doors({"matching.batch": 1})
    doors.subscribe(URL)
    oldest = [doors.accept() for _ in range(3)][1]
    with orm.session():
        orm.EventLog.update(route_at=LONG_AGO).where(orm.EventLog.uuid == oldest).execute()

    doors.router.drain(stopping=lambda: bool(doors.deliveries()))

    assert [delivery.event_log_id for delivery in doors.deliveries()] == [oldest]


def test_router_stops_between_batches(open_doors: OpenDoors) -> None:
    """A router that is told to stop leaves the rest to others."""
    doors = open_doors({"matching.batch": 3})
    doors.subscribe(URL)
    for _ in range(10):
        doors.accept()

    made = doors.router.drain(stopping=lambda: len(doors.deliveries()) >= 3)

    assert made == 3
    assert doors.route() == 7


def test_routers_share_the_work(open_doors: OpenDoors) -> None:
    """Three routers at once make every delivery once."""
    doors = open_doors({"matching.batch": 5})
    subscriptions = {doors.subscribe(URL) for _ in range(3)}
    events = [doors.accept() for _ in range(40)]
    threads = [threading.Thread(target=Router(doors.settings).drain) for _ in range(3)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    doors.route()

    made = Counter((delivery.event_log_id, delivery.event_match_id) for delivery in doors.deliveries())
    assert made == Counter((event, subscription) for event in events for subscription in subscriptions)


def test_claim_of_a_vanished_router_is_taken_over(doors: Doors) -> None:
    """What a router had claimed when it vanished is routed once its lease has run out, not before."""
    doors.subscribe(URL)
    event = doors.accept()
    with orm.session():
        (claimed,) = orm.EventLog.claim_unrouted(10, 60)

    early = doors.route()
    with orm.session():
        orm.EventLog.update(route_at=LONG_AGO).execute()
    late = doors.route()
    with orm.session():
        finished = orm.EventLog.finish_routing([claimed], 99)

    assert (early, late) == (0, 1)
    assert not finished
    assert doors.event(event).revision == 1


# What is broken counts only against itself.


@pytest.mark.parametrize(
    "expression", ["$.data[0:5:0]", "no JSONPath [", "", "$.data[?(@.a ==", "$..*..*..*..a", "$" + "[0,1]" * 9]
)
def test_broken_expression_counts_only_against_itself(doors: Doors, expression: str) -> None:
    """An expression that can't be used, or fails on an event, stops no other and disables nobody."""
    before = doors.subscribe(URL)
    broken = doors.subscribe(URL)
    after = doors.subscribe(URL)
    doors.write(broken, jsonpath=expression)
    event = doors.accept(make_event(data=[1, 2, 3]))

    doors.route()

    assert matched(doors, event) == {before, after}
    assert doors.subscription(broken).disabled is None
    assert doors.event(event).routed is not None


def test_failure_at_match_time_is_logged(doors: Doors, caplog: pytest.LogCaptureFixture) -> None:
    """A failure of an expression on an event is a line with both ids, and never taken for no match in silence."""
    broken = doors.subscribe(URL, jsonpath="$.data[0:5:0]")
    event = doors.accept(make_event(data=[1]))

    with caplog.at_level(logging.WARNING):
        doors.route()

    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert line.startswith("matching.failed")
    assert str(broken) in line
    assert str(event) in line


def test_failing_expression_matches_where_it_does_not_fail(doors: Doors) -> None:
    """A slice with step 0 fails on lists alone; other events of the same subscription are matched."""
    subscription = doors.subscribe(URL, jsonpath='$[?(@.eventType = "fine" or @.data[0:5:0])]')
    fails = doors.accept(make_event(type="other", data=[1]))
    fine = doors.accept(make_event(type="fine", data={}))

    doors.route()

    assert matched(doors, fails) == set()
    assert matched(doors, fine) == {subscription}


def test_runaway_is_disabled_with_the_reason(doors: Doors) -> None:
    """An expression that takes too much work on an event disables its subscription, which says on which event."""
    before = doors.subscribe(URL)
    runaway = doors.subscribe(URL, jsonpath=RUNAWAY)
    after = doors.subscribe(URL)
    event = doors.accept(large())

    doors.route()

    assert matched(doors, event) == {before, after}
    row = doors.subscription(runaway)
    assert row.disabled is not None
    said = rf"jsonpath took more than \d+ steps on event {event}, more than one may on an event of that size"
    assert re.fullmatch(said, row.error)
    assert [doors.subscription(uuid).disabled for uuid in (before, after)] == [None, None]


def test_revived_runaway_is_tried_again(doors: Doors) -> None:
    """A runaway that its owner revives is matched again, and is disabled again only where it runs away."""
    runaway = doors.subscribe(URL, jsonpath=RUNAWAY)
    doors.accept(large())
    doors.route()
    assert doors.subscription(runaway).disabled is not None

    doors.change(runaway, disabled=None)
    doors.accept(make_event(data=[{"a": 0, "b": "zz"}, {"a": 2, "b": "x"}]))
    doors.route()

    assert len(doors.deliveries(subscription=runaway)) == 1
    assert doors.subscription(runaway).error is None


def test_service_survives_a_runaway(doors: Doors, target: RecordingTarget) -> None:
    """Deliveries of others go out although several expressions run away on the same event."""
    runaways = [doors.subscribe(target.url("/never"), jsonpath=RUNAWAY) for _ in range(5)]
    doors.subscribe(target.url("/in"))

    doors.send(large())

    assert [request.path for request in target.requests()] == ["/in"]
    assert all(doors.subscription(uuid).disabled for uuid in runaways)


def test_unreadable_body_is_routed_to_nobody(doors: Doors) -> None:
    """A row whose body is no JSON is routed to nobody and stands in nobody's way."""
    doors.subscribe(URL)
    with orm.session():
        unreadable = orm.EventLog.create(jsondata="{", created=orm.now(), route_at=LONG_AGO)
    event = doors.accept()

    doors.route()

    assert doors.event(unreadable.uuid).routed is not None
    assert matched(doors, unreadable.uuid) == set()
    assert len(matched(doors, event)) == 1


# Batches.


def test_batch_is_written_together(open_doors: OpenDoors) -> None:
    """Events of one batch are routed with one moment and one revision, each to those that match it, in its lane."""
    doors = open_doors({"matching.batch": 50})
    everything = doors.subscribe(URL)
    second = doors.subscribe("http://127.0.0.1:10/", jsonpath='$[?(@.source = "/2")]')
    ordered = doors.subscribe(URL, jsonpath='$[?(@.source != "/1")]', ordered=True)
    events = [doors.accept(make_event(source=f"/{number}")) for number in range(4)]

    assert doors.route() == 4 + 1 + 3

    assert [matched(doors, event) for event in events] == [
        {everything, ordered},
        {everything},
        {everything, second, ordered},
        {everything, ordered},
    ]
    assert {doors.event(event).revision for event in events} == {3}
    for delivery in doors.deliveries():
        of_order = delivery.event_match_id == ordered
        assert delivery.lane == doors.subscription(delivery.event_match_id).lane
        assert delivery.accepted == (doors.event(delivery.event_log_id).created if of_order else None)


def test_event_of_a_batch_that_another_router_has_is_left_to_it(doors: Doors) -> None:
    """Of a batch whose lease ran out while it was matched, what was taken over is left to the one who did."""
    subscription = doors.subscribe(URL)
    events = [doors.accept() for _ in range(3)]
    with orm.session():
        mine = orm.EventLog.claim_unrouted(10, 0)
        theirs = orm.EventLog.claim_lost(60)
        assert theirs is not None

        with orm.transaction():
            finished = orm.EventLog.finish_routing(mine, 1)
            orm.EventLogMatch.add_all(orm.NewDelivery(event.uuid, subscription, "") for event in finished)

    assert {event.uuid for event in finished} == set(events) - {theirs.uuid}
    assert {delivery.event_log_id for delivery in doors.deliveries()} == set(events) - {theirs.uuid}
    assert doors.event(theirs.uuid).routed is None


def test_batch_with_very_many_matches_is_routed_whole(open_doors: OpenDoors) -> None:
    """More deliveries than one statement, and than one transaction, takes are all made, each once."""
    doors = open_doors({"matching.batch": 20})
    model = doors.subscription(doors.subscribe(URL)).__data__
    with orm.session():
        copies = [model | {"uuid": uuid4()} for _ in range(599)]
        for part in (copies[:300], copies[300:]):
            orm.EventMatch.insert_many(part).execute()
    events = {doors.accept() for _ in range(20)}

    assert doors.route() == 20 * 600

    assert Counter(delivery.event_log_id for delivery in doors.deliveries()) == dict.fromkeys(events, 600)
    assert all(doors.event(event).routed for event in events)


# Following.


class Faulty(Index):
    """An index that raises, once, when it is given a certain expression."""

    raised: ClassVar[list[str]] = []

    def add(self, key: Hashable, text: str) -> None:
        """Hold it, or raise."""
        if text == "$.faulty" and len(self.raised) < 1:
            self.raised.append(text)
            raise RuntimeError("a fault of the index")
        super().add(key, text)


@pytest.mark.parametrize("built", [True, False], ids=["built", "new"])
def test_fault_of_the_index_stops_nobody_for_long(doors: Doors, built: bool) -> None:
    """An index that fails at a change is built anew; one that fails while it is built leaves that subscription out."""
    Faulty.raised.clear()
    subscribers = Subscribers(doors.settings, lambda uuid, error: None, Faulty)
    good = doors.subscribe(URL)
    with orm.session():
        if built:
            subscribers.follow()
        faulty = doors.subscribe(URL, jsonpath="$.faulty")
        if built:
            with pytest.raises(RuntimeError):
                subscribers.follow()
        subscribers.follow()

    assert subscribers.revision == 2
    assert set(subscribers.match('{"faulty": 1}')) == ({good, faulty} if built else {good})


def test_index_is_built_before_the_first_event(doors: Doors, caplog: pytest.LogCaptureFixture) -> None:
    """A router that starts reads all subscriptions, and says once how many they are and how long it took."""
    for _ in range(3):
        doors.subscribe(URL)
    doors.delete(doors.subscribe(URL))

    with caplog.at_level(logging.INFO):
        doors.route()
        doors.subscribe(URL)
        doors.accept()
        doors.route()

    (line,) = [record.getMessage() for record in caplog.records if record.getMessage().startswith("index.built")]
    assert re.match(r"index\.built revision=5 changes=4 subscriptions=3 seconds=\d", line)


def test_what_a_router_holds_is_left_out_of_collections(doors: Doors) -> None:
    """What is there when the index is built is no part of later collections, which stop all threads; they go on."""
    doors.subscribe(URL)

    doors.route()

    assert gc.isenabled()
    assert gc.get_freeze_count() > 1000
