"""`pacifica-notifications-cmd`: exit statuses, help, settings, and the schema."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pacifica.notifications import orm
from tests.support import tables
from tests.support.doors import Doors
from tests.support.ports import free_port
from tests.support.processes import Command, Result, write_config

from .conftest import Run

COMMANDS = ["dbsync", "dbchk", "eventget", "eventpurge", "eventretry", "match", "config", "receiver"]
#: What is needed to make a command do anything at all.
ARGUMENTS = {"eventretry": ["6f1d1c0e-0000-4000-8000-000000000000"], "match": ["$", "--log"]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A settings file, for what a command answers before it looks at any."""
    return write_config(tmp_path / "config.ini", {})


#: `version(4, 5)` lets the database have another schema until the test ends.
SetVersion = Callable[[int, int], None]


@pytest.fixture
def version(doors: Doors) -> Iterator[SetVersion]:
    """Let the tables be of another schema."""

    def written(major: int, minor: int) -> None:
        with orm.session():
            for part, value in (("major", major), ("minor", minor)):
                orm.NotificationSystem.update(value=value).where(orm.NotificationSystem.part == part).execute()

    yield written
    # By its own connection, because the command may have let the process forget the database.
    major, minor = orm.OrmSync.versions[-1]
    for part, value in (("major", major), ("minor", minor)):
        tables.execute(doors.url, f"UPDATE notificationsystem SET value = {value} WHERE part = '{part}'")


# The command line.


def test_no_command_prints_help(tmp_path: Path) -> None:
    """Without a command the help is printed, which names them all."""
    done = Command(tmp_path).run()

    assert (done.returncode, done.stderr) == (0, "")
    for command in COMMANDS:
        assert f"\n    {command} " in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(command: str, run: Run, file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Every command describes itself and can print JSON."""
    with pytest.raises(SystemExit) as ended:
        run(file, command, "--help")

    shown = capfd.readouterr().out
    assert ended.value.code == 0
    assert "--json" in shown
    assert shown.startswith(f"usage: pacifica-notifications-cmd {command} ")


@pytest.mark.parametrize(
    "args",
    [
        ["unknown"],
        ["eventget", "no-uuid"],
        ["eventpurge", "no-uuid"],
        ["eventretry", "no-uuid"],
        ["eventretry"],
        ["match"],
        ["match", "$", "--event", "no-uuid"],
        ["match", "$", "--results", "0"],
        ["eventget", "--limit", "0"],
        ["eventget", "--limit", "many"],
        ["receiver", "--status", "99"],
        ["receiver", "--port", "70000"],
        ["receiver", "--port", "-1"],
        ["receiver", "--delay", "-1"],
        ["receiver", "--delay", "nan"],
        ["dbsync", "extra"],
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_named(args: list[str], run: Run, file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """An argument that can't be used ends the command with a line that names it, not with a traceback."""
    with pytest.raises(SystemExit) as ended:
        run(file, *args)

    shown = capfd.readouterr().err
    assert ended.value.code == 2
    assert "Traceback" not in shown
    assert args[-1] in shown.splitlines()[-1] or args in (["eventretry"], ["match"])


def test_false_is_255(tmp_path: Path) -> None:
    """A command that finds something false ends with 255, one that finds it true with 0, and says so in words."""
    command = Command(tmp_path)

    before, made, after = command.run("dbchk"), command.run("dbsync"), command.run("dbchk")

    assert (before.returncode, before.stdout) == (255, "")
    assert "pacifica-notifications-cmd dbsync" in before.stderr
    assert (made.returncode, made.stdout, made.stderr) == (0, "the tables were made: schema 4.5\n", "")
    assert (after.returncode, after.stdout, after.stderr) == (0, "schema 4.5: current\n", "")


def test_settings_file_is_really_used(tmp_path: Path) -> None:
    """`-c` decides over the environment's file and the default place."""
    named = Command(tmp_path, {"database.peewee_url": f"sqlite:///{tmp_path / 'named.db'}"}, name="named")
    other = Command(tmp_path, {"database.peewee_url": f"sqlite:///{tmp_path / 'other.db'}"}, name="other")
    named.env["NOTIFICATIONS_CONFIG"] = str(other.config_file)

    assert named.run("dbsync").returncode == 0

    assert (tmp_path / "named.db").exists()
    assert not (tmp_path / "other.db").exists()
    assert not (tmp_path / "home" / ".pacifica-notifications").exists()


def test_missing_settings_file(tmp_path: Path) -> None:
    """A file that `-c` names and that is not there ends the command with one line."""
    command = Command(tmp_path)
    command.config_file.unlink()

    done = command.run("dbchk")

    assert (done.returncode, done.stdout) == (255, "")
    assert done.stderr == f"{command.config_file}: there is no such file\n"


#: How a server makes a user who may make no tables, what it says to one, and what `dbsync` then asks for. In PostgreSQL
#: since 15 every ordinary user is one.
ORDINARY = {
    "postgresql": (["CREATE ROLE ordinary LOGIN"], "permission denied", "GRANT CREATE ON SCHEMA public"),
    "mariadb": (
        [
            "CREATE USER ordinary@'127.0.0.1'",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.* TO ordinary@'127.0.0.1'",
        ],
        "CREATE command denied",
        "GRANT ALL ON",
    ),
}


@pytest.mark.parametrize("server", ORDINARY)
def test_database_where_no_tables_may_be_made(
    server: str, tmp_path: Path, run: Run, request: pytest.FixtureRequest
) -> None:
    """A user who may make no tables is told by `dbsync` in one line what is missing."""
    url: str = request.getfixturevalue(f"{server}_url")
    making, said, asked = ORDINARY[server]
    parts = urlsplit(url)
    for statement in making:
        tables.execute(url, statement.format(database=parts.path[1:]))
    theirs = parts._replace(netloc=f"ordinary@{parts.hostname}:{parts.port}").geturl()
    file = write_config(tmp_path / "config.ini", {"database.peewee_url": theirs})

    done = run(file, "dbsync")

    assert (done.returncode, done.stdout) == (-1, "")
    (line,) = done.stderr.splitlines()
    assert said in line
    assert asked in line


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("receiver", "config")])
def test_database_that_is_away(command: str, tmp_path: Path, run: Run) -> None:
    """Every command that needs the database gives up after the attempts that are set, with one clear line."""
    url = f"postgresql://me:secret@127.0.0.1:{free_port()}/x"
    settings = {"database.peewee_url": url, "database.connect_attempts": 2, "database.connect_wait": 0}
    file = write_config(tmp_path / "config.ini", settings)

    done = run(file, command, *ARGUMENTS.get(command, []))

    assert (done.returncode, done.stdout) == (-1, "")
    (line,) = done.stderr.splitlines()
    assert "gave up after 2 attempts on postgresql://me:***@127.0.0.1" in line
    assert "secret" not in line


