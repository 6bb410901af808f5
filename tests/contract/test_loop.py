"""Waiting for targets and gates at once, and being woken."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from selectors import EVENT_READ as READ

import psycopg2
import pytest

from pacifica.notifications import orm
from pacifica.notifications.addresses import Policy
from pacifica.notifications.config import Database, Settings
from pacifica.notifications.gates import Ask, PolicyGate
from pacifica.notifications.targets import HttpTarget, Sending
from pacifica.notifications.transfer import Limits, Loop
from tests.support.policy import PolicyServer
from tests.support.target import Held, RecordingTarget
from tests.support.wait import until

#: Longer than any test may take: what waits so long hangs.
FOREVER = 3600
PATIENT = Limits(connect=20, total=20)
OPEN = Policy(profile="local", ports=((1, 65535),))


@pytest.fixture(params=["as here", "any system"])
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    """A loop, once with what the system has, once with what every system has."""
    if request.param == "any system":
        monkeypatch.delattr(select, "epoll", raising=False)
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def sender(loop: Loop) -> Iterator[HttpTarget]:
    """A target that waits in the loop."""
    made = HttpTarget(PATIENT, OPEN, loop)
    yield made
    made.close()


def sending(key: str, url: str) -> Sending:
    """Return a sending."""
    return Sending(key, url, b"{}", "application/json", "d-1", 1)


def test_whoever_ends_first_ends_the_wait(
    loop: Loop, sender: HttpTarget, target: RecordingTarget, policy_server: PolicyServer
) -> None:
    """A verdict comes at once although a target is silent, and an outcome although the policy server is."""
    held = Held()
    target.always("/slow", held)
    policy_server.hang("eve")
    gate = PolicyGate(policy_server.policy_url, PATIENT, loop)

    sender.start([sending("slow", target.url("/slow"))])
    gate.start([Ask("quick", "alice", b'{"eventType": "other"}')])
    assert loop.wait(FOREVER)
    verdict, nothing = gate.wait(0), sender.wait(0)
    gate.start([Ask("silent", "eve", b"{}")])
    until(lambda: not loop.wait(0.05) and target.requests("/slow"), 30, "the slow request")
    held.release.set()
    assert loop.wait(FOREVER)
    silence, outcome = gate.wait(0), sender.wait(0)

    gate.close()
    assert [[key for key, _ in found] for found in (verdict, nothing, silence, outcome)] == [
        ["quick"],
        [],
        [],
        ["slow"],
    ]


def test_news_stay_until_they_are_taken(loop: Loop, sender: HttpTarget, target: RecordingTarget) -> None:
    """A wait ends at once as long as somebody has something to give."""
    sender.start([sending("key", target.url("/"))])

    assert [loop.wait(FOREVER), loop.wait(FOREVER)] == [True, True]
    assert [key for key, _ in sender.wait(0)] == ["key"]
    assert not loop.wait(0)


def test_waiting_for_one_ends_with_news_for_the_other(loop: Loop, sender: HttpTarget, target: RecordingTarget) -> None:
    """Whoever waits for one target hears at once that another one has something to give."""
    target.always("/slow", Held())
    other = HttpTarget(PATIENT, OPEN, loop)
    sender.start([sending("slow", target.url("/slow"))])
    other.start([sending("quick", target.url("/"))])

    assert sender.wait(FOREVER) == []

    assert [key for key, _ in other.wait(0)] == ["quick"]
    other.close()


def test_a_wait_without_anything_ends_with_its_time(loop: Loop) -> None:
    """Nothing happens, and the wait says so."""
    assert [loop.wait(0), loop.wait(0.01)] == [False, False]


def test_another_thread_wakes(loop: Loop) -> None:
    """A wake-up from another thread ends the wait that is going on."""
    woken: list[bool] = []
    waiting = threading.Thread(target=lambda: woken.append(loop.wait(FOREVER)), daemon=True)
    waiting.start()

    loop.wake()

    until(lambda: woken, 30, "the wake-up")
    assert woken == [True]


def test_waking_ends_the_wait_for_a_target(loop: Loop, sender: HttpTarget, target: RecordingTarget) -> None:
    """Whoever waits for outcomes alone is woken as well, and what is under way stays so."""
    target.always("/", Held())
    sender.start([sending("key", target.url("/"))])
    target_is_asked = threading.Thread(target=lambda: (target.wait_for(1), loop.wake()), daemon=True)
    target_is_asked.start()

    assert sender.wait(FOREVER) == []
    assert len(sender) == 1


def test_many_wake_ups_end_one_wait(loop: Loop) -> None:
    """A wake-up that nobody waited for ends the next wait, and ever so many end no more than one."""
    threads = [threading.Thread(target=lambda: [loop.wake() for _ in range(1000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [loop.wait(FOREVER), loop.wait(0)] == [True, False]


def test_no_wake_up_is_lost(loop: Loop) -> None:
    """However waking and waiting meet, whoever waits sees what was there before the wake-up."""
    left, done = [1000], threading.Semaphore(0)

    def give() -> None:
        for _ in range(1000):
            left[0] -= 1
            loop.wake()
            done.acquire()

    giving = threading.Thread(target=give, daemon=True)
    giving.start()
    seen = 1000
    while seen:
        assert loop.wait(FOREVER)
        while seen > left[0]:
            seen -= 1
            done.release()

    giving.join()


def test_waking_what_is_closed_does_nothing() -> None:
    """A hint that comes when the worker has gone is no mistake."""
    loop = Loop()
    loop.close()

    loop.wake()
    loop.close()


def test_requests_go_on_while_something_else_is_waited_for(
    loop: Loop, sender: HttpTarget, target: RecordingTarget
) -> None:
    """A wait for another socket ends with that socket, and what ended meanwhile is news for the next wait."""
    here, there = socket.socketpair()
    sender.start([sending("key", target.url("/"))])
    answering = threading.Thread(target=lambda: (target.wait_for(1), there.send(b"x")), daemon=True)
    answering.start()

    assert loop.wait_for(here.fileno(), READ, FOREVER)

    assert len(target.requests()) == 1
    until(lambda: [key for key, _ in sender.wait(0.05)] == ["key"], 30, "the outcome")
    answering.join()
    here.close()
    there.close()


def test_a_wake_up_during_another_wait_ends_the_next_one(loop: Loop) -> None:
    """Whoever waits for another socket does not take the wake-up of those who wait for news."""
    here, there = socket.socketpair()
    there.send(b"x")
    loop.wake()

    assert loop.wait_for(here.fileno(), READ, FOREVER)
    there.send(b"x")
    assert loop.wait_for(here.fileno(), READ, FOREVER)
    assert [loop.wait(FOREVER), loop.wait(0)] == [True, False]

    here.close()
    there.close()


def test_a_wait_for_a_silent_socket_ends_with_its_time(loop: Loop) -> None:
    """It says so, and watches the socket no longer."""
    here, there = socket.socketpair()

    assert not loop.wait_for(here.fileno(), READ, 0.01)

    there.send(b"x")
    assert not loop.wait(0.01)
    here.close()
    there.close()


def test_requests_go_on_while_postgresql_is_waited_for(postgresql_url: str, target: RecordingTarget) -> None:
    """A statement that waits for a lock does not keep a request from being sent, whose arrival ends the wait."""
    orm.initialize(Settings(database=Database(peewee_url=postgresql_url, max_connections=4)))
    loop, other = Loop(), psycopg2.connect(postgresql_url)
    sender = HttpTarget(PATIENT, OPEN, loop)
    other.cursor().execute("SELECT pg_advisory_xact_lock(7)")
    giving = threading.Thread(target=lambda: (target.wait_for(1), other.rollback()), daemon=True)
    giving.start()

    with orm.session(), orm.meanwhile(loop.wait_for):
        sender.start([sending("key", target.url("/"))])
        orm.DB.execute_sql("SELECT pg_advisory_lock(7)")

    giving.join()
    assert len(target.requests()) == 1
    until(lambda: [key for key, _ in sender.wait(0.05)] == ["key"], 30, "the outcome")
    orm.disconnect()
    sender.close()
    loop.close()
    other.close()
