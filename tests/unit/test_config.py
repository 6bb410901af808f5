"""Settings: every documented key, where it may stand, what wins, and what is said about the rest."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacifica.notifications import config
from pacifica.notifications import globals as names
from pacifica.notifications.config import Secret, Settings, declared, environment_name, load, mask_url
from pacifica.notifications.errors import ConfigError
from pacifica.notifications.sealing import read_key
from pacifica.notifications.signing.keys import new_key
from pacifica.notifications.signing.keys import read_key as read_signing_key
from tests.support.keys import make_key
from tests.support.processes import write_config

NEW, OLD = make_key("new"), make_key("old")
RANDOM = "3f9d0c5b7a1e48621c3f9d0c5b7a1e48"
SIGNS = new_key("signs").text

#: What is documented: key, what holds without configuration, environment name (contract, section 7).
DOCUMENTED = {
    "celery.broker_url": ("memory://", "BROKER_URL"),
    "celery.backend_url": ("", "BACKEND_URL"),
    "notifications.user_header": ("Http-Remote-User", "USER_HEADER"),
    "notifications.policy_url": ("", "POLICY_URL"),
    "database.peewee_url": (None, "PEEWEE_URL"),
    "database.connect_attempts": (10, "DATABASE_CONNECT_ATTEMPTS"),
    "database.connect_wait": (20.0, "DATABASE_CONNECT_WAIT"),
    "database.timeout": (10.0, "NOTIFICATIONS_DATABASE_TIMEOUT"),
    "DEFAULT.default_user": ("default_user", "DEFAULT_USER"),
    "delivery.retry_schedule": (
        (5, 30, 120, 600, 3600, 7200, 14400, 28800, 28800),
        "NOTIFICATIONS_DELIVERY_RETRY_SCHEDULE",
    ),
    "delivery.disable_after": (432000.0, "NOTIFICATIONS_DELIVERY_DISABLE_AFTER"),
    "delivery.jitter": (0.2, "NOTIFICATIONS_DELIVERY_JITTER"),
    "targets.allow": ((), "NOTIFICATIONS_TARGETS_ALLOW"),
    "notifications.naive_times": (False, "NOTIFICATIONS_NOTIFICATIONS_NAIVE_TIMES"),
    "notifications.api_docs": (True, "NOTIFICATIONS_NOTIFICATIONS_API_DOCS"),
    "receive.max_body": (1024 * 1024, "NOTIFICATIONS_RECEIVE_MAX_BODY"),
    "receive.on_conflict": ("accept", "NOTIFICATIONS_RECEIVE_ON_CONFLICT"),
    "policy.types": (("*",), "NOTIFICATIONS_POLICY_TYPES"),
    "policy.max_age": (7 * 86400.0, "NOTIFICATIONS_POLICY_MAX_AGE"),
    "policy.max_interval": (900.0, "NOTIFICATIONS_POLICY_MAX_INTERVAL"),
    "auth.show": ("never", "NOTIFICATIONS_AUTH_SHOW"),
    "auth.trusted_proxies": (("127.0.0.0/8", "::1"), "NOTIFICATIONS_AUTH_TRUSTED_PROXIES"),
    "auth.proxy_secret": (Secret(), "NOTIFICATIONS_AUTH_PROXY_SECRET"),
    "secrets.keys": ((), "NOTIFICATIONS_SECRETS_KEYS"),
    "secrets.key_file": ("", "NOTIFICATIONS_SECRETS_KEY_FILE"),
    "secrets.plaintext": (False, "NOTIFICATIONS_SECRETS_PLAINTEXT"),
    "signing.keys": ((), "NOTIFICATIONS_SIGNING_KEYS"),
    "signing.key_file": ("", "NOTIFICATIONS_SIGNING_KEY_FILE"),
}

#: A text for every setting there is, and the value that it gives; none is a default.
SAMPLES: dict[str, tuple[str, Any]] = {
    "DEFAULT.default_user": ("nobody", "nobody"),
    "celery.broker_url": ("pyamqp://", "pyamqp://"),
    "celery.backend_url": ("rpc://", "rpc://"),
    "notifications.user_header": ("X-User", "X-User"),
    "notifications.policy_url": ("https://policy.example:8181/base/", "https://policy.example:8181/base"),
    "notifications.naive_times": ("Yes", True),
    "notifications.api_docs": ("no", False),
    "database.peewee_url": ("postgres://me:p%40ss@db:5432/notify", "postgresql://me:p%40ss@db:5432/notify"),
    "database.connect_attempts": ("3", 3),
    "database.connect_wait": ("0.5", 0.5),
    "database.max_connections": ("64", 64),
    "database.timeout": ("2.5", 2.5),
    "receive.max_body": ("2048", 2048),
    "receive.max_depth": ("20", 20),
    "receive.max_name": ("80", 80),
    "receive.on_conflict": ("refuse", "refuse"),
    "receive.timeout": ("2.5", 2.5),
    "receive.queue": ("50", 50),
    "receive.max_batch": ("7", 7),
    "receive.webhook_origins": ("a.example.com, *", ("a.example.com", "*")),
    "receive.webhook_rate": ("60", 60),
    "delivery.retry_schedule": ("1, 2.5,10", (1.0, 2.5, 10.0)),
    "delivery.jitter": ("0", 0.0),
    "delivery.timeout": ("7", 7.0),
    "delivery.connect_timeout": ("0.5", 0.5),
    "delivery.disable_after": ("0", 0.0),
    "delivery.keep_response": ("on", True),
    "delivery.in_flight": ("120", 120),
    "delivery.batch": ("10", 10),
    "delivery.lease": ("60", 60.0),
    "delivery.ca_file": ("/etc/ca.pem", "/etc/ca.pem"),
    "delivery.target_in_flight": ("7", 7),
    "delivery.target_rate": ("2.5", 2.5),
    "delivery.breaker_failures": ("0", 0),
    "delivery.breaker_wait": ("2.5", 2.5),
    "delivery.breaker_max_wait": ("60", 60.0),
    "delivery.max_retry_after": ("0", 0.0),
    "delivery.max_response": ("2048", 2048),
    "policy.types": ("org.pacifica.*, other", ("org.pacifica.*", "other")),
    "policy.timeout": ("3.5", 3.5),
    "policy.max_age": ("60", 60.0),
    "policy.max_interval": ("30", 30.0),
    "targets.profile": ("facility", "facility"),
    "targets.deny": ("10.20.9.0/24", ("10.20.9.0/24",)),
    "targets.ports": ("443, 8000-8999", ("443", "8000-8999")),
    "targets.require_https": ("true", True),
    "targets.allow": ("10.20.0.0/16,fd00::/8", ("10.20.0.0/16", "fd00::/8")),
    "matching.max_expression": ("100", 100),
    "matching.max_nesting": ("8", 8),
    "matching.max_descents": ("0", 0),
    "matching.max_union": ("16", 16),
    "matching.max_alternatives": ("100", 100),
    "matching.batch": ("7", 7),
    "retention.held": ("3600", 3600.0),
    "retention.events": ("7200", 7200.0),
    "retention.deliveries": ("0", 0.0),
    "auth.show": ("owner", "owner"),
    "auth.trusted_proxies": ("10.1.0.0/16, fd00::1", ("10.1.0.0/16", "fd00::1")),
    "auth.proxy_secret": (RANDOM, Secret(RANDOM)),
    "auth.producers": ("metadata, ingest", ("metadata", "ingest")),
    "auth.managers": ("carol", ("carol",)),
    "auth.admins": ("dave", ("dave",)),
    "auth.roles": ("operators=admin, cn=staff=user", (("operators", "admin"), ("cn=staff", "user"))),
    "auth.login": ("htpasswd", "htpasswd"),
    "auth.module": ("site.login", "site.login"),
    "auth.class": ("Directory", "Directory"),
    "auth.htpasswd_file": ("/etc/users", "/etc/users"),
    "auth.jwt_algorithm": ("HS512", "HS512"),
    "auth.jwt_key": (RANDOM, Secret(RANDOM)),
    "auth.jwt_key_file": ("/etc/jwt", "/etc/jwt"),
    "auth.jwt_lifetime": ("60", 60.0),
    "auth.login_failures": ("3", 3),
    "auth.login_window": ("60", 60.0),
    "receive.auth": ("any", "any"),
    "secrets.keys": (f"{NEW}, {OLD}", (read_key(NEW), read_key(OLD))),
    "secrets.key_file": ("/etc/keys", "/etc/keys"),
    "secrets.plaintext": ("true", True),
    "signing.keys": (f"{SIGNS}, ", (read_signing_key(SIGNS),)),
    "signing.key_file": ("/etc/signing", "/etc/signing"),
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without files and no settings in force, so that nothing of the developer's is read."""
    monkeypatch.delenv("NOTIFICATIONS_CONFIG", raising=False)
    monkeypatch.setattr(config, "_in_force", None)
    monkeypatch.setattr(names, "HOME", tmp_path / "home")
    return tmp_path / "home"


