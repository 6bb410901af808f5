"""Old databases, made from the contract's columns, brought to the schema of this release: on every database."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import peewee
import pymysql
import pytest

from pacifica.notifications import orm
from pacifica.notifications.errors import ConfigError, Unavailable
from pacifica.notifications.orm import EventLog, EventMatch, NotificationSystem, OrmSync
from pacifica.notifications.orm.sync import TABLES
from tests.support import tables
from tests.support.old import schemas
from tests.support.old.contents import contents, everything, fill, insert, insert_orphans
from tests.support.old.rows import NOTHING, OldRows, Row, odd_rows, orphans, uuid_of
from tests.support.old.schemas import MOVED, Version, described, kind_of, opened
from tests.support.old.upgraded import differences
from tests.support.servers import MariaDB

from .conftest import use_database
from .rows import event, subscription

ZONE = "Europe/Berlin"
ALL = [model._meta.table_name for model in TABLES]
#: More than are moved at a time.
MANY = 1100
#: Versions of old, and what was written down of them: by a `dbsync` of 0.5.2 that was interrupted nothing, by one in
#: MariaDB half.
VERSIONS: list[tuple[Version, tuple[str, ...]]] = [
    ((0, 0), ()),
    ((1, 0), ()),
    ((1, 0), ("major", "minor")),
    ((2, 0), ()),
    ((2, 0), ("major", "minor")),
    ((3, 0), ()),
    ((3, 0), ("major",)),
    ((3, 0), ("major", "minor")),
]
FROM_EACH = pytest.mark.parametrize(("version", "recorded"), VERSIONS, ids=lambda value: "-".join(map(str, value)))


#: Columns that hold the key of a row.
KEYS = {"eventmatch": ["uuid"], "eventlog": ["uuid"], "eventlogmatch": ["uuid", "event_log_id", "event_match_id"]}


class Broken(Exception):
    """What interrupts an upgrade."""


def old_database(
    url: str,
    version: Version = (3, 0),
    recorded: Iterable[str] = ("major", "minor"),
    *,
    options: str = "",
    encoding: str = "utf-8",
    ordinary: int = 0,
) -> OldRows:
    """Make a database of old with odd rows in it, which the process uses from now on."""
    schemas.make(url, version, recorded=recorded, options=options)
    rows = odd_rows(kind_of(url), version, encoding=encoding, ordinary=ordinary)
    fill(url, rows)
    use_database(url)
    return rows


@pytest.fixture
def new_url(new_database: Callable[[], str]) -> Iterator[Callable[[], str]]:
    """Give the url of another empty database at each call; the process lets go of them at the end."""
    yield new_database
    orm.disconnect()


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    """The url of an empty database, once for each kind."""
    return new_url()


@FROM_EACH
def test_every_row_is_kept(url: str, version: Version, recorded: tuple[str, ...]) -> None:
    """From every version, written down or not, each row is there afterwards, as it must be, column by column."""
    rows = old_database(url, version, recorded)
    before = contents(url)

    OrmSync.update_tables(timezone=ZONE)

    assert differences(before, contents(url), ZONE, rows.attributes) == []
    with orm.session():
        assert NotificationSystem.is_equal()
        orm.require_schema()


@FROM_EACH
def test_the_schema_is_that_of_a_new_database(
    new_url: Callable[[], str], version: Version, recorded: tuple[str, ...]
) -> None:
    """Types, collations, defaults, indexes and references are those of new tables, and there is no table more."""
    old, new = new_url(), new_url()
    schemas.make(old, version, recorded=recorded)
    for url in (old, new):
        use_database(url)
        OrmSync.update_tables()
        orm.disconnect()

    assert described(old) ^ described(new) == set()


#: Those of 4.2 that every database has.
INDEXES = (
    "eventlogmatch_lane_next_attempt_at",
    "eventlogmatch_lane_accepted",
    "eventlogmatch_starts_next_attempt_at",
    "eventlogmatch_state_finished",
    "eventlog_starts_route_at",
)


def test_the_schema_is_what_the_models_of_today_say(new_url: Callable[[], str]) -> None:
    """The steps, never edited, end at the tables that the models have; only indexes of what waits are more."""
    stepped, modelled = new_url(), new_url()
    use_database(stepped)
    OrmSync.update_tables()
    orm.disconnect()
    if kind_of(modelled) == "mysql":
        with opened(modelled) as database:
            database.execute_sql("ALTER DATABASE COLLATE utf8mb4_nopad_bin")
    use_database(modelled)
    with orm.session():
        orm.DB.create_tables(TABLES)

    assert described(modelled) - described(stepped) == set()
    more = described(stepped) - described(modelled)
    limited = set() if kind_of(modelled) == "mysql" else {"eventlog_created_unrouted"}
    assert {line.split("'")[1] for line in more} == limited | {
        "eventlog_route_at",
        "eventlogmatch_next_attempt_at",
        "eventlogmatch_event_match_id_finished",
        *INDEXES,
    }


@pytest.mark.parametrize(
    "zone", ["UTC", "America/St_Johns", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Casablanca"]
)
def test_times_are_those_of_the_zone(sqlite_url: str, zone: str) -> None:
    """Local times are taken for those of the zone that is named."""
    rows = old_database(sqlite_url)
    before = contents(sqlite_url)

    OrmSync.update_tables(timezone=zone)

    orm.disconnect()
    assert differences(before, contents(sqlite_url), zone, rows.attributes) == []


def test_a_zone_that_is_none_is_told_before_anything_is_done(url: str) -> None:
    """An unknown zone is a fault of the call; the tables stay as they are."""
    old_database(url)
    before = contents(url), described(url)

    for zone in ("Europe/Atlantis", "", "../../etc/passwd", "CET+1:XX"):
        with pytest.raises(ConfigError, match="time zone"):
            OrmSync.update_tables(timezone=zone)

    assert (contents(url), described(url)) == before


def test_a_second_time_changes_nothing(url: str) -> None:
    """What is upgraded stays as it is, whatever zone is named then: times are converted once."""
    old_database(url)
    OrmSync.update_tables(timezone=ZONE)
    with orm.session():
        EventLog.store(event())
        subscription()
    before = everything(url), described(url)

    again = [OrmSync.update_tables(timezone=zone) for zone in ("Asia/Tokyo", None)]

    assert not any(synced.changed for synced in again)
    assert (everything(url), described(url)) == before


def test_progress_is_told(url: str) -> None:
    """How much is done is told from none to all: rows of table after table, some hundreds at a time, then indexes."""
    rows = old_database(url, ordinary=MANY)
    told: list[tuple[str, int, int]] = []

    OrmSync.update_tables(progress=lambda *said: told.append(said))

    parts = [*MOVED, "indexes"]
    by_part = {part: [said[1:] for said in told if said[0] == part] for part in parts}
    assert told == [(part, *said) for part in parts for said in by_part[part]]
    for part, said in by_part.items():
        totals = {total for _, total in said}
        assert part == "indexes" or totals == {len(rows.of(part))}
        done = [number for number, _ in said]
        assert (done[0], done[-1]) == (0, *totals)
        assert done == sorted(set(done))
    assert min(len(by_part[table]) for table in MOVED[1:]) > 3


@pytest.mark.parametrize(("version", "recorded"), [((0, 0), ()), ((3, 0), ("major", "minor"))])
def test_an_interruption_leaves_what_was(
    new_url: Callable[[], str], version: Version, recorded: tuple[str, ...]
) -> None:
    """Broken off at any point, every old row is there as it was; the next run starts over and comes to the same."""
    undisturbed, url = new_url(), new_url()
    rows = old_database(undisturbed, version, recorded, ordinary=MANY)
    calls: list[str] = []
    OrmSync.update_tables(timezone=ZONE, progress=lambda part, *_: calls.append(part))
    orm.disconnect()
    old_database(url, version, recorded, ordinary=MANY)
    before, schema = contents(url), described(url)

    indexes = calls.index("indexes") + 1
    for number in (*range(1, indexes), indexes, indexes + 7, len(calls)):
        with pytest.raises(Broken):
            OrmSync.update_tables(timezone=ZONE, progress=breaking_at(number))
        assert contents(url).keys() >= before.keys()
        for table, old in before.items():
            now = contents(url)[table]
            assert {uuid: {name: row[name] for name in old[uuid]} for uuid, row in now.items()} == old, (number, table)
        if kind_of(url) != "mysql":
            assert described(url) == schema
        with orm.session(), pytest.raises(orm.OperationalError, match="pacifica-notifications-cmd dbsync"):
            orm.require_schema()
    OrmSync.update_tables(timezone=ZONE)

    assert everything(url) == everything(undisturbed)
    assert described(url) == described(undisturbed)
    assert differences(before, contents(url), ZONE, rows.attributes) == []


def breaking_at(number: int) -> Callable[[str, int, int], None]:
    """Give a `progress` whose call of that number breaks the upgrade off."""
    calls = iter(range(1, number + 1))

    def progress(*_: object) -> None:
        if next(calls) == number:
            raise Broken

    return progress


def test_single_steps_come_to_the_same(new_url: Callable[[], str]) -> None:
    """The steps called one after the other do what all of them at once do."""
    at_once, url = new_url(), new_url()
    old_database(at_once, (0, 0))
    OrmSync.update_tables()
    orm.disconnect()
    old_database(url, (0, 0))

    with orm.session():
        for old, new in zip(OrmSync.versions, OrmSync.versions[1:], strict=False):
            getattr(OrmSync, f"update_{old[0]}_{old[1]}_to_{new[0]}_{new[1]}")()

    assert everything(url) == everything(at_once)
    assert described(url) == described(at_once)


#: A subscription, an event and a delivery as 4.0 and 4.1 have them, but for their keys.
AT = datetime(2026, 5, 1, 12, 30, 0, 250000)
ROWS_OF_4_0: dict[str, Row] = {
    "eventmatch": {"name": "mine", "jsonpath": "data", "user": "alice", "version": "v0.1", "extensions": "{}"}
    | {"target_url": "http://Example.com/in", "created": AT, "updated": AT, "revision": 1, "failures": 3},
    "eventlog": {"jsondata": "{}", "content_type": "application/json", "created": AT, "routed": AT},
    "eventlogmatch": {"created": AT, "attempts": 2, "attempts_before": 0},
}
ENDED: Row = {"state": "delivered", "finished": AT, "next_attempt_at": None}
WAITING: Row = {"state": "pending", "finished": None, "next_attempt_at": AT}
HELD: Row = {"state": "pending", "finished": None, "next_attempt_at": None}


def write_row(url: str, table: str, number: int, **changes: Any) -> UUID:
    """Write a row as a release with schema 4.0 or 4.1 does, and return its key."""
    uuid = uuid_of(table, number)
    with opened(url) as database:
        insert(database, kind_of(url), table, [{"uuid": uuid} | ROWS_OF_4_0[table] | changes])
    return uuid


def older_database(url: str, version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a database of a version from 4.0 on, as the release that ended there made it."""
    with monkeypatch.context() as older:
        older.setattr(OrmSync, "versions", OrmSync.versions[: OrmSync.versions.index(version) + 1])
        use_database(url)
        OrmSync.update_tables()
        orm.disconnect()


