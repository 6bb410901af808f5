"""Secrets at rest: stored sealed, opened where they belong, and sealed anew by `rotate-keys`."""

from __future__ import annotations

import base64
import json
import threading
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from pacifica.notifications import orm
from pacifica.notifications.errors import NoKey
from pacifica.notifications.sealing import Keyring, read_key
from tests.support.doors import Doors
from tests.support.keys import KEY, SETTING, make_key
from tests.support.processes import Command, Process, write_config
from tests.support.tables import one, rows
from tests.support.target import RecordingTarget
from tests.support.watched import Watched

from .conftest import OpenDoors, Run, Start

AUTH = {"type": "basic", "basic": {"username": "me", "password": "open sesame"}}
MASKED = {"type": "basic", "basic": {"username": "me", "password": "***"}}
NEW, OLD = make_key("new"), make_key("old")


def sealed(key: str, user: str, uuid: UUID, value: dict[str, Any] | None = None) -> str:
    """Return what a service with a key stores."""
    return Keyring([read_key(key)]).seal(AUTH if value is None else value, "auth", user, uuid)


def key_of(text: str | None) -> str:
    """Return the id of the key in a stored text."""
    return str(json.loads(text or "")["key"])


def authorization(target: RecordingTarget, path: str) -> str | None:
    """Return the header of the last request there."""
    return target.requests(path)[-1].header("Authorization")


BASIC = f"Basic {base64.b64encode(b'me:open sesame').decode()}"


# What is stored, and what opens.


def test_auth_is_stored_sealed(doors: Doors, target: RecordingTarget) -> None:
    """In the table is the id of the key and nothing of the secret; the target gets what was set, before and after."""
    uuid = doors.subscribe(target.url("/in"), auth=AUTH)
    stored = doors.subscription(uuid).auth

    doors.send()
    doors.change(uuid, auth={"type": "header", "header": {"type": "Bearer", "credentials": "another"}})
    changed = doors.subscription(uuid).auth
    doors.send()

    assert (key_of(stored), key_of(changed)) == ("tests", "tests")
    assert not any(word in stored + changed for word in ("sesame", "me:", "basic", "Bearer", "another"))
    sent = [request.header("Authorization") for request in target.requests("/in")]
    assert sent == [BASIC, "Bearer another"]


def test_no_auth_is_stored_as_it_is(doors: Doors, target: RecordingTarget) -> None:
    """The empty object hides nothing, and needs no key."""
    assert doors.subscription(doors.subscribe(target.url(), auth={})).auth == "{}"


def test_a_deleted_subscription_keeps_no_secret(doors: Doors, target: RecordingTarget) -> None:
    """With the subscription its secret goes."""
    uuid = doors.subscribe(target.url(), auth=AUTH)

    doors.delete(uuid)

    assert doors.subscription(uuid).auth is None


def test_what_older_releases_stored_still_works(doors: Doors, target: RecordingTarget) -> None:
    """A row with clear text is read as it always was, and sealed when its owner sets it anew."""
    uuid = doors.subscribe(target.url("/in"))
    doors.write(uuid, auth=json.dumps(AUTH))

    doors.send()
    doors.change(uuid, auth=MASKED)
    doors.send()

    assert [request.header("Authorization") for request in target.requests("/in")] == [BASIC, BASIC]
    assert key_of(doors.subscription(uuid).auth) == "tests"


def test_a_copied_secret_does_not_open(doors: Doors, target: RecordingTarget) -> None:
    """Who copies a sealed value into a row of their own gets nothing; only that row's deliveries are dead."""
    victim = doors.subscribe(target.url("/victim"), auth=AUTH)
    thief = doors.subscribe(target.url("/thief"), user="mallory")
    doors.write(thief, auth=doors.subscription(victim).auth)

    doors.send()

    dead = doors.delivery(subscription=thief)
    assert (dead.state, dead.attempts) == ("dead", 0)
    assert "the key 'tests'" in dead.reason
    assert doors.delivery(subscription=victim).state == "delivered"
    assert not target.requests("/thief")


def test_a_missing_key_holds_deliveries(doors: Doors, target: RecordingTarget) -> None:
    """What this worker lacks the key of waits, names it, and goes out when it is sealed with one that it has."""
    other, lacking = doors.subscribe(target.url("/other"), auth=AUTH), doors.subscribe(target.url("/lacking"))
    doors.write(lacking, auth=sealed(OLD, "alice", lacking))

    doors.send()
    waiting = doors.delivery(subscription=lacking)
    with orm.session():
        orm.EventMatch.update(auth=sealed(KEY, "alice", lacking)).where(orm.EventMatch.uuid == lacking).execute()
    doors.again()

    assert (waiting.state, waiting.attempts) == ("pending", 0)
    assert waiting.next_attempt_at is not None
    assert "the key 'old'" in waiting.reason
    assert doors.delivery(subscription=other).state == "delivered"
    assert doors.delivery(subscription=lacking).state == "delivered"
    assert authorization(target, "/lacking") == BASIC


