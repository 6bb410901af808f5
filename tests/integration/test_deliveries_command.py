"""`deliveries list` shows deliveries, `deliveries retry` sends dead ones again; both by what is known of them."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from pacifica.notifications import orm
from pacifica.notifications.retry import State
from tests.support.doors import Doors
from tests.support.processes import Command, Result
from tests.support.target import RecordingTarget
from tests.support.wait import until

from .conftest import OpenDoors, Run, Start

COLUMNS = ["delivery", "state", "event", "subscription", "user", "attempts", "status", "finished", "reason"]


@pytest.fixture
def doors(open_doors: OpenDoors) -> Doors:
    """Doors of a service that tries nothing twice."""
    return open_doors({"delivery.retry_schedule": ""})


def dead(doors: Doors, target: RecordingTarget, path: str = "/", user: str = "alice", status: int = 500) -> UUID:
    """Make a subscription with one dead delivery, and return the delivery; its target is well from then on."""
    target.answers(path, [status])
    before = {row.uuid for row in doors.deliveries()}
    uuid = doors.subscribe(target.url(path), user=user, jsonpath=f'$[?(@.type = "{path}{user}")]')
    doors.send({"specversion": "1.0", "type": f"{path}{user}", "source": "s", "id": str(uuid4())})
    (made,) = [row for row in doors.deliveries(subscription=uuid) if row.uuid not in before]
    assert made.state == "dead"
    return made.uuid


def ended(delivery: UUID, day: int) -> None:
    """Let a delivery have ended on a day of January 2026."""
    with orm.session():
        orm.EventLogMatch.update(finished=datetime(2026, 1, day)).where(orm.EventLogMatch.uuid == delivery).execute()


def state(doors: Doors, delivery: UUID) -> str:
    """Return a delivery's state."""
    (row,) = [row for row in doors.deliveries() if row.uuid == delivery]
    return str(row.state)


def shown(done: Result) -> list[UUID]:
    """Return which deliveries a list has, in its order."""
    assert done.returncode == 0, done.stderr
    return [UUID(row["delivery"]) for row in json.loads(done.stdout)]


# list


def test_dead_ones_are_listed_newest_first(doors: Doors, target: RecordingTarget, run: Run) -> None:
    """Without options what is dead is listed, the last to end first, with what is known of it."""
    first, last = dead(doors, target, "/a"), dead(doors, target, "/b", "bob", 503)
    doors.subscribe(target.url("/fine"), jsonpath="$.data")
    doors.send()
    ended(first, 1)

    header, *lines = run(doors.file, "deliveries", "list").stdout.splitlines()
    rows = json.loads(run(doors.file, "deliveries", "list", "--json").stdout)

    assert header.split() == COLUMNS
    assert [line.split()[0] for line in lines] == [str(last), str(first)]
    assert [UUID(row["delivery"]) for row in rows] == [last, first]
    delivery = doors.deliveries()[0]
    assert rows[1] == {
        "delivery": str(first),
        "state": "dead",
        "event": str(delivery.event_log_id),
        "subscription": str(delivery.event_match_id),
        "user": "alice",
        "attempts": 1,
        "status": 500,
        "finished": "2026-01-01T00:00:00.000000Z",
        "reason": "answered 500",
    }


def test_nothing_to_list(doors: Doors, run: Run) -> None:
    """An empty list is said, as JSON it is an empty array; both are true."""
    done, as_json = run(doors.file, "deliveries", "list"), run(doors.file, "deliveries", "list", "--json")

    assert (done.returncode, done.stdout) == (0, "no such deliveries\n")
    assert (as_json.returncode, json.loads(as_json.stdout)) == (0, [])


