"""Events in the database: stored once, and routed by one worker at a time."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest

from pacifica.notifications import events, orm
from pacifica.notifications.orm import EventLog
from tests.support.factories import ABSENT

from .rows import at_once, broken_off, event, stored

pytestmark = pytest.mark.usefixtures("database")

#: Seconds of a lease that ends at once, and of one that outlives any test.
NONE, LONG = 0.0, 3600.0


def test_an_event_is_stored_with_what_it_is_looked_up_by() -> None:
    """The accepted text stands beside the attributes; the event is due for routing by the database's clock."""
    body = b'{"specversion":"1.0", "type":"t","source":"s","id":"i","subject":"about",'
    body += b'"time":"2026-01-31T12:00:00.5+01:00",'
    body += '"data": ["\\u0000 é \\ud83d\\ude00 😀", 1.10, 18446744073709551617]}\n'.encode()
    before = orm.now()

    found = EventLog.store(events.parse(body, "application/cloudevents+json"))

    row = EventLog.get_by_id(found.uuid)
    assert (found.duplicate, found.conflicts_with) == (False, None)
    assert row.jsondata.encode() == body
    assert row.content_type == "application/cloudevents+json"
    assert (row.source, row.event_id, row.type, row.subject) == ("s", "i", "t", "about")
    assert row.time == datetime(2026, 1, 31, 11, 0, 0, 500000)
    assert before <= row.created <= orm.now()
    assert before <= row.route_at <= orm.now()
    assert (row.routed, row.revision, row.lease) == (None, None, None)


@pytest.mark.parametrize("changes", [{}, {"time": "2030-01-01T00:00:00"}, {"time": ABSENT}])
def test_the_same_event_again_finds_its_row(changes: dict[str, str]) -> None:
    """A retry gets the row that is there, also with another time, and changes nothing about it."""
    first = EventLog.store(event(id="i", source="s", data=1))
    [claimed] = EventLog.claim_unrouted(10, LONG)
    EventLog.finish_routing([claimed], 7)

    second = EventLog.store(event(id="i", source="s", data=1, **changes))

    assert second == orm.Stored(first.uuid, duplicate=True)
    assert EventLog.select().count() == 1
    assert EventLog.claim_unrouted(10, LONG) == []


def test_other_content_under_the_same_name_gets_a_row_of_its_own() -> None:
    """Conflicts are stored and name the first event of that source and id; each of them is one row for ever."""
    first, second, third = (EventLog.store(event(id="i", source="s", data=data)) for data in (1, 2, 3))
    again = [EventLog.store(event(id="i", source="s", data=data)) for data in (1, 2, 3)]

    assert first.conflicts_with is None
    assert second.conflicts_with == third.conflicts_with == first.uuid
    assert len({first.uuid, second.uuid, third.uuid}) == 3
    assert again == [orm.Stored(each.uuid, duplicate=True) for each in (first, second, third)]


def test_a_refused_conflict_leaves_nothing_behind() -> None:
    """Where conflicts are refused only the first content is stored, and its row is named."""
    first = EventLog.store(event(id="i", source="s", data=1), refuse_conflict=True)
    second = EventLog.store(event(id="i", source="s", data=2), refuse_conflict=True)
    again = EventLog.store(event(id="i", source="s", data=1), refuse_conflict=True)

    assert second == orm.Stored(first.uuid, conflicts_with=first.uuid)
    assert again == orm.Stored(first.uuid, duplicate=True)
    assert EventLog.select().count() == 1


def test_the_same_source_or_the_same_id_alone_is_no_conflict() -> None:
    """Only both together name an event."""
    found = [EventLog.store(event(id=name, source=source)) for name, source in (("i", "s"), ("j", "s"), ("i", "t"))]

    assert [each.conflicts_with for each in found] == [None] * 3


def test_many_at_once_store_one_event_once() -> None:
    """Of many producers that send the same event at once, one is told that it was new, all get one row."""
    same = event()

    found = at_once([partial(EventLog.store, same)] * 20)

    assert Counter(each.duplicate for each in found) == {False: 1, True: 19}
    assert len({each.uuid for each in found}) == 1
    assert EventLog.select().count() == 1


def test_many_at_once_store_every_content_once() -> None:
    """Of contents that arrive at once under one name, one is the first and all others conflict with it."""
    contents = [event(id="i", source="s", data=number) for number in range(5)]

    found = at_once([partial(EventLog.store, content) for content in contents * 4])

    new = [each for each in found if not each.duplicate]
    [first] = [each for each in new if each.conflicts_with is None]
    assert len(new) == EventLog.select().count() == 5
    assert {each.conflicts_with for each in new if each is not first} == {first.uuid}
    assert {each.uuid for each in found} == {each.uuid for each in new}