def values(settings: Settings) -> dict[str, Any]:
    """Return the value of every setting by its name."""
    return {name: value for name, value, _source in settings.rows()}


def faults(*args: Any, **options: Any) -> list[str]:
    """Return the lines about settings that can't be used."""
    with pytest.raises(ConfigError) as caught:
        load(*args, **{"environ": {}, **options})
    return str(caught.value).splitlines()


def test_everything_has_a_default() -> None:
    """Without file and environment the documented defaults hold."""
    found = values(load(environ={}))

    expected = {name: default for name, (default, _variable) in DOCUMENTED.items() if default is not None}
    assert {name: found[name] for name in expected} == expected
    assert found["database.peewee_url"] == f"sqlite:///{names.HOME / 'notifications.sqlite3'}"
    assert {source for _name, _value, source in load(environ={}).rows()} == {"default"}


def test_every_setting_has_a_sample() -> None:
    """The samples of these tests cover the settings that there are."""
    assert SAMPLES.keys() == {name for name, _section, _spec in declared()}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_setting_is_read_from_the_file(name: str, tmp_path: Path) -> None:
    """Each setting can stand in the file; what it gives says where it came from."""
    text, value = SAMPLES[name]
    file = write_config(tmp_path / "c.ini", {name: text})

    found = {row[0]: row[1:] for row in load(file, environ={}).rows()}

    assert found[name] == (value, f"file {file}")
    assert values(load(environ={}))[name] != value


