"""`database.timeout`: nobody waits for the database longer, but who says so; and nobody queues where it is silent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import peewee
import pytest
from playhouse.db_url import connect

from pacifica.notifications import orm
from pacifica.notifications.config import Database, Settings
from pacifica.notifications.errors import Unavailable
from pacifica.notifications.orm import EventLog
from tests.support.frozen import frozen
from tests.support.processes import Command, Process
from tests.support.servers import MariaDB, PostgreSQL
from tests.support.together import together
from tests.support.wait import until

from .rows import event

#: What takes half a minute, or for ever.
LONG = {
    "postgresql": "SELECT pg_sleep(30)",
    "mysql": "SELECT SUM(a.seq * b.seq) FROM seq_1_to_1000000 a, seq_1_to_1000000 b",
}
#: What keeps others from reading a table, or in SQLite from writing at all.
LOCKS = {"postgresql": "LOCK TABLE {}", "mysql": "LOCK TABLES {} WRITE", "sqlite": "SELECT 1"}
#: A kind of server, the end of its URL, how it is asked for its limit, and its answer where that is ten seconds.
TOLD = [
    ("postgresql", "", "SHOW statement_timeout", "10s"),
    ("postgresql", "", "SHOW idle_in_transaction_session_timeout", "10s"),
    ("postgresql", "?options=-c%20statement_timeout%3D7s", "SHOW statement_timeout", "7s"),
    ("mariadb", "", "SELECT CAST(@@max_statement_time AS INTEGER)", "10"),
    ("mariadb", "", "SELECT @@innodb_lock_wait_timeout", "10"),
    ("mariadb", "", "SELECT @@idle_transaction_timeout", "10"),
]


def limited(url: str, seconds: float) -> None:
    """Let the process use a database with a limit."""
    orm.initialize(Settings(database=Database(url, timeout=seconds)))


@contextmanager
def locked(url: str, table: str = "worker") -> Iterator[None]:
    """Hold a lock that every write to a table has to wait for."""
    database = connect(url, **({"lock_type": "IMMEDIATE"} if url.startswith("sqlite") else {}))
    with database.connection_context(), database.atomic():
        database.execute_sql(LOCKS[url.partition(":")[0]].format(table))
        yield
        if url.startswith("mysql"):
            database.execute_sql("UNLOCK TABLES")


def write(table: str = "worker") -> None:
    """Write to a table, which changes nothing."""
    with orm.session():
        orm.DB.execute_sql(f"DELETE FROM {table} WHERE 1 = 0")


def write_at_last() -> bool:
    """Write, and tell that it was possible."""
    write()
    return True


def test_a_statement_ends_at_the_limit(tables: str) -> None:
    """A statement that takes too long is Unavailable, whether it computes or waits for a lock; the next one works."""
    limited(tables, 1.0)
    long = LONG.get(tables.partition(":")[0])

    with locked(tables), pytest.raises(Unavailable, match="does not answer"):
        write()
    assert until(write_at_last)
    if long:
        with pytest.raises(Unavailable, match="does not answer"), orm.session():
            orm.DB.execute_sql(long)
        write()

    orm.disconnect()


def test_a_statement_without_a_limit_is_not_ended(tables: str) -> None:
    """Within `unlimited` a statement may take longer, after it no more, not even on the same connection."""
    if tables.startswith("sqlite"):
        pytest.skip("in SQLite nothing takes long but waiting for a lock")
    limited(tables, 0.5)
    sleep = "SELECT pg_sleep(2)" if tables.startswith("postgresql") else "SELECT SLEEP(2)"

    with orm.session():
        with orm.unlimited(), orm.unlimited():
            orm.DB.execute_sql(sleep)
        with orm.unlimited(), orm.transaction():
            orm.DB.execute_sql(sleep)
        with pytest.raises(peewee.OperationalError):
            orm.DB.execute_sql(LONG[tables.partition(":")[0]])

    orm.disconnect()


@pytest.mark.parametrize(("name", "table"), [("dbsync", "notificationsystem"), ("eventpurge", "eventlog")])
def test_commands_that_take_long_have_no_limit(tables: str, tmp_path: Path, name: str, table: str) -> None:
    """`dbsync` and `eventpurge` wait for a lock longer than others wait for an answer, and then do their work."""
    limited(tables, 0.5)
    command = Command(tmp_path, {"database.peewee_url": tables, "database.timeout": 0.5})
    args = [] if name == "dbsync" else [str(store().uuid), "--force"]
    waiting = Process(command.arguments(name, *args), tmp_path / "log", env=command.env, cwd=tmp_path)

    with locked(tables, table):
        waiting.start()
        # Each takes the limit, but in the pause after one that waited in vain.
        for _ in range(6):
            with pytest.raises(Unavailable):
                until_asked(table)
        still = waiting.running
    status = waiting.wait(60)

    assert still, waiting.log
    assert status == 0, waiting.log
    waiting.close()
    orm.disconnect()


def until_asked(table: str) -> None:
    """Write, again for as long as nobody is asked; raises what it is answered."""

    def ask() -> Unavailable | None:
        try:
            write(table)
        except Unavailable as error:
            return None if "a moment ago" in str(error) else error
        raise AssertionError("the lock is not held")

    found = until(ask)
    assert found
    raise found


@pytest.mark.parametrize(("kind", "options", "asking", "answer"), TOLD)
def test_a_server_is_told_the_limit(
    kind: str, options: str, asking: str, answer: str, request: pytest.FixtureRequest
) -> None:
    """A server has the limit too, so that it does not go on for nobody; an operator's own options are left alone."""
    limited(request.getfixturevalue(f"{kind}_url") + options, 10.0)

    with orm.session():
        (found,) = orm.DB.execute_sql(asking).fetchone()
    orm.disconnect()

    assert str(found) == answer


