"""A running worker removes what has been kept for long enough, by itself, and tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pacifica.notifications import orm
from tests.support.doors import LONG_AGO
from tests.support.target import RecordingTarget
from tests.support.watched import Watched, ending_well

from .conftest import OpenDoors

HELD = "2026-01-01T00:00:00Z"


def age() -> None:
    """Let all that is there have been accepted, and have ended, long ago."""
    row = orm.EventLogMatch
    with orm.session():
        orm.EventLog.update(created=LONG_AGO).execute()
        row.update(finished=LONG_AGO).where(row.finished.is_null(False)).execute()


def test_service_removes_by_itself(open_doors: OpenDoors, url: str, target: RecordingTarget, tmp_path: Path) -> None:
    """What is older than the settings say goes with its attempts; what is pending stays; one line counts what went."""
    doors = open_doors({"delivery.retry_schedule": "60"})
    doors.subscribe(target.url())
    gone = [doors.send() for _ in range(3)]
    pending_for = doors.subscribe(target.url("/fails"))
    target.always("/fails", 500)
    kept = doors.send()
    doors.change(pending_for, disabled=HELD)
    age()

    with ending_well(Watched(tmp_path, url, {"retention.events": 3600, "retention.deliveries": 3600})) as service:
        line = service.wait_for_output(r"retention\.removed events=\d+ deliveries=\d+")
        young = service.post_event({"specversion": "1.0", "type": "t", "source": "s", "id": "1"}).json()["uuid"]

    assert line.group() == f"retention.removed events={len(gone)} deliveries={len(gone) + 1}"
    with orm.session():
        assert {str(row.uuid) for row in orm.EventLog.select()} == {str(kept), young}
    assert [row.state for row in doors.deliveries(kept)] == ["pending"]
    assert len(doors.attempts(doors.delivery(kept))) == 1


@pytest.mark.parametrize(
    ("kept", "line"), [("events", "events=0 deliveries=1"), ("deliveries", "events=1 deliveries=0")]
)
def test_zero_keeps_for_ever(
    open_doors: OpenDoors, url: str, target: RecordingTarget, tmp_path: Path, kept: str, line: str
) -> None:
    """With 0 for events all of these stay; with 0 for deliveries these stay, and their events with them."""
    doors = open_doors({})
    unmatched = doors.send()
    doors.subscribe(target.url())
    matched = doors.send()
    age()

    settings = {"retention.events": 3600, "retention.deliveries": 3600, f"retention.{kept}": 0}
    with ending_well(Watched(tmp_path, url, settings)) as service:
        service.wait_for_output(rf"retention\.removed {line}")

    with orm.session():
        there = {row.uuid for row in orm.EventLog.select()}
    assert there == ({matched, unmatched} if kept == "events" else {matched})
    assert len(doors.deliveries(matched)) == (kept == "deliveries")