@pytest.mark.parametrize("name", SAMPLES)
def test_a_setting_is_read_from_the_environment(name: str) -> None:
    """Each setting has an environment name: the documented one, or NOTIFICATIONS_SECTION_KEY."""
    text, value = SAMPLES[name]
    variable = DOCUMENTED[name][1] if name in DOCUMENTED else f"NOTIFICATIONS_{name.replace('.', '_').upper()}"

    found = {row[0]: row[1:] for row in load(environ={variable: text}).rows()}

    assert found[name] == (value, f"environment {variable}")


def test_the_file_beats_the_environment_and_an_option_beats_both(tmp_path: Path) -> None:
    """Environment gives defaults, the file wins, and what a command was told wins over all."""
    file = write_config(tmp_path / "c.ini", {"delivery.timeout": 2, "delivery.batch": 2})
    environ = {f"NOTIFICATIONS_DELIVERY_{key}": "3" for key in ("TIMEOUT", "BATCH", "LEASE")}

    delivery = load(file, environ, {"delivery.batch": "1"}).delivery

    assert (delivery.batch, delivery.timeout, delivery.lease, delivery.jitter) == (1, 2, 3, 0.2)


def test_the_real_environment_is_read_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`get_config` reads the environment at each call where no settings were put in force."""
    found = []
    for attempts in ("4", "5"):
        monkeypatch.setenv("DATABASE_CONNECT_ATTEMPTS", attempts)
        found.append(config.get_config().database.connect_attempts)

    assert found == [4, 5]


def test_settings_in_force_stay_in_force() -> None:
    """What was put in force once is what everybody gets, the same object."""
    settings = load(environ={"DEFAULT_USER": "me"})

    assert config.use(settings) is settings
    assert config.get_config() is settings


def test_the_files_place_comes_from_the_environment_or_is_the_home(tmp_path: Path, home: Path) -> None:
    """NOTIFICATIONS_CONFIG names the file; without it the one of the home is read, which need not exist."""
    write_config(home / "config.ini", {"DEFAULT.default_user": "of the home"})
    named = write_config(tmp_path / "named.ini", {"DEFAULT.default_user": "of the name"})

    assert load(environ={}).default.default_user == "of the home"
    assert load(environ={"NOTIFICATIONS_CONFIG": str(named)}).default.default_user == "of the name"
    assert load(home / "config.ini", {"NOTIFICATIONS_CONFIG": str(named)}).default.default_user == "of the home"


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    """A file that an option or the environment names and that is not there is a fault."""
    absent = str(tmp_path / "absent.ini")

    assert faults(absent) == [f"{absent}: there is no such file"]
    assert faults(environ={"NOTIFICATIONS_CONFIG": absent}) == [f"{absent}: there is no such file"]


def test_the_documented_file_works_word_for_word(tmp_path: Path) -> None:
    """The example that is in everybody's documentation is read as it stands."""
    file = tmp_path / "config.ini"
    file.write_text(
        """[notifications]
; This section describes notification specific configurations

; The policy server endpoint to query
policy_url = http://127.0.0.1:8181

[celery]
; This section contains celery messaging configuration

; The broker url is how messages get passed around
broker_url = pyamqp://

; The backend url is how return results are sent around
backend_url = rpc://

[database]
; This section contains database connection configuration

; peewee_url is defined as the URL PeeWee can consume.
; http://docs.peewee-orm.com/en/latest/peewee/database.html#connecting-using-a-database-url
peewee_url = sqliteext:///db.sqlite3

; connect_attempts are the number of times the service will attempt to
; connect to the database if unavailable.
connect_attempts = 10

; connect_wait are the number of seconds the service will wait between
; connection attempts until a successful connection to the database.
connect_wait = 20
"""
    )

    settings = load(file, environ={})

    assert settings.policy_url == "http://127.0.0.1:8181"
    assert (settings.celery.broker_url, settings.celery.backend_url) == ("pyamqp://", "rpc://")
    assert not settings.embedded
    assert settings.database_url == "sqlite:///db.sqlite3"
    assert (settings.database.connect_attempts, settings.database.connect_wait) == (10, 20)


