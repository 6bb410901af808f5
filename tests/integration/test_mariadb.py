"""MariaDB under a running service: connections are killed, locks are held, names are odd, rights are few."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import requests
from peewee import Database, OperationalError
from playhouse.db_url import connect

from tests.support.factories import make_event
from tests.support.processes import Command
from tests.support.servers import MariaDB
from tests.support.target import RecordingTarget
from tests.support.wait import until
from tests.support.watched import Watched, ending_well

from .conftest import Start

NOWHERE = "http://127.0.0.1:9/"


@pytest.fixture(scope="module")
def database_kind() -> str:
    """MariaDB alone: what is done to it here is said in its own words."""
    return "mariadb"


@pytest.fixture(scope="module")
def service(start: Start) -> Watched:
    """A service whose worker takes up after a second what it lost with a connection."""
    return start({"delivery.lease": 1})


@contextmanager
def locked(service: Watched, statement: str) -> Iterator[Database]:
    """Hold a lock in a transaction of somebody else's."""
    with connect(service.database_url) as other:
        other.execute_sql(statement)
        yield other


def kill(service: Watched, begins: str = "") -> int:
    """End connections as an administrator does, those whose statement begins so; count them."""
    numbers = service.rows(
        "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
        f" AND LEFT(IFNULL(info, ''), {len(begins)}) = '{begins}'"
    )
    for (number,) in numbers:
        with suppress(OperationalError):
            service.execute(f"KILL {number}")
    return len(numbers)


class Asked:
    """A request that is under way in a thread of its own."""

    def __init__(self, service: Watched, method: str, path: str, body: object) -> None:
        self._answers: list[requests.Response] = []
        headers = {"Http-Remote-User": "alice"}
        url = service.url + path
        self._thread = threading.Thread(
            target=lambda: self._answers.append(requests.request(method, url, headers=headers, json=body, timeout=60))
        )
        self._thread.start()

    def answer(self) -> requests.Response:
        """Wait for its answer."""
        self._thread.join(60)
        return self._answers[0]


def test_killed_connections_are_replaced(service: Watched, target: RecordingTarget) -> None:
    """Events are taken although every connection was killed just before; other requests are, at the second try."""
    service.subscribe(target_url=target.url("/in"))

    events, lists = [], []
    for _ in range(5):
        assert kill(service)
        events.append(service.post_event(make_event()).status_code)
        kill(service)
        lists.append([service.get("/eventmatch", user="alice").status_code for _ in range(2)])

    assert events == [200] * 5
    assert all(first in (200, 503) and second == 200 for first, second in lists)
    target.wait_for(5, "/in")


def test_request_whose_connection_is_killed(service: Watched) -> None:
    """A change whose connection is killed in the middle is a 503 and changes nothing; sent again it is made."""
    body = {"name": "killed", "jsonpath": "$", "target_url": NOWHERE}
    with locked(service, "SELECT value FROM subscriptionrevision FOR UPDATE"):
        asked = Asked(service, "POST", "/eventmatch", body)
        until(lambda: kill(service, "UPDATE `subscriptionrevision`"), what="the request to wait for the lock")
        answer = asked.answer()

    again = service.request("POST", "/eventmatch", user="alice", json=body)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert again.status_code == 200
    assert service.rows("SELECT COUNT(*) FROM eventmatch WHERE name = 'killed'") == [(1,)]


def test_event_whose_connection_is_killed(service: Watched) -> None:
    """An event whose connection is killed in the middle is stored over another one, once."""
    event = make_event()
    with locked(service, "LOCK TABLES eventlog WRITE"):
        asked = Asked(service, "POST", "/receive", event)
        until(lambda: kill(service, "INSERT IGNORE INTO `eventlog`"), what="the event to wait for the table")
    answer = asked.answer()

    assert (answer.status_code, answer.json()["duplicate"]) == (200, False)
    assert service.rows(f"SELECT COUNT(*) FROM eventlog WHERE source = '{event['source']}'") == [(1,)]


def test_lock_that_is_held_too_long(start: Start) -> None:
    """Who has waited for a lock as long as the server lets it is answered 503; once the lock is gone all goes on."""
    service = start(url_options="init_command=SET%20innodb_lock_wait_timeout%3D1")
    uuid = service.subscribe(target_url=NOWHERE)["uuid"]
    with locked(service, "SELECT value FROM subscriptionrevision FOR UPDATE"):
        held = service.request("PUT", f"/eventmatch/{uuid}", user="alice", json={"name": "later"})
        event = service.post_event(make_event())

    after = service.request("PUT", f"/eventmatch/{uuid}", user="alice", json={"name": "later"})

    assert (held.status_code, event.status_code, after.status_code) == (503, 200, 200)
    # The server has a limit for locks, and one for statements, which end at the same time.
    assert "Lock wait timeout exceeded" in service.log or "max_statement_time exceeded" in service.log
    until(lambda: service.rows("SELECT COUNT(*) FROM eventlog WHERE route_at IS NOT NULL") == [(0,)], what="routing")


@pytest.mark.parametrize(("user", "password"), [("owner", "p@ss:w/rd%#?"), ("ün user", "ge heim's \"ä🦊")])
def test_names_and_passwords_of_every_kind(tmp_path: Path, mariadb_server: MariaDB, user: str, password: str) -> None:
    """A user with the rights that `dbsync` asks for, whatever name and password, works; no log tells the password."""
    url = mariadb_server.create_database()
    name = urlsplit(url).path[1:]
    with connect(url) as administrator:
        administrator.execute_sql("CREATE USER %s@'127.0.0.1' IDENTIFIED BY %s", (user, password))
        administrator.execute_sql(f"GRANT ALL ON {name}.* TO %s@'127.0.0.1'", (user,))
    theirs = url.replace("root@", f"{quote(user)}:{quote(password, safe='')}@")
    command = Command(tmp_path, {"database.peewee_url": theirs})

    synced = command.run("dbsync")
    with ending_well(Watched(tmp_path, theirs, {"delivery.timeout": 1})) as service:
        stored = service.post_event(make_event())
    shown = command.run("config")
    with connect(url) as administrator:
        administrator.execute_sql("DROP USER %s@'127.0.0.1'", (user,))
    mariadb_server.drop_database(url)

    assert (synced.returncode, stored.status_code) == (0, 200)
    for text in (synced.stdout, synced.stderr, shown.stdout, service.log):
        assert password not in text
        assert quote(password, safe="") not in text
    assert ":***@127.0.0.1" in service.log
