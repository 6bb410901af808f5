"""`eventget` shows events and what became of them, as it always has, and as JSON."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from pacifica.notifications import orm
from tests.support.doors import Doors
from tests.support.factories import make_event, make_event_1_0
from tests.support.policy import PolicyServer
from tests.support.processes import Command
from tests.support.target import RecordingTarget

from .conftest import OpenDoors, Run

UUID_TEXT = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
EVENT = re.compile(rf"Event - ({UUID_TEXT})")
ELM = re.compile(rf"    ELM ({UUID_TEXT}) \((\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?)\) policy (\S+) target (\S+)")


def shown(text: str) -> list[UUID]:
    """Return the events that were printed, in order."""
    return [UUID(found[1]) for line in text.splitlines() if (found := EVENT.fullmatch(line))]


def created(event: UUID, at: datetime) -> None:
    """Let an event have been accepted at a time in UTC."""
    with orm.session():
        orm.EventLog.update(created=at).where(orm.EventLog.uuid == event).execute()


def ago(**time: float) -> datetime:
    """Return a time before now, in UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None) - timedelta(**time)


def test_documented_form(open_doors: OpenDoors, policy_server: PolicyServer, target: RecordingTarget, run: Run) -> None:
    """An event is `Event - UUID`, its JSON, and a line `ELM` for each subscription that it matched."""
    doors = open_doors({"notifications.policy_url": policy_server.policy_url})
    policy_server.refuse("bob")
    target.always("/fails", 503)
    subscriptions = [
        doors.subscribe(target.url()),
        doors.subscribe(target.url("/fails")),
        doors.subscribe(target.url(), user="bob"),
    ]
    event = make_event(data={"name": "Zürich", "big": 2**64 + 1})
    uuid = doors.send(event)

    done = run(doors.file, "eventget")

    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert lines[0] == f"Event - {uuid}"
    assert json.loads("\n".join(lines[1:-3])) == event
    matches = [ELM.fullmatch(line) for line in lines[-3:]]
    assert all(matches), lines[-3:]
    codes = {(UUID(found[1]), found[3], found[4]) for found in matches if found}
    assert codes == {
        (subscriptions[0], "200", "200"),
        (subscriptions[1], "200", "503"),
        (subscriptions[2], "412", "None"),
    }
    deliveries = {str(delivery.event_match_id): str(delivery.created) for delivery in doors.deliveries()}
    assert {found[1]: found[2] for found in matches if found} == deliveries


def test_event_without_a_match(doors: Doors, run: Run) -> None:
    """An event that nobody wants is shown without a line `ELM`."""
    uuid = doors.send()

    done = run(doors.file, "eventget")

    assert shown(done.stdout) == [uuid]
    assert "ELM" not in done.stdout


def test_nothing_to_show(doors: Doors, run: Run) -> None:
    """Without events nothing is printed, and that is true."""
    assert run(doors.file, "eventget") == (0, "", "")
    assert json.loads(run(doors.file, "eventget", "--json").stdout) == []


def test_json_form(open_doors: OpenDoors, target: RecordingTarget, run: Run) -> None:
    """With `--json` events are a list, each with its body, its deliveries, and their attempts."""
    doors = open_doors({"delivery.keep_response": "true"})
    target.answers("/", [500, 200])
    subscription = doors.subscribe(target.url())
    event = make_event_1_0(subject="s", time="2026-11-22T17:30:00+01:00")
    uuid = doors.send(event, "application/cloudevents+json")
    doors.again()

    (found,) = json.loads(run(doors.file, "eventget", "--json").stdout)

    assert (found["uuid"], found["jsondata"], found["subject"]) == (str(uuid), event, "s")
    assert (found["time"], found["content_type"]) == ("2026-11-22T16:30:00.000000Z", "application/cloudevents+json")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", found["created"])
    (delivery,) = found["deliveries"]
    assert (delivery["event_match"], delivery["state"], delivery["attempts"]) == (str(subscription), "delivered", 2)
    assert [(each["attempt"], each["status"], each["failure"]) for each in delivery["tries"]] == [
        (1, 500, "http"),
        (2, 200, None),
    ]
    assert all(each["seconds"] > 0 for each in delivery["tries"])