def test_our_own_example_file_shows_the_defaults(tmp_path: Path) -> None:
    """Every setting stands in the file beside the README, commented out, with its default."""
    shown = (Path(__file__).parents[2] / "config.ini").read_text(encoding="utf-8")
    (tmp_path / "shown.ini").write_text(shown, encoding="utf-8")
    (tmp_path / "set.ini").write_text(re.sub(r"(?m)^;(\w+ =)", r"\1", shown), encoding="utf-8")
    special = {"notifications.policy_url", "database.peewee_url", "targets.profile"}

    as_it_stands, with_all_set = load(tmp_path / "shown.ini", environ={}), load(tmp_path / "set.ini", environ={})

    assert values(as_it_stands) == values(load(environ={}))
    assert with_all_set.sources.keys() == SAMPLES.keys()
    assert {name: value for name, value in values(with_all_set).items() if name not in special} == {
        name: value for name, value in values(load(environ={})).items() if name not in special
    }


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("sqliteext:///a.db", "sqlite:///a.db"),
        ("SqliteExt:////var/a.db", "sqlite:////var/a.db"),
        ("postgres://me@h/db", "postgresql://me@h/db"),
        ("postgresql://me:secret@h:5433/db", "postgresql://me:secret@h:5433/db"),
        ("mysql://me@h/db", "mysql://me@h/db"),
    ],
)
def test_older_names_of_databases_are_read_as_todays(written: str, read: str, tmp_path: Path) -> None:
    """`sqliteext://` and `postgres://` mean what `sqlite://` and `postgresql://` mean."""
    file = write_config(tmp_path / "c.ini", {"database.peewee_url": written})

    assert load(file, environ={}).database_url == read


@pytest.mark.parametrize("password", ["p%40ss", "100%", "%(here)s", "%", "a%%b", "50%;off"])
def test_a_percent_sign_is_nothing_special(password: str, tmp_path: Path) -> None:
    """Values are taken as they stand, whatever ConfigParser would make of a percent sign."""
    url = f"postgresql://me:{password}@h/db"
    file = write_config(tmp_path / "c.ini", {"database.peewee_url": url})

    assert load(file, environ={}).database_url == url


@pytest.mark.parametrize(
    "broker", ["pyamqp://", "amqp://u:p@h:5672/v", "redis://h:6379/0", "sqs://", "filesystem://", "amqp://a;amqp://b"]
)
def test_every_kind_of_broker_is_taken(broker: str) -> None:
    """Whatever Celery knows may be the broker; it needs a worker and asks the policy server by default."""
    settings = load(environ={"BROKER_URL": broker})

    assert settings.celery.broker_url == broker
    assert not settings.embedded
    assert settings.policy_url == "http://localhost:8181"


