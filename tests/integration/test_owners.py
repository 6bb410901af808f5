"""An owner learns from an event of our own what happened to a subscription; nobody else does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from pacifica.notifications import orm, owners
from tests.support.doors import Doors
from tests.support.policy import PolicyServer
from tests.support.target import RecordingTarget

from .conftest import OpenDoors
from .test_routing import RUNAWAY, large

DISABLED = '$[?(@.type = "org.pacifica.notifications.subscription.disabled")]'
OURS = '$[?(@.source = "/pacifica/notifications")]'


def told(target: RecordingTarget, path: str) -> list[tuple[str, str]]:
    """Return of which events of our own a target was told: the last word of the type, and the subscription."""
    found = [request.json() for request in target.requests(path)]
    ours = [event for event in found if event.get("source") == "/pacifica/notifications"]
    return [(event["type"].rpartition(".")[2], event["data"]["subscription"]) for event in ours]


def test_owner_of_a_runaway_is_told(
    open_doors: OpenDoors, target: RecordingTarget, policy_server: PolicyServer
) -> None:
    """A path that takes too much work disables its subscription; an event says so to its owner, past the policy server.

    Whoever else subscribed to everything is refused it.
    """
    doors = open_doors({"notifications.policy_url": policy_server.policy_url})
    runaway = doors.subscribe(target.url("/runaway"), jsonpath=RUNAWAY, name="too much")
    doors.subscribe(target.url("/owner"), jsonpath=DISABLED)
    nosy = doors.subscribe(target.url("/nosy"), user="bob")

    doors.send(large())
    doors.work()

    assert doors.subscription(runaway).disabled is not None
    assert told(target, "/owner") == [("disabled", str(runaway))]
    (request,) = target.requests("/owner")
    data = request.json()["data"]
    assert data["reason"] == doors.subscription(runaway).error
    assert (data["name"], data["user"], data["target"]) == ("too much", "alice", target.url().rstrip("/"))
    assert (data["since"], data["failures"]) == (None, 0)
    assert told(target, "/nosy") == []
    assert sorted(delivery.state for delivery in doors.deliveries(subscription=nosy)) == ["delivered", "refused"]
    assert {ask.user for ask in policy_server.asks()} == {"bob"}


def failing(doors: Doors, target: RecordingTarget, failures: int = 3) -> orm.EventMatch:
    """Make a subscription whose target has failed so often."""
    uuid = doors.subscribe(target.url("/fails"), jsonpath="$.data")
    with orm.session():
        for _ in range(failures):
            orm.EventMatch.failed(uuid, orm.now())
    return doors.subscription(uuid)


def warn(row: orm.EventMatch, target_url: str | None = None) -> bool:
    """Warn the owner as a worker does."""
    with orm.session():
        tell = partial(owners.failing, reason="the target answered 500", disable_at=orm.now() + timedelta(days=2))
        return orm.warn(row.uuid, tell, target_url)


def test_owner_is_warned_once_for_each_series(doors: Doors, target: RecordingTarget) -> None:
    """While all fails the owner is warned once; after a success and new failures once more."""
    doors.subscribe(target.url("/owner"), jsonpath=OURS)
    row = failing(doors, target)

    first, again = warn(row), warn(row)
    with orm.session():
        orm.EventMatch.succeeded([row.uuid])
    after_success = warn(row)
    with orm.session():
        orm.EventMatch.failed(row.uuid, orm.now() + timedelta(seconds=1))
    anew = warn(row)
    doors.work()

    assert (first, again, after_success, anew) == (True, False, False, True)
    assert told(target, "/owner") == [("failing", str(row.uuid))] * 2
    data = [request.json()["data"] for request in target.requests("/owner")]
    assert sorted(each["failures"] for each in data) == [1, 3]
    assert doors.subscription(row.uuid).disabled is None


@pytest.mark.parametrize("why", ["disabled", "deleted", "another target", "never failed"])
def test_nobody_is_warned_in_vain(doors: Doors, target: RecordingTarget, why: str) -> None:
    """A subscription that is disabled, deleted, or sends elsewhere by now, or does not fail, brings no warning."""
    row = failing(doors, target, failures=0 if why == "never failed" else 3)
    used = row.target_url
    if why == "disabled":
        doors.change(row.uuid, disabled="2026-01-01T00:00:00Z")
    elif why == "deleted":
        doors.delete(row.uuid)
    elif why == "another target":
        doors.change(row.uuid, target_url=target.url("/elsewhere"))
        with orm.session():
            orm.EventMatch.failed(row.uuid, orm.now())

    assert not warn(row, used)
    with orm.session():
        assert orm.EventLog.select().count() == 0


class Full(Exception):
    """What keeps an event from being stored."""


@pytest.mark.parametrize("what", ["disable", "warn"])
def test_nothing_is_done_without_telling(doors: Doors, target: RecordingTarget, what: str) -> None:
    """Disabling, or noting a warning, and the event about it are one transaction: all of it or nothing."""
    row = failing(doors, target)

    def tell(_: orm.EventMatch) -> None:
        raise Full

    change: Callable[..., bool] = partial(orm.disable, reason="for a reason") if what == "disable" else orm.warn
    with orm.session(), pytest.raises(Full):
        change(row.uuid, tell=tell)

    after = doors.subscription(row.uuid)
    assert (after.disabled, after.error, after.warned) == (None, None, None)


def test_disabling_tells_once(doors: Doors, target: RecordingTarget) -> None:
    """What is disabled already, or sends elsewhere by now, is not told again."""
    row = failing(doors, target)

    with orm.session():
        done = [
            orm.disable(row.uuid, "for a reason", url, tell=owners.disabled)
            for url in ("http://elsewhere.example.org/", row.target_url, row.target_url)
        ]
        stored = [event.type for event in orm.EventLog.select()]

    assert done == [False, True, False]
    assert stored == ["org.pacifica.notifications.subscription.disabled"]
