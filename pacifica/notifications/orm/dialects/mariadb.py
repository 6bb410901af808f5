"""MariaDB."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, ClassVar

import peewee
from playhouse import pool

from ...config import Settings, require_driver
from ...errors import ConfigError
from .base import CONNECTING, DB, GRACE, PARTS, Dialect, Rested

#: The first version with SKIP LOCKED.
_OLDEST = (10, 6)
#: Errors that end a transaction because of another one: both wait for each other; the other was first to change a row.
_BROKEN_OFF = frozenset((1213, 1020))
#: The bit of the server's status that says so.
_IN_TRANSACTION = 1
#: A savepoint that is gone, with the transaction that was ended.
_NO_SAVEPOINT = 1305
#: Of a row to insert: it is there already; it refers to one that is not there.
_DUPLICATE, _NO_PARENT = 1062, 1452
#: Rights that are missing: to the database, a table, a column, in general.
_DENIED = frozenset((1044, 1142, 1143, 1227))
#: Bytes that a statement may have beside a body.
_BESIDE = 65536
#: What the driver's error says when it waited in vain.
_IN_VAIN = "timed out"


#: What tells a connection that its server went silent, in seconds, and in milliseconds where anything is unanswered.
_SILENCE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 20000}


def _hear_silence(connection: socket.socket) -> None:
    """Let the system find out in seconds that a server went silent, as far as it can; the driver waits for hours."""
    if connection.family in (socket.AF_INET, socket.AF_INET6):
        for name, value in _SILENCE.items():
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _limiting(seconds: float | None) -> str:
    """Give what tells the server how long to go on when nobody waits any more, and how long to hold locks then."""
    whole = "DEFAULT" if seconds is None else math.ceil(seconds)
    return (
        f"SET max_statement_time = {seconds or 0}, innodb_lock_wait_timeout = {whole},"
        f" idle_transaction_timeout = {whole}"
    )


def _wait(connection: Any, seconds: float | None) -> None:
    """Let the driver wait so long for each answer."""
    connection._read_timeout = connection._write_timeout = seconds


class _Connections(peewee.MySQLDatabase):
    """Connections in UTC, which refuse what does not fit and see what is committed; a limit for each statement."""

    #: Seconds.
    limit: float

    def _connect(self) -> Any:
        """Connect; raises ``ConfigError`` for a server that can't do what is needed."""
        connection = super()._connect()
        version = connection.get_server_info()
        if "MariaDB" not in version or self._extract_server_version(version) < _OLDEST:
            connection.close()
            raise ConfigError(
                f"database.peewee_url: the server is {version}; mysql:// is for MariaDB"
                f" {'.'.join(map(str, _OLDEST))} or newer"
            )
        _hear_silence(connection._sock)
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            cursor.execute(
                "SET time_zone = '+00:00', max_error_count = 1000,"
                " sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'"
            )
            cursor.execute(_limiting(self.limit))
        _wait(connection, self.limit + GRACE)
        return connection


class _Database(Rested, pool.PooledMySQLDatabase, _Connections):
    """The pool, with columns wide enough for what the others take: TEXT ends at 64 KiB, DATETIME at seconds."""

    in_vain = _IN_VAIN
    field_types: ClassVar[dict[str, str]] = {
        **peewee.MySQLDatabase.field_types,
        "TEXT": "LONGTEXT",
        "DATETIME": "DATETIME(6)",
    }

    def _is_closed(self, conn: Any) -> bool:
        """Ask it, for all threads wait meanwhile, as briefly as a new connection may take."""
        asked = time.monotonic()
        _wait(conn, CONNECTING)
        closed = super()._is_closed(conn)
        if closed and time.monotonic() - asked >= CONNECTING:
            raise peewee.OperationalError(f"a connection that lay idle {_IN_VAIN}")
        _wait(conn, self.limit + GRACE)
        return closed

    def _can_reuse(self, conn: Any) -> bool:
        """Look at what the server said last; peewee rolls back each time, and lets all threads wait meanwhile."""
        if not conn.open:
            return False
        conn.in_transaction = bool(conn.server_status & _IN_TRANSACTION)
        return super()._can_reuse(conn)


