"""The connection: one for a block, given back, thrown away when it is dead, never inherited."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from pacifica.notifications import config, orm
from pacifica.notifications.config import Database, Settings
from pacifica.notifications.errors import ConfigError, Unavailable
from pacifica.notifications.orm import EventLog
from tests.support.ports import free_port
from tests.support.process import clean_environment
from tests.support.servers import MariaDB, PostgreSQL
from tests.support.together import together
from tests.support.wait import until

from .conftest import use_database
from .rows import broken_off, event, stored


@pytest.mark.usefixtures("tables")
def test_a_session_holds_a_connection_for_its_block() -> None:
    """Within the block there is a connection, after it there is none; nested, the outer one serves."""
    assert orm.DB.is_closed()
    with orm.session():
        outer = orm.DB.connection()
        with orm.session():
            assert orm.DB.connection() is outer
        assert not orm.DB.is_closed()

    assert orm.DB.is_closed()


@pytest.mark.usefixtures("tables")
def test_a_connection_is_used_again() -> None:
    """One after the other, sessions of any thread share a connection."""

    def used() -> int:
        with orm.session():
            return id(orm.DB.connection())

    found = {used()} | {together([used])[0] for _ in range(5)}

    assert len(found) == 1


@pytest.mark.usefixtures("tables")
def test_an_error_of_the_block_is_the_callers() -> None:
    """What is not the database's is passed on as it is, and the connection is given back."""
    with pytest.raises(KeyError), orm.session():
        raise KeyError

    assert orm.DB.is_closed()


@pytest.mark.usefixtures("database")
def test_the_clock_is_the_databases_in_utc() -> None:
    """The time is UTC without a zone, and goes on."""
    found = [orm.now() for _ in range(3)]

    assert found == sorted(found)
    assert found[0].tzinfo is None
    assert abs(found[0] - datetime.now(UTC).replace(tzinfo=None)) < timedelta(minutes=1)


@pytest.mark.usefixtures("database")
def test_a_transaction_is_whole() -> None:
    """A transaction that fails leaves nothing; nested in another it fails alone."""
    with orm.transaction():
        kept = stored()
        broken_off(stored)

    broken_off(stored)

    assert [row.uuid for row in EventLog.select()] == [kept]


@pytest.mark.usefixtures("database")
def test_more_threads_than_connections_get_through() -> None:
    """Threads wait for a connection of the pool; many that write at once fail for nobody."""

    def work(number: int) -> int:
        for _ in range(5):
            with orm.session():
                EventLog.store(event(source=f"{number}"))
        return 1

    assert sum(together([partial(work, number) for number in range(50)])) == 50

    assert EventLog.select().count() == 250


@pytest.mark.parametrize("user", ["me", "a%20b", "%C3%A9"])
@pytest.mark.parametrize(
    ("written", "meant"), [("secret", "secret"), ("p%40ss%2Fword", "p@ss/word"), ("100%25", "100%"), ("5%", "5%")]
)
@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_names_and_passwords_may_hold_anything(scheme: str, user: str, written: str, meant: str) -> None:
    """A user and a password are percent-decoded once, and what is no code stays."""
    use_database(f"{scheme}://{user}:{written}@127.0.0.1:5/db")

    found = orm.DB.connect_params

    assert found["password"] == (meant if scheme == "postgresql" else meant.encode())
    assert found["user"] == {"me": "me", "a%20b": "a b", "%C3%A9": "é"}[user]
    assert (orm.DB.database, found["host"], found["port"]) == ("db", "127.0.0.1", 5)


