"""Databases of old releases, upgraded by the real `dbsync`: from each version, killed, at once, and used afterwards."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psutil  # type: ignore[import-untyped]
import pytest

from tests.support import tables
from tests.support.factories import INGEST, ingest
from tests.support.old import schemas
from tests.support.old.contents import contents, everything, fill
from tests.support.old.releases import Release
from tests.support.old.rows import BERLIN, OldRows, Row, odd_rows
from tests.support.old.schemas import described, kind_of, opened
from tests.support.old.upgraded import differences
from tests.support.policy import PolicyServer
from tests.support.process import Process
from tests.support.processes import Command, Service, Worker
from tests.support.servers import MariaDB, PostgreSQL, Redis
from tests.support.target import RecordingTarget
from tests.support.wait import until

ZONE = "Europe/Berlin"
JSONPATH = f'$[?(@.eventType = "{INGEST}")]'
#: Enough that a killed upgrade is killed in the middle.
MANY = 3000


def settings_of(url: str) -> dict[str, object]:
    """Return settings that name a database, and do not wait for it."""
    return {"database.peewee_url": url, "database.connect_attempts": 1}


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    """The url of an empty database, once for each kind."""
    return new_database()


# Made by the old releases.


@pytest.fixture(scope="session")
def first_release(package_index: None, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Release 0.2.3, whose tables have no version."""
    return Release(tmp_path_factory.mktemp("first"), "0.2.3")