def test_many_at_once_that_refuse_store_one_content() -> None:
    """Where conflicts are refused, of contents that arrive at once one is stored and the others name it."""
    contents = [event(id="i", source="s", data=number) for number in range(20)]

    found = at_once([partial(EventLog.store, content, refuse_conflict=True) for content in contents])

    assert len({each.uuid for each in found}) == EventLog.select().count() == 1
    assert Counter(each.conflicts_with for each in found) == {None: 1, found[0].uuid: 19}


def test_an_event_that_is_purged_meanwhile_is_stored_again() -> None:
    """Whoever is answered has a row: storing goes on while the same event is removed again and again."""
    same = event(data=1)
    others = [event(id=same.id, source=same.source, data=number) for number in range(2, 6)]

    def store() -> list[orm.Stored]:
        return [EventLog.store(each) for each in [same, *others] * 10]

    def purge() -> list[orm.Stored]:
        for _ in range(50):
            orm.Purge([], orm.now() + timedelta(days=1), force=True).batch()
        return []

    at_once([store, store, purge])

    last = [EventLog.store(each) for each in (same, *others)]
    assert {each.uuid for each in last} == {row.uuid for row in EventLog.select(EventLog.uuid)}


# Several at once, in one transaction.


def all_of(*sent: events.Event, refuse: bool = False) -> list[orm.Stored]:
    """Store events in one transaction."""
    return EventLog.store_all([orm.NewEvent.of(each) for each in sent], refuse)


#: Of a few events, by the number of their content, which are sent in one batch, and which of them were there before.
BATCHES = {
    "all new": ([], [0, 1, 2]),
    "the same twice": ([], [0, 0, 1, 0]),
    "one was there": ([1], [0, 1, 2]),
    "all were there": ([0, 1], [1, 0, 1]),
    "conflicts": ([], [10, 11, 0, 12]),
    "conflicts that come again": ([], [10, 11, 10, 11, 12, 12]),
    "conflicts with what was there": ([10], [11, 12, 10, 0]),
    "conflicts that were there": ([10, 11], [11, 12, 10, 11]),
    "two names": ([10], [21, 11, 20, 21, 10, 0]),
    "one": ([], [0]),
    "none": ([], []),
}


@pytest.mark.parametrize("refuse", [False, True], ids=["accept", "refuse"])
@pytest.mark.parametrize(("before", "batch"), BATCHES.values(), ids=BATCHES)
def test_a_batch_is_answered_as_if_its_events_came_one_by_one(
    before: list[int], batch: list[int], refuse: bool
) -> None:
    """What is new, a duplicate, a conflict, and which rows there are in the end, does not depend on who came along."""

    def made(kind: str, number: int) -> events.Event:
        # Tens have one name, and the content makes the difference.
        name = f"{kind}{number // 10 if number >= 10 else f'own{number}'}"
        return event(id=name, source="s", data=number)

    def told(kind: str, answers: list[orm.Stored]) -> list[tuple[int, bool, int | None]]:
        rows = EventLog.select(EventLog.uuid, EventLog.jsondata).where(EventLog.event_id.startswith(kind))
        content = {row.uuid: json.loads(row.jsondata)["data"] for row in rows}
        return [
            (content[each.uuid], each.duplicate, each.conflicts_with and content[each.conflicts_with])
            for each in answers
        ]

    for kind in ("alone", "batch"):
        for number in before:
            EventLog.store(made(kind, number), refuse)
    alone = [EventLog.store(made("alone", number), refuse) for number in batch]
    together = all_of(*[made("batch", number) for number in batch], refuse=refuse)

    assert told("batch", together) == told("alone", alone)
    counts = [EventLog.select().where(EventLog.event_id.startswith(kind)).count() for kind in ("alone", "batch")]
    assert counts[0] == counts[1]


def test_storing_a_batch_again_finds_what_was_stored() -> None:
    """Whoever does not know whether a batch was committed sends it again, and is told that it is new, once."""
    sent = [orm.NewEvent.of(event()) for _ in range(3)]

    first, second = EventLog.store_all(sent), EventLog.store_all(sent)

    assert first == second == [orm.Stored(each.uuid) for each in sent]
    assert EventLog.select().count() == 3