@pytest.fixture
def server(own_database_server: PostgreSQL | MariaDB) -> Iterator[PostgreSQL | MariaDB]:
    """A server of the test's own with our tables, which the process uses with a limit of two seconds."""
    limited(own_database_server.create_database(), 2.0)
    orm.OrmSync.update_tables()
    yield own_database_server
    orm.disconnect()


def store() -> orm.Stored:
    """Store an event."""
    with orm.session():
        return EventLog.store(event())


def refusal() -> str:
    """Store an event, and give what is said when that is not possible."""
    try:
        store()
    except Unavailable as error:
        return str(error)
    return ""


def test_a_frozen_database_ends_nobodys_patience(server: PostgreSQL | MariaDB) -> None:
    """A frozen server makes sessions Unavailable, in the middle as at the beginning; once it goes on they work."""
    kept = store().uuid

    with frozen(server):
        in_vain, at_once = refusal(), refusal()
    store_again = until(lambda: not refusal(), 60, "the database to be used again")

    assert "said nothing for" in in_vain or "timed out" in in_vain
    assert "a moment ago" in at_once
    assert store_again
    with orm.session():
        assert EventLog.select().where(EventLog.uuid == kept).exists()


def test_a_session_that_is_frozen_out_of_its_block_undoes_it(server: PostgreSQL | MariaDB) -> None:
    """What a transaction wrote before the server froze is undone."""

    def freeze() -> None:
        with orm.session(), orm.transaction():
            EventLog.store(event())
            with frozen(server):
                EventLog.store(event(source="/other"))

    with pytest.raises(Unavailable):
        freeze()

    def found() -> list[int]:
        with orm.session():
            return [EventLog.select().count()]

    assert until(found, 60, "the database to be used again") == [0]


def test_threads_do_not_queue_at_a_frozen_database(server: PostgreSQL | MariaDB) -> None:
    """Many threads that want a connection of a frozen server are refused together, not one after the other."""
    store()

    with frozen(server):
        said = together([refusal] * 30, 60)

    assert all(said)
    assert any("a moment ago" in each for each in said)


def test_writers_do_not_queue_at_a_locked_file(sqlite_url: str) -> None:
    """Many threads that want to write to an SQLite file that another program writes to are refused together."""
    limited(sqlite_url, 4.0)
    orm.OrmSync.update_tables()

    with locked(sqlite_url):
        said = together([refusal] * 30, 60)

    assert all(said)
    assert any("a moment ago" in each for each in said)
    orm.disconnect()