@pytest.mark.parametrize(
    ("broker", "policy", "asked"),
    [
        ("memory://", None, ""),
        ("memory://", "", ""),
        ("memory://", "http://p:1/", "http://p:1"),
        ("amqp://", None, "http://localhost:8181"),
        ("amqp://", "", ""),
        ("amqp://", "  ", ""),
        ("amqp://", "http://p:1", "http://p:1"),
    ],
)
def test_who_is_asked_depends_on_the_broker_where_nothing_is_said(
    broker: str, policy: str | None, asked: str, tmp_path: Path
) -> None:
    """An explicitly empty policy_url asks nobody; an absent one depends on the broker."""
    written = {"celery.broker_url": broker} | ({} if policy is None else {"notifications.policy_url": policy})

    assert load(write_config(tmp_path / "c.ini", written), environ={}).policy_url == asked


BAD = [
    ("DEFAULT.default_user", "", "must not be empty"),
    ("celery.broker_url", "localhost", "must be a URL such as memory://, amqp://user:password@host//"),
    ("celery.broker_url", "", "must be a URL such as"),
    ("notifications.user_header", "Remote_User", "must be a header name of letters, digits and dashes"),
    ("notifications.user_header", "", "must be a header name"),
    ("notifications.policy_url", "localhost:8181", "must be a URL such as http://localhost:8181"),
    ("notifications.policy_url", "ftp://localhost", "must be a URL such as"),
    ("notifications.policy_url", "http://", "must be a URL such as"),
    ("notifications.policy_url", "http://[::1", "Invalid IPv6 URL"),
    ("notifications.naive_times", "maybe", "must be true or false"),
    ("notifications.naive_times", "", "must be true or false"),
    ("database.peewee_url", "db.sqlite3", "must be a URL that starts with sqlite://, postgresql:// or mysql://"),
    ("database.peewee_url", "oracle://h/db", "must be a URL that starts with"),
    ("database.timeout", "0", "must be from 0.1 to 3600"),
    ("database.peewee_url", "", "must be a URL that starts with"),
    ("database.connect_attempts", "ten", "must be a whole number"),
    ("database.connect_attempts", "1.5", "must be a whole number"),
    ("database.connect_attempts", "0", "must be at least 1"),
    ("database.connect_wait", "-1", "must be from 0 to 1000000000"),
    ("database.connect_wait", "inf", "must be from 0 to 1000000000"),
    ("database.connect_wait", "nan", "must be from 0 to 1000000000"),
    ("receive.max_body", "1 MiB", "must be a whole number"),
    ("receive.max_depth", "301", "must be from 1 to 300"),
    ("receive.on_conflict", "Accept", "must be one of accept, refuse"),
    ("delivery.retry_schedule", "5,soon", "must be seconds separated by commas, such as 5,30,120"),
    ("delivery.retry_schedule", "5;30", "must be seconds separated by commas"),
    ("delivery.retry_schedule", "5,-1", "must hold delays from 0 to 1000000000"),
    ("delivery.retry_schedule", "5,inf", "must hold delays from 0 to 1000000000"),
    ("delivery.retry_schedule", "nan", "must hold delays from 0 to 1000000000"),
    ("delivery.jitter", "20%", "must be a number"),
    ("delivery.jitter", "1", "must be from 0 to 0.9"),
    ("delivery.timeout", "0", "must be from 0.1 to 3600"),
    ("retention.held", "1e12", "must be from 0 to 1000000000"),
    ("retention.events", "-1", "must be from 0 to 1000000000"),
    ("retention.deliveries", "30 days", "must be a number"),
    ("targets.allow", "10.0.0.1/8", "'10.0.0.1/8' is no address range such as 10.20.0.0/16"),
    ("targets.profile", "private", "must be one of public, facility, local"),
    ("targets.deny", "10", "'10' is no address range such as 10.20.0.0/16"),
    ("targets.ports", "http", "'http' is no port such as 443, and no range of them such as 1024-65535"),
    ("targets.ports", "0", "'0' is no port such as 443"),
    ("targets.ports", "90-80", "'90-80' is no port such as 443"),
    ("targets.ports", "1-65536", "'1-65536' is no port such as 443"),
    ("targets.ports", "", "must name a port"),
    ("targets.allow", "example.com", "'example.com' is no address range"),
    ("auth.show", "all", "must be one of never, owner"),
    ("auth.trusted_proxies", "proxy.example.com", "'proxy.example.com' is no address range"),
    ("auth.roles", "operators", "'operators' must be NAME=ROLE, with a new name and one of the roles producer, user"),
    ("auth.roles", "operators=root", "'operators=root' must be NAME=ROLE"),
    ("auth.roles", "user=admin", "'user=admin' must be NAME=ROLE"),
    ("receive.auth", "token", "must be one of none, any"),
    ("auth.jwt_algorithm", "none", "must be one of HS256, HS384, HS512"),
    ("auth.jwt_algorithm", "RS256", "must be one of HS256, HS384, HS512"),
    ("auth.jwt_key", "change-me-" + RANDOM, "must be random"),
    ("auth.jwt_key", "My-Example-" + RANDOM, "must be random"),
    ("auth.proxy_secret", "change me", "must be random: 32 or more visible ASCII characters"),
    ("auth.proxy_secret", f"{RANDOM} {RANDOM}", "must be random"),
    ("auth.proxy_secret", "secret" * 6, "must be random"),
]


