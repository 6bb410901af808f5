"""What is stored comes back to the last byte, and what differs in the least is another."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pacifica.notifications import events, orm, subscriptions
from pacifica.notifications.orm import EventLog, EventMatch, GateAnswer, Worker
from tests.support.databases import KINDS
from tests.support.factories import make_event, make_subscription

from .rows import again, stored, subscription

MIB = 1024 * 1024
#: What some collation takes for the same: case, white space at the end, accents, width, letters that sort as two.
SPELLINGS = ["X1", "x1", "y", "y ", "a", "ä", "Ä", "a\u0308", "ａ", "ss", "ß", "i", "ı", "🦊", "🐻"]
#: What some databases take for something else: four bytes in UTF-8, two ways to write one letter, signs of SQL.
WIDE = "🦊𝒳\U0010fffd é e\u0301 '\"\\%_`;--"


@pytest.fixture(scope="module", params=[*KINDS, "odd_mariadb"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """The kind of database, among them MariaDB with other defaults than its own."""
    found: str = request.param
    return found


def sent(**changes: Any) -> events.Event:
    """Return a checked event that arrived in UTF-8, nothing escaped that need not be."""
    return events.parse(json.dumps(make_event(**changes), ensure_ascii=False).encode())


@pytest.mark.parametrize("filler", ["x", '"', "\\", "ä", "🦊"])
@pytest.mark.usefixtures("database")
def test_large_bodies_come_back(filler: str) -> None:
    """A body of a MiB is stored as it is, whatever it is made of."""
    filled = len(json.dumps(filler, ensure_ascii=False).encode()) - 2
    large = sent(data=filler * ((MIB - 1024) // filled))

    uuid = EventLog.store(large).uuid

    assert MIB - 1024 < len(large.text.encode()) <= MIB
    assert EventLog.get_by_id(uuid).jsondata == large.text


@pytest.mark.usefixtures("database")
def test_any_text_comes_back() -> None:
    """Characters beyond the first plane, quotes and signs of SQL stay in every column as they were."""
    made = sent(type=WIDE, id=WIDE, data=WIDE + "\u2028\t\n")
    row = subscription(user=WIDE, name=WIDE, extensions={WIDE: WIDE})

    uuid = EventLog.store(made).uuid

    found = EventLog.get_by_id(uuid)
    assert (found.type, found.event_id, found.jsondata) == (WIDE, WIDE, made.text)
    assert (again(row).user, again(row).name, again(row).extension_values) == (WIDE, WIDE, {WIDE: WIDE})
    assert EventMatch.of(WIDE, row.uuid)


@pytest.mark.parametrize("member", ["id", "source"])
@pytest.mark.usefixtures("database")
def test_events_differ_by_every_character(member: str) -> None:
    """Ids, and sources, that differ in case, in an accent or in a space at the end are those of different events."""
    changes = {"id": "one", "source": "/one", "data": 1}

    found = [EventLog.store(sent(**changes | {member: spelling})) for spelling in SPELLINGS]

    assert [each.duplicate for each in found] == [False] * len(SPELLINGS)
    assert {each.conflicts_with for each in found} == {None}
    column = EventLog.source if member == "source" else EventLog.event_id
    for spelling, each in zip(SPELLINGS, found, strict=True):
        assert [row.uuid for row in EventLog.select().where(column == spelling)] == [each.uuid]


@pytest.mark.usefixtures("database")
def test_users_differ_by_every_character() -> None:
    """Nobody finds what belongs to a user whose name is spelt otherwise."""
    owned = {user: subscription(user=user, name=user).uuid for user in SPELLINGS}

    assert {user: [row.uuid for row in EventMatch.all_of(user)] for user in SPELLINGS} == {
        user: [uuid] for user, uuid in owned.items()
    }
    for user, other in itertools.permutations(SPELLINGS, 2):
        assert EventMatch.of(user, owned[other]) is None


@pytest.mark.parametrize("member", ["name", "target_url"])
@pytest.mark.usefixtures("database")
def test_filters_differ_by_every_character(member: str) -> None:
    """A list that is narrowed to a name, or to the beginning of a target, has no other spelling of it."""
    begins = "http://127.0.0.1:9/"
    for spelling in SPELLINGS:
        members = subscriptions.validate(make_subscription(jsonpath="$"))
        EventMatch.add("alice", members | {"name": spelling, "target_url": f"{begins}{spelling}/end"})

    for spelling in SPELLINGS:
        wanted = spelling if member == "name" else f"{begins}{spelling}/"
        assert [row.name for row in EventMatch.all_of("alice", **{member: wanted})] == [spelling]


@pytest.mark.usefixtures("database")
def test_questions_differ_by_every_character() -> None:
    """The policy server is asked about each spelling of a user, and each has its own answer."""
    event = str(stored())

    for number, user in enumerate(SPELLINGS):
        asked = GateAnswer.claim([(event, user)], 60)[event, user]
        assert asked.asking, user
        GateAnswer.keep([(asked, bool(number % 2), 200 + number)])

    found = GateAnswer.claim([(event, user) for user in SPELLINGS], 60)
    assert {user: found[event, user].status for user in SPELLINGS} == {
        user: 200 + number for number, user in enumerate(SPELLINGS)
    }


@pytest.mark.usefixtures("database")
def test_workers_differ_by_every_character() -> None:
    """Each spelling of a name is another worker's."""
    assert all(Worker.beat(name, f"holder of {name}", 60) for name in SPELLINGS)
    assert not any(Worker.beat(name, "another", 60) for name in SPELLINGS)

    Worker.leave("X1", "holder of X1")

    assert {row.name for row in Worker.select()} == set(SPELLINGS) - {"X1"}


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 11, 22, 17, 30, 0, 1),
        datetime(2026, 1, 1, 0, 0, 0, 999_999),
        datetime(1999, 12, 31, 23, 59, 59, 999_999),
        datetime(2026, 3, 29, 2, 30),
        datetime(9999, 12, 31, 23, 59, 59),
    ],
    ids=str,
)
@pytest.mark.usefixtures("database")
def test_times_come_back(moment: datetime) -> None:
    """A time keeps its microseconds, an hour that is skipped somewhere stays, and it is found by what it is."""
    uuid = EventLog.create(jsondata="{}", created=moment, time=moment).uuid

    found = EventLog.get_by_id(uuid)

    assert (found.created, found.time) == (moment, moment)
    assert [row.uuid for row in EventLog.select().where(EventLog.created == moment)] == [uuid]
    assert not EventLog.select().where(EventLog.created < moment).exists()


@pytest.mark.usefixtures("database")
def test_times_of_the_database_are_utc() -> None:
    """Whatever zone the server has, what it says of the time is UTC, alone and inside a statement."""
    row = EventLog.get_by_id(stored())
    told = orm.now()

    assert abs(row.created - datetime.now(UTC).replace(tzinfo=None)) < timedelta(minutes=1)
    assert row.created - timedelta(seconds=1) <= told <= row.created + timedelta(minutes=1)