#: What 4.3 and 4.4 add to subscriptions.
MODES = ("content_mode", "event_version", "signing")


@pytest.mark.parametrize("version", [(4, 0), (4, 1)])
def test_what_a_later_schema_adds_is_added(
    new_url: Callable[[], str], version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database of 4.0 or 4.1 becomes one of this release and loses nothing; what waits queues for its target."""
    url, new = new_url(), new_url()
    older_database(url, version, monkeypatch)
    event = write_row(url, "eventlog", 1)
    mine = write_row(url, "eventmatch", 1)
    odd = write_row(url, "eventmatch", 2, target_url="mailto:alice@example.com")
    deleted = write_row(url, "eventmatch", 3, deleted=AT)
    lanes = {
        write_row(url, "eventlogmatch", number, event_log_id=event, event_match_id=owner, replay=number, **state): lane
        for number, (owner, state, lane) in enumerate(
            [
                (mine, WAITING, "http://example.com:80"),
                (mine, HELD, "http://example.com:80"),
                (mine, ENDED, ""),
                (odd, WAITING, ""),
                (deleted, ENDED, ""),
            ]
        )
    }
    before = contents(url)

    use_database(url)
    synced = OrmSync.update_tables()
    orm.disconnect()

    assert (synced.before, synced.now) == (version, OrmSync.versions[-1])
    after = contents(url)
    added: dict[str, Row] = {
        "eventmatch": dict.fromkeys(("retry", "limits", "warned", "paced_until", *MODES)) | {"ordered": False},
        "eventlog": {"starts": 0, "error": None, "mode": "structured"},
        "eventlogmatch": {"starts": 0, "accepted": None, "reopened": None},
    }
    assert {uuid: row.pop("lane") for uuid, row in after["eventlogmatch"].items()} == lanes
    assert after == {table: {uuid: row | added[table] for uuid, row in rows.items()} for table, rows in before.items()}
    use_database(new)
    OrmSync.update_tables()
    assert described(url) ^ described(new) == set()


@pytest.mark.parametrize("undone", ["DROP TABLE token", "DROP INDEX token_digest", ""])
def test_tokens_are_added(new_url: Callable[[], str], undone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database of 4.4, also one where the step broke off, keeps its rows and can have tokens, each digest once."""
    url, new = new_url(), new_url()
    older_database(url, (4, 4), monkeypatch)
    write_row(url, "eventmatch", 1)
    before = contents(url)
    if undone:
        use_database(url)
        OrmSync.update_tables()
        orm.disconnect()
        with opened(url) as database:
            on = " ON token" if kind_of(url) == "mysql" and "INDEX" in undone else ""
            database.execute_sql(undone + on)
            database.execute_sql("UPDATE notificationsystem SET value = 4 WHERE part = 'minor'")

    for each in (url, new):
        use_database(each)
        synced = OrmSync.update_tables()
        with orm.session():
            orm.Token.make("one", "alice", "user")
            with pytest.raises(orm.DatabaseError):
                orm.Token.create(**(orm.Token.get_by_id("one").__data__ | {"name": "another"}))
            orm.Token.revoke("one")
        orm.disconnect()

    assert synced.now == OrmSync.versions[-1]
    assert contents(url) == before
    assert described(url) ^ described(new) == set()


@pytest.mark.parametrize("undone", [("eventlog", "mode"), ("eventmatch", "signing"), None], ids=str)
def test_modes_are_added(
    new_url: Callable[[], str], undone: tuple[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database of 4.2, also one where the step broke off, says that its events came in structured mode."""
    url, new = new_url(), new_url()
    older_database(url, (4, 2), monkeypatch)
    write_row(url, "eventlog", 1)
    write_row(url, "eventmatch", 1)
    before = contents(url)
    if undone:
        use_database(url)
        OrmSync.update_tables()
        orm.disconnect()
        with opened(url) as database:
            database.execute_sql(f"ALTER TABLE {undone[0]} DROP COLUMN {undone[1]}")
            database.execute_sql("UPDATE notificationsystem SET value = 2 WHERE part = 'minor'")

    for each in (url, new):
        use_database(each)
        synced = OrmSync.update_tables()
        orm.disconnect()

    assert synced.now == OrmSync.versions[-1]
    added: dict[str, Row] = {"eventmatch": dict.fromkeys(MODES), "eventlog": {"mode": "structured"}}
    assert contents(url) == {
        table: {uuid: row | added.get(table, {}) for uuid, row in rows.items()} for table, rows in before.items()
    }
    assert described(url) ^ described(new) == set()


#: What may be missing where a step from 4.1 to 4.2 broke off, the later the less.
UNDONE = {
    "all but a column": ["paced_until", "starts", "error", "lane", "accepted"],
    "the deliveries' columns": ["lane"],
    "a table": ["targetstate"],
    "an index": [],
}


@pytest.mark.parametrize("undone", UNDONE)
def test_a_step_that_broke_off_is_taken_up(new_url: Callable[[], str], undone: str) -> None:
    """Where a step was left half done, as it may be in MariaDB, the next run does what is missing."""
    url, new = new_url(), new_url()
    for each in (url, new):
        use_database(each)
        OrmSync.update_tables()
        orm.disconnect()
    with opened(url) as database:
        for index in INDEXES:
            on = f" ON {index.partition('_')[0]}" if kind_of(url) == "mysql" else ""
            database.execute_sql(f"DROP INDEX {index}{on}")
        for what in UNDONE[undone]:
            if what != "targetstate":
                table = {"paced_until": "eventmatch", "lane": "eventlogmatch", "accepted": "eventlogmatch"}.get(
                    what, "eventlog"
                )
                database.execute_sql(f"ALTER TABLE {table} DROP COLUMN {what}")
        if undone != "an index":
            database.execute_sql("DROP TABLE targetstate")
        database.execute_sql("UPDATE notificationsystem SET value = 1 WHERE part = 'minor'")

    use_database(url)
    synced = OrmSync.update_tables()
    orm.disconnect()

    assert (synced.before, synced.now) == ((4, 1), OrmSync.versions[-1])
    assert described(url) ^ described(new) == set()


def test_a_release_of_4_1_can_write(url: str) -> None:
    """What lacks the columns of a later minor version can be written: the database knows what they are then."""
    use_database(url)
    OrmSync.update_tables()
    orm.disconnect()

    event, owner = write_row(url, "eventlog", 1), write_row(url, "eventmatch", 1)
    delivery = write_row(url, "eventlogmatch", 1, event_log_id=event, event_match_id=owner, replay=0, **WAITING)

    found = contents(url)
    assert (found["eventmatch"][owner]["ordered"], found["eventlog"][event]["starts"]) == (False, 0)
    assert found["eventlog"][event]["mode"] == "structured"
    assert (found["eventlogmatch"][delivery]["lane"], found["eventlogmatch"][delivery]["starts"]) == ("", 0)


def test_tables_of_others_stay(url: str) -> None:
    """What is not ours is left alone, whatever it is called."""
    old_database(url)
    others = ["dbsync_notes", "dbsync_old_news", "dbsync_new_archive", "eventlog_archive", "worker_shifts"]
    with opened(url) as database:
        for name in others:
            database.execute_sql(f"CREATE TABLE {name} (number INTEGER)")
            database.execute_sql(f"INSERT INTO {name} VALUES (7)")

    OrmSync.update_tables()

    assert [tables.rows(url, f"SELECT * FROM {name}") for name in others] == [[(7,)]] * len(others)
    with opened(url) as database:
        assert set(database.get_tables()) == {*ALL, *others}


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("eventmatch", "error"),
        ("eventmatch", "jsonpath"),
        ("eventlog", "jsondata"),
        ("eventlogmatch", "policy_resp_body"),
        ("eventlogmatch", "target_resp_body"),
    ],
)
def test_large_texts_may_be_in_any_column(url: str, table: str, column: str) -> None:
    """Hundreds of rows with as much as a column of MariaDB takes are moved, whichever column it is."""
    schemas.make(url)
    rows = odd_rows(kind_of(url))
    rows.eventmatch, rows.eventlog, rows.eventlogmatch = rows.eventmatch[:1], rows.eventlog[:1], rows.eventlogmatch[:1]
    sample = rows.of(table)[0]
    large = '"' * 60_000
    rows.of(table).extend({**sample, "uuid": uuid_of("large", number), column: large} for number in range(400))
    rows.attributes |= {row["uuid"]: NOTHING for row in rows.eventlog[1:]}
    fill(url, rows)
    use_database(url)
    before = contents(url)

    OrmSync.update_tables(timezone=ZONE)

    assert differences(before, contents(url), ZONE, rows.attributes) == []


@pytest.mark.parametrize("form", [str, lambda uuid: uuid.hex.upper(), lambda uuid: str(uuid).upper()])
def test_uuids_may_be_written_in_any_form(
    form: Callable[[UUID], str], sqlite_url: str, request: pytest.FixtureRequest
) -> None:
    """Where a uuid is a text it may have dashes and capitals, as another tool wrote it: no row is lost."""
    for url in (sqlite_url, request.getfixturevalue("mariadb")):
        rows = old_database(url)
        before = contents(url)
        with opened(url) as database:
            database.execute_sql(
                "PRAGMA foreign_keys = 0" if kind_of(url) == "sqlite" else "SET foreign_key_checks = 0"
            )
            mark = "?" if kind_of(url) == "sqlite" else "%s"
            for table, columns in KEYS.items():
                for column in columns:
                    statement = f"UPDATE {table} SET {column} = {mark} WHERE {column} = {mark}"
                    for uuid in {row[column] for row in before[table].values()}:
                        database.execute_sql(statement, (form(uuid), uuid.hex))

        OrmSync.update_tables(timezone=ZONE)

        orm.disconnect()
        assert differences(before, contents(url), ZONE, rows.attributes) == []


HANGING = {
    "view": ["CREATE VIEW report AS SELECT COUNT(*) AS number FROM eventlog"],
    "table": ["CREATE TABLE notes (subscription {uuid}, FOREIGN KEY (subscription) REFERENCES eventmatch (uuid))"],
    "trigger": ["CREATE TABLE audit (number INTEGER)", "{trigger}"],
    "column": ["ALTER TABLE eventlog ADD COLUMN noted INTEGER"],
}
TRIGGER = {
    "sqlite": "CREATE TRIGGER noting AFTER INSERT ON eventlog BEGIN INSERT INTO audit VALUES (1); END",
    "mysql": "CREATE TRIGGER noting AFTER INSERT ON eventlog FOR EACH ROW INSERT INTO audit VALUES (1)",
    "postgresql": "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';"
    "CREATE TRIGGER noting AFTER INSERT ON eventlog FOR EACH ROW EXECUTE FUNCTION note()",
}
REMOVED = {
    "view": "DROP VIEW report",
    "table": "DROP TABLE notes",
    "trigger": "DROP TRIGGER noting{on}",
    "column": "ALTER TABLE eventlog DROP COLUMN noted",
}


@pytest.mark.parametrize(
    ("hanging", "named"), [("view", "report"), ("table", "notes"), ("trigger", "noting"), ("column", "noted")]
)
def test_what_hangs_on_old_tables_is_named_before_it_is_lost(url: str, hanging: str, named: str) -> None:
    """A view, reference, trigger or column of somebody else's on a table that is replaced stops the upgrade at once.

    It is named, nothing is changed, and without it the upgrade goes on. Views of MariaDB go by names, and stay.
    """
    kind = kind_of(url)
    rows = old_database(url)
    with opened(url) as database:
        for statement in HANGING[hanging]:
            uuid = {"postgresql": "UUID", "mysql": "VARCHAR(40)", "sqlite": "TEXT"}[kind]
            database.execute_sql(statement.format(uuid=uuid, trigger=TRIGGER[kind]))
    before = contents(url), described(url)

    if (kind, hanging) != ("mysql", "view"):
        with pytest.raises(ConfigError, match=rf"the {hanging} {named}\b.*nothing was changed"):
            OrmSync.update_tables(timezone=ZONE)
        assert (contents(url), described(url)) == before
        with opened(url) as database:
            database.execute_sql(REMOVED[hanging].format(on=" ON eventlog" if kind == "postgresql" else ""))
        before = contents(url), described(url)
    OrmSync.update_tables(timezone=ZONE)

    assert differences(before[0], contents(url), ZONE, rows.attributes) == []
    if (kind, hanging) == ("mysql", "view"):
        assert tables.one(url, "SELECT number FROM report") == len(rows.eventlog)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE TABLE worker (number INTEGER)", r"\bworker\b"),
        ("CREATE TABLE targetstate (number INTEGER)", r"\btargetstate\b"),
        ("CREATE TABLE token (number INTEGER)", r"\btoken\b"),
        ("ALTER TABLE eventlog ADD COLUMN note VARCHAR(9)", "the column note of eventlog"),
    ],
)
def test_what_a_stranger_made_in_our_place_is_named(url: str, statement: str, named: str) -> None:
    """A table under the name of one of ours, or a column in an old one, is named, and nothing is changed."""
    old_database(url)
    with opened(url) as database:
        database.execute_sql(statement)
    before = contents(url), described(url)

    with pytest.raises((ConfigError, orm.OperationalError), match=named):
        OrmSync.update_tables(timezone=ZONE)

    assert (contents(url), described(url)) == before


def test_rights_on_old_tables_are_rights_on_the_new(postgresql_url: str) -> None:
    """In PostgreSQL whoever could read an old table can read the one that replaces it, and nobody else."""
    old_database(postgresql_url)
    with opened(postgresql_url) as database:
        for statement in (
            'DROP ROLE IF EXISTS "a Reader", nobody_else',
            'CREATE ROLE "a Reader"',
            "CREATE ROLE nobody_else",
            'GRANT SELECT, UPDATE ON eventlog TO "a Reader"',
            "GRANT SELECT ON eventmatch TO PUBLIC",
        ):
            database.execute_sql(statement)

    OrmSync.update_tables()

    orm.disconnect()
    asked = "SELECT has_table_privilege('{}', '{}', '{}')"
    found = {
        (role, table, right): tables.one(postgresql_url, asked.format(role, table, right))
        for role in ("a Reader", "nobody_else")
        for table in (*MOVED, "targetstate")
        for right in ("SELECT", "UPDATE")
    }
    assert {key for key, granted in found.items() if granted} == {
        ("a Reader", "eventlog", "SELECT"),
        ("a Reader", "eventlog", "UPDATE"),
        ("a Reader", "eventmatch", "SELECT"),
        ("nobody_else", "eventmatch", "SELECT"),
        # Tables that are new are open as the subscriptions are.
        ("a Reader", "targetstate", "SELECT"),
        ("nobody_else", "targetstate", "SELECT"),
    }
    with opened(postgresql_url) as database:
        database.execute_sql('DROP OWNED BY "a Reader"')
        database.execute_sql('DROP ROLE "a Reader", nobody_else')


def test_new_tables_belong_to_the_owner_of_the_old(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In PostgreSQL an administrator may upgrade what belongs to the service's user, to whom all belongs afterwards."""
    older_database(postgresql_url, (4, 1), monkeypatch)
    with opened(postgresql_url) as database:
        for statement in ('DROP ROLE IF EXISTS "the Owner"', 'CREATE ROLE "the Owner"'):
            database.execute_sql(statement)
        for table in database.get_tables():
            database.execute_sql(f'ALTER TABLE {table} OWNER TO "the Owner"')

    use_database(postgresql_url)
    OrmSync.update_tables()

    orm.disconnect()
    owners = "SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert dict(tables.rows(postgresql_url, owners)) == dict.fromkeys(ALL, "the Owner")
    with opened(postgresql_url) as database:
        database.execute_sql('DROP OWNED BY "the Owner"')
        database.execute_sql('DROP ROLE "the Owner"')


@pytest.mark.parametrize("missing", [("eventlogmatch",), ("eventlogmatch", "eventlog"), ("notificationsystem",)])
def test_tables_of_old_may_be_half_made(url: str, missing: tuple[str, ...]) -> None:
    """What a `dbsync` of old left unmade, wherever it broke off, keeps nothing from being upgraded."""
    rows = old_database(url)
    with opened(url) as database:
        for table in missing:
            database.execute_sql(f"DROP TABLE {table}")
    before = contents(url)

    OrmSync.update_tables(timezone=ZONE)

    assert differences(before, contents(url), ZONE, rows.attributes) == []
    with orm.session():
        assert NotificationSystem.is_equal()


@pytest.mark.parametrize("parts", [(), ("minor",), ("major",)])
def test_a_version_may_be_half_written(url: str, parts: tuple[str, ...]) -> None:
    """The table of the version may be empty, or have one of its two rows, as 0.5.2 leaves it in MariaDB."""
    rows = old_database(url)
    with opened(url) as database:
        for part in {"major", "minor"} - set(parts):
            database.execute_sql(f"DELETE FROM notificationsystem WHERE part = '{part}'")
    before = contents(url)

    OrmSync.update_tables(timezone=ZONE)

    assert differences(before, contents(url), ZONE, rows.attributes) == []
    with orm.session():
        assert NotificationSystem.is_equal()


def test_nothing_is_found_where_there_is_nothing(url: str) -> None:
    """Old tables without a row become new tables without one."""
    schemas.make(url)
    use_database(url)

    synced = OrmSync.update_tables()

    assert (synced.before, dict(synced.found)) == ((3, 0), {})
    assert contents(url) == {table: {} for table in MOVED}


def test_ids_that_a_careless_column_takes_for_one_are_apart(url: str) -> None:
    """Users, sources and ids are equal when each character is: not `X1` and `x1`, not `y` and `y `, not `ü` and `u`."""
    old_database(url)
    OrmSync.update_tables()
    alike = ["X1", "x1", "y", "y ", "ü", "u\u0308", "ß", "ss"]

    with orm.session():
        old = [
            EventLog.select().where((EventLog.source == text) & (EventLog.event_id == text)).count() for text in alike
        ]
        stored = [EventLog.store(event(source=text, id=text)) for text in alike]
        again = [EventLog.store(event(source="/s", id=text)) for text in alike]
        owned = [[row.name for row in EventMatch.all_of(user)] for user in ("X1", "x1", "y", "y ", "Y")]

    assert old == [1] * len(alike)
    assert not any(found.duplicate or found.conflicts_with for found in [*stored, *again])
    assert owned == [[f"of {user}"] for user in ("X1", "x1", "y", "y ", "Y")]


def test_new_columns_take_more_than_the_old_ones(url: str) -> None:
    """What MariaDB's old tables cut, they hold now: large bodies, and fractions of seconds."""
    old_database(url)
    OrmSync.update_tables()

    with orm.session():
        stored = EventLog.store(event(data="x" * 1_000_000)).uuid
        found = EventLog.get_by_id(stored)
        created = [EventLog.get_by_id(EventLog.store(event()).uuid).created for _ in range(5)]

    assert "x" * 1_000_000 in found.jsondata
    assert any(time.microsecond for time in created)


def test_deliveries_of_nothing_are_left_out_and_counted(sqlite_url: str) -> None:
    """What refers to an event or a subscription that is gone can't be kept; how many they were is told."""
    rows = old_database(sqlite_url)
    lost = orphans(rows)
    insert_orphans(sqlite_url, lost)
    before = contents(sqlite_url)

    synced = OrmSync.update_tables(timezone=ZONE)

    orm.disconnect()
    after = contents(sqlite_url)
    assert {row["uuid"] for row in lost} == before["eventlogmatch"].keys() - after["eventlogmatch"].keys()
    assert sum(synced.found.values()) == len(lost)
    assert differences(before, after, ZONE, rows.attributes) == []


def test_a_time_that_is_none_costs_no_row(sqlite_url: str) -> None:
    """SQLite of old takes any text for a time; its row is kept with another, and counted."""
    rows = old_database(sqlite_url)
    uuid = rows.eventlog[0]["uuid"]
    with opened(sqlite_url) as database:
        database.execute_sql("UPDATE eventlog SET created = 'yesterday' WHERE uuid = ?", (uuid.hex,))

    synced = OrmSync.update_tables()

    orm.disconnect()
    after = contents(sqlite_url)["eventlog"]
    assert len(after) == len(rows.eventlog)
    assert after[uuid]["jsondata"] == rows.eventlog[0]["jsondata"]
    assert after[uuid]["created"] == after[uuid]["routed"] is not None
    assert list(synced.found.values()) == [1]


@pytest.fixture
def mariadb(mariadb_server: MariaDB, mariadb_url: str) -> Iterator[str]:
    """The url of an empty MariaDB database; the process lets go of it at the end."""
    yield mariadb_url
    orm.disconnect()


#: Statements that change tables, or say which version they have: each of them stands by itself in MariaDB.
CHANGING = re.compile(r"(CREATE|ALTER|RENAME|DROP) |(INSERT INTO|UPDATE) `?\w*notificationsystem")


@contextmanager
def watched_statements(cut: Callable[[list[str]], bool]) -> Iterator[list[str]]:
    """Give the changing statements that came; once `cut` says so of them MariaDB hears nothing, not even the last."""
    query = pymysql.connections.Connection.query
    came: list[str] = []

    def send(self: Any, sql: str | bytes, *options: Any) -> Any:
        text = sql if isinstance(sql, str) else sql.decode("utf-8", "surrogateescape")
        if CHANGING.match(text):
            came.append(text)
        if cut(came):
            if self.open:
                self._force_close()
            raise pymysql.err.OperationalError(2013, "cut off")
        return query(self, sql, *options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pymysql.connections.Connection, "query", send)
        yield came


def test_an_upgrade_may_be_cut_off_before_any_statement(mariadb: str, mariadb_server: MariaDB) -> None:
    """Wherever MariaDB hears no more of an upgrade, the next run takes it up and all comes to the same.

    Before the tables change names each run starts over; from there on a run does what is missing.
    """
    undisturbed = mariadb_server.create_database()
    old_database(undisturbed, (0, 0))
    with watched_statements(lambda _: False) as statements:
        OrmSync.update_tables(timezone=ZONE)
    orm.disconnect()
    old_database(mariadb, (0, 0))
    made = next(number for number, text in enumerate(statements) if "dbsync_new_" in text)
    change = next(number for number, text in enumerate(statements) if text.startswith("RENAME"))

    for text in (*statements[: made + 2], statements[(made + change) // 2]):
        # At the latest before the change of names: a table that is there is not made again.
        assert cut_off({text, statements[change]})
    assert cut_off({statements[change + 1]})
    allowed, first = 1, ""
    while came := cut_off(most=allowed):
        # What each run repeats must not be all that is let through for ever.
        allowed, first = allowed + 1 if came[0] == first else 1, came[0]

    assert len(statements) - change > 20
    assert everything(mariadb) == everything(undisturbed)
    assert described(mariadb) ^ described(undisturbed) == set()
    mariadb_server.drop_database(undisturbed)


def cut_off(before: Container[str] = (), most: int = 1000) -> list[str]:
    """Upgrade up to one of these statements, or so many; return the changing ones that came, none if it got through."""
    try:
        with watched_statements(lambda came: len(came) > most or (bool(came) and came[-1] in before)) as came:
            OrmSync.update_tables(timezone=ZONE)
    except (peewee.PeeweeException, Unavailable):
        return came
    finally:
        orm.disconnect()
    return []


@pytest.mark.parametrize("table", MOVED)
@pytest.mark.parametrize("late", ["eventlogmatch", "indexes"])
def test_rows_that_come_meanwhile_stop_an_upgrade(mariadb: str, late: str, table: str) -> None:
    """In MariaDB an older release can go on writing to the old tables: then these stay, and it is said."""
    rows = old_database(mariadb)
    come = dict(rows.of(table)[0], uuid=uuid_of("late", 1))

    def write(part: str, done: int, count: int) -> None:
        if (part, done) == (late, count):
            with opened(mariadb) as database:
                insert(database, "mysql", table, [come])

    with pytest.raises(orm.OperationalError, match=f"{table} was written to during the upgrade"):
        OrmSync.update_tables(timezone=ZONE, progress=write)
    before = contents(mariadb)
    OrmSync.update_tables(timezone=ZONE)

    assert come["uuid"] in before[table]
    rows.attributes[come["uuid"]] = rows.attributes[rows.eventlog[0]["uuid"]]
    assert differences(before, contents(mariadb), ZONE, rows.attributes) == []


def test_a_row_that_changes_meanwhile_stops_an_upgrade(mariadb: str) -> None:
    """A row of old that is changed at the end, as when a service disables a subscription, is noticed as well."""
    rows = old_database(mariadb)
    changed = rows.eventmatch[0]["uuid"]

    def write(part: str, done: int, count: int) -> None:
        if (part, done) == ("indexes", count):
            with opened(mariadb) as database:
                database.execute_sql("UPDATE eventmatch SET error = 'late' WHERE uuid = %s", (changed.hex,))

    with pytest.raises((ConfigError, orm.OperationalError), match="written to during the upgrade"):
        OrmSync.update_tables(timezone=ZONE, progress=write)
    before = contents(mariadb)
    OrmSync.update_tables(timezone=ZONE)

    after = contents(mariadb)
    assert after["eventmatch"][changed]["error"] == "late"
    assert differences(before, after, ZONE, rows.attributes) == []


@pytest.mark.parametrize(
    ("options", "encoding"),
    [
        ("ENGINE=InnoDB DEFAULT CHARSET latin1 COLLATE latin1_swedish_ci", "cp1252"),
        ("ENGINE=MyISAM DEFAULT CHARSET latin1 COLLATE latin1_german2_ci", "cp1252"),
        ("ENGINE=InnoDB DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_unicode_520_ci", "utf-8"),
        ("ENGINE=InnoDB DEFAULT CHARSET ascii COLLATE ascii_bin", "ascii"),
        ("ENGINE=Aria DEFAULT CHARSET utf16 COLLATE utf16_general_ci", "utf-16-le"),
    ],
)
def test_character_sets_of_mariadb_become_ours(
    mariadb: str, mariadb_server: MariaDB, options: str, encoding: str
) -> None:
    """Tables of any character set, collation and engine are taken over letter by letter, and are as new ones are."""
    rows = old_database(mariadb, options=options, encoding=encoding)
    before = contents(mariadb)
    assert {row["uuid"]: row["jsondata"] for row in rows.eventlog} == {
        uuid: row["jsondata"] for uuid, row in before["eventlog"].items()
    }

    OrmSync.update_tables(timezone=ZONE)

    assert differences(before, contents(mariadb), ZONE, rows.attributes) == []
    orm.disconnect()
    new = mariadb_server.create_database()
    use_database(new)
    OrmSync.update_tables()
    assert described(mariadb) ^ described(new) == set()
    mariadb_server.drop_database(new)