@pytest.mark.parametrize(("name", "text", "said"), BAD)
def test_a_bad_value_is_named_with_its_place(name: str, text: str, said: str, tmp_path: Path) -> None:
    """A value that can't be used is refused with file, section and key, or with the variable's name."""
    file = write_config(tmp_path / "c.ini", {name: text})
    section, _, key = name.partition(".")
    variable = next(environment_name(known, spec) for known, _section, spec in declared() if known == name)

    assert [line.partition(said)[0] for line in faults(file)] == [f"{file}: [{section}] {key}: "]
    assert [line.partition(said)[0] for line in faults(environ={variable: text})] == [f"environment: {variable}: "]


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    """Bad values and unknown names in file, environment and options are all in one message, a line each."""
    file = write_config(
        tmp_path / "c.ini",
        {
            "delivery.timeout": "soon",
            "delivery.tiemout": "5",
            "database.max_body": "5",
            "colours.red": "yes",
            "DEFAULT.policy_url": "",
        },
    )
    environ = {"DATABASE_CONNECT_WAIT": "long", "NOTIFICATIONS_DELIVERY_BACTH": "5", "NOTIFICATIONS_OTHER": "kept"}

    found = faults(file, environ=environ, override={"delivery.batch": "0"})

    assert sorted(found) == sorted(
        [
            f"{file}: [delivery] timeout: must be a number",
            f"{file}: [delivery] tiemout: is no setting",
            f"{file}: [database] max_body: is no setting here; did you mean [receive] max_body?",
            f"{file}: [colours] red: is in a section that has no settings",
            f"{file}: [DEFAULT] policy_url: is no setting here; did you mean [notifications] policy_url?",
            "environment: DATABASE_CONNECT_WAIT: must be a number",
            "environment: NOTIFICATIONS_DELIVERY_BACTH: is no setting",
            "command line: delivery.batch: must be from 1 to 1000",
        ]
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"broker_url = memory://\n", "no section headers"),
        (b"[celery]\nbroker_url = a://\nbroker_url = b://\n", "option 'broker_url' in section 'celery' already exists"),
        (b"[celery]\n[celery]\n", "section 'celery' already exists"),
        (b"[celery]\nbroker_url\n", "parsing errors"),
        ("[DEFAULT]\ndefault_user = é\n".encode("latin-1"), "must be UTF-8 text"),
    ],
)
def test_a_file_that_is_no_ini_file_is_a_fault(content: bytes, said: str, tmp_path: Path) -> None:
    """A file that can't be read as INI is named in one line, beside the faults of the environment."""
    file = tmp_path / "c.ini"
    file.write_bytes(content)

    found = faults(file, environ={"DATABASE_CONNECT_WAIT": "long"})

    assert len(found) == 2
    assert found[0].startswith(f"{file}: ")
    assert said in found[0]


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    """A file as some editors write it is read all the same."""
    file = tmp_path / "c.ini"
    file.write_bytes(b"\xef\xbb\xbf[DEFAULT]\r\ndefault_user = me\r\n")

    assert load(file, environ={}).default.default_user == "me"


def test_foreign_variables_are_nobodys_business() -> None:
    """Variables that begin like ours but name no section of ours are left alone."""
    load(environ={"NOTIFICATIONS_CPCONFIG": "x", "NOTIFICATIONS_API_KEY": "x", "DELIVERY_TIMEOUT": "x"})


