"""The connection to the database, and every statement that differs from one database to another."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import Any
from urllib.parse import unquote

import peewee
from playhouse import db_url, pool

from ..config import Settings, get_config, mask_url, require_driver
from ..errors import ConfigError, Unavailable

LOG = logging.getLogger(__name__)

#: The database of the process; ``initialize`` says which it is.
DB = peewee.DatabaseProxy()

#: What is raised when the database is away, restarts, or is too busy to answer.
AWAY = (peewee.OperationalError, peewee.InterfaceError, peewee.InternalError, pool.MaxConnectionsExceeded)


class WrongSchema(peewee.OperationalError):
    """The database answers, but its tables are not those of this release."""


_TIME = "%Y-%m-%d %H:%M:%S.%f"


class Dialect:
    """The statements that one database wants in its own way."""

    #: An expression that gives the time now by the database's clock: UTC, without a zone.
    clock: str
    #: What lets workers that claim at the same time take different rows; nothing where writers queue anyway.
    skip_locked = "FOR UPDATE SKIP LOCKED"
    #: Whether an index can be limited to some rows.
    partial_indexes = True
    #: What the threads of one process queue at before they write.
    turn: AbstractContextManager[Any] = nullcontext()
    #: Whether looking before claiming is cheaper than claiming nothing.
    look_first = False

    def open(self, parameters: dict[str, Any], settings: Settings) -> peewee.Database:
        """Make the pool of connections; raises ``MissingDriver`` that names the extra."""
        raise NotImplementedError

    def connect(self) -> bool:
        """Open this thread's connection; False if it is open already."""
        return bool(DB.connect(reuse_if_open=True))

    def alone(self) -> AbstractContextManager[None]:
        """Run a block as one transaction that no other process runs at the same time: a change of tables."""
        raise NotImplementedError


class Sqlite(Dialect):
    """SQLite: one writer at a time, who takes the lock when the transaction begins."""

    clock = "strftime('%Y-%m-%d %H:%M:%f', 'now')"
    skip_locked = ""
    look_first = True

    def __init__(self) -> None:
        """Let threads queue here: SQLite itself lets them sleep and try again, which takes many times as long."""
        self.turn = RLock()

    def open(self, parameters: dict[str, Any], settings: Settings) -> peewee.Database:
        """Make the pool, and the folder of the file if it is missing; raises ``ConfigError`` if there can't be one."""
        name = parameters.pop("database")
        if name in ("", ":memory:"):
            raise ConfigError("database.peewee_url: must name a file; a database in memory is not shared by threads")
        path = Path(name).expanduser()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"database.peewee_url: can't make the folder {path.parent}: {error.strerror}") from error
        return pool.PooledSqliteDatabase(
            str(path),
            max_connections=settings.database.max_connections,
            timeout=30,
            # FULL: a commit survives the loss of power, not only of the process.
            pragmas={"journal_mode": "wal", "synchronous": "full", "foreign_keys": 1, "busy_timeout": 30000},
            lock_type="IMMEDIATE",
            # The pool hands a connection to one thread at a time, but not always to the same.
            check_same_thread=False,
            **parameters,
        )

    def connect(self) -> bool:
        """Open it; where others turn a new file to its write-ahead log at the same time SQLite itself does not wait."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return super().connect()
            except peewee.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
            time.sleep(0.01)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the write lock."""
        with transaction():
            yield


