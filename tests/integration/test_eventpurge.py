"""`eventpurge` removes what is old and finished, with all that hangs on it, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from pacifica.notifications import orm
from tests.support.doors import Doors
from tests.support.policy import PolicyServer
from tests.support.processes import Command
from tests.support.target import RecordingTarget

from .conftest import OpenDoors, Run


def created(events: Iterable[UUID], **ago: float) -> None:
    """Let events have been accepted some time ago."""
    at = datetime.now(UTC).replace(tzinfo=None) - timedelta(**ago)
    with orm.session():
        orm.EventLog.update(created=at).where(orm.EventLog.uuid.in_(list(events))).execute()


def left() -> set[UUID]:
    """Return the events that are there."""
    with orm.session():
        return {row.uuid for row in orm.EventLog.select(orm.EventLog.uuid)}


def counts() -> list[int]:
    """Return how many deliveries, attempts and answers of the policy server there are."""
    with orm.session():
        return [table.select().count() for table in (orm.EventLogMatch, orm.DeliveryAttempt, orm.GateAnswer)]


def test_default_is_older_than_a_day(doors: Doors, run: Run) -> None:
    """Without options what was accepted more than 24 hours ago is removed."""
    old, young = doors.send(), doors.send()
    created([old], hours=24, minutes=1)
    created([young], hours=23, minutes=59)

    done = run(doors.file, "eventpurge")

    assert (done.returncode, done.stdout) == (0, "1 events removed\n")
    assert left() == {young}


def test_everything_of_an_event_goes(
    open_doors: OpenDoors, policy_server: PolicyServer, target: RecordingTarget, run: Run
) -> None:
    """With an event go its deliveries, their attempts, and what the policy server said; other events keep theirs."""
    doors = open_doors({"notifications.policy_url": policy_server.policy_url})
    target.answers("/", [500])
    doors.subscribe(target.url())
    doors.subscribe(target.url(), user="bob")
    gone = doors.send()
    doors.again()
    kept = doors.send()
    created([gone], days=2)
    assert counts() == [4, 5, 4]

    run(doors.file, "eventpurge")

    assert left() == {kept}
    assert counts() == [2, 2, 2]
    assert len(doors.deliveries(kept)) == 2


def test_older_than_date(doors: Doors, run: Run) -> None:
    """`--older-than-date` says what is old, in UTC and in the form of `--date-format`."""
    first, second, third = (doors.send() for _ in range(3))
    with orm.session():
        for day, event in enumerate((first, second, third), 1):
            orm.EventLog.update(created=datetime(2026, 1, day)).where(orm.EventLog.uuid == event).execute()

    run(doors.file, "eventpurge", "--older-than-date", "2026-01-02 00:00:00")
    after_one = left()
    run(doors.file, "eventpurge", "--older-than-date", "03/01/26", "--date-format", "%d/%m/%y")

    assert after_one == {second, third}
    assert left() == {third}


def test_uuids_say_which(doors: Doors, run: Run) -> None:
    """Events that are named are removed whatever their age, and no others."""
    old, named, other = (doors.send() for _ in range(3))
    created([old], days=9)

    done = run(doors.file, "eventpurge", named, uuid4())

    assert (done.returncode, done.stdout) == (0, "1 events removed\n")
    assert left() == {old, other}


@pytest.mark.parametrize("by", ["date", "uuid"])
def test_unfinished_is_left_and_counted(doors: Doors, target: RecordingTarget, run: Run, by: str) -> None:
    """What is not routed yet or has a pending delivery is left, counted, and told how to remove."""
    target.always("/", 500)
    finished = doors.send()
    subscription = doors.subscribe(target.url())
    pending = doors.send()
    doors.change(subscription, disabled="2026-01-01T00:00:00Z")
    unrouted = doors.accept()
    every = [finished, pending, unrouted]
    created(every, days=2)
    args = every if by == "uuid" else []

    done = run(doors.file, "eventpurge", *args)

    removed, told = done.stdout.splitlines()
    assert (done.returncode, removed) == (0, "1 events removed")
    assert told.startswith("2 events left, which are not routed yet or have a pending delivery; --force")
    assert left() == {pending, unrouted}


def test_force_takes_everything(doors: Doors, target: RecordingTarget, run: Run) -> None:
    """With `--force` what is not finished goes too; the young stays all the same."""
    target.always("/", 500)
    doors.subscribe(target.url())
    pending, unrouted, young = doors.send(), doors.accept(), doors.accept()
    created([pending, unrouted], days=2)

    done = run(doors.file, "eventpurge", "--force")

    assert (done.returncode, done.stdout) == (0, "2 events removed\n")
    assert left() == {young}
    assert counts() == [0, 0, 0]


def test_ended_states_are_finished(doors: Doors, target: RecordingTarget, run: Run) -> None:
    """Delivered, refused, dead and cancelled deliveries keep no event from being removed."""
    subscription = doors.subscribe(target.url())
    events = [doors.migrated("{}", subscription, state) for state in ("delivered", "refused", "dead", "cancelled")]
    created(events, days=2)

    assert run(doors.file, "eventpurge").stdout == "4 events removed\n"


def test_more_than_one_batch(doors: Doors, target: RecordingTarget, run: Run) -> None:
    """However many events there are, all of them are removed, in batches."""
    subscription = doors.subscribe(target.url())
    with orm.session(), orm.transaction():
        at = orm.now() - timedelta(days=2)
        events = [{"uuid": uuid4(), "jsondata": "{}", "created": at, "routed": at} for _ in range(1234)]
        matches = [
            {
                "uuid": uuid4(),
                "event_log": each["uuid"],
                "event_match": subscription,
                "created": at,
                "state": "delivered",
            }
            for each in events
        ]
        for start in range(0, len(events), 200):
            orm.EventLog.insert_many(events[start : start + 200]).execute()
            orm.EventLogMatch.insert_many(matches[start : start + 200]).execute()
    kept = doors.accept()
    with orm.session():
        one_batch = orm.Purge([], orm.now() - timedelta(days=1), force=False)
        assert one_batch.count() == (1234, 0)
        assert 0 < one_batch.batch() < 1000

    done = run(doors.file, "eventpurge")

    assert done.returncode == 0
    assert left() == {kept}
    assert counts() == [0, 0, 0]


def test_json_form(doors: Doors, run: Run) -> None:
    """With `--json` the numbers are one document."""
    finished, unrouted = doors.send(), doors.accept()
    created([finished, unrouted], days=2)

    done = run(doors.file, "eventpurge", "--json")

    assert json.loads(done.stdout) == {"purged": 1, "left": 1}


@pytest.mark.parametrize(
    "args", [["--older-than-date", "last week"], ["--older-than-date", "2026-01-01"]], ids=" ".join
)
def test_bad_date_removes_nothing(args: list[str], doors: Doors, run: Run) -> None:
    """A date of another form is refused with the form, and nothing is removed."""
    event = doors.send()
    created([event], days=2)

    done = run(doors.file, "eventpurge", *args)

    assert (done.returncode, done.stdout) == (-1, "")
    assert f"the date {args[-1]!r} is not of the form '%Y-%m-%d %H:%M:%S'" in done.stderr
    assert left() == {event}


@pytest.mark.skipif(os.name != "posix", reason="a terminal of the test's own needs a POSIX system")
def test_progress_is_for_terminals(doors: Doors, tmp_path: Path) -> None:
    """On a terminal a bar shows the progress; elsewhere the error output has no bar, and stdout never has one."""
    import pty

    created([doors.send() for _ in range(3)], days=2)
    command = Command(tmp_path, {"database.peewee_url": doors.url})
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            command.arguments("eventpurge", "--json"),
            stdout=subprocess.PIPE,
            stderr=theirs,
            env={**command.env, "TERM": "xterm"},
            timeout=60,
            check=True,
        )
        bar = os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)

    assert "removing events" in bar
    assert "100%" in bar
    assert json.loads(done.stdout) == {"purged": 3, "left": 0}
    assert "%" not in command.run("eventpurge").stderr
