"""`eventretry` asks the policy server again, sends again, and tells what came of it."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from pacifica.notifications import orm
from tests.support import tables
from tests.support.databases import held
from tests.support.doors import Doors
from tests.support.factories import make_event
from tests.support.policy import PolicyServer
from tests.support.processes import Command
from tests.support.target import RecordingTarget
from tests.support.wait import until
from tests.support.watched import Watched

from .conftest import OpenDoors, Run, Start

NO_WORKER = "no worker was seen lately; sending from here\n"


@pytest.fixture
def dead(open_doors: OpenDoors, target: RecordingTarget) -> tuple[Doors, UUID]:
    """Doors, and an event whose only delivery is dead after two attempts."""
    doors = open_doors({"delivery.retry_schedule": "60"})
    target.answers("/", [500, 500])
    doors.subscribe(target.url())
    event = doors.send()
    doors.again()
    assert doors.delivery().state == "dead"
    return doors, event


def replays(target: RecordingTarget) -> list[str | None]:
    """Return the replay marks of what arrived."""
    return [request.header("Notifications-Replay") for request in target.requests()]


# Without a worker.


def test_dead_is_reopened(dead: tuple[Doors, UUID], target: RecordingTarget, run: Run) -> None:
    """A dead delivery is sent again with its own id, its attempts counted on, and no mark of a replay."""
    doors, event = dead
    before = doors.delivery()

    done = run(doors.file, "eventretry", event)

    assert (done.returncode, done.stderr) == (0, NO_WORKER)
    after = doors.delivery()
    assert (after.uuid, after.state, after.attempts) == (before.uuid, "delivered", 3)
    assert [request.attempt for request in target.requests()] == [1, 2, 3]
    assert {request.delivery for request in target.requests()} == {str(before.uuid)}
    assert replays(target) == [None, None, None]
    assert [attempt.attempt for attempt in doors.attempts()] == [1, 2, 3]


def test_reopened_delivery_has_its_whole_schedule(dead: tuple[Doors, UUID], target: RecordingTarget, run: Run) -> None:
    """The schedule starts anew: what fails again is tried again, and is dead after as many attempts as before."""
    doors, event = dead
    target.always("/", 500)

    done = run(doors.file, "eventretry", event)
    pending, delay = doors.delivery(), doors.delay()
    doors.again()

    assert done.returncode == -1
    assert (pending.state, pending.attempts) == ("pending", 3)
    assert delay == pytest.approx(60, abs=0.01)
    assert (doors.delivery().state, doors.delivery().attempts) == ("dead", 4)


def test_refused_becomes_a_replay(
    open_doors: OpenDoors, policy_server: PolicyServer, target: RecordingTarget, run: Run
) -> None:
    """What was refused is asked about anew and sent as a replay, with an id of its own and the mark."""
    doors = open_doors({"notifications.policy_url": policy_server.policy_url})
    policy_server.refuse("alice")
    doors.subscribe(target.url())
    event = doors.send()
    still = run(doors.file, "eventretry", event)
    policy_server.allow("alice")

    done = run(doors.file, "eventretry", event)

    assert (still.returncode, done.returncode) == (-1, 0)
    assert len(policy_server.asks()) == 3
    assert [(d.state, d.replay, d.policy_status_code) for d in doors.deliveries()] == [
        ("refused", 0, 412),
        ("refused", 1, 412),
        ("delivered", 2, 200),
    ]
    (request,) = target.requests()
    assert (request.delivery, request.attempt) == (str(doors.deliveries()[-1].uuid), 1)
    assert replays(target) == ["2"]


def test_delivered_is_replayed_only_with_all(doors: Doors, target: RecordingTarget, run: Run) -> None:
    """What was delivered is left alone without `--all`; with it each call sends one replay more."""
    doors.subscribe(target.url())
    event = doors.send()

    plain = run(doors.file, "eventretry", event)
    first = run(doors.file, "eventretry", "--all", event)
    second = run(doors.file, "eventretry", "--all", event)

    assert (plain.returncode, plain.stdout, plain.stderr) == (0, "nothing to send again\n", "")
    assert (first.returncode, second.returncode) == (0, 0)
    assert replays(target) == [None, "1", "2"]
    assert len({request.delivery for request in target.requests()}) == 3
    assert [request.attempt for request in target.requests()] == [1, 1, 1]
    assert len({request.body for request in target.requests()}) == 1


def test_dead_replay_is_reopened(doors: Doors, target: RecordingTarget, run: Run) -> None:
    """A replay that is dead is reopened as it is, with its own id and its mark."""
    doors.subscribe(target.url())
    event = doors.send()
    target.answers("/", [410])
    run(doors.file, "eventretry", "--all", event)
    doors.change(doors.deliveries()[0].event_match_id, disabled=None)

    done = run(doors.file, "eventretry", event)

    assert done.returncode == 0
    assert [(delivery.state, delivery.replay) for delivery in doors.deliveries()] == [
        ("delivered", 0),
        ("delivered", 1),
    ]
    assert replays(target) == [None, "1", "1"]
    assert [request.attempt for request in target.requests()] == [1, 1, 2]


@pytest.mark.parametrize("state", ["pending", "cancelled"])
def test_others_are_left_alone(doors: Doors, target: RecordingTarget, run: Run, state: str) -> None:
    """What is pending or was cancelled is not sent again, not even with `--all`."""
    target.always("/", 500)
    subscription = doors.subscribe(target.url())
    event = doors.send()
    if state == "cancelled":
        doors.delete(subscription)

    done = run(doors.file, "eventretry", "--all", event)

    assert (done.returncode, done.stdout) == (0, "nothing to send again\n")
    assert (doors.delivery().state, len(target.requests())) == (state, 1)


def test_every_outcome_is_reported(
    open_doors: OpenDoors, policy_server: PolicyServer, target: RecordingTarget, run: Run
) -> None:
    """Each delivery that was sent again is reported, and one that did not arrive makes the command false."""
    doors = open_doors({"notifications.policy_url": policy_server.policy_url, "delivery.retry_schedule": ""})
    policy_server.refuse("bob")
    target.always("/fails", 503)
    target.answers("/arrives", [500])
    arrives = doors.subscribe(target.url("/arrives"))
    fails = doors.subscribe(target.url("/fails"))
    refused = doors.subscribe(target.url(), user="bob")
    events = [doors.send(), doors.accept()]

    done = run(doors.file, "eventretry", *events, "--json")

    assert done.returncode == -1
    reported = {UUID(row["subscription"]): row for row in json.loads(done.stdout)}
    seen = {uuid: (row["event"], row["state"], row["policy"], row["target"]) for uuid, row in reported.items()}
    assert seen == {
        arrives: (str(events[0]), "delivered", 200, 200),
        fails: (str(events[0]), "dead", 200, 503),
        refused: (str(events[0]), "refused", 412, None),
    }
    assert reported[fails]["reason"] == "answered 503"
    assert UUID(reported[fails]["delivery"]) == doors.delivery(subscription=fails).uuid


def test_table_for_people(dead: tuple[Doors, UUID], run: Run) -> None:
    """Without `--json` the report is a table with a line for each delivery."""
    doors, event = dead

    header, line = run(doors.file, "eventretry", event).stdout.splitlines()

    assert header.split() == ["event", "subscription", "delivery", "state", "policy", "target", "reason"]
    assert line.split()[0] == str(event)
    assert line.split()[3:6] == ["delivered", "-", "200"]


def test_unknown_uuid_is_false(dead: tuple[Doors, UUID], target: RecordingTarget, run: Run) -> None:
    """An event that is not there makes the command false and is named; the others are sent again."""
    doors, event = dead
    unknown = uuid4()

    done = run(doors.file, "eventretry", unknown, event)
    alone = run(doors.file, "eventretry", unknown)

    assert (done.returncode, alone.returncode) == (-1, -1)
    assert done.stderr == f"{unknown}: there is no such event\n{NO_WORKER}"
    assert alone.stderr == f"{unknown}: there is no such event\n"
    assert doors.delivery().state == "delivered"


def test_disabled_subscription_is_told(dead: tuple[Doors, UUID], target: RecordingTarget, run: Run) -> None:
    """What belongs to a disabled subscription is held, and the report says so."""
    doors, event = dead
    doors.change(doors.delivery().event_match_id, disabled="2026-01-01T00:00:00Z")

    done = run(doors.file, "eventretry", event, "--json")

    (row,) = json.loads(done.stdout)
    assert (done.returncode, row["state"]) == (-1, "pending")
    assert "disabled" in row["reason"]
    assert len(target.requests()) == 2


def test_policy_server_that_fails_is_told(open_doors: OpenDoors, target: RecordingTarget, run: Run) -> None:
    """Where the policy server gives no answer the report says so, and nothing is sent."""
    doors = open_doors({"notifications.policy_url": target.url("/policy"), "delivery.retry_schedule": ""})
    target.answers("/policy/events/alice", [200, 500])
    target.always("/in", 500)
    doors.subscribe(target.url("/in"))
    event = doors.send()

    done = run(doors.file, "eventretry", event, "--json")

    (row,) = json.loads(done.stdout)
    assert (done.returncode, row["state"], row["policy"]) == (-1, "pending", 500)
    assert row["reason"] == "the policy server answered 500"
    assert len(target.requests("/in")) == 1


def test_only_named_events_are_sent(dead: tuple[Doors, UUID], target: RecordingTarget, run: Run) -> None:
    """Without a worker the command sends what was named, and leaves other work to the worker."""
    doors, event = dead
    other = doors.accept()
    doors.route()

    run(doors.file, "eventretry", event)

    assert doors.delivery(other).state == "pending"
    assert len(target.requests()) == 3


@pytest.mark.parametrize("body", ['[1, {"a": 2}]', '"text"', "no JSON {", '{"a": NaN}'])
def test_upgraded_events(doors: Doors, target: RecordingTarget, run: Run, body: str) -> None:
    """An event of an older release is replayed with the body it has; one that can't be extended is dead."""
    plain = doors.subscribe(target.url())
    extended = doors.subscribe(target.url(), extensions={"a": "b"})
    first, second = doors.migrated(body, plain), doors.migrated(body, extended)

    fine = run(doors.file, "eventretry", "--all", first)
    broken = run(doors.file, "eventretry", "--all", second, "--json")

    assert (fine.returncode, broken.returncode) == (0, -1)
    (request,) = target.requests()
    assert request.body.decode() == body
    assert replays(target) == ["1"]
    assert [row["state"] for row in json.loads(broken.stdout)] == ["dead"]