class Mariadb(Dialect):
    """MariaDB, 10.6 or newer: it commits each change of a table by itself, and compares as its collation says."""

    clock = "UTC_TIMESTAMP(6)"
    in_vain = _IN_VAIN
    partial_indexes = False
    triggers = (
        "SELECT trigger_name, event_object_table FROM information_schema.triggers WHERE trigger_schema = DATABASE()"
    )
    rights = "the user of database.peewee_url needs: GRANT ALL ON that database.* TO that user"
    # Binary and without padding: `X1` and `x1` are different ids, and so are `y` and `y `. All of it is said, because a
    # server has defaults of its own; in older row formats an index ends at 191 characters.
    table_settings = (
        "ENGINE=InnoDB",
        "ROW_FORMAT=DYNAMIC",
        "DEFAULT CHARACTER SET utf8mb4",
        "COLLATE utf8mb4_nopad_bin",
    )
    # Nothing can be taken back: the old tables stay as they are until the new ones are complete.
    old, new = "", "dbsync_new_"
    #: The name that an old table has for the moment between the change of names and its end.
    replaced = "dbsync_old_"

    def open(self, parameters: dict[str, Any], settings: Settings) -> peewee.Database:
        """Make the pool."""
        require_driver("pymysql", "mariadb", "database.peewee_url")
        from pymysql.constants import CLIENT

        if "password" in parameters:
            # Else the driver takes it for Latin-1, and fails where it is not.
            parameters["password"] = parameters["password"].encode()
        # Rows are counted that an update found, as other databases do, not only those that it changed.
        defaults = {"connect_timeout": CONNECTING, "client_flag": CLIENT.FOUND_ROWS}
        parameters = {**defaults, **parameters}
        # Of the answers while it connects too.
        parameters["read_timeout"] = parameters["write_timeout"] = parameters["connect_timeout"]
        made = _Database(
            max_connections=settings.database.max_connections, timeout=self.timeout, **parameters, mariadb=True
        )
        made.limit = self.timeout
        return made

    def written(self, column: str) -> str:
        """Put in the dashes, which are not stored."""
        parts = (f"SUBSTR({column}, {start}, {length})" for start, length in PARTS)
        return f"CONCAT_WS('-', {', '.join(parts)})"

    def limit(self, seconds: float | None) -> None:
        """Limit the server, and how long it is waited for."""
        DB.execute_sql(_limiting(seconds))
        _wait(DB.connection(), None if seconds is None else seconds + GRACE)

    def check(self, settings: Settings) -> None:
        """Look whether the server takes a statement with the largest body, in which any character may be escaped."""
        ((packet,),) = DB.execute_sql("SELECT @@max_allowed_packet").fetchall()
        needed = 2 * settings.receive.max_body + _BESIDE
        if packet < needed:
            raise ConfigError(
                f"database.peewee_url: the server takes at most {packet} bytes at once; bodies of receive.max_body ="
                f" {settings.receive.max_body} bytes need max_allowed_packet = {needed} there"
            )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold a lock of the server under the name of the database."""
        name = "CONCAT('pacifica-notifications.', DATABASE())"
        with self.unlimited():
            ((taken,),) = DB.execute_sql(f"SELECT GET_LOCK({name}, 31536000)")
            if taken != 1:
                raise ConfigError("waiting for another dbsync was broken off; nothing was changed: run dbsync again")
            try:
                yield
            except BaseException:
                # It ends with its connection, should that be gone.
                with suppress(Exception):
                    DB.execute_sql(f"SELECT RELEASE_LOCK({name})")
                raise
            DB.execute_sql(f"SELECT RELEASE_LOCK({name})")

    def broke_off(self, error: BaseException) -> bool:
        """Tell a deadlock, and a row that another transaction changed first."""
        # What came of it in a nested transaction, of which MariaDB knows nothing any more.
        while _code(error) == _NO_SAVEPOINT and error.__context__ is not None:
            error = error.__context__
        return _code(error) in _BROKEN_OFF

    def lacks_rights(self, error: Exception) -> bool:
        """Tell it by the number."""
        return super().lacks_rights(error) or _code(error) in _DENIED

    def insert_missing(self, insert: Callable[[], int]) -> int:
        """See to it: it is done with IGNORE, which leaves out more than what is there already."""
        with nullcontext() if DB.in_transaction() else DB.atomic():
            inserted = super().insert_missing(insert)
            for _level, code, text in DB.execute_sql("SHOW WARNINGS").fetchall():
                if code == _NO_PARENT:
                    raise peewee.IntegrityError(code, text)
                if code != _DUPLICATE:
                    raise peewee.DataError(code, text)
        return inserted

    def set_aside(self, names: Iterable[str]) -> None:
        """Leave them where they are, and note what is in them: nothing keeps others from writing there."""
        self._contents = self._sums(list(names))

    def put_in_place(self, old: Sequence[str], new: Sequence[str]) -> None:
        """Change all names at once, which is the moment of the change, and drop the old tables.

        Raises ``ConfigError`` if somebody wrote to them since they were set aside; their names are theirs again.
        """
        moves = [(name, self.replaced + name) for name in old] + [(self.new + name, name) for name in new]
        self._rename(moves)
        if self._sums([self.replaced + name for name in old]) != self._contents:
            self._rename([(later, name) for name, later in reversed(moves)])
            raise ConfigError(
                "the tables were written to during the upgrade, which changed nothing: stop every service and worker of"
                " the older release, and run dbsync again"
            )
        self._drop(self.replaced + name for name in reversed(old))

    def _sums(self, names: Sequence[str]) -> list[int]:
        """Give a number for each table that depends on all that is in it."""
        if not names:
            return []
        return [row[1] for row in DB.execute_sql(f"CHECKSUM TABLE {', '.join(names)} EXTENDED").fetchall()]

    def _rename(self, moves: Sequence[tuple[str, str]]) -> None:
        DB.execute_sql("RENAME TABLE " + ", ".join(f"{name} TO {later}" for name, later in moves))

    def portion(self) -> int:
        """Leave room for characters that are escaped, within what the server takes at once."""
        ((packet,),) = DB.execute_sql("SELECT @@max_allowed_packet").fetchall()
        return min(super().portion(), packet // 4)

    def widen_id(self, table: str) -> None:
        """Widen the column."""
        DB.execute_sql(f"ALTER TABLE {table} MODIFY id BIGINT NOT NULL AUTO_INCREMENT")

    def clear_away(self, names: Sequence[str]) -> None:
        """Drop half-filled new tables, and old ones that were replaced."""
        there = set(DB.get_tables())
        for prefix in (self.replaced, self.new):
            self._drop(prefix + name for name in reversed(names) if prefix + name in there)

    def _drop(self, names: Iterable[str]) -> None:
        for name in names:
            DB.execute_sql(f"DROP TABLE {name}")


def _code(error: BaseException) -> int | None:
    """Give the server's number of an error that peewee wrapped."""
    return next((argument for argument in error.args if isinstance(argument, int)), None)
