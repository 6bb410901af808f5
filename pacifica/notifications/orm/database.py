"""The connection to the database: opened, held, given back; and what is asked of any table."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import unquote

import peewee
from playhouse import db_url, pool

from .. import signingkeys
from ..config import Settings, get_config, mask_url
from ..errors import ConfigError, Unavailable
from ..signing.keys import SigningKey
from . import keyring
from .dialects import DB as DB
from .dialects import DIALECTS, SILENCE, Dialect, Sqlite

LOG = logging.getLogger(__name__)

#: What is raised when the database is away, restarts, or is too busy to answer.
AWAY = (peewee.OperationalError, peewee.InterfaceError, peewee.InternalError, pool.MaxConnectionsExceeded)


class WrongSchema(peewee.OperationalError):
    """The database answers, but its tables are not those of this release."""


P = ParamSpec("P")
T = TypeVar("T")

#: How often a transaction is begun anew that the database broke off.
_TRIES = 10

_TIME = "%Y-%m-%d %H:%M:%S.%f"


_dialect: Dialect = Sqlite()


def dialect() -> Dialect:
    """Give the dialect of the database that is in use."""
    return _dialect


def initialize(settings: Settings | None = None) -> None:
    """Say which database the process uses, and read the keys that seal and sign; opens no connection.

    Raises ``ConfigError`` for a URL or keys that can't be used and ``MissingDriver`` that names the extra.
    """
    global _dialect
    settings = settings or get_config()
    url = settings.database_url
    _dialect = DIALECTS[url.partition("://")[0]]()
    _dialect.timeout = settings.database.timeout
    SILENCE.forget()
    try:
        parameters = db_url.parse(url)
    except ValueError:
        remedy = "is no URL; percent-encode what a user or password has of /, @, : and #"
        raise ConfigError(f"database.peewee_url: {mask_url(url)} {remedy}") from None
    # An older name of it, which peewee has for MariaDB's driver.
    if "passwd" in parameters:
        parameters["password"] = parameters.pop("passwd")
    for name in ("user", "password"):
        if name in parameters:
            parameters[name] = unquote(parameters[name])
    DB.initialize(_dialect.open(parameters, settings))
    is_file = url.startswith("sqlite:")
    keyring.use(settings.secrets, Path(f"{DB.database}.key") if is_file else None)
    signingkeys.use(settings.signing, Path(f"{DB.database}.signing") if is_file else None)


def initialized() -> bool:
    """Tell whether the process knows its database."""
    return DB.obj is not None


def signing_keys() -> tuple[SigningKey, ...]:
    """Give the keys with which the service signs, which are read with those that seal."""
    if not initialized():
        initialize()
    return signingkeys.of_service()


def disconnect() -> None:
    """Close every connection of the process, as before a fork; the next session opens a new one."""
    DB.close_all()


@contextmanager
def session() -> Iterator[None]:
    """Hold a connection of the pool for the block; nested, the outer one serves.

    Raises ``Unavailable`` when the database does not answer within ``database.timeout``. The connection is then thrown
    away, and those that lie idle with it, because they are as dead. After a wait in vain only one thread at a time
    asks again, and the others are refused at once.
    """
    if not initialized():
        initialize()
    try:
        with _held() if DB.is_closed() else nullcontext():
            yield
    except WrongSchema:
        raise
    except AWAY as error:
        reason = said(_dialect.waited_in_vain(error) or error)
        raise Unavailable(f"the database does not answer ({reason})") from error


@contextmanager
def _held() -> Iterator[None]:
    with SILENCE.respected():
        try:
            _dialect.connect()
            yield
        except WrongSchema:
            raise
        except (*AWAY, Unavailable) as error:
            if _dialect.waited_in_vain(error):
                SILENCE.noticed()
            DB.manual_close()
            DB.close_idle()
            raise
        finally:
            if not DB.is_closed():
                DB.close()


@contextmanager
def unlimited() -> Iterator[None]:
    """Let the statements of the block take longer than ``database.timeout``; call it within a session."""
    with _dialect.unlimited():
        yield


@contextmanager
def transaction() -> Iterator[None]:
    """Run the block as one transaction; nested, it is a part of the outer one that fails alone."""
    with _dialect.turn:
        _still_heard()
        with DB.atomic():
            yield


@contextmanager
def one_statement() -> Iterator[None]:
    """Run a block of one statement that writes: alone it is a transaction, and takes one answer instead of three."""
    with _dialect.turn:
        _still_heard()
        yield


def _still_heard() -> None:
    """Refuse those who waited for their turn while another one waited in vain."""
    if not DB.in_transaction():
        SILENCE.refuse()


def said(error: BaseException) -> str:
    """Give what the database says of an error, in one line, without the number that MariaDB's driver puts before it."""
    text = error.args[-1] if error.args else ""
    return str(text).strip().partition("\n")[0] or type(error).__name__


def wait_until_up(settings: Settings) -> None:
    """Wait for the database as long as ``connect_attempts`` and ``connect_wait`` say.

    Raises ``Unavailable`` after the last attempt, ``ConfigError`` for a server that can't be used as it is.
    """
    attempts, wait = settings.database.connect_attempts, settings.database.connect_wait
    for attempt in range(1, attempts + 1):
        # Nobody else asks yet.
        SILENCE.forget()
        try:
            with session():
                DB.execute_sql("SELECT 1")
                _dialect.check(settings)
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


def repeated(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function that is one transaction begin anew when the database broke it off in favour of another.

    Within a larger transaction it fails at once, because all of that is broken off.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        for tried in range(_TRIES):
            within = DB.in_transaction()
            try:
                return function(*args, **kwargs)
            except AWAY as error:
                if within or tried == _TRIES - 1 or not _dialect.broke_off(error):
                    raise
            # Not in step with the others, and out of their way when there are many.
            time.sleep(random.uniform(0, min(0.01 * 2**tried, 0.5)))  # noqa: S311 - no secret
        raise AssertionError  # the last try has returned or raised

    return run


@repeated
def locking(query: peewee.ModelSelect) -> peewee.ModelSelect:
    """Let a query lock its rows until the transaction ends, where writers do not queue anyway."""
    return query.for_update() if _dialect.skip_locked else query


def insert_missing(model: type[peewee.Model], rows: list[dict[str, Any]]) -> int:
    """Insert the rows that break no unique index, leave out the others, and count what was inserted.

    Outside a transaction it is one of its own, which spares the database's word about its begin and end.
    """
    if not rows:
        return 0
    with _dialect.turn:
        _still_heard()
        insert = model.insert_many(rows).on_conflict_ignore().as_rowcount()
        return _dialect.insert_missing(lambda: int(insert.execute()))
