"""Transactions that stand in each other's way: the database ends one, and nobody is told."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from pacifica.notifications import config, orm, routing
from pacifica.notifications.orm import EventLog, EventLogMatch, EventMatch, GateAnswer, Settlement, Worker
from pacifica.notifications.retry import Outcome, State
from tests.support.databases import KINDS
from tests.support.factories import ingest
from tests.support.together import together

from .rows import again, event, stored, subscription

#: For so many seconds everybody writes.
SECONDS = 3.0
#: Seconds that a lease lasts: short, so that workers take each other's work.
LEASE = 0.2
#: What becomes of a question, and of an attempt.
ANSWERS: list[Callable[[orm.Answer], None]] = [
    lambda answer: GateAnswer.keep([(answer, True, 200)]),
    lambda answer: answer.postpone(0.0, 500),
    lambda answer: answer.release(),
]
ENDS = [State.DELIVERED, State.DEAD]


@pytest.fixture(scope="module", params=[*KINDS, "odd_mariadb"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """The kind of database, among them MariaDB as later versions are: it ends the second who writes a row."""
    found: str = request.param
    return found


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.usefixtures("database")
def test_two_that_wait_for_each_other_both_get_through(database_kind: str, nested: bool) -> None:
    """The database ends one of two transactions that wait for each other, all of it, and that one begins anew."""
    if database_kind == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    rows = [subscription(name=name) for name in "ab"]
    both = threading.Barrier(2)
    begun: Counter[str] = Counter()

    @orm.repeated
    def write(mine: EventMatch, others: EventMatch) -> None:
        begun[mine.name] += 1
        with orm.transaction():
            rename(mine, f"first by {mine.name}")
            if begun[mine.name] == 1:
                both.wait(30)
            if nested:
                with orm.transaction():
                    rename(others, f"by {mine.name}")
            else:
                rename(others, f"by {mine.name}")

    def connected(mine: EventMatch, others: EventMatch) -> None:
        with orm.session():
            write(mine, others)

    one, other = rows
    together([lambda: connected(one, other), lambda: connected(other, one)])

    assert sum(begun.values()) > 2
    found = {row.name: again(row).name for row in rows}
    assert found in ({"a": "first by a", "b": "by a"}, {"a": "by b", "b": "first by b"})


def rename(row: EventMatch, name: str) -> None:
    """Write one row."""
    EventMatch.update(name=name).where(EventMatch.uuid == row.uuid).execute()


class Everybody:
    """All that the service does with its tables, each as one call with a connection of its own."""

    def __init__(self, owned: Sequence[EventMatch]) -> None:
        self._owned = owned
        self._numbers = itertools.count()
        self._router = threading.local()

    def accept(self) -> None:
        """Accept an event, as four others do with the same."""
        number = next(self._numbers) // 4
        EventLog.store(event(source=f"/{number}", id="same", data=ingest(1)["data"]))

    def route(self) -> None:
        """Route what is there."""
        if not hasattr(self._router, "own"):
            self._router.own = routing.Router(config.Settings())
        self._router.own.drain()

    def deliver(self) -> None:
        """Claim, ask, settle: some arrive, some do not."""
        claimed = orm.claim_due(20, LEASE)
        EventLogMatch.renew(claimed, LEASE)
        if claimed:
            asked = GateAnswer.claim([(row.event_key, random.choice("ab")) for row in claimed], LEASE)
            for answer in (each for each in asked.values() if each.asking):
                random.choice(ANSWERS)(answer)
            self._record(claimed)

    @orm.repeated
    def _record(self, claimed: Sequence[EventLogMatch]) -> None:
        with orm.transaction():
            EventMatch.succeeded({row.event_match_id for row in claimed})
            for row in claimed[:3]:
                EventMatch.failed(row.event_match_id, orm.now())
            EventLogMatch.settle(Settlement(row, random.choice(ENDS), "", outcome=Outcome(200)) for row in claimed)

    def change(self) -> None:
        """Rename, disable and revive one of the subscriptions, as their owners do, and disable one as a worker does."""
        row = again(random.choice(self._owned))
        for members in ({"name": "another"}, {"disabled": "2026-01-01T00:00:00Z"}, {"disabled": None}):
            orm.change(again(row), members)
        orm.disable(row.uuid, "failed")

    def come_and_go(self) -> None:
        """Make a subscription and delete it."""
        orm.remove(again(subscription(jsonpath="$")))

    def keep_house(self) -> None:
        """Do what a worker does from time to time."""
        name = random.choice("ab")
        Worker.beat(name, threading.current_thread().name, 0.01)
        EventLogMatch.mend_held(random.choice([0.0, 3600.0]))
        Worker.forget_older(0.02)
        Worker.leave(name, threading.current_thread().name)

    def purge(self) -> None:
        """Remove what is finished, or all."""
        wanted = orm.Purge([], orm.now() + timedelta(seconds=1), force=random.random() < 0.3)
        wanted.count()
        wanted.batch(50)

    @orm.repeated
    def send_again(self) -> None:
        """Reopen and replay, as the command does."""
        newest = EventLog.between([], orm.now() - timedelta(days=1), orm.now(), 10)
        with orm.transaction():
            locked = EventLog.lock([row.uuid for row in newest])
            GateAnswer.forget(locked)
            for row in EventLogMatch.of_events(locked):
                EventLogMatch.reopen(row) if row.state == State.DEAD else EventLogMatch.replay_of(row)


def test_everybody_writes_at_once(database: str) -> None:
    """Whatever is done to the tables at the same time, nobody fails, and all of it goes on."""
    everybody = Everybody([subscription(jsonpath="$") for _ in range(5)])
    ending = threading.Event()
    done: Counter[str] = Counter()
    calls: list[Callable[[], None]] = [
        *[everybody.accept] * 4, *[everybody.route] * 2, *[everybody.deliver] * 3, *[everybody.change] * 2,
        everybody.come_and_go, *[everybody.keep_house] * 2, everybody.purge, everybody.send_again,
    ]  # fmt: skip

    def keep_on(call: Callable[[], None]) -> None:
        while not ending.is_set():
            try:
                with orm.session():
                    call()
            except BaseException:
                ending.set()
                raise
            done[call.__name__] += 1

    clock = threading.Timer(SECONDS, ending.set)
    clock.start()
    together([lambda call=call: keep_on(call) for call in calls])  # type: ignore[misc]
    clock.cancel()

    assert set(done) == {call.__name__ for call in calls}
    assert EventLog.store(event()).duplicate is False
    assert stored()
