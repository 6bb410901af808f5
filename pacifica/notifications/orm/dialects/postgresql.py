"""PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import peewee
from playhouse import pool

from ...config import Settings, require_driver
from ...errors import ConfigError
from .base import CONNECTING, DB, GRACE, Dialect, Rested

#: What an error says that ends a wait in vain (``waiting``).
_IN_VAIN = "said nothing for"


class _Connections(peewee.PostgresqlDatabase):
    """Connections with a limit for each statement."""

    #: Seconds, and whether the server is told as well.
    limits: tuple[float, bool]

    def _connect(self) -> Any:
        """Connect, and set the limit."""
        connection = super()._connect()
        seconds, told = self.limits
        if told:
            with connection.cursor() as cursor:
                cursor.execute(_limiting(seconds))
        connection.limit = seconds + GRACE
        return connection


def _limiting(seconds: float | None) -> str:
    """Give what tells the server how long to go on when nobody waits any more, and how long to hold locks then."""
    milliseconds = int((seconds or 0) * 1000)
    return f"SET statement_timeout = {milliseconds}; SET idle_in_transaction_session_timeout = {milliseconds}"


class _Database(Rested, pool.PooledPostgresqlDatabase, _Connections):
    """The pool."""

    in_vain = _IN_VAIN


class Postgresql(Dialect):
    """PostgreSQL."""

    clock = "(clock_timestamp() AT TIME ZONE 'UTC')"
    rights = (
        "in PostgreSQL the user of database.peewee_url must own the tables that are there and needs:"
        " GRANT CREATE ON SCHEMA public TO that user"
    )
    in_vain = _IN_VAIN
    at_once = True
    by_code_point = '"C"'
    #: For the transaction alone, also where the two statements are all of it. A table that has just been filled has no
    #: statistics: a batch of 200 deliveries took ten times as long, read from front to end for each of its targets.
    by_index = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; "
    #: Nobody waits for the disk: what a crash of the server takes back is due again, as after one of the worker.
    claiming = f"{by_index}SET LOCAL synchronous_commit = off; "
    #: Key of the advisory lock that a change of tables holds; any number that no other application uses.
    lock = 0x70616369

    def open(self, parameters: dict[str, Any], settings: Settings) -> peewee.Database:
        """Make the pool; a server that went silent is found out in seconds."""
        require_driver("psycopg2", "postgresql", "database.peewee_url")
        # Here, because the driver need not be installed.
        from .waiting import connection_class

        defaults = {
            "connect_timeout": CONNECTING,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20000,
            "application_name": "pacifica-notifications",
        }
        parameters = {**defaults, **parameters}
        connecting = float(parameters.pop("connect_timeout"))
        made = _Database(
            max_connections=settings.database.max_connections,
            timeout=self.timeout,
            connection_factory=connection_class(connecting if connecting > 0 else None),
            **parameters,
        )
        # Not as options of the connection, which poolers between refuse; an operator's own are left alone.
        made.limits = self.timeout, "options" not in parameters
        return made

    def written(self, column: str) -> str:
        """Let the server write it: the driver makes objects of what it knows to be a UUID."""
        return f"{column}::text"

    def key(self, written: str) -> str:
        """Give it as it is."""
        return written

    def limit(self, seconds: float | None) -> None:
        """Limit the server, and how long it is waited for."""
        _seconds, told = DB.limits
        if told:
            DB.execute_sql(_limiting(seconds))
        DB.connection().limit = None if seconds is None else seconds + GRACE

    def check(self, settings: Settings) -> None:
        """Look whether the database takes every character."""
        ((encoding,),) = DB.execute_sql("SHOW server_encoding").fetchall()
        if encoding != "UTF8":
            raise ConfigError(
                f"database.peewee_url: the database has the encoding {encoding}, which can't hold every character; make"
                " one with: createdb --encoding=UTF8 --template=template0 NAME, and move what is in this one with"
                " pg_dump and psql"
            )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold an advisory lock."""
        with self.unlimited(), DB.atomic():
            DB.execute_sql("SELECT pg_advisory_xact_lock(%s)", (self.lock,))
            yield

    def broke_off(self, error: BaseException) -> bool:
        """Tell a deadlock."""
        return isinstance(error, peewee.OperationalError) and "deadlock detected" in str(error)

    def dependents(self, names: Collection[str]) -> list[str]:
        """Ask the catalogue, which knows views of both kinds, and tables of other schemas."""
        hanging = (
            "WITH ours AS (SELECT unnest(%s::regclass[])::oid AS oid)"
            " SELECT CASE relkind WHEN 'r' THEN 'the table ' ELSE 'the view ' END || hanging.oid::regclass"
            " FROM pg_class AS hanging WHERE oid IN ("
            "SELECT conrelid FROM pg_constraint WHERE contype = 'f' AND confrelid IN (SELECT oid FROM ours)"
            " UNION SELECT ev_class FROM pg_rewrite JOIN pg_depend ON objid = pg_rewrite.oid"
            " WHERE classid = 'pg_rewrite'::regclass AND refclassid = 'pg_class'::regclass"
            " AND refobjid IN (SELECT oid FROM ours)"
            ") AND oid NOT IN (SELECT oid FROM ours)"
            " UNION SELECT 'the trigger ' || tgname FROM pg_trigger"
            " WHERE NOT tgisinternal AND tgrelid IN (SELECT oid FROM ours)"
        )
        return [name for (name,) in DB.execute_sql(hanging, (list(names),)).fetchall()]

    def set_aside(self, names: Iterable[str]) -> None:
        """Rename them; whatever still writes to them waits, and then fails."""
        for name in names:
            DB.execute_sql(f"LOCK TABLE {name}")
        super().set_aside(names)

    def put_in_place(self, old: Sequence[str], new: Sequence[str]) -> None:
        """Let the new tables belong to whom the old ones belonged to, and be open to whom those were open to."""
        added = [name for name in new if name not in old]
        for name in old:
            self._give(new, self.old + name)
            # What is open to somebody of the subscriptions is, of the tables that were not there before.
            opened = [name, *(added if name == "eventmatch" else [])]
            for right, role in self._open(opened, self.old + name):
                if right == "INSERT" and name == "eventmatch":
                    DB.execute_sql(f"GRANT USAGE ON SEQUENCE deliveryattempt_id_seq, gateanswer_id_seq TO {role}")
        super().put_in_place(old, new)

    def open_like(self, table: str, other: str) -> None:
        """Give it away, and grant the rights."""
        self._give([table], other)
        self._open([table], other)

    def _give(self, tables: Iterable[str], other: str) -> None:
        """Let tables belong to whom another belongs to."""
        owner, me = DB.execute_sql(
            "SELECT quote_ident(pg_get_userbyid(relowner)), quote_ident(current_user::text) FROM pg_class"
            " WHERE oid = %s::regclass",
            (other,),
        ).fetchone()
        if owner != me:
            for table in tables:
                DB.execute_sql(f"ALTER TABLE {table} OWNER TO {owner}")

    def _open(self, tables: Iterable[str], other: str) -> list[tuple[str, str]]:
        """Let tables be open to whom another is open to, and give the rights, each with whose it is."""
        granted: list[tuple[str, str]] = DB.execute_sql(
            "SELECT privilege_type, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END"
            " FROM pg_class, aclexplode(relacl) WHERE oid = %s::regclass AND grantee <> relowner",
            (other,),
        ).fetchall()
        for right, role in granted:
            for table in tables:
                DB.execute_sql(f"GRANT {right} ON {table} TO {role}")
        return granted

    def widen_id(self, table: str) -> None:
        """Widen the column, and what counts for it."""
        DB.execute_sql(f"ALTER TABLE {table} ALTER COLUMN id TYPE BIGINT")
        DB.execute_sql(f"ALTER SEQUENCE {table}_id_seq AS BIGINT")

    def _free_names(self, table: str) -> None:
        """Rename indexes and drop references: a name that is taken makes PostgreSQL choose another."""
        for index in DB.get_indexes(table):
            DB.execute_sql(f'ALTER INDEX "{index.name}" RENAME TO "{self.old}{index.name}"')
        references = "SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = %s::regclass"
        for (name,) in DB.execute_sql(references, (table,)).fetchall():
            DB.execute_sql(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
