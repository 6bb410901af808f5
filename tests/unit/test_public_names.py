"""The Python names that scripts import, and what each of them does (contract, section 9)."""

from __future__ import annotations

import importlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cherrypy
import jsonschema
import peewee
import pytest
from celery.app.utils import find_app

from pacifica.notifications import config, globals, jsonpath, orm, rest
from pacifica.notifications.__main__ import cmd
from pacifica.notifications.config import Database, Secrets, Settings
from pacifica.notifications.errors import ConfigError, MissingDriver
from pacifica.notifications.sealing import read_key
from tests.support.factories import make_event, make_event_1_0, make_subscription
from tests.support.keys import KEY
from tests.support.process import clean_environment
from tests.support.processes import write_config

NAMES = {
    "orm": "DB BaseModel EventMatch EventLog EventLogMatch NotificationSystem OrmSync",
    "rest": "Root EventMatch ReceiveEvent error_page_default",
    "tasks": "app",
    "jsonpath": "parse find",
    "config": "get_config",
    "globals": "CONFIG_FILE CHERRYPY_CONFIG",
    "__main__": "main cmd",
}
MEMBERS = "uuid name jsonpath user disabled error target_url version extensions auth created updated deleted".split()


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The url of an SQLite database without tables, which the process uses."""
    url = f"sqlite:///{(tmp_path / 'db.sqlite3').as_posix()}"
    monkeypatch.setattr(
        config, "_in_force", Settings(database=Database(peewee_url=url), secrets=Secrets((read_key(KEY),)))
    )
    orm.initialize()
    yield url
    orm.disconnect()


def script(code: str, home: Path, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a script as somebody's own, with a home of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        env=clean_environment(home, **environ),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("module", "name"), [(module, name) for module in NAMES for name in NAMES[module].split()])
def test_documented_names_are_there(module: str, name: str) -> None:
    """Scripts import these names from these modules."""
    assert hasattr(importlib.import_module(f"pacifica.notifications.{module}"), name)


# rest


def test_the_application_has_its_shape() -> None:
    """Classes are exposed, Root has instances of the other two, methods are named after HTTP's."""
    assert [kind.exposed for kind in (rest.Root, rest.EventMatch, rest.ReceiveEvent)] == [True] * 3
    assert isinstance(rest.Root.eventmatch, rest.EventMatch)
    assert isinstance(rest.Root.receive, rest.ReceiveEvent)
    assert all(callable(getattr(rest.EventMatch, method)) for method in ("GET", "PUT", "POST", "DELETE"))
    assert callable(rest.ReceiveEvent.POST)


def test_the_schema_of_subscriptions_keeps_its_shape() -> None:
    """`json_schema` refers to its definition, which has the thirteen members, those added since, and `auth`."""
    schema = rest.EventMatch.json_schema

    jsonschema.Draft202012Validator.check_schema(schema)
    definition = schema["definitions"]["eventmatch"]
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$ref"] == "#/definitions/eventmatch"
    assert list(definition["properties"]) == [
        *MEMBERS,
        "retry",
        "limits",
        "ordered",
        "content_mode",
        "event_version",
        "signing",
    ]
    shapes = definition["properties"]["auth"]["properties"]
    assert shapes["type"]["enum"] == ["basic", "header"]
    assert set(shapes["basic"]["properties"]) == {"username", "password"}
    assert set(shapes["header"]["properties"]) == {"type", "credentials"}


@pytest.mark.parametrize(
    ("event", "valid"), [(make_event(), True), (make_event_1_0(), True), ({"type": "t"}, False), (1, False)]
)
def test_the_schema_of_events_takes_events(event: Any, valid: bool) -> None:
    """`event_json_schema` is the schema of CloudEvents in both versions."""
    schema = rest.ReceiveEvent.event_json_schema

    jsonschema.Draft202012Validator.check_schema(schema)
    assert jsonschema.Draft202012Validator(schema).is_valid(event) == valid


def test_errors_have_their_four_keys() -> None:
    """`error_page_default` gives the documented keys, without a traceback."""
    page = rest.error_page_default(status="404 Not Found", message="gone", traceback="secret", version="18.10.0")

    found = json.loads(page)
    assert {"status": "404 Not Found", "message": "gone", "traceback": ""}.items() <= found.items()
    assert "version" in found