@pytest.mark.parametrize("command", ["eventget", "eventpurge", "eventretry", "match"])
@pytest.mark.parametrize(("found", "named"), [((3, 0), "3.0"), ((5, 0), "newer")])
def test_commands_refuse_another_schema(
    command: str, found: tuple[int, int], named: str, run: Run, doors: Doors, version: SetVersion
) -> None:
    """A command that needs the tables refuses those of another schema and says what to do."""
    version(*found)

    done = run(doors.file, command, *ARGUMENTS.get(command, []))

    assert (done.returncode, done.stdout) == (-1, "")
    assert named in done.stderr


@pytest.mark.parametrize("command", ["eventget", "eventpurge", "eventretry", "match"])
def test_commands_refuse_a_database_without_tables(command: str, tmp_path: Path, empty_url: str, run: Run) -> None:
    """A command that needs the tables says how they are made where there are none."""
    file = write_config(tmp_path / "config.ini", {"database.peewee_url": empty_url})

    done = run(file, command, *ARGUMENTS.get(command, []))

    assert (done.returncode, done.stdout) == (-1, "")
    assert "dbsync" in done.stderr


# dbsync and dbchk


def test_dbsync_can_be_repeated(run: Run, doors: Doors) -> None:
    """A second `dbsync` changes nothing and says so."""
    subscription = doors.subscribe("http://127.0.0.1:9/")

    done = run(doors.file, "dbsync")

    assert (done.returncode, done.stdout) == (0, "the tables were there already: schema 4.5\n")
    assert doors.subscription(subscription).uuid == subscription


def test_dbsync_prints_json(tmp_path: Path, empty_url: str, run: Run) -> None:
    """`--json` says the schema, which one was found, and whether the tables were made."""
    file = write_config(tmp_path / "config.ini", {"database.peewee_url": empty_url})

    shown = [json.loads(run(file, "dbsync", "--json").stdout) for _ in range(2)]

    first, second = shown
    assert first == {
        "schema": "4.5",
        "before": None,
        "created": True,
        "upgraded": False,
        "found": {},
        "sealed": 0,
        "clear": 0,
        "differences": [],
        "targets": [],
    }
    assert second == first | {"before": "4.5", "created": False}