def test_filters_narrow(doors: Doors, target: RecordingTarget, run: Run) -> None:
    """Each filter narrows the list, and all that are given must apply."""
    one, two = dead(doors, target, "/a_b", "alice", 500), dead(doors, target, "/axb", "bob", 503)
    ended(one, 1)
    ended(two, 3)
    rows = {row.uuid: row for row in doors.deliveries()}

    def found(*args: object) -> set[UUID]:
        return set(shown(run(doors.file, "deliveries", "list", "--json", *args)))

    assert found("--user", "bob") == {two}
    assert found("--subscription", rows[one].event_match_id) == {one}
    assert found("--event", rows[two].event_log_id) == {two}
    assert found("--target", target.url("/a_")) == {one}
    assert found("--target", target.url("/A_")) == found("--target", target.url("/%")) == set()
    assert found("--status", 503) == {two}
    assert found("--reason", "ANSWERED") == {one, two}
    assert found("--reason", "503") == {two}
    assert found("--reason", "5_3") == found("--reason", "%") == set()
    assert found("--since", "2026-01-02 00:00:00") == found("--since", "2026-01-03 00:00:00") == {two}
    assert found("--until", "02.01.2026", "--date-format", "%d.%m.%Y") == {one}
    assert found("--user", "bob", "--status", 500) == set()
    assert found(one) == {one}
    assert found(one, two, "--user", "alice") == {one}


def test_states_are_chosen(doors: Doors, target: RecordingTarget, run: Run) -> None:
    """`--state` says which states, several if given several times; a uuid is shown in whatever state it is."""
    subscription = doors.subscribe(target.url())
    made = {}
    for each in State:
        event = doors.migrated("{}", subscription, each)
        made[each] = doors.delivery(event).uuid
    with orm.session():
        pending = orm.EventLogMatch.uuid == made[State.PENDING]
        orm.EventLogMatch.update(finished=None, next_attempt_at=orm.now()).where(pending).execute()

    def found(*args: object) -> set[UUID]:
        return set(shown(run(doors.file, "deliveries", "list", "--json", *args)))

    assert [found("--state", each) for each in State] == [{made[each]} for each in State]
    assert found("--state", "pending", "--state", "refused") == {made[State.PENDING], made[State.REFUSED]}
    assert found("--state", "pending", "--since", "2020-01-01 00:00:00") == {made[State.PENDING]}
    assert found(*made.values()) == set(made.values())
    assert found() == {made[State.DEAD]}


def test_limit_bounds_and_says_so(doors: Doors, target: RecordingTarget, run: Run) -> None:
    """No more than the limit are listed, and that there are more is said; of one moment their order is always one."""
    made = [dead(doors, target, f"/{number}") for number in range(3)]
    for delivery in made:
        ended(delivery, 1)

    two, all_of_them = (run(doors.file, "deliveries", "list", "--json", "--limit", limit) for limit in (2, 3))

    assert shown(two) == shown(all_of_them)[:2]
    assert set(shown(all_of_them)) == set(made)
    assert "there are more than these 2" in two.stderr
    assert all_of_them.stderr == ""


@pytest.mark.parametrize("command", ["list", "retry"])
def test_unknown_uuid_is_false(doors: Doors, target: RecordingTarget, run: Run, command: str) -> None:
    """A delivery that is not there is named, and makes the command false; the others are dealt with."""
    known, unknown = dead(doors, target), uuid4()

    done = run(doors.file, "deliveries", command, known, unknown)

    assert done.returncode == -1
    assert f"{unknown}: there is no such delivery\n" in done.stderr
    assert str(known) in done.stdout if command == "list" else state(doors, known) == "pending"


@pytest.mark.parametrize("command", ["list", "retry"])
def test_bad_date_is_refused(doors: Doors, target: RecordingTarget, run: Run, command: str) -> None:
    """A date of another form is refused with the form, and nothing is sent."""
    delivery = dead(doors, target)

    done = run(doors.file, "deliveries", command, delivery, "--since", "yesterday")

    assert (done.returncode, done.stdout) == (-1, "")
    assert "the date 'yesterday' is not of the form '%Y-%m-%d %H:%M:%S'" in done.stderr
    assert state(doors, delivery) == "dead"


# retry