def test_a_batch_is_stored_whole_or_not_at_all() -> None:
    """Where one of its events can't be stored none is; the database is as before."""
    bad = replace(event(), text="\ud800")

    with pytest.raises(UnicodeEncodeError):
        all_of(event(), bad, event())

    assert EventLog.select().count() == 0


def test_batches_at_once_store_every_event_once() -> None:
    """Processes that store the same events in different orders at once wait for each other and store each once."""
    same = [event() for _ in range(12)]
    contents = [event(id="i", source="s", data=number) for number in range(6)]
    batches = [[*same[turn:], *contents, *same[:turn]] for turn in range(8)]

    found = at_once([partial(all_of, *batch) for batch in batches])

    assert EventLog.select().count() == 18
    assert sum(not each.duplicate for answers in found for each in answers) == 18
    assert {each.uuid for answers in found for each in answers} == {row.uuid for row in EventLog.select(EventLog.uuid)}


# Claims.


def test_events_are_claimed_oldest_first() -> None:
    """A claim takes the events that have waited longest, no more than it asked for."""
    made = [stored() for _ in range(5)]
    for age, uuid in enumerate(made):
        EventLog.update(route_at=orm.now() - timedelta(seconds=100 - age)).where(EventLog.uuid == uuid).execute()

    claims = [[row.uuid for row in EventLog.claim_unrouted(2, LONG)] for _ in range(4)]

    assert [set(claim) for claim in claims] == [set(made[:2]), set(made[2:4]), set(made[4:]), set()]


def test_what_is_not_due_is_not_claimed() -> None:
    """An event whose time has not come stays."""
    uuid = stored()
    EventLog.update(route_at=orm.now() + timedelta(seconds=100)).where(EventLog.uuid == uuid).execute()

    assert EventLog.claim_unrouted(10, LONG) == []


def test_a_claim_that_ran_out_is_taken_over() -> None:
    """After its lease an event is claimed by the next; the one before can neither renew nor finish it."""
    uuid = stored()
    [late] = EventLog.claim_unrouted(10, NONE)
    successor = EventLog.claim_lost(LONG)
    assert successor is not None

    assert (late.starts, successor.starts) == (0, 1)
    assert late.uuid == successor.uuid == uuid
    assert not EventLog.renew([late], LONG)
    assert not EventLog.finish_routing([late], 1)
    assert EventLog.get_by_id(uuid).routed is None
    assert EventLog.finish_routing([successor], 2)
    assert EventLog.get_by_id(uuid).revision == 2


def test_a_claim_that_is_renewed_is_kept() -> None:
    """Renewing holds an event for another while, also when its lease has run out and nobody took it."""
    stored()
    [claimed] = EventLog.claim_unrouted(10, NONE)

    assert EventLog.renew([claimed], LONG)
    assert EventLog.claim_unrouted(10, LONG) == []


def test_a_routed_event_is_done() -> None:
    """Finished once, an event is never claimed or finished again, and keeps the revision it was routed with."""
    uuid = stored()
    [claimed] = EventLog.claim_unrouted(10, NONE)

    assert EventLog.finish_routing([claimed], 5)

    row = EventLog.get_by_id(uuid)
    assert (row.route_at, row.lease, row.revision) == (None, None, 5)
    assert row.created <= row.routed <= orm.now()
    assert not EventLog.finish_routing([claimed], 6)
    assert not EventLog.renew([claimed], LONG)
    assert EventLog.claim_unrouted(10, LONG) == []


def test_of_a_batch_those_that_somebody_else_has_are_left_out() -> None:
    """Many are finished, or renewed, at once; what was taken over meanwhile is neither, and nothing else suffers."""
    for _ in range(5):
        stored()
    lost = EventLog.claim_unrouted(2, NONE)
    theirs = EventLog.claim_lost(LONG)
    assert theirs is not None
    mine = EventLog.claim_unrouted(3, LONG)
    kept = [event for event in lost if event.uuid != theirs.uuid]

    renewed = EventLog.renew([*lost, *mine], LONG)
    finished = EventLog.finish_routing([*lost, *mine], 7)

    assert renewed == finished == [*kept, *mine]
    rows = {row.uuid: row for row in EventLog.select()}
    assert {uuid for uuid, row in rows.items() if row.revision == 7} == {event.uuid for event in finished}
    assert rows[theirs.uuid].routed is None
    assert EventLog.finish_routing([theirs], 8) == [theirs]
    assert EventLog.finish_routing([], 9) == EventLog.renew([], LONG) == []