#: What a script does that mounts the application, then asks it for some paths; prints statuses and bodies.
MOUNT = """
import io, json, sys
import cherrypy
{preparation}
def ask(path):
    said = []
    environ = {{
        "REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "HTTP_HOST": "localhost",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost", "SERVER_PORT": "80", "wsgi.url_scheme": "http", "wsgi.version": (1, 0),
        "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr, "wsgi.multithread": True, "wsgi.multiprocess": False,
        "wsgi.run_once": False, "REMOTE_ADDR": "127.0.0.1", "HTTP_HTTP_REMOTE_USER": "alice",
        "HTTP_NOTIFICATIONS_PROXY_SECRET": "5e0c8f1d2b7a49365e0c8f1d2b7a4936",
    }}
    body = b"".join(application(environ, lambda status, headers, *rest: said.append(status)))
    return said[0], json.loads(body)
print(json.dumps([ask(path) for path in sys.argv[1:]]))
"""
MOUNTED = MOUNT.format(
    preparation="""
from pacifica.notifications.globals import CHERRYPY_CONFIG
from pacifica.notifications.rest import Root
application = cherrypy.tree.mount(Root(), "/", CHERRYPY_CONFIG)
"""
)
WSGI = MOUNT.format(preparation="from pacifica.notifications.wsgi import application")


def answers(code: str, home: Path, *paths: str, **environ: str) -> list[tuple[str, Any]]:
    """Run a script that asks the application for paths."""
    done = script(code, home, *paths, **environ)
    assert done.returncode == 0, done.stderr
    return [(status, body) for status, body in json.loads(done.stdout.splitlines()[-1])]


def test_the_application_can_be_mounted_without_any_file(tmp_path: Path) -> None:
    """`cherrypy.tree.mount(Root(), '/', CHERRYPY_CONFIG)` works in an empty home and leaves it empty."""
    found = answers(MOUNTED, tmp_path, "/", "/schemas/eventmatch", "/schemas/event", "/nothing")

    assert [status for status, _body in found] == ["200 OK", "200 OK", "200 OK", "404 Not Found"]
    assert found[0][1]["name"] == "pacifica-notifications"
    assert found[1][1] == rest.EventMatch.json_schema
    assert found[2][1] == rest.ReceiveEvent.event_json_schema
    assert list(tmp_path.iterdir()) == []


def test_a_cherrypy_file_of_the_operators_is_used(tmp_path: Path) -> None:
    """CHERRYPY_CONFIG is the file that NOTIFICATIONS_CPCONFIG names, else the one of the home, else ours."""
    code = (
        "from pacifica.notifications.globals import CHERRYPY_CONFIG, CONFIG_FILE; print(CHERRYPY_CONFIG, CONFIG_FILE)"
    )
    of_the_home = tmp_path / ".pacifica-notifications" / "cpconfig.ini"
    named = tmp_path / "named.ini"

    ours = script(code, tmp_path).stdout.split()
    of_the_home.parent.mkdir()
    for file in (of_the_home, named):
        file.write_text("[/]\nrequest.dispatch: cherrypy.dispatch.MethodDispatcher()\n")
    theirs = script(code, tmp_path).stdout.split()
    other = script(code, tmp_path, NOTIFICATIONS_CPCONFIG=str(named), NOTIFICATIONS_CONFIG="other.ini").stdout.split()

    assert Path(ours[0]).is_file()
    assert ours[1] == str(of_the_home.with_name("config.ini"))
    assert theirs[0] == str(of_the_home)
    assert other == [str(named), "other.ini"]


def test_the_wsgi_module_has_the_application(tmp_path: Path) -> None:
    """`wsgi.application` answers in an empty home, with a database of its own there."""
    secret = "5e0c8f1d2b7a49365e0c8f1d2b7a4936"
    found = answers(WSGI, tmp_path, "/", "/eventmatch", NOTIFICATIONS_AUTH_PROXY_SECRET=secret)

    assert [status for status, _body in found] == ["200 OK", "200 OK"]
    assert found[1][1] == []
    assert (tmp_path / ".pacifica-notifications" / "notifications.sqlite3").is_file()


# orm


def test_versions_are_a_list_that_only_grows() -> None:
    """Every version that was released is in the list, oldest first."""
    assert orm.OrmSync.versions[:5] == [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)]
    assert orm.OrmSync.versions == sorted(orm.OrmSync.versions)