def test_dead_ones_are_due_again(doors: Doors, target: RecordingTarget, run: Run) -> None:
    """What the filters mean is reopened with its own id and its attempts, is sent by the next worker, and no other."""
    one, other = dead(doors, target, "/a"), dead(doors, target, "/b")

    done = run(doors.file, "deliveries", "retry", "--target", target.url("/a"), "--yes")
    pending = state(doors, one)
    doors.deliver()

    assert (done.returncode, done.stdout) == (0, "1 deliveries are due again\n")
    assert "1 dead delivery\n" in done.stderr
    assert "no worker was seen lately" in done.stderr
    assert (pending, state(doors, one), state(doors, other)) == ("pending", "delivered", "dead")
    assert [(request.delivery, request.attempt) for request in target.requests("/a")] == [(str(one), 1), (str(one), 2)]


def test_everything_only_when_told(doors: Doors, target: RecordingTarget, run: Run) -> None:
    """Without uuids and filters nothing is sent, unless `--all` says so."""
    made = [dead(doors, target, "/a"), dead(doors, target, "/b")]

    refused = run(doors.file, "deliveries", "retry", "--yes")
    before = [state(doors, delivery) for delivery in made]
    done = run(doors.file, "deliveries", "retry", "--all", "--yes", "--json")

    assert (refused.returncode, refused.stdout) == (-1, "")
    assert "--all" in refused.stderr
    assert before == ["dead", "dead"]
    assert (done.returncode, json.loads(done.stdout)) == (0, {"reopened": 2, "held": 0, "left": 0})
    assert [state(doors, delivery) for delivery in made] == ["pending", "pending"]


def test_nobody_to_ask(doors: Doors, target: RecordingTarget, run: Run) -> None:
    """Where nobody can be asked a filter needs `--yes`; uuids say enough."""
    delivery = dead(doors, target)

    refused = run(doors.file, "deliveries", "retry", "--user", "alice")
    before = state(doors, delivery)
    done = run(doors.file, "deliveries", "retry", delivery)

    assert (refused.returncode, refused.stdout, before) == (-1, "", "dead")
    assert "--yes" in refused.stderr
    assert (done.returncode, state(doors, delivery)) == (0, "pending")


def test_only_dead_ones_are_sent_again(doors: Doors, target: RecordingTarget, run: Run) -> None:
    """What was delivered is left alone, even when it is named."""
    subscription = doors.subscribe(target.url())
    doors.send()
    (delivery,) = doors.deliveries(subscription=subscription)

    done = run(doors.file, "deliveries", "retry", delivery.uuid)

    assert (done.returncode, done.stdout) == (0, "nothing to send again\n")
    assert state(doors, delivery.uuid) == "delivered"


def test_disabled_is_held_and_deleted_left(doors: Doors, target: RecordingTarget, run: Run) -> None:
    """Of a disabled subscription deliveries are reopened and held, of a deleted one left dead; both are said."""
    disabled, deleted, fine = (dead(doors, target, path) for path in ("/disabled", "/deleted", "/fine"))
    owners = {row.uuid: row.event_match_id for row in doors.deliveries()}
    doors.change(owners[disabled], disabled="2026-01-01T00:00:00Z")
    doors.delete(owners[deleted])

    done = run(doors.file, "deliveries", "retry", "--all", "--yes")
    states = [state(doors, delivery) for delivery in (disabled, deleted, fine)]
    held = {row.uuid for row in doors.deliveries() if row.state == "pending" and row.next_attempt_at is None}
    doors.deliver()
    after = [len(target.requests(path)) for path in ("/disabled", "/deleted", "/fine")]
    doors.change(owners[disabled], disabled=None)
    doors.deliver()

    assert done.returncode == 0
    assert "3 dead deliveries\n" in done.stderr
    assert "1 of a disabled subscription: reopened, and held until its owner revives it\n" in done.stderr
    assert "1 of a deleted subscription: left as they are\n" in done.stderr
    assert done.stdout == "2 deliveries are due again\n"
    assert states == ["pending", "dead", "pending"]
    assert held == {disabled}
    assert after == [1, 1, 2]
    assert state(doors, disabled) == "delivered"