def test_finishing_belongs_to_the_callers_transaction() -> None:
    """When the transaction of the deliveries fails, the event is not routed either."""
    stored()
    [claimed] = EventLog.claim_unrouted(10, LONG)

    broken_off(lambda: EventLog.finish_routing([claimed], 5))

    assert EventLog.finish_routing([claimed], 6)


def test_no_event_is_claimed_by_two_workers() -> None:
    """However many workers claim at once, each event goes to one of them, and none is left."""
    made = {stored() for _ in range(150)}

    def work() -> list[orm.ClaimedEvent]:
        mine: list[orm.ClaimedEvent] = []
        while claimed := EventLog.claim_unrouted(7, LONG):
            mine += claimed
        return mine

    found = at_once([work] * 10)

    claimed = [row for rows in found for row in rows]
    assert len(claimed) == len(made)
    assert {row.uuid for row in claimed} == made
    assert EventLog.finish_routing(claimed, 1) == claimed


def test_workers_take_over_from_one_another_one_at_a_time() -> None:
    """Leases that ran out are each taken over by one worker, one event at a time; only the last holder can finish."""
    made = {stored() for _ in range(30)}
    old = EventLog.claim_unrouted(100, NONE)
    assert EventLog.claim_unrouted(100, LONG) == []

    new: list[orm.ClaimedEvent] = []

    def work() -> None:
        # A claim may pass over rows that another one is looking at.
        for _ in range(1000):
            if len(new) == len(made):
                break
            lost = EventLog.claim_lost(LONG)
            new.extend([lost] if lost else [])

    at_once([work] * 12)

    assert sorted(row.uuid for row in new) == sorted(made)
    assert EventLog.finish_routing(old, 1) == []
    assert EventLog.finish_routing(new, 2) == new


def test_an_event_that_is_parked_is_routed_no_more_until_it_is_wanted_again() -> None:
    """What no worker survived keeps the reason, is claimed by nobody, and starts anew when somebody says so."""
    uuid = stored()
    EventLog.claim_unrouted(10, NONE)
    lost = EventLog.claim_lost(LONG)
    assert lost is not None

    assert EventLog.park(lost, "no worker survived it")
    assert EventLog.get_by_id(uuid).error == "no worker survived it"
    assert (EventLog.claim_unrouted(10, LONG), EventLog.claim_lost(LONG)) == ([], None)
    with orm.transaction():
        assert EventLog.unpark([uuid]) == [uuid]

    [again_claimed] = EventLog.claim_unrouted(10, LONG)
    assert (again_claimed.uuid, again_claimed.starts) == (uuid, 0)
    assert EventLog.get_by_id(uuid).error is None


def test_what_is_routed_or_waits_is_not_unparked() -> None:
    """Only a parked event is routed again."""
    routed, waiting = stored(), stored()
    EventLog.finish_routing(EventLog.claim_unrouted(1, LONG), 1)
    EventLog.claim_unrouted(1, LONG)

    with orm.transaction():
        assert EventLog.unpark([routed, waiting]) == []

    assert EventLog.claim_unrouted(10, LONG) == []


# Reading.


def test_events_are_found_by_time_or_by_uuid() -> None:
    """Without uuids the newest of a time are given, with uuids those."""
    made = [stored() for _ in range(4)]
    start = orm.now() - timedelta(hours=1)
    for age, uuid in enumerate(made):
        EventLog.update(created=start + timedelta(minutes=age)).where(EventLog.uuid == uuid).execute()

    newest = EventLog.between([], start + timedelta(minutes=1), start + timedelta(minutes=3), 2)
    named = EventLog.between([made[0], made[3]], start, start, 10)

    assert [row.uuid for row in newest] == [made[3], made[2]]
    assert [row.uuid for row in named] == [made[3], made[0]]
    assert EventLog.by_uuid([made[0]]).keys() == {made[0]}


def test_an_event_is_shown_without_what_only_routing_uses() -> None:
    """The hash of a row has JSON values, and neither lease nor digest."""
    row = EventLog.get_by_id(stored())

    shown = row.to_hash()

    assert shown.keys() == (
        {"uuid", "jsondata", "created", "content_type", "source", "event_id", "type", "subject", "time"}
        | {"routed", "revision", "error", "mode"}
    )
    assert shown["uuid"] == str(row.uuid)
    assert shown["created"] == f"{row.created.isoformat(timespec='microseconds')}Z"
