"""Making and checking the tables."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import peewee
import pytest

from pacifica.notifications import orm
from pacifica.notifications.config import Database, Settings
from pacifica.notifications.errors import ConfigError, Unavailable
from pacifica.notifications.orm import EventLog, EventLogMatch, NotificationSystem, OrmSync
from pacifica.notifications.orm.sync import TABLES
from tests.support import tables
from tests.support.process import clean_environment
from tests.support.servers import PostgreSQL

from .conftest import use_database
from .rows import event, subscription


@pytest.fixture
def empty(database_url: str) -> Iterator[str]:
    """The url of a database without tables, which the process uses; once for each kind."""
    use_database(database_url)
    yield database_url
    orm.disconnect()


def indexes(model: type[peewee.Model]) -> set[tuple[tuple[str, ...], bool]]:
    """Return the indexes of a table: their columns, and whether they are unique."""
    return {(tuple(index.columns), index.unique) for index in orm.DB.get_indexes(model._meta.table_name)}


@pytest.mark.usefixtures("empty")
def test_tables_are_made_once() -> None:
    """The first call makes all tables at our version; further ones change nothing and keep every row."""
    assert OrmSync.is_empty()
    first = OrmSync.update_tables()
    with orm.session():
        EventLog.store(event())
        subscription()
        rows = [model.select().count() for model in TABLES]

    again = [OrmSync.update_tables() for _ in range(2)]

    ours = OrmSync.versions[-1]
    assert (first.before, first.now, first.changed) == (None, ours, True)
    assert [(each.before, each.now, each.changed) for each in again] == [(ours, ours, False)] * 2
    with orm.session():
        assert not OrmSync.is_empty()
        assert NotificationSystem.get_version() == OrmSync.versions[-1]
        assert NotificationSystem.is_equal()
        assert [model.select().count() for model in TABLES] == rows
        assert all(model.table_exists() for model in TABLES)
        orm.require_schema()


@pytest.mark.usefixtures("empty")
def test_columns_are_what_the_models_say() -> None:
    """Every field has its column in the database, nullable or not as the model says."""
    OrmSync.update_tables()

    with orm.session():
        for model in TABLES:
            found = {column.name: column.null for column in orm.DB.get_columns(model._meta.table_name)}
            expected = {field.column_name: field.null for field in model._meta.sorted_fields}
            assert found == expected, model


@pytest.mark.usefixtures("empty")
def test_what_must_be_unique_is() -> None:
    """The database itself keeps identities, origins, deliveries and answers apart, and finds what is waiting."""
    OrmSync.update_tables()

    with orm.session():
        assert {(("identity",), True), (("origin",), True), (("route_at",), False)} <= indexes(EventLog)
        assert {
            (("event_log_id", "event_match_id", "replay"), True),
            (("next_attempt_at",), False),
        } <= indexes(EventLogMatch)
        assert (("event_log_id", "user"), True) in indexes(orm.GateAnswer)


@pytest.mark.parametrize(("version", "said"), [((3, 0), "older than"), ((4, 9), ""), ((5, 0), "newer than")])
@pytest.mark.usefixtures("empty")
def test_another_version_is_told(version: tuple[int, int], said: str) -> None:
    """A schema that this release can't use is refused with both versions, one with a newer minor is used."""
    OrmSync.update_tables()
    with orm.session():
        for part, value in zip(("major", "minor"), version, strict=True):
            NotificationSystem.update(value=value).where(NotificationSystem.part == part).execute()

        if not said:
            orm.require_schema()
            return
        with pytest.raises(peewee.OperationalError, match=said) as caught:
            orm.require_schema()

    assert f"{version[0]}.{version[1]}" in str(caught.value)
    with pytest.raises(peewee.OperationalError):
        OrmSync.update_tables()


@pytest.mark.usefixtures("empty")
def test_without_tables_the_command_is_named() -> None:
    """An empty database is refused with the command that makes its tables."""
    with (
        orm.session(),
        pytest.raises(peewee.OperationalError, match="make them with: pacifica-notifications-cmd dbsync"),
    ):
        orm.require_schema()


@pytest.mark.usefixtures("empty")
def test_a_making_that_breaks_off_is_taken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the making of tables fails half way, they can't be used, and the next call makes what is missing."""
    # A version that no step leads to makes it fail after all tables were made.
    monkeypatch.setattr(OrmSync, "versions", [*OrmSync.versions, (4, 9)])
    with pytest.raises(AttributeError):
        OrmSync.update_tables()
    with orm.session():
        assert not NotificationSystem.is_safe()
    monkeypatch.undo()

    OrmSync.update_tables()

    with orm.session():
        orm.require_schema()
        assert NotificationSystem.is_equal()