@pytest.mark.usefixtures("database")
def test_connecting_and_closing_twice_is_fine() -> None:
    """`database_connect` keeps an open connection, `database_close` a closed one."""
    for model in (orm.EventMatch, orm.BaseModel):
        model.database_connect()
        model.database_connect()
        assert not orm.DB.is_closed()
        model.database_close()
        model.database_close()
        assert orm.DB.is_closed()


def test_connecting_needs_no_preparation(tmp_path: Path) -> None:
    """A script that imports a model and connects uses the database of the settings."""
    code = """
from pacifica.notifications.orm import EventMatch, NotificationSystem, OrmSync
OrmSync.dbconn_blocking()
print(OrmSync.update_tables().changed, OrmSync.update_tables().changed)
EventMatch.database_close()
EventMatch.database_connect()
print(NotificationSystem.get_version(), EventMatch.select().count())
EventMatch.database_close()
"""

    done = script(code, tmp_path, PEEWEE_URL="sqliteext:///mine.sqlite3")

    assert done.stdout.splitlines() == ["True False", f"{orm.OrmSync.versions[-1]} 0"], done.stderr
    assert (tmp_path / "mine.sqlite3").is_file()


@pytest.mark.usefixtures("database")
def test_without_a_table_the_version_is_0_0() -> None:
    """A database without our tables has version (0, 0), which is neither equal nor safe."""
    orm.NotificationSystem.database_connect()

    assert orm.NotificationSystem.get_version() == (0, 0)
    assert not orm.NotificationSystem.is_equal()
    assert not orm.NotificationSystem.is_safe()


@pytest.mark.parametrize(
    ("major", "minor", "equal", "safe"),
    [
        (0, 0, True, True),
        (0, 1, False, True),
        (0, -1, False, False),
        (1, 0, False, False),
        (-1, 0, False, False),
        (-1, 9, False, False),
    ],
)
@pytest.mark.usefixtures("database")
def test_a_safe_version_has_our_major_and_at_least_our_minor(major: int, minor: int, equal: bool, safe: bool) -> None:
    """Equal is exactly our version; safe is the same major with at least our minor."""
    orm.OrmSync.update_tables()
    orm.NotificationSystem.database_connect()
    ours = orm.OrmSync.versions[-1]
    for part, value in (("major", ours[0] + major), ("minor", ours[1] + minor)):
        orm.NotificationSystem.update(value=value).where(orm.NotificationSystem.part == part).execute()

    found = orm.NotificationSystem

    assert found.get_version() == (ours[0] + major, ours[1] + minor)
    assert (found.is_equal(), found.is_safe()) == (equal, safe)


@pytest.mark.usefixtures("database")
def test_the_version_is_recorded_where_none_is() -> None:
    """`get_or_create_version` records ours in an empty table and changes no recorded one."""
    orm.NotificationSystem.database_connect()
    orm.NotificationSystem.create_table()

    assert orm.NotificationSystem.get_or_create_version() == orm.OrmSync.versions[-1]
    orm.NotificationSystem.update(value=7).execute()
    assert orm.NotificationSystem.get_or_create_version() == (7, 7)


FIELDS = {
    orm.NotificationSystem: {"part": peewee.CharField, "value": peewee.IntegerField},
    orm.EventMatch: {
        "uuid": peewee.UUIDField,
        "name": peewee.CharField,
        "jsonpath": peewee.TextField,
        "user": peewee.CharField,
        "disabled": peewee.DateTimeField,
        "error": peewee.TextField,
        "target_url": peewee.TextField,
        "version": peewee.CharField,
        "extensions": peewee.TextField,
        "created": peewee.DateTimeField,
        "updated": peewee.DateTimeField,
        "deleted": peewee.DateTimeField,
        "auth": peewee.TextField,
    },
    orm.EventLog: {"uuid": peewee.UUIDField, "jsondata": peewee.TextField, "created": peewee.DateTimeField},
    orm.EventLogMatch: {
        "uuid": peewee.UUIDField,
        "event_log": peewee.ForeignKeyField,
        "event_match": peewee.ForeignKeyField,
        "policy_status_code": peewee.IntegerField,
        "policy_resp_body": peewee.TextField,
        "target_status_code": peewee.IntegerField,
        "target_resp_body": peewee.TextField,
        "created": peewee.DateTimeField,
    },
}