def test_default_is_the_last_day_newest_first(doors: Doors, run: Run) -> None:
    """Without options the ten newest events of the last 24 hours are shown, the newest first."""
    events = [doors.accept() for _ in range(12)]
    for hours, event in enumerate(events):
        created(event, ago(hours=2 * hours + 1))

    done = run(doors.file, "eventget")
    more = run(doors.file, "eventget", "--limit", 100)
    less = run(doors.file, "eventget", "--limit", 2)

    assert shown(done.stdout) == events[:10]
    assert shown(more.stdout) == events[:12]
    assert shown(less.stdout) == events[:2]
    created(events[0], ago(hours=24, minutes=1))
    assert shown(run(doors.file, "eventget").stdout) == events[1:11]


def test_dates_narrow(doors: Doors, run: Run) -> None:
    """`--start-date` and `--end-date` in UTC say which events are shown."""
    old, middle, new = (doors.accept() for _ in range(3))
    created(old, datetime(2026, 1, 1))
    created(middle, datetime(2026, 1, 2, 12))
    created(new, datetime(2026, 1, 3, 12))

    def between(*args: str) -> list[UUID]:
        return shown(run(doors.file, "eventget", *args).stdout)

    assert between("--start-date", "2026-01-01 00:00:00") == [new, middle, old]
    assert between("--start-date", "2026-01-01 00:00:01") == [new, middle]
    assert between("--start-date", "2026-01-01 00:00:00", "--end-date", "2026-01-02 12:00:00") == [middle, old]
    assert between("--end-date", "2026-01-03 00:00:00") == []
    assert between("--date-format", "%d.%m.%Y", "--start-date", "02.01.2026", "--end-date", "03.01.2026") == [middle]


@pytest.mark.parametrize(
    "args",
    [
        ["--start-date", "yesterday"],
        ["--end-date", "2026-01-01"],
        ["--start-date", "2026-02-30 00:00:00"],
        ["--date-format", "%Y", "--start-date", "2026-01-01 00:00:00"],
        ["--start-date", ""],
    ],
    ids=" ".join,
)
def test_bad_dates_are_shown_with_the_form(args: list[str], doors: Doors, run: Run) -> None:
    """A date of another form is refused with the form and an example, in one line."""
    done = run(doors.file, "eventget", *args)

    assert (done.returncode, done.stdout) == (-1, "")
    (line,) = done.stderr.splitlines()
    assert repr(args[-1]) in line
    assert "such as '2026" in line


def test_uuids_are_shown_whenever_they_came(doors: Doors, run: Run) -> None:
    """Events that are named are all shown, whatever the dates and the limit say."""
    events = [doors.accept() for _ in range(12)]
    for days, event in enumerate(events):
        created(event, ago(days=days + 2))

    done = run(doors.file, "eventget", *reversed(events), "--limit", 1)

    assert done.returncode == 0
    assert shown(done.stdout) == events


def test_unknown_uuid_is_false(doors: Doors, run: Run) -> None:
    """An event that is not there makes the command false and is named; the others are shown."""
    known, unknown = doors.accept(), uuid4()

    done = run(doors.file, "eventget", unknown, known)
    as_json = run(doors.file, "eventget", unknown, known, "--json")

    assert done.returncode == as_json.returncode == -1
    assert done.stderr == as_json.stderr == f"{unknown}: there is no such event\n"
    assert shown(done.stdout) == [known]
    assert [row["uuid"] for row in json.loads(as_json.stdout)] == [str(known)]


@pytest.mark.parametrize("body", ['[1, {"a": "ü"}]', '"text"', "7", "null", "no JSON {", ""])
def test_upgraded_events_are_shown(body: str, doors: Doors, run: Run) -> None:
    """An event of an older release is shown, with whatever body it has and no codes where none are known."""
    subscription = doors.subscribe("http://127.0.0.1:9/")
    uuid = doors.migrated(body, subscription)

    done = run(doors.file, "eventget", uuid)
    (found,) = json.loads(run(doors.file, "eventget", uuid, "--json").stdout)

    first, *middle, last = done.stdout.splitlines()
    assert done.returncode == 0
    assert first == f"Event - {uuid}"
    match = ELM.fullmatch(last)
    assert match
    assert match.groups()[0::2] == (str(subscription), "None")
    try:
        value = json.loads(body)
    except ValueError:
        value = body
    assert json.loads("\n".join(middle)) == found["jsondata"] == value


def test_as_a_process(doors: Doors, tmp_path: Path) -> None:
    """As a program it prints UTF-8 and ends with 0, or with 255 for what is not there."""
    uuid = doors.accept(make_event(data="Zürich"))
    command = Command(tmp_path, {"database.peewee_url": doors.url})

    true, false = command.run("eventget", str(uuid)), command.run("eventget", str(uuid4()))

    assert (true.returncode, false.returncode) == (0, 255)
    assert '"data": "Zürich"' in true.stdout