#: For each database waits for a line on its input, so that all start at once, then makes the tables and says so.
SYNC = """
import sys
from pacifica.notifications import orm
from pacifica.notifications.config import Database, Settings
for url in sys.argv[1:]:
    orm.initialize(Settings(database=Database(url)))
    print("ready", flush=True)
    sys.stdin.readline()
    print(orm.OrmSync.update_tables().changed, flush=True)
"""


def test_many_that_make_tables_at_once_do_no_harm(empty: str, tmp_path: Path) -> None:
    """Of processes that make the tables at once one does, and none fails."""
    # SQLite's files are made as well, and cost nothing: the more of them, the surer two processes meet.
    urls = [empty, *(f"{empty}-{number}" for number in range(20) if empty.startswith("sqlite"))]
    log = tmp_path / "log"
    with log.open("w") as errors:
        running = [
            subprocess.Popen(
                [sys.executable, "-c", SYNC, *urls],
                env=clean_environment(tmp_path / "home"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            for _ in range(4)
        ]
    try:
        for url in urls:
            assert [said(process) for process in running] == ["ready"] * 4, log.read_text()
            for process in running:
                go_on(process)
            found = sorted(said(process) for process in running)
            assert found == ["False", "False", "False", "True"], f"{url}: {log.read_text()}"
    finally:
        for process in running:
            process.kill()
            process.communicate()

    with orm.session():
        assert NotificationSystem.is_equal()
        assert orm.SubscriptionRevision.select().count() == 1


def said(process: subprocess.Popen[str]) -> str:
    """Return the next line that a process prints, nothing after its end."""
    assert process.stdout
    return process.stdout.readline().strip()


def go_on(process: subprocess.Popen[str]) -> None:
    """Give a process the line that it waits for."""
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def test_sqlite_keeps_what_it_was_given(sqlite_url: str) -> None:
    """SQLite writes ahead, waits for the disk at every commit, and checks foreign keys, on every connection."""
    use_database(sqlite_url)
    OrmSync.update_tables()

    with orm.session():
        found = {
            name: orm.DB.execute_sql(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }

    orm.disconnect()
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_sqlites_times_are_texts_of_one_width(sqlite_url: str) -> None:
    """Times that SQLite wrote by itself and those that it was given compare as times, also where a second begins."""
    use_database(sqlite_url)
    OrmSync.update_tables()
    with orm.session():
        EventLog.store(event())
        EventLog.create(jsondata="{}", created=datetime(2026, 1, 1), route_at=datetime(2026, 1, 1, 0, 0, 0, 1))

    found = tables.rows(sqlite_url, "SELECT LENGTH(created), LENGTH(route_at) FROM eventlog")

    orm.disconnect()
    assert set(found) == {(26, 26)}


@pytest.mark.parametrize(
    "make", [lambda folder: folder / "a" / "b" / "c.sqlite3", lambda folder: folder / "with space é.sqlite3"]
)
def test_sqlites_file_may_be_anywhere(make: Callable[[Path], Path], tmp_path: Path) -> None:
    """Folders that are missing are made, for their owner alone; names may hold what files may hold."""
    file = make(tmp_path)
    use_database(f"sqlite:///{file.as_posix()}")

    OrmSync.update_tables()

    orm.disconnect()
    assert file.is_file()
    if os.name == "posix" and file.parent != tmp_path:
        assert file.parent.stat().st_mode & 0o077 == 0


def test_an_encoding_that_lacks_characters_is_refused(postgresql_server: PostgreSQL) -> None:
    """A database of PostgreSQL that can't hold every character is refused at the begin, with the remedy."""
    url = postgresql_server.create_database(encoding="LATIN1")
    settings = Settings(database=Database(peewee_url=url, connect_attempts=1))
    orm.initialize(settings)

    with pytest.raises(ConfigError, match=r"encoding LATIN1.*createdb --encoding=UTF8"):
        orm.wait_until_up(settings)

    orm.disconnect()
    postgresql_server.drop_database(url)


def test_sqlites_file_may_be_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tilde stands for the home, as the documented default has it."""
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    use_database("sqlite:///~/below/db.sqlite3")

    OrmSync.update_tables()

    orm.disconnect()
    assert (tmp_path / "below" / "db.sqlite3").is_file()


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    """Something else in the place of the file is an error of the tree, and stays as it is."""
    file = tmp_path / "db.sqlite3"
    file.write_text("this is no database, and long enough to be looked at" * 50)
    use_database(f"sqlite:///{file.as_posix()}")

    with pytest.raises((Unavailable, peewee.DatabaseError)), orm.session():
        OrmSync.update_tables()

    orm.disconnect()
    assert file.read_text().startswith("this is no database")