@pytest.mark.parametrize("model", FIELDS, ids=lambda model: model._meta.table_name)
def test_tables_and_columns_keep_their_names_and_kinds(model: type[peewee.Model]) -> None:
    """The tables that installations have are mapped by the fields that they were made with."""
    fields = {name: type(field) for name, field in model._meta.fields.items()}

    assert model._meta.table_name == model.__name__.lower()
    assert fields.items() >= FIELDS[model].items()


def test_keys_and_nulls_are_those_of_the_tables() -> None:
    """Primary keys, foreign keys, and what may be null are as in schema 3.0, but for the answers of deliveries."""
    primary = {model: model._meta.primary_key.name for model in FIELDS}
    nullable = {name for name in FIELDS[orm.EventMatch] if orm.EventMatch._meta.fields[name].null}

    assert list(primary.values()) == ["part", "uuid", "uuid", "uuid"]
    assert orm.EventLogMatch.event_log.column_name == "event_log_id"
    assert orm.EventLogMatch.event_match.column_name == "event_match_id"
    assert orm.EventLogMatch.event_log.rel_model is orm.EventLog
    assert nullable == {"disabled", "error", "deleted", "auth"}
    assert all(
        orm.EventLogMatch._meta.fields[name].null
        for name in FIELDS[orm.EventLogMatch]
        if name.endswith(("code", "body"))
    )


def test_models_without_a_key_of_their_own_have_an_id() -> None:
    """The other models, and those that scripts add, have the key that peewee gives them."""

    class Own(orm.BaseModel):
        """A script's own table."""

    for model in (orm.DeliveryAttempt, orm.GateAnswer, orm.SubscriptionRevision, Own):
        assert model._meta.primary_key.name == "id"
    assert Own._meta.database is orm.DB


@pytest.mark.usefixtures("database")
def test_to_hash_gives_json_without_secrets() -> None:
    """`to_hash` gives the members of an answer: JSON values, times in UTC with six decimals and Z, secrets masked."""
    orm.OrmSync.update_tables()
    auth = {"type": "basic", "basic": {"username": "me", "password": "secret"}}
    with orm.session():
        row = orm.EventMatch.add("alice", make_subscription(auth=auth, extensions={"a": 1}))
        found = orm.EventMatch.get_by_id(row.uuid).to_hash()
        version = [row.to_hash() for row in orm.NotificationSystem.select().order_by(orm.NotificationSystem.part)]

    assert list(found) == MEMBERS
    assert json.loads(json.dumps(found)) == found
    assert "secret" not in json.dumps(found)
    assert found["auth"]["basic"] == {"username": "me", "password": "***"}
    assert (found["uuid"], found["extensions"], found["disabled"]) == (str(row.uuid), {"a": 1}, None)
    assert found["created"] == f"{row.created.isoformat(timespec='microseconds')}Z"
    assert version == [
        {"part": part, "value": value} for part, value in zip(("major", "minor"), orm.OrmSync.versions[-1], strict=True)
    ]


def test_waiting_for_the_database_ends_in_peewees_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`dbconn_blocking` raises peewee's OperationalError, without the password, when the database stays away."""
    place = tmp_path / "a-folder.sqlite3"
    place.mkdir()
    settings = Settings(database=Database(f"sqlite:///{place.as_posix()}", connect_attempts=2, connect_wait=0.01))
    monkeypatch.setattr(config, "_in_force", settings)
    orm.initialize()

    with pytest.raises(peewee.OperationalError, match="gave up after 2 attempts on sqlite:///"):
        orm.OrmSync.dbconn_blocking()


@pytest.mark.parametrize("url", ["sqlite:///:memory:", "sqlite://", "sqlite:////dev/null/below/db.sqlite3"])
def test_a_database_that_cannot_be_a_file_is_a_fault_of_the_settings(url: str) -> None:
    """A place where SQLite can't have a file is refused with the setting's name."""
    with pytest.raises(ConfigError, match=r"database\.peewee_url: "):
        orm.initialize(Settings(database=Database(url)))


@pytest.mark.parametrize(
    ("driver", "setting", "value", "extra"),
    [
        ("psycopg2", "database.peewee_url", "postgresql://h/db", "postgresql"),
        ("pymysql", "database.peewee_url", "mysql://h/db", "mariadb"),
        ("redis", "celery.broker_url", "redis://h/0", "redis"),
    ],
)
def test_a_missing_driver_names_its_extra(driver: str, setting: str, value: str, extra: str, tmp_path: Path) -> None:
    """Without the driver that the settings need, the service says what to install, in one line."""
    code = f"import sys; sys.modules[{driver!r}] = None; from pacifica.notifications.__main__ import *; main_script()"
    file = write_config(tmp_path / "c.ini", {"database.peewee_url": "sqlite:///db.sqlite3", setting: value})
    said = f"{setting} needs a driver that is not installed: pip install 'pacifica-notifications[{extra}]'"

    service = script(code, tmp_path, "-c", str(file))

    assert (service.returncode, service.stderr.splitlines()[-1]) == (1, said)