def test_a_key_that_stays_missing_ends_deliveries(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """They wait no longer than those of a disabled subscription."""
    doors = open_doors({"retention.held": 0})
    uuid = doors.subscribe(target.url())
    doors.write(uuid, auth=sealed(OLD, "alice", uuid))

    doors.send()

    assert (doors.delivery().state, doors.delivery().attempts) == ("dead", 0)


# Over REST.


@pytest.fixture(scope="module")
def service(start: Start) -> Watched:
    """A service that shows secrets to their owner where it can."""
    return start({"auth.show": "owner"})


def test_what_can_not_be_opened_is_not_shown_and_not_lost(service: Watched) -> None:
    """Its owner sees that there is something, can change the rest, and can't send back what was never shown."""
    user = name = f"user-{uuid4()}"
    made = service.subscribe(user, name=name, jsonpath="$.nothing", target_url="http://127.0.0.1:9/", auth=AUTH)
    path = f"/eventmatch/{made['uuid']}"
    stored = sealed(OLD, user, UUID(made["uuid"]))
    service.execute(f"UPDATE eventmatch SET auth = '{stored}' WHERE name = '{name}'")

    shown = service.get(path, user=user).json()
    renamed = service.request("PUT", path, user=user, json={"target_url": "http://127.0.0.1:9/new"})
    sent_back = service.request("PUT", path, user=user, json=shown)
    unmasked = service.request("PUT", path, user=user, json={"auth": MASKED})

    assert shown["auth"] == {"type": "***"}
    assert (renamed.status_code, renamed.json()["auth"]) == (200, {"type": "***"})
    assert [answer.status_code for answer in (sent_back, unmasked)] == [400, 400]
    assert "sesame" not in sent_back.text + unmasked.text
    ((after,),) = service.rows(f"SELECT auth FROM eventmatch WHERE name = '{name}'")
    assert after == stored
    assert service.request("PUT", path, user=user, json={"auth": AUTH}).json()["auth"] == AUTH


# rotate-keys.


def test_rotation_seals_everything_with_the_first_key(open_doors: OpenDoors, target: RecordingTarget, run: Run) -> None:
    """Old keys and clear texts end; what was sealed opens with the new key alone; a second run finds nothing to do."""
    doors = open_doors({SETTING: OLD})
    uuids = [doors.subscribe(target.url(f"/{number}"), auth=AUTH) for number in range(3)]
    doors.write(uuids[0], auth=json.dumps(AUTH))
    revisions = {uuid: doors.subscription(uuid).revision for uuid in uuids}
    plain = doors.subscribe(target.url("/plain"))
    doors = open_doors({SETTING: f"{NEW},{OLD}"})

    first, second = run(doors.file, "rotate-keys", "--json"), run(doors.file, "rotate-keys")
    doors = open_doors({SETTING: NEW})
    doors.send()

    assert (first.returncode, second.returncode) == (0, 0)
    assert json.loads(first.stdout) == {
        "sealed": 3,
        "keys": [
            {"id": "new", "subscriptions": 3, "is": "the first, which seals"},
            {"id": "old", "subscriptions": 0, "is": "no longer needed"},
        ],
        "clear": 0,
        "faults": {},
    }
    assert second.stdout.splitlines()[0] == "sealed anew: 0"
    assert {key_of(doors.subscription(uuid).auth) for uuid in uuids} == {"new"}
    assert {uuid: doors.subscription(uuid).revision for uuid in uuids} == revisions
    assert doors.subscription(plain).auth is None
    assert [authorization(target, f"/{number}") for number in range(3)] == [BASIC] * 3


def test_rotation_names_what_it_can_not_seal(open_doors: OpenDoors, target: RecordingTarget, run: Run) -> None:
    """Rows with a missing key, changed ones and broken ones stay as they are and are named; the others are sealed."""
    doors = open_doors({SETTING: f"{NEW},{OLD}"})
    good, missing, copied, broken = (doors.subscribe(target.url()) for _ in range(4))
    texts = {
        good: sealed(OLD, "alice", good),
        missing: sealed(KEY, "alice", missing),
        copied: sealed(OLD, "alice", good),
        broken: '{"type": "basic", "basic": {"password": "geheim"',
    }
    for uuid, text in texts.items():
        doors.write(uuid, auth=text)

    done, plain = run(doors.file, "rotate-keys", "--json"), run(doors.file, "rotate-keys")

    said = json.loads(done.stdout)
    assert (done.returncode, said["sealed"], said["clear"]) == (-1, 1, 1)
    assert [(row["id"], row["subscriptions"], row["is"]) for row in said["keys"]] == [
        ("new", 1, "the first, which seals"),
        ("old", 1, "still needed"),
        ("tests", 1, "missing"),
    ]
    assert said["faults"].keys() == {str(missing), str(copied), str(broken)}
    assert "geheim" not in done.stdout + done.stderr + plain.stdout + plain.stderr
    assert all(str(uuid) in plain.stderr for uuid in (missing, copied, broken))
    for uuid in (missing, copied, broken):
        assert doors.subscription(uuid).auth == texts[uuid]


def test_rotation_without_a_key_says_how_to_make_one(open_doors: OpenDoors, run: Run) -> None:
    """There must be a key to seal with, whatever may be stored in clear."""
    done = run(open_doors({SETTING: "", "secrets.plaintext": "true"}).file, "rotate-keys")

    assert done.returncode == -1
    assert "pacifica-notifications-cmd create-key" in done.stderr


def test_a_rotation_that_is_killed_can_be_run_again(tmp_path: Path) -> None:
    """Killed at whatever batch, each row opens with one of the two keys; the next run finishes."""
    url = f"sqlite:///{(tmp_path / 'test.sqlite3').as_posix()}"
    with Doors(tmp_path, url, {SETTING: OLD}) as doors:
        uuids = [doors.subscribe("http://127.0.0.1:9/", auth=AUTH) for _ in range(1500)]
    command = Command(tmp_path, {"database.peewee_url": url, SETTING: f"{NEW},{OLD}"})
    count = 'SELECT COUNT(*) FROM eventmatch WHERE auth LIKE \'{{"key": "{}"%\''

    with Process(command.arguments("rotate-keys"), tmp_path / "rotation.log", env=command.env) as rotating:
        rotating.until(lambda: one(url, count.format("new")) > 0, 60, "the first batch")
        rotating.kill()
    between = [one(url, count.format(name)) for name in ("new", "old")]
    done = command.run("rotate-keys")

    assert sum(between) == len(uuids)
    assert between[1] > 0
    assert (done.returncode, one(url, count.format("new"))) == (0, len(uuids))
    ring = Keyring([read_key(NEW)])
    for uuid, text in rows(url, "SELECT uuid, auth FROM eventmatch"):
        assert ring.open(text, "auth", "alice", UUID(uuid)) == AUTH


def test_rotation_overwrites_nobody(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """What an owner sets while rotations run stays, whichever comes first."""
    doors = open_doors({SETTING: f"{NEW},{OLD}"})
    uuid = doors.subscribe(target.url(), auth=AUTH)
    ended = threading.Event()
    found: list[Any] = []

    def rotate() -> None:
        while not ended.is_set():
            with orm.session():
                row = orm.EventMatch.get_by_id(uuid)
                text = sealed(OLD, "alice", uuid, row.auth_values)
                same = (orm.EventMatch.uuid == uuid) & (orm.EventMatch.revision == row.revision)
                orm.EventMatch.update(auth=text).where(same).execute()
                orm.reseal(lambda done, rows: None)

    thread = threading.Thread(target=rotate)
    thread.start()
    try:
        for number in range(60):
            wanted = {"type": "header", "header": {"type": "Bearer", "credentials": str(number)}}
            doors.change(uuid, auth=wanted)
            found.append(doors.subscription(uuid).auth_values["header"]["credentials"])
    finally:
        ended.set()
        thread.join()

    assert found == [str(number) for number in range(60)]
    assert doors.subscription(uuid).auth_values["header"]["credentials"] == "59"


def test_dbsync_seals_what_stands_in_clear(open_doors: OpenDoors, target: RecordingTarget, run: Run) -> None:
    """With a key it seals clear rows, and leaves those of another key alone; without one it says how many there are."""
    doors = open_doors({SETTING: f"{NEW},{OLD}"})
    clear, old = doors.subscribe(target.url()), doors.subscribe(target.url())
    doors.write(clear, auth=json.dumps(AUTH))
    doors.write(old, auth=sealed(OLD, "alice", old))
    without = write_config(doors.file.with_name("without.ini"), {"database.peewee_url": doors.url})

    told = run(without, "dbsync")
    done = run(doors.file, "dbsync")

    assert "secrets are in clear: 1; seal them" in told.stderr
    assert "sealed with the key new: 1" in done.stdout
    open_doors({SETTING: f"{NEW},{OLD}"})
    assert [key_of(doors.subscription(uuid).auth) for uuid in (clear, old)] == ["new", "old"]


def test_without_a_key_only_secrets_are_refused(tmp_path: Path) -> None:
    """Scripts that use the tables by themselves can store what has no secret; the rest is refused, never in clear."""
    url = f"sqlite:///{(tmp_path / 'test.sqlite3').as_posix()}"
    with Doors(tmp_path, url, {SETTING: ""}) as doors:
        doors.subscribe("http://127.0.0.1:9/")
        with pytest.raises(NoKey, match="create-key"):
            doors.subscribe("http://127.0.0.1:9/", auth=AUTH)

    assert rows(url, "SELECT auth FROM eventmatch") == [(None,)]