def test_settings_are_frozen() -> None:
    """Nobody changes a setting after it was read."""
    settings = load(environ={})

    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.delivery.timeout = 1.0  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.delivery = settings.delivery  # type: ignore[misc]


def test_a_secret_shows_nothing_of_itself(tmp_path: Path) -> None:
    """A secret that is printed, in whatever way, is a mask, and what is wrong with one is said without it."""
    file = write_config(tmp_path / "c.ini", {"auth.proxy_secret": RANDOM})
    short = write_config(tmp_path / "short.ini", {"auth.proxy_secret": RANDOM[:31]})

    settings = load(file, environ={})

    assert settings.auth.proxy_secret.text == RANDOM
    assert RANDOM not in f"{settings} {settings.auth.proxy_secret} {settings.auth!r}"
    assert RANDOM[:31] not in "".join(faults(short))


def test_values_are_found_by_their_names_in_the_file() -> None:
    """`get(section, key)` works as scripts written for a ConfigParser expect it, for values in force."""
    settings = load(environ={"DATABASE_CONNECT_WAIT": "3"})

    assert settings.get("database", "connect_wait") == 3
    assert settings.get("DEFAULT", "default_user") == "default_user"
    assert settings.get("notifications", "policy_url") == ""
    with pytest.raises(KeyError, match=r"database\.colour"):
        settings.get("database", "colour")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@h:5432/db", "postgresql://me:***@h:5432/db"),
        ("postgresql://me:se@cret:@h/db", "postgresql://me:***@h/db"),
        ("postgresql://me@h/db", "postgresql://me@h/db"),
        ("redis://:secret@h:6379/0", "redis://:***@h:6379/0"),
        ("amqp://u:secret@h1//;amqp://v:secret@h2//", "amqp://u:***@h1//;amqp://v:***@h2//"),
        (
            "postgresql:///db?user=me&password=secret&sslmode=require",
            "postgresql:///db?user=me&password=***&sslmode=require",
        ),
        ("postgresql://me:sec/ret@h:5432/db", "postgresql://me:***@h:5432/db"),
        ("mysql://h/db?passwd=secret", "mysql://h/db?passwd=***"),
        ("http://localhost:8181", "http://localhost:8181"),
        ("sqlite:////var/db@home:1/a.db", "sqlite:////var/db@home:1/a.db"),
        ("memory://", "memory://"),
    ],
)
def test_passwords_in_urls_are_masked(url: str, shown: str) -> None:
    """A URL is shown without its password, wherever that stands, and otherwise as it is."""
    assert mask_url(url) == shown


#: Texts as they may stand behind `key =`: one line, no space at the ends.
LINES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=20).map(str.strip)
NUMBERS = st.floats(0, 1e9).map(lambda number: (repr(number), number))


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "DEFAULT.default_user": LINES.filter(bool).map(lambda text: (text, text)),
            "celery.backend_url": LINES.map(lambda text: (text, text)),
            "delivery.ca_file": LINES.map(lambda text: (text, text)),
            "database.connect_attempts": st.integers(1, 10**9).map(lambda number: (str(number), number)),
            "database.connect_wait": NUMBERS,
            "delivery.disable_after": NUMBERS,
            "delivery.keep_response": st.booleans().map(lambda flag: (str(flag), flag)),
            "delivery.retry_schedule": st.lists(NUMBERS, max_size=5).map(
                lambda pairs: (", ".join(text for text, _ in pairs), tuple(number for _, number in pairs))
            ),
            "policy.types": st.lists(st.from_regex(r"[a-z*.]{1,9}", fullmatch=True), max_size=3).map(
                lambda words: (",".join(words), tuple(words))
            ),
        },
    )
)
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, written: Mapping[str, tuple[str, Any]]
) -> None:
    """Settings that were written to a file, or put into the environment, are read back exactly."""
    texts = {name: text for name, (text, _value) in written.items()}
    file = write_config(tmp_path_factory.getbasetemp() / "round-trip.ini", texts)
    variables = {name: environment_name(name, spec) for name, _section, spec in declared()}

    from_file = values(load(file, environ={}))
    from_environment = values(load(environ={variables[name]: text for name, text in texts.items()}))

    expected = {name: value for name, (_text, value) in written.items()}
    assert {name: from_file[name] for name in expected} == expected
    assert from_environment == from_file