def test_several_dbsync_at_once(tmp_path: Path, empty_url: str) -> None:
    """Of several `dbsync` at once one makes the tables; all of them succeed."""
    command = Command(tmp_path, {"database.peewee_url": empty_url})
    done: list[Result] = []
    threads = [threading.Thread(target=lambda: done.append(command.run("dbsync", "--json"))) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert [result.returncode for result in done] == [0, 0, 0, 0], done
    assert sorted(json.loads(result.stdout)["created"] for result in done) == [False, False, False, True]
    assert tables.one(empty_url, "SELECT COUNT(*) FROM notificationsystem") == 2
    assert tables.one(empty_url, "SELECT COUNT(*) FROM subscriptionrevision") == 1


@pytest.mark.parametrize(
    ("found", "usable", "equal"),
    [
        ((4, 5), 0, 0),
        ((4, 6), 0, -1),
        ((4, 4), -1, -1),
        ((4, 0), -1, -1),
        ((3, 0), -1, -1),
        ((2, 0), -1, -1),
        ((5, 0), -1, -1),
        ((3, 9), -1, -1),
    ],
    ids=str,
)
def test_dbchk(found: tuple[int, int], usable: int, equal: int, run: Run, doors: Doors, version: SetVersion) -> None:
    """True for the same major and at least our minor version; with `--equal` for exactly ours."""
    version(*found)

    checked, compared, shown = (
        run(doors.file, "dbchk"),
        run(doors.file, "dbchk", "--equal"),
        run(doors.file, "dbchk", "--json"),
    )

    assert (checked.returncode, compared.returncode, shown.returncode) == (usable, equal, usable)
    assert json.loads(shown.stdout) == {
        "schema": f"{found[0]}.{found[1]}",
        "needed": "4.5",
        "usable": usable == 0,
        "equal": equal == 0,
    }
    said = checked.stdout if usable == 0 else checked.stderr
    assert f"{found[0]}.{found[1]}" in said


def test_dbchk_without_tables(tmp_path: Path, empty_url: str, run: Run) -> None:
    """Without tables the schema counts as 0.0, and the remedy is named; nothing is made."""
    file = write_config(tmp_path / "config.ini", {"database.peewee_url": empty_url})

    plain, shown = run(file, "dbchk", "--equal"), run(file, "dbchk", "--json")

    assert (plain.returncode, shown.returncode) == (-1, -1)
    assert "pacifica-notifications-cmd dbsync" in plain.stderr
    assert json.loads(shown.stdout)["schema"] == "0.0"


# config


def test_config_says_value_and_source(tmp_path: Path) -> None:
    """`config` prints every setting in force and whether it is of the file, the environment or a default."""
    settings = {"delivery.retry_schedule": "1, 2.5", "notifications.user_header": "X-User"}
    command = Command(tmp_path, settings, {"NOTIFICATIONS_DELIVERY_TIMEOUT": "7", "USER_HEADER": "Loses"})

    done = command.run("config", "--json")

    shown = {row["name"]: (row["value"], row["source"]) for row in json.loads(done.stdout)}
    assert done.returncode == 0
    assert shown["delivery.retry_schedule"] == ("1,2.5", f"file {command.config_file}")
    assert shown["notifications.user_header"] == ("X-User", f"file {command.config_file}")
    assert shown["delivery.timeout"] == ("7", "environment NOTIFICATIONS_DELIVERY_TIMEOUT")
    assert shown["celery.broker_url"] == ("memory://", "default")
    assert shown["DEFAULT.default_user"] == ("default_user", "default")


def test_config_is_a_readable_table(tmp_path: Path) -> None:
    """For people `config` prints a line for each setting, in columns."""
    done = Command(tmp_path, {"policy.types": "a,b"}).run("config")

    header, *lines = done.stdout.splitlines()
    assert header.split() == ["setting", "value", "from"]
    assert {line.rindex("default") for line in lines if line.endswith("  default")} == {header.index("from")}
    assert any(line.split()[:2] == ["policy.types", "a,b"] for line in lines)


def test_config_masks_secrets(tmp_path: Path) -> None:
    """No password of a url is printed, not even by a database that is not there."""
    settings = {
        "database.peewee_url": "postgresql://me:geheim1@db.example.org/x",
        "celery.broker_url": "amqp://me:geheim2@mq.example.org//",
        "celery.backend_url": "redis://:geheim3@redis.example.org/0",
        "notifications.policy_url": "http://me:geheim4@policy.example.org",
    }
    command = Command(tmp_path, settings)

    plain, shown = command.run("config"), command.run("config", "--json")

    for text in (plain.stdout, shown.stdout):
        assert "geheim" not in text
        assert "postgresql://me:***@db.example.org/x" in text
        assert "redis://:***@redis.example.org/0" in text


def test_bad_settings_are_all_named(tmp_path: Path) -> None:
    """Every command refuses settings that can't be used, all of them at once, with file, section and key."""
    command = Command(tmp_path, {"delivery.timeout": "soon", "delivery.nonsense": 1, "elsewhere.x": 1})

    done = command.run("dbchk")

    assert (done.returncode, done.stdout) == (255, "")
    assert all(line.startswith(f"{command.config_file}: [") for line in done.stderr.splitlines())
    for named in ("[delivery] timeout", "[delivery] nonsense", "[elsewhere] x"):
        assert named in done.stderr