class Postgresql(Dialect):
    """PostgreSQL."""

    clock = "(clock_timestamp() AT TIME ZONE 'UTC')"
    #: Key of the advisory lock that a change of tables holds; any number that no other application uses.
    lock = 0x70616369

    def open(self, parameters: dict[str, Any], settings: Settings) -> peewee.Database:
        """Make the pool; a server that went silent is found out in seconds."""
        require_driver("psycopg2", "postgresql", "database.peewee_url")
        defaults = {
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20000,
            "application_name": "pacifica-notifications",
        }
        return pool.PooledPostgresqlDatabase(
            max_connections=settings.database.max_connections, timeout=10, **{**defaults, **parameters}
        )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold an advisory lock."""
        with transaction():
            DB.execute_sql("SELECT pg_advisory_xact_lock(%s)", (self.lock,))
            yield


class Mariadb(Dialect):
    """MariaDB and MySQL: the name is known, its tables are not made by this release."""

    clock = "UTC_TIMESTAMP(6)"
    partial_indexes = False

    def open(self, parameters: dict[str, Any], settings: Settings) -> peewee.Database:
        """Refuse, after the driver was looked for."""
        require_driver("pymysql", "mariadb", "database.peewee_url")
        raise ConfigError("database.peewee_url: mysql:// is not supported by this release; use postgresql://")


_DIALECTS: Mapping[str, type[Dialect]] = {"sqlite": Sqlite, "postgresql": Postgresql, "mysql": Mariadb}
_dialect: Dialect = Sqlite()


def dialect() -> Dialect:
    """Give the dialect of the database that is in use."""
    return _dialect


def initialize(settings: Settings | None = None) -> None:
    """Say which database the process uses; opens no connection.

    Raises ``ConfigError`` for a URL that can't be used and ``MissingDriver`` that names the extra.
    """
    global _dialect
    settings = settings or get_config()
    url = settings.database_url
    _dialect = _DIALECTS[url.partition("://")[0]]()
    try:
        parameters = db_url.parse(url)
    except ValueError:
        remedy = "is no URL; percent-encode what a user or password has of /, @, : and #"
        raise ConfigError(f"database.peewee_url: {mask_url(url)} {remedy}") from None
    for name in ("user", "password"):
        if name in parameters:
            parameters[name] = unquote(parameters[name])
    DB.initialize(_dialect.open(parameters, settings))


def initialized() -> bool:
    """Tell whether the process knows its database."""
    return DB.obj is not None


def disconnect() -> None:
    """Close every connection of the process, as before a fork; the next session opens a new one."""
    DB.close_all()


@contextmanager
def session() -> Iterator[None]:
    """Hold a connection of the pool for the block; nested, the outer one serves.

    Raises ``Unavailable`` when the database does not answer. The connection is then thrown away, and those that lie
    idle with it, because they are as dead.
    """
    if not initialized():
        initialize()
    try:
        mine = _dialect.connect()
        try:
            yield
        except WrongSchema:
            raise
        except AWAY:
            if mine:
                DB.manual_close()
                DB.close_idle()
            raise
        finally:
            if mine and not DB.is_closed():
                DB.close()
    except WrongSchema:
        raise
    except AWAY as error:
        raise Unavailable(f"the database does not answer ({_first_line(error)})") from error


@contextmanager
def transaction() -> Iterator[None]:
    """Run the block as one transaction; nested, it is a part of the outer one that fails alone."""
    with _dialect.turn, DB.atomic():
        yield


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def wait_until_up(settings: Settings) -> None:
    """Wait for the database as long as ``connect_attempts`` and ``connect_wait`` say.

    Raises ``Unavailable`` after the last attempt.
    """
    attempts, wait = settings.database.connect_attempts, settings.database.connect_wait
    for attempt in range(1, attempts + 1):
        try:
            with session():
                DB.execute_sql("SELECT 1")
            return
        except Unavailable as error:
            if attempt == attempts:
                place = mask_url(settings.database_url)
                raise Unavailable(f"{error}; gave up after {attempts} attempts on {place}") from error
            LOG.warning("database.waiting attempt=%s of=%s wait=%s error=%s", attempt, attempts, wait, error)
            time.sleep(wait)


def now() -> datetime:
    """Give the time by the database's clock: UTC, without a zone."""
    value = DB.execute_sql(f"SELECT {_dialect.clock}").fetchone()[0]
    return value if isinstance(value, datetime) else datetime.strptime(value, _TIME)  # noqa: DTZ007 - times are UTC without a zone here


def clock() -> peewee.SQL:
    """Give the expression for the time by the database's clock, for use inside a statement."""
    return peewee.SQL(_dialect.clock)


def claim(
    model: type[peewee.Model], due: peewee.Expression, order: peewee.Field, limit: int, values: Mapping[str, Any]
) -> list[Any]:
    """Write ``values`` into at most ``limit`` rows that are due and that nobody else is claiming, and give them.

    One short transaction; the caller holds no lock when it returns.
    """
    key = model._meta.primary_key
    if _dialect.look_first and not model.select(key).where(due).exists():
        return []
    wanted = model.select().where(due).order_by(order).limit(limit)
    if _dialect.skip_locked:
        wanted = wanted.for_update(_dialect.skip_locked)
    with transaction():
        rows = list(wanted)
        if rows:
            model.update(**values).where(key.in_([getattr(row, key.name) for row in rows])).execute()
    for row in rows:
        for name, value in values.items():
            setattr(row, name, value)
    return rows


def locking(query: peewee.ModelSelect) -> peewee.ModelSelect:
    """Let a query lock its rows until the transaction ends, where writers do not queue anyway."""
    return query.for_update() if _dialect.skip_locked else query


def insert_missing(model: type[peewee.Model], rows: list[dict[str, Any]]) -> int:
    """Insert the rows that break no unique index, leave out the others, and count what was inserted."""
    if not rows:
        return 0
    return int(model.insert_many(rows).on_conflict_ignore().as_rowcount().execute())