@pytest.fixture(scope="session")
def last_release(package_index: None, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Release 0.5.2, the last before this one."""
    return Release(tmp_path_factory.mktemp("last"), "0.5.2")


#: Each version as the old releases come to it.
WAYS = ["0.0", "1.0", "2.0", "3.0", "3.0 from 0.0"]


@pytest.fixture(scope="session")
def made(first_release: Release, last_release: Release, postgresql_server: PostgreSQL) -> dict[str, str]:
    """The urls of databases without odd rows that the old releases made, by way; to be copied."""
    urls = {"0.0": postgresql_server.create_database()}
    with first_release.service(urls["0.0"]) as doors:
        members = {"jsonpath": JSONPATH, "target_url": "http://1.1.1.1/", "extensions": {"a": "ü"}}
        _, deleted = [doors.subscribe("alice", name=name, **members) for name in ("kept", "deleted")]
        doors.unsubscribe("alice", deleted)
    for way in ("1.0", "2.0", "3.0 from 0.0"):
        urls[way] = postgresql_server.create_database(template=urls["0.0"])
    last_release.step(urls["1.0"], "1.0", "update_0_0_to_1_0")
    last_release.step(urls["2.0"], "2.0", "update_0_0_to_1_0", "update_1_0_to_2_0")
    urls["3.0"] = postgresql_server.create_database()
    for way in ("3.0", "3.0 from 0.0"):
        assert last_release.dbsync(urls[way]) == 0
    return urls


@pytest.mark.install
@pytest.mark.parametrize("way", WAYS)
def test_what_the_old_releases_made_is_upgraded(
    way: str, made: dict[str, str], postgresql_server: PostgreSQL, tmp_path: Path
) -> None:
    """From each version as the releases themselves made it every row is kept, and the tables are as new ones are."""
    url, new = postgresql_server.create_database(template=made[way]), postgresql_server.create_database()
    major, minor = way[:3].split(".")
    rows = odd_rows("postgresql", (int(major), int(minor)))
    fill(url, rows)
    before = contents(url)
    command = Command(tmp_path, settings_of(url))

    refused = command.run("dbchk")
    done = command.run("dbsync", "--timezone", ZONE, "--json")
    checked = command.run("dbchk", "--equal")

    assert refused.returncode == 255
    assert f"schema {way[:3]}, older than" in refused.stderr
    assert (done.returncode, checked.returncode) == (0, 0), done.stderr
    said = json.loads(done.stdout)
    assert (said["before"], said["upgraded"], said["created"], said["found"]) == (way[:3], True, False, {})
    assert differences(before, contents(url), ZONE, rows.attributes) == []
    in_clear = [row for row in rows.of("eventmatch") if (row.get("auth") or "").startswith('{"')]
    assert said["sealed"] == len(in_clear)
    Command(tmp_path, settings_of(new), name="new").run("dbsync")
    assert described(url) ^ described(new) == set()


@pytest.fixture(scope="session")
def lived(last_release: Release, postgresql_server: PostgreSQL, redis_server: Redis, made: dict[str, str]) -> str:
    """The url of what release 0.5.2 leaves after some work, to be copied: six arrived, four did not."""
    url = postgresql_server.create_database(template=made["3.0"])
    broker = redis_server.create_database()
    event = ingest(1, files=2)
    with RecordingTarget() as target, PolicyServer() as policy, ExitStack() as stack:
        target.always("/broken", 500)
        target.always("/missing", 404)
        policy.refuse("carol")
        policy.fail("dave")
        around = {"BROKER_URL": broker, "BACKEND_URL": broker, "POLICY_URL": policy.policy_url}
        doors = stack.enter_context(last_release.service(url, **around))
        stack.enter_context(last_release.worker(url, **around))
        for user, name in (
            ("alice", "fine"), ("bob", "fine"), ("alice", "broken"), ("alice", "missing"), ("carol", "refused"),
            ("dave", "unknown"),
        ):  # fmt: skip
            doors.subscribe(user, name=name, jsonpath=JSONPATH, target_url=target.url(f"/{name}"))
        doors.subscribe("alice", name="gone", jsonpath=JSONPATH, target_url="http://127.0.0.1:1/")
        deleted = doors.subscribe("alice", name="deleted", jsonpath=JSONPATH, target_url=target.url("/deleted"))
        doors.unsubscribe("alice", deleted)
        # Two arrive, three do not, for one nobody knows whether, and what is refused leaves no row.
        doors.accept(event)
        until(lambda: matches(url) == 6, 60, "the outcomes of an event")
        # Only the two are left.
        doors.accept(ingest(2, files=2))
        until(lambda: matches(url) == 8, 60, "the outcomes of another event")
        stored = contents(url)["eventlog"]
        (uuid,) = [key for key, row in stored.items() if found_in(row["jsondata"])["event_id"] == event["eventID"]]
        assert last_release.command(url, "eventretry", str(uuid), **around) == 0
        until(lambda: matches(url) == 10, 60, "the outcomes of the first event, again")
        doors.accept([1, "no event"])
        until(lambda: tables.one(url, "SELECT COUNT(*) FROM eventlog") == 3, 60, "what is no event")
    return url


def matches(url: str) -> int:
    """Return how many outcomes there are."""
    return int(tables.one(url, "SELECT COUNT(*) FROM eventlogmatch"))


@pytest.mark.install
@pytest.mark.parametrize(
    ("options", "environment"), [(["--timezone", ZONE], {}), ([], {"TZ": ZONE}), ([], {"TZ": "UTC"})]
)
def test_what_the_last_release_did_is_kept(
    lived: str,
    options: list[str],
    environment: dict[str, str],
    postgresql_server: PostgreSQL,
    tmp_path: Path,
) -> None:
    """What 0.5.2 accepted and sent is there afterwards, each outcome; times are of the zone named, or the machine's."""
    url = postgresql_server.create_database(template=lived)
    before = contents(url)
    attributes = {uuid: found_in(row["jsondata"]) for uuid, row in before["eventlog"].items()}

    done = Command(tmp_path, settings_of(url), environment).run("dbsync", *options)

    assert done.returncode == 0, done.stderr
    assert differences(before, contents(url), environment.get("TZ", ZONE), attributes) == []
    assert tables.states(url) == {"delivered": 6, "dead": 4}


def found_in(body: str) -> Row:
    """Return the attributes of an event that was sent here."""
    value = json.loads(body)
    if not isinstance(value, dict):
        return dict.fromkeys(("source", "event_id", "type", "subject", "time"))
    found = {"source": value["source"], "event_id": value["eventID"], "type": value["eventType"], "subject": None}
    return found | {"time": datetime.fromisoformat(value["eventTime"])}


# Made from the contract's columns.


@pytest.mark.parametrize(("options", "environment"), [(["--timezone", ZONE], {"TZ": "Asia/Tokyo"}), ([], {"TZ": ZONE})])
def test_hours_that_clocks_repeat_or_skip_are_told_by_the_zone(
    options: list[str], environment: dict[str, str], sqlite_url: str, tmp_path: Path
) -> None:
    """Of the zone that is named, else of the machine's, a repeated hour is the first of the two."""
    schemas.make(sqlite_url)
    rows = odd_rows("sqlite")
    assert {row["created"] for row in rows.eventlog} > BERLIN.keys()
    fill(sqlite_url, rows)
    before = contents(sqlite_url)

    done = Command(tmp_path, settings_of(sqlite_url), environment).run("dbsync", *options)

    assert done.returncode == 0, done.stderr
    assert differences(before, contents(sqlite_url), ZONE, rows.attributes) == []


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_character_is_told(
    encoding: str, postgresql_server: PostgreSQL, tmp_path: Path
) -> None:
    """PostgreSQL's old databases may have another encoding than UTF-8: `dbsync` says so, with the remedy."""
    url = postgresql_server.create_database()
    name = urlsplit(url).path[1:]
    with opened(postgresql_server.url) as database:
        database.execute_sql(f"DROP DATABASE {name}")
        database.execute_sql(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    schemas.make(url)
    fill(url, odd_rows("postgresql", encoding="ascii"))
    before = contents(url), described(url)

    done = Command(tmp_path, settings_of(url)).run("dbsync")

    assert done.returncode == 255
    assert encoding in done.stderr
    assert "createdb --encoding=UTF8" in done.stderr
    assert "Traceback" not in done.stderr
    assert (contents(url), described(url)) == before


def test_nothing_runs_before_the_upgrade(url: str, tmp_path: Path) -> None:
    """Service, worker and commands refuse tables of old, name the remedy in one line, and touch nothing."""
    schemas.make(url)
    fill(url, odd_rows(kind_of(url)))
    before = contents(url), described(url)
    settings = settings_of(url)

    ended = {}
    for part in (Service(tmp_path, settings), Worker(tmp_path, settings)):
        part.start(0)
        ended[part.command[0]] = part.wait(60), part.log
    for command in ("eventget", "eventpurge", "dbchk"):
        done = Command(tmp_path, settings).run(command)
        ended[command] = done.returncode, done.stderr
    done = Command(tmp_path, settings).run("eventretry", str(uuid4()))
    ended["eventretry"] = done.returncode, done.stderr

    for name, (status, said) in ended.items():
        assert status != 0, name
        assert "schema 3.0, older than" in said, name
        assert "pacifica-notifications-cmd dbsync" in said, name
        assert "Traceback" not in said, name
    assert (contents(url), described(url)) == before


#: What is waited for before the process is killed.
MOMENTS = [
    r"eventmatch: 0 of",
    r"eventlog: 0 of",
    r"eventlog: 1\d{3} of",
    r"eventlogmatch: 0 of",
    r"eventlogmatch: 2\d{3} of",
    r"indexes: 0 of",
    r"indexes: [1-9]",
    r"indexes: (\d+) of \1",
]


def test_a_killed_upgrade_starts_over(new_database: Callable[[], str], tmp_path: Path) -> None:
    """Killed at any moment `dbsync` leaves every old row as it was, or is done; run again it comes to the same."""
    undisturbed, url = new_database(), new_database()
    rows = odd_rows(kind_of(url), ordinary=MANY)
    for each in (undisturbed, url):
        schemas.make(each)
        fill(each, rows)
    before = contents(url)
    command = Command(tmp_path, settings_of(url))
    assert (
        Command(tmp_path, settings_of(undisturbed), name="undisturbed").run("dbsync", "--timezone", ZONE).returncode
        == 0
    )

    killed = 0
    for moment in MOMENTS:
        words = command.arguments("dbsync", "--timezone", ZONE)
        with Process(words, tmp_path / "killed.log", env=command.env) as process:
            process.wait_for_output(moment)
            process.kill()
        # Waits where the server still has to notice.
        if until(lambda: contents(url), 60, "the tables to be free") != before:
            break
        killed += 1
    done = command.run("dbsync", "--timezone", ZONE)

    # Where much else runs the later moments may have passed: then all is as it must be. The contract tests break an
    # upgrade off at each of them.
    assert killed
    assert done.returncode == 0, done.stderr
    assert everything(url) == everything(undisturbed)
    assert described(url) ^ described(undisturbed) == set()
    assert differences(before, contents(url), ZONE, rows.attributes) == []


def test_a_change_of_names_that_is_killed_is_whole(mariadb_server: MariaDB, mariadb_url: str, tmp_path: Path) -> None:
    """MariaDB's tables take over at one moment; killed right after it, the next run clears away what they replaced."""
    rows = odd_rows("mysql", ordinary=MANY)
    schemas.make(mariadb_url)
    fill(mariadb_url, rows)
    before = contents(mariadb_url)
    command = Command(tmp_path, settings_of(mariadb_url))
    with opened(mariadb_url) as database:
        # Another session reads an old table: the change of names waits for it, and nobody's table is dropped meanwhile.
        database.begin()
        database.execute_sql("SELECT COUNT(*) FROM notificationsystem").fetchall()
        with Process(command.arguments("dbsync", "--timezone", ZONE), tmp_path / "log", env=command.env) as process:
            process.wait_for_output(r"indexes: (\d+) of \1")
            waiting = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'RENAME TABLE%%'"
            process.until(lambda: tables.one(mariadb_url, waiting), 30, "the change of names to wait")
            process.kill()
        database.rollback()
    done = command.run("dbsync", "--timezone", ZONE, "--json")

    assert done.returncode == 0, done.stderr
    assert differences(before, contents(mariadb_url), ZONE, rows.attributes) == []
    with opened(mariadb_url) as database:
        assert not [name for name in database.get_tables() if name.startswith("dbsync_")]


#: Bodies that take more room than all else that `dbsync` has in memory.
LARGE, BODY = 2000, f'["{"x" * 30_000}"]'


@pytest.mark.skipif(os.name != "posix", reason="a terminal of its own: needs a POSIX system")
def test_bars_are_drawn_and_memory_is_bounded(tmp_path: Path) -> None:
    """On a terminal `dbsync` draws a bar for each table, and of large tables it holds a part at a time."""
    used = []
    for count in (1, LARGE):
        url = f"sqlite:///{tmp_path}/{count}.sqlite3"
        schemas.make(url)
        rows = OldRows()
        rows.eventlog = [{"uuid": uuid4(), "jsondata": BODY, "created": datetime(2026, 1, 1)} for _ in range(count)]
        fill(url, rows)
        shown, memory = on_a_terminal(Command(tmp_path, settings_of(url)))
        used.append(memory)

    bars = re.findall(r"(\w+) +\[(#*)(-*)\] +(\d+)%", shown.replace("\x1b[?25l", ""))
    assert [part for part, _, left, _ in bars if not left] == ["eventlog", "indexes"], shown
    assert {part for part, *_ in bars} == {"eventlog", "indexes"}
    assert len([part for part, done, left, _ in bars if part == "eventlog" and done and left]) > 5
    assert "eventlog:" not in shown
    assert used[1] < 1.6 * used[0]


def on_a_terminal(command: Command) -> tuple[str, int]:
    """Run `dbsync` with a terminal for its messages; return what it wrote there and its memory at most."""
    ours, its = os.openpty()
    process = subprocess.Popen(
        command.arguments("dbsync"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=its,
        env={**command.env, "TERM": "xterm"},
        start_new_session=True,
    )
    os.close(its)
    written, memory = b"", 0
    # At the end of the process there is an error in place of an end.
    with suppress(OSError, psutil.NoSuchProcess):
        while read := os.read(ours, 65536):
            written += read
            memory = max(memory, psutil.Process(process.pid).memory_info().rss)
    os.close(ours)
    assert process.wait(60) == 0, written
    return written.decode(), memory


#: Gives how many sessions wait for another one.
WAITING = {
    "postgresql": "SELECT COUNT(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'",
    "mysql": "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE()"
    " AND (state = 'User lock' OR state LIKE 'Waiting for table metadata lock%%')",
}


def test_several_at_once_upgrade_once(new_database: Callable[[], str], tmp_path: Path) -> None:
    """Of several `dbsync` that run at the same time one upgrades, the others wait and find it done."""
    undisturbed, url = new_database(), new_database()
    rows = odd_rows(kind_of(url), ordinary=500)
    for each in (undisturbed, url):
        schemas.make(each)
        fill(each, rows)
    before = contents(url)
    assert (
        Command(tmp_path, settings_of(undisturbed), name="undisturbed").run("dbsync", "--timezone", ZONE).returncode
        == 0
    )
    command = Command(tmp_path, settings_of(url))

    running = [
        Process(command.arguments("dbsync", "--timezone", ZONE), tmp_path / f"{number}.log", env=command.env)
        for number in range(3)
    ]
    with opened(url) as database, ExitStack() as stack:
        # Holds the first up in its midst, until the others wait as well.
        database.begin("IMMEDIATE" if kind_of(url) == "sqlite" else None)
        database.execute_sql("SELECT COUNT(*) FROM notificationsystem").fetchall()
        for process in running:
            stack.enter_context(process)
        if kind_of(url) != "sqlite":
            until(lambda: tables.one(url, WAITING[kind_of(url)]) == len(running), 60, "all to wait")
        database.rollback()
        ended = [process.wait(60) for process in running]

    assert ended == [0] * len(running), [process.log for process in running]
    said = [process.log.splitlines()[-2:] for process in running]
    assert sum("the tables were there already: schema 4.5" in lines for lines in said) == len(running) - 1, said
    assert everything(url) == everything(undisturbed)
    assert differences(before, contents(url), ZONE, rows.attributes) == []


#: Subscriptions, and what is said of each after the upgrade.
SAID: dict[str, tuple[Row, set[str]]] = {
    "fine": ({}, set()),
    "bare path": ({"jsonpath": "data"}, set()),
    "no auth": ({"auth": None}, set()),
    "path": ({"jsonpath": "$[?(@.a == 1)]"}, {"jsonpath"}),
    "no scheme": ({"target_url": "www.example.com/x"}, {"target_url"}),
    "ftp": ({"target_url": "ftp://1.1.1.1/"}, {"target_url"}),
    "password": ({"target_url": "http://user:secret@1.1.1.1/"}, {"target_url"}),
    "fragment": ({"target_url": "http://1.1.1.1/#here"}, {"target_url"}),
    "space": ({"target_url": "http://1.1.1.1/a b"}, {"target_url"}),
    "foreign letters": ({"target_url": "http://bücher.example/"}, {"target_url"}),
    "nothing": ({"target_url": ""}, {"target_url"}),
    "loopback": ({"target_url": "http://127.0.0.1:9/"}, {"address"}),
    "loopback 6": ({"target_url": "http://[::1]:8080/"}, {"address"}),
    "localhost": ({"target_url": "http://localhost/"}, {"address"}),
    "private": ({"target_url": "https://10.1.2.3/"}, {"address"}),
    "of the cloud": ({"target_url": "http://169.254.169.254/latest"}, {"address"}),
    "allowed": ({"target_url": "http://192.168.7.7/"}, set()),
    "beside the allowed": ({"target_url": "http://192.168.8.8/"}, {"address"}),
    "auth": ({"auth": "no JSON"}, {"auth"}),
    "auth is a list": ({"auth": "[1]"}, {"auth"}),
    "auth can't be sent": (
        {"auth": '{"type": "header", "header": {"type": "Bearer", "credentials": "a\\nb"}}'},
        {"auth"},
    ),
    "extensions": ({"extensions": "{'a': 1}"}, {"extensions"}),
    "extensions are a list": ({"extensions": "[1]"}, {"extensions"}),
    "default user": ({"user": "default_user"}, {"default_user"}),
    "user with a comma": ({"user": "a,b"}, {"user"}),
    "user with an umlaut": ({"user": "jörg"}, {"user"}),
    "user with a space": ({"user": "y "}, {"user"}),
    "disabled": ({"disabled": datetime(2026, 1, 1), "error": "gone\nand away"}, {"disabled"}),
    "deleted": ({"deleted": datetime(2026, 1, 1), "jsonpath": "", "user": "", "target_url": ""}, set()),
    "much": (
        {"jsonpath": "$[", "user": "\t", "target_url": "x", "auth": "x"},
        {"jsonpath", "user", "target_url", "auth"},
    ),
    **{f"many {number}": ({"jsonpath": "$["}, {"jsonpath"}) for number in range(30)},
}


def subscription(target_url: str, name: str) -> Row:
    """Return a row of old, of a subscription to every ingest."""
    now = datetime.now()
    return {
        "uuid": uuid4(), "name": name, "jsonpath": JSONPATH, "user": "alice", "disabled": None, "error": None,
        "target_url": target_url, "version": "v0.1", "extensions": "{}", "created": now, "updated": now,
        "deleted": None, "auth": "{}",
    }  # fmt: skip


def test_what_will_be_different_is_named(new_database: Callable[[], str], tmp_path: Path) -> None:
    """At its end `dbsync` names each subscription that will not do what it did, and why, in words and as data."""
    shown = []
    for options in ([], ["--json"]):
        url = new_database()
        schemas.make(url)
        rows = OldRows()
        for number, (name, (changes, _)) in enumerate(SAID.items()):
            rows.eventmatch.append(subscription(f"http://1.1.1.1/{number}", name) | changes)
        fill(url, rows)
        settings = settings_of(url) | {"targets.profile": "public", "targets.allow": "192.168.7.0/24"}
        done = Command(tmp_path, settings).run("dbsync", *options)
        assert done.returncode == 0, done.stderr
        shown.append(done.stdout)

    said: dict[str, set[str]] = {name: set() for name in SAID}
    for each in json.loads(shown[1])["differences"]:
        said[each["name"]].add(each["kind"])
        assert each["detail"] or each["kind"] == "default_user", each
    assert said == {name: kinds for name, (_, kinds) in SAID.items()}
    assert "secret" not in shown[1]
    kinds = {kind for _, kinds in SAID.values() for kind in kinds}
    headings = re.findall(r"^(\d+) subscriptions? (?:have|were|belong)", shown[0], re.M)
    assert sorted(map(int, headings)) == sorted(sum(kind in kinds for _, kinds in SAID.values()) for kind in kinds)
    assert [
        name for name, kinds in said.items() if kinds and not name.startswith("many ") and name not in shown[0]
    ] == []
    assert "'fine'" not in shown[0]
    assert re.search(r"and \d+ more; --json names all", shown[0])


#: Subscriptions of a database that is used after its upgrade; all but the first ask for every ingest.
IN_USE: dict[str, Row] = {
    "unreadable": {"jsonpath": "$[?(@.eventType == 1)]"},
    "plain": {"auth": None},
    "secret": {
        "auth": '{"type": "basic", "basic": {"username": "u", "password": "p"}}',
        "extensions": '{"added": "ü"}',
    },
    "disabled": {"disabled": datetime(2026, 1, 1), "error": "<h1>502 Bad Gateway</h1>"},
    "deleted": {"deleted": datetime(2026, 1, 1)},
    "no-extensions": {"extensions": "{'no': 'JSON'}"},
    "no-auth": {"auth": "no JSON"},
}
#: What became of an old event, for `plain`; the last failed at first, was sent again, and arrived.
OUTCOMES = [("200", "ok"), ("404", "not found"), ("500", ""), ("", ""), None, ("200", "ok")]


class InUse:
    """Rows of a service that was in use until a moment ago: events that ended in every way, to one target."""

    def __init__(self, target: RecordingTarget) -> None:
        self.subscriptions = {name: uuid4() for name in IN_USE}
        self.events = [ingest(number, files=1) for number in range(len(OUTCOMES))]
        self.uuids = [uuid4() for _ in self.events]
        self.old = uuid4()
        now = datetime.now()
        rows = OldRows()
        for name, changes in IN_USE.items():
            row = subscription(target.url(f"/{name}"), name) | {"uuid": self.subscriptions[name]}
            rows.eventmatch.append(row | changes)
        rows.eventlog = [
            {"uuid": uuid, "jsondata": json.dumps(event), "created": now - timedelta(hours=1)}
            for uuid, event in zip(self.uuids, self.events, strict=True)
        ]
        rows.eventlog.append({"uuid": self.old, "jsondata": "[1]", "created": now - timedelta(days=60)})
        # Without an outcome is what was accepted while nobody could say who may see it.
        rows.eventlogmatch = [
            self._outcome(uuid, *outcome, now) for uuid, outcome in zip(self.uuids, OUTCOMES, strict=True) if outcome
        ]
        rows.eventlogmatch.append(self._outcome(self.uuids[-1], "404", "not found", now - timedelta(hours=1)))
        self.rows = rows

    def _outcome(self, event: UUID, status: str, body: str, created: datetime) -> Row:
        return {
            "uuid": uuid4(), "event_log_id": event, "event_match_id": self.subscriptions["plain"],
            "policy_status_code": "200", "policy_resp_body": "", "target_status_code": status, "target_resp_body": body,
            "created": created,
        }  # fmt: skip


@pytest.fixture
def settings(url: str, request: pytest.FixtureRequest, policy_server: PolicyServer) -> dict[str, object]:
    """Settings of a service that is used: with SQLite the worker is inside, with the others a process of its own."""
    found = settings_of(url) | {"notifications.policy_url": policy_server.policy_url}
    if kind_of(url) != "sqlite":
        found["celery.broker_url"] = request.getfixturevalue("redis_url")
    return found


def test_nothing_old_is_sent_and_everything_new_is(
    url: str, settings: dict[str, object], target: RecordingTarget, policy_server: PolicyServer, tmp_path: Path
) -> None:
    """After an upgrade a worker sends new events to each subscription that can be read, and nothing of old by itself.

    What is there can be listed, shown, sent again on demand and purged.
    """
    used = InUse(target)
    schemas.make(url)
    fill(url, used.rows)
    command = Command(tmp_path, settings)
    assert command.run("dbsync").returncode == 0

    with ExitStack() as stack:
        service = stack.enter_context(Service(tmp_path, settings))
        if kind_of(url) != "sqlite":
            stack.enter_context(Worker(tmp_path, settings))
        new = [ingest(number, files=1) for number in (100, 101)]
        for event in new:
            assert service.post_event(event).status_code == 200
            for name in ("plain", "secret"):
                target.wait_for(new.index(event) + 1, f"/{name}")
        listed = service.get("/eventmatch", user="alice").json()
        again = command.run("eventretry", str(used.uuids[1]))
        # Two and four were so; one was sent again, and two of the new each went to two, and can't go to two others.
        until(lambda: tables.states(url) == {"delivered": 2 + 1 + 4, "dead": 4 - 1 + 4}, 30, "all to have ended")
    shown = command.run("eventget", *map(str, used.uuids), "--limit", "20")
    purged = command.run("eventpurge")
    left = {UUID(str(uuid)) for (uuid,) in tables.rows(url, "SELECT uuid FROM eventlog")}

    sent = [(request.path, request.json()["eventID"]) for request in target.requests()]
    wanted = [(f"/{name}", event["eventID"]) for event in new for name in ("plain", "secret")]
    assert sorted(sent[: len(wanted)]) == sorted(wanted)
    assert sent[len(wanted) :] == [("/plain", used.events[1]["eventID"])]
    assert {ask.event["eventID"] for ask in policy_server.asks()} == {event for _, event in sent}
    secret = [request for request in target.requests("/secret") if request.json()["extensions"] == {"added": "ü"}]
    assert [request.header("Authorization") for request in secret] == ["Basic dTpw"] * len(new)
    assert {row["name"] for row in listed} == IN_USE.keys() - {"deleted"}
    (disabled,) = [row for row in listed if row["name"] == "disabled"]
    assert disabled["disabled"] is not None
    assert disabled["error"] == "<h1>502 Bad Gateway</h1>"
    assert again.returncode == 0, again.stderr
    assert shown.returncode == 0
    assert set(re.findall(r"Event - (\S+)", shown.stdout)) == set(map(str, used.uuids))
    assert shown.stdout.count("    ELM ") == len(used.rows.eventlogmatch)
    assert purged.returncode == 0, purged.stderr
    assert left > set(used.uuids)
    assert used.old not in left
    assert len(left) == len(used.uuids) + len(new)