@pytest.mark.parametrize("url", ["postgresql://me:secret@h:port/db", "mysql://me:secret@h:port/db"])
def test_what_cannot_be_a_database_is_told_without_the_password(url: str) -> None:
    """A URL that can't be used is a fault of the settings, whose text has no secret in it."""
    with pytest.raises(ConfigError, match=r"database\.peewee_url") as caught:
        use_database(url)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_database_that_is_away_is_said_to_be(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listening is Unavailable, at once and after the attempts of the settings; no secret in it."""
    url = f"{scheme}://me:secret@127.0.0.1:{free_port()}/db"
    settings = Settings(database=Database(url, connect_attempts=3, connect_wait=0.01))
    monkeypatch.setattr(config, "_in_force", settings)
    orm.initialize(settings)

    with pytest.raises(Unavailable, match="does not answer"), orm.session():
        pass
    with pytest.raises(Unavailable, match=rf"gave up after 3 attempts on {scheme}://me:\*\*\*@127"):
        orm.wait_until_up(settings)


@pytest.fixture
def own_database(own_database_server: PostgreSQL | MariaDB) -> Iterator[PostgreSQL | MariaDB]:
    """A server of the test's own with our tables, which the process uses."""
    use_database(own_database_server.create_database())
    orm.OrmSync.update_tables()
    yield own_database_server
    orm.disconnect()


def test_a_database_that_restarts_is_used_again(own_database: PostgreSQL | MariaDB) -> None:
    """While the server is away every session is Unavailable; once it is back sessions work, with what was committed."""

    def store() -> orm.Stored:
        with orm.session():
            return EventLog.store(event())

    kept = [store().uuid]
    own_database.stop()
    for _ in range(3):
        with pytest.raises(Unavailable, match="does not answer"):
            store()
    own_database.start()
    kept.append(until(store, 30, "the database to be used again").uuid)
    kept += [each.uuid for each in together([store] * 5)]

    with orm.session():
        assert {row.uuid for row in EventLog.select()} == set(kept)


def test_one_failure_is_enough_to_find_all_connections_dead(own_database: PostgreSQL | MariaDB) -> None:
    """After a restart that nobody noticed, one session fails at most, however many connections lay idle."""
    all_open = threading.Barrier(8)

    def hold() -> None:
        with orm.session():
            all_open.wait(30)

    together([hold] * 8)
    own_database.stop()
    own_database.start()
    failures = 0
    for _ in range(8):
        try:
            with orm.session():
                orm.now()
        except Unavailable:
            failures += 1

    assert failures <= 1


def test_a_connection_that_dies_in_a_block_is_thrown_away(own_database: PostgreSQL | MariaDB) -> None:
    """When the server goes in the middle, the block is Unavailable, its transaction undone, the next one works."""
    broken = threading.Event()

    def lose() -> None:
        with orm.session(), orm.transaction():
            EventLog.store(event())
            own_database.kill()
            broken.set()
            EventLog.store(event())

    with pytest.raises(Unavailable):
        lose()
    assert broken.is_set()
    assert orm.DB.is_closed()
    own_database.start()

    def count() -> int:
        with orm.session():
            return EventLog.select().count() + 1

    assert until(count, 30, "the database to be used again") == 1


def test_waiting_ends_when_the_database_comes(
    own_database: PostgreSQL | MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that starts before its database waits for it."""
    own_database.stop()
    settings = Settings(database=Database(own_database.url, connect_attempts=600, connect_wait=0.05))
    monkeypatch.setattr(config, "_in_force", settings)
    orm.initialize(settings)

    together([orm.OrmSync.dbconn_blocking, own_database.start])

    with orm.session():
        assert orm.now()


#: Uses the database, forks, and uses it in parent and children at once; prints what each of them sees.
FORK = """
import os
from pacifica.notifications import orm
orm.initialize()
with orm.session():
    orm.now()
orm.disconnect()
children = []
for number in range(4):
    child = os.fork()
    if not child:
        with orm.session():
            for _ in range(20):
                with orm.transaction():
                    orm.Worker.create(name=f"{os.getpid()}-{_}", holder="child", seen=orm.now())
        os._exit(0)
    children.append(child)
for _ in range(20):
    with orm.session():
        orm.Worker.create(name=f"parent-{_}", holder="parent", seen=orm.now())
codes = [os.waitpid(child, 0)[1] for child in children]
with orm.session():
    print(codes, orm.Worker.select().count())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_connections_are_not_shared_by_a_fork(tables: str, tmp_path: Path) -> None:
    """A process that lets go of its connections may fork; parent and children then each have their own."""
    done = subprocess.run(
        [sys.executable, "-c", FORK],
        env=clean_environment(tmp_path / "home", PEEWEE_URL=tables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout == "[0, 0, 0, 0] 100\n", done.stderr
    with orm.session():
        orm.Worker.delete().execute()