def test_worker_that_vanishes_is_not_waited_for(dead: tuple[Doors, UUID], run: Run) -> None:
    """When the last worker gives no sign of life any more the command sends itself."""
    doors, event = dead
    with orm.session():
        orm.Worker.create(name="vanished", holder="nobody", seen=orm.now() - timedelta(seconds=39.5))

    done = run(doors.file, "eventretry", event)

    assert (done.returncode, done.stderr) == (0, NO_WORKER)
    assert doors.delivery().state == "delivered"


# With a running service.


@pytest.fixture(scope="module")
def served(start: Start, tmp_path_factory: pytest.TempPathFactory) -> tuple[Watched, Command]:
    """The embedded service with the commands beside it."""
    settings = {"delivery.retry_schedule": ""}
    service = start(settings)
    beside = {"database.peewee_url": service.database_url, **settings}
    return service, Command(tmp_path_factory.mktemp("commands"), beside)


def test_running_service_sends(served: tuple[Watched, Command], target: RecordingTarget) -> None:
    """With a running worker the command leaves the sending to it, waits for the outcome, and reports it."""
    service, command = served
    event = make_event()
    service.subscribe(jsonpath=f'$[?(@.eventID = "{event["eventID"]}")]', target_url=target.url())
    target.answers("/", [500])
    uuid = service.post_event(event).json()["uuid"]
    ended(service, uuid, "dead")

    done = command.run("eventretry", uuid, "--json")

    assert (done.returncode, done.stderr) == (0, "")
    (row,) = json.loads(done.stdout)
    assert (row["state"], row["target"]) == ("delivered", 200)
    first, second = target.requests()
    assert (first.delivery, second.delivery) == (row["delivery"], row["delivery"])
    assert [first.attempt, second.attempt] == [1, 2]


def test_command_is_no_worker(served: tuple[Watched, Command], target: RecordingTarget) -> None:
    """The command starts no worker of its own beside the running one, which would vanish with what it claimed."""
    service, command = served
    event = make_event()
    service.subscribe(jsonpath=f'$[?(@.eventID = "{event["eventID"]}")]', target_url=target.url())
    uuid = service.post_event(event).json()["uuid"]
    ended(service, uuid, "delivered")

    done = command.run("eventretry", uuid, "--all")

    workers = tables.one(service.database_url, "SELECT COUNT(*) FROM worker")

    assert done.returncode == 0
    assert workers == 1
    assert replays(target) == [None, "1"]


def ended(service: Watched, event: str, state: str) -> None:
    """Wait until the delivery of an event has ended in a state."""
    url = service.database_url
    statement = f"SELECT COUNT(*) FROM eventlogmatch WHERE state = '{state}' AND event_log_id = '{held(url, event)}'"
    until(lambda: tables.one(url, statement), what=f"the delivery to be {state}")