def test_commands_name_a_missing_driver_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command without its driver says what to install and gives -1."""
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    monkeypatch.setattr(config, "_in_force", None)
    file = str(write_config(tmp_path / "c.ini", {"database.peewee_url": "postgresql://h/db"}))

    assert cmd("-c", file, "dbchk") == -1
    assert "pip install 'pacifica-notifications[postgresql]'" in capsys.readouterr().err


def test_a_missing_driver_is_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is raised is a fault of the settings that scripts can tell from others."""
    monkeypatch.setitem(sys.modules, "psycopg2", None)

    with pytest.raises(MissingDriver, match=r"pacifica-notifications\[postgresql\]"):
        orm.initialize(Settings(database=Database("postgresql://h/db")))


# tasks, jsonpath, config, __main__


def test_celery_finds_the_application() -> None:
    """`celery -A pacifica.notifications.tasks` finds the application, whose tasks are ours."""
    app = find_app("pacifica.notifications.tasks")

    assert {f"pacifica.notifications.{name}" for name in ("route", "deliver", "sweep")} <= app.tasks.keys()


def test_jsonpath_parses_and_finds() -> None:
    """`find` tells whether an expression that `parse` gave has a result in an event."""
    found = [jsonpath.find(jsonpath.parse(text), {"data": 1}) for text in ("data", "$.other")]

    assert found == [True, False]


@pytest.mark.usefixtures("database")
def test_get_config_is_asked_as_a_config_parser_is() -> None:
    """Scripts ask `get_config()` by section and key."""
    assert config.get_config().get("notifications", "user_header") == "Http-Remote-User"


def old_database(path: Path) -> Path:
    """Make a database as release 0.5.2 has it, as far as its version is told."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE notificationsystem (part VARCHAR(255) PRIMARY KEY, value INTEGER NOT NULL)")
        connection.execute("INSERT INTO notificationsystem VALUES ('major', 3), ('minor', 0)")
        connection.execute("CREATE TABLE eventmatch (uuid TEXT PRIMARY KEY, name VARCHAR(255) NOT NULL)")
    connection.close()
    return path


def test_main_raises_operational_error_on_an_old_schema(tmp_path: Path) -> None:
    """`main` raises peewee's OperationalError that names the command; the program prints it as one line."""
    path = old_database(tmp_path / "old.sqlite3")
    code = "from pacifica.notifications.__main__ import {0}; {0}({1})"
    catching = f"""
import peewee
try:
    {code.format("main", "'-p', '1'")}
except peewee.OperationalError as error:
    print(error)
"""

    called = script(catching, tmp_path, PEEWEE_URL=f"sqlite:///{path.as_posix()}")
    run = script(code.format("main_script", ""), tmp_path, PEEWEE_URL=f"sqlite:///{path.as_posix()}")

    assert "schema 3.0" in called.stdout
    assert "pacifica-notifications-cmd dbsync" in called.stdout
    assert run.returncode == 1
    assert run.stderr == called.stdout


def test_cmd_gives_0_or_minus_1(database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`cmd` runs a command with the file that `-c` names, and gives 0 for true and -1 for false."""
    file = str(write_config(tmp_path / "c.ini", {"database.peewee_url": database, "database.connect_attempts": 1}))

    found = [cmd("-c", file, *words) for words in (("dbchk",), ("dbsync",), ("dbchk", "--equal"), ("dbsync",))]

    assert found == [-1, 0, 0, 0]
    capsys.readouterr()
    assert cmd("-c", file) == 0
    assert "dbsync" in capsys.readouterr().out


def test_the_globals_are_texts() -> None:
    """The places of both files are texts, and the CherryPy file is there."""
    assert isinstance(globals.CONFIG_FILE, str)
    assert Path(globals.CHERRYPY_CONFIG).is_file()
    assert cherrypy.lib.reprconf.Config(globals.CHERRYPY_CONFIG)
    with pytest.raises(AttributeError, match="COLOUR"):
        _ = globals.COLOUR