def test_outcomes_are_waited_for(doors: Doors, target: RecordingTarget, run: Run) -> None:
    """With `--wait` each outcome is reported; one that did not arrive makes the command false, and is tried once."""
    fine, fails = dead(doors, target, "/fine"), dead(doors, target, "/fails")
    target.always("/fails", 503)

    done = run(doors.file, "deliveries", "retry", "--all", "--yes", "--wait", "--json")
    rows: dict[UUID, Any] = {UUID(row["delivery"]): row for row in json.loads(done.stdout)}
    alone = run(doors.file, "deliveries", "retry", "--user", "nobody", "--yes", "--wait")

    assert done.returncode == -1
    assert "no worker was seen lately; sending from here\n" in done.stderr
    assert (rows[fine]["state"], rows[fine]["target"]) == ("delivered", 200)
    assert (rows[fails]["state"], rows[fails]["target"]) == ("dead", 503)
    assert len(target.requests("/fails")) == 2
    assert (alone.returncode, alone.stdout) == (0, "nothing to send again\n")


def test_many_go_in_batches(doors: Doors, target: RecordingTarget, run: Run) -> None:
    """However many are dead, all of them are reopened; none that a batch of others has to itself."""
    subscription = doors.subscribe(target.url())
    with orm.session(), orm.transaction():
        at = orm.now()
        events = [{"uuid": uuid4(), "jsondata": "{}", "created": at, "routed": at} for _ in range(1100)]
        rows = [
            {"event_log": each["uuid"], "event_match": subscription, "created": at, "state": "dead", "finished": at}
            for each in events
        ]
        for start in range(0, len(events), 100):
            orm.EventLog.insert_many(events[start : start + 100]).execute()
            orm.EventLogMatch.insert_many([row | {"uuid": uuid4()} for row in rows[start : start + 100]]).execute()

    done = run(doors.file, "deliveries", "retry", "--all", "--yes")

    assert (done.returncode, done.stdout) == (0, "1100 deliveries are due again\n")
    assert {row.state for row in doors.deliveries()} == {"pending"}


@pytest.mark.skipif(os.name != "posix", reason="a terminal of the test's own needs a POSIX system")
@pytest.mark.parametrize(("answer", "after"), [("y", "pending"), ("n", "dead")])
def test_terminal_is_asked(doors: Doors, target: RecordingTarget, tmp_path: Any, answer: str, after: str) -> None:
    """On a terminal the command says how many there are, and asks; only yes goes on."""
    import pty

    delivery = dead(doors, target)
    command = Command(tmp_path, {"database.peewee_url": doors.url})
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    try:
        done = subprocess.run(
            command.arguments("deliveries", "retry", "--user", "alice"),
            stdin=theirs,
            capture_output=True,
            text=True,
            env=command.env,
            timeout=60,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)

    assert "1 dead delivery\nSend 1 again? [y/N]: " in done.stderr
    assert (done.returncode == 0) == (answer == "y")
    assert state(doors, delivery) == after


def test_running_service_takes_them(start: Start, target: RecordingTarget, tmp_path: Any) -> None:
    """With a running worker the command leaves the sending to it."""
    settings = {"delivery.retry_schedule": ""}
    service = start(settings)
    command = Command(tmp_path, {"database.peewee_url": service.database_url, **settings})
    service.subscribe(jsonpath="$", target_url=target.url())
    target.answers("/", [500])
    service.post_event({"specversion": "1.0", "type": "t", "source": "s", "id": "1"})

    def listed() -> Any:
        return json.loads(command.run("deliveries", "list", "--json").stdout)

    until(listed, what="the delivery to be dead")
    (row,) = listed()

    done = command.run("deliveries", "retry", row["delivery"])
    target.wait_for(2)

    assert done.returncode == 0
    assert "no worker" not in done.stderr
    assert {request.delivery for request in target.requests()} == {row["delivery"]}
