"""What every database has to offer beyond what peewee gives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, ClassVar

import peewee

from ...config import Settings
from .silence import SILENCE

#: The database of the process; ``initialize`` says which it is.
DB = peewee.DatabaseProxy()


#: Where the parts of a UUID begin in its 32 digits, counted from 1, and how long they are.
PARTS = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
#: Seconds for which a connection that was given back counts as alive without being asked.
FRESH = 1.0
#: Seconds that a new connection may take.
CONNECTING = 5.0
#: Seconds that a server has beyond ``database.timeout`` to say itself that a statement took too long: one that says so
#: is not silent.
GRACE = 1.0


class Rested:
    """Makes a pool ask a connection whether it is alive only after it lay unused for a while.

    peewee asks each time, and lets all threads wait for the answer. One that died within that second is found out by
    its next statement, as one that dies in use is.
    """

    #: What an error says that ends a wait in vain.
    in_vain: ClassVar[str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool as it is made without this."""
        self._given_back: dict[int, float] = {}
        super().__init__(*args, **kwargs)

    def _connect(self) -> Any:
        """Take or make a connection, one thread after the other; who waited meanwhile need not find out for itself."""
        SILENCE.refuse()
        try:
            return super()._connect()  # type: ignore[misc]
        except Exception as error:
            if self.in_vain in str(error):
                SILENCE.noticed()
            raise

    def _can_reuse(self, conn: Any) -> bool:
        self._given_back[id(conn)] = time.monotonic()
        return bool(super()._can_reuse(conn))  # type: ignore[misc]

    def _is_closed(self, conn: Any) -> bool:
        fresh = time.monotonic() - self._given_back.pop(id(conn), 0.0) < FRESH
        closed = not fresh and bool(super()._is_closed(conn))  # type: ignore[misc]
        if closed:
            # The others are no younger, and asking each may take its time.
            self.close_idle()  # type: ignore[attr-defined]
        return closed


class Dialect:
    """The statements that one database wants in its own way."""

    #: Seconds for which a statement may be without an answer.
    timeout: float
    #: What an error says that ends a wait in vain.
    in_vain: str
    _lifted = threading.local()
    #: An expression that gives the time now by the database's clock: UTC, without a zone.
    clock: str
    #: What lets workers that claim at the same time take different rows; nothing where writers queue anyway.
    skip_locked = "FOR UPDATE SKIP LOCKED"
    #: Whether an index can be limited to some rows.
    partial_indexes = True
    #: What stands behind the columns of every table that is made.
    table_settings: Sequence[str] = ()
    #: What the threads of one process queue at before they write.
    turn: AbstractContextManager[Any] = nullcontext()
    #: Whether rows can be found, written and given in one statement, whose parts see the same rows.
    at_once = False
    #: Stands before a statement that must find its rows by an index, however small the planner takes the table to be.
    by_index = ""
    #: Stands before what claims, with the same meaning; a claim may be lost with the server, for it is made again.
    claiming = ""
    #: Whether times are stored as texts, which ``moment`` reads.
    times_are_texts = False
    #: Whether looking before claiming is cheaper than claiming nothing.
    look_first = False
    #: The collation, as it is written, that compares texts by their code points; none where all texts are compared so.
    by_code_point = ""
    #: Which rights a change of tables needs.
    rights = "the user of database.peewee_url must be allowed to change tables"
    #: Gives the names of triggers, and their tables.
    triggers: str
    #: What stands before the names of tables while others take their place: of the old ones, and of the new ones.
    old, new = "dbsync_old_", ""

    def open(self, parameters: dict[str, Any], settings: Settings) -> peewee.Database:
        """Make the pool of connections; raises ``MissingDriver`` that names the extra."""
        raise NotImplementedError

    def connect(self) -> bool:
        """Open this thread's connection; False if it is open already."""
        return bool(DB.connect(reuse_if_open=True))

    def written(self, column: str) -> str:
        """Give an expression for a column with UUIDs that gives them as they are written, as texts."""
        raise NotImplementedError

    def key(self, written: str) -> str:
        """Give a UUID, as it is written, as a parameter for such a column: without its dashes."""
        return written.replace("-", "")

    def moment(self, value: Any) -> Any:
        """Give a time that a statement of ours gave."""
        return value

    def limit(self, seconds: float | None) -> None:
        """Say how long the statements of this thread's connection may take; None: as long as they take."""
        raise NotImplementedError

    @contextmanager
    def unlimited(self) -> Iterator[None]:
        """Let the statements of this thread take as long as they take; call it outside of a transaction."""
        if getattr(self._lifted, "on", False):
            yield
            return
        self.limit(None)
        self._lifted.on = True
        try:
            yield
        finally:
            self._lifted.on = False
            # A connection that can't be told is dead, and thrown away.
            with suppress(peewee.PeeweeException):
                self.limit(self.timeout)

    def waited_in_vain(self, error: BaseException) -> BaseException | None:
        """Give the error that says so, of one and those that it came of; None if there is none."""
        found: BaseException | None = error
        while found is not None and self.in_vain not in str(found):
            found = found.__context__
        return found

    def check(self, settings: Settings) -> None:
        """Look whether the server's own settings go with ours; raises ``ConfigError``."""

    def alone(self) -> AbstractContextManager[None]:
        """Run a block that no other process runs at the same time: a change of tables.

        It is one transaction where the database can change tables in one.
        """
        raise NotImplementedError

    def broke_off(self, error: BaseException) -> bool:
        """Tell whether the database ended a transaction because another one stood in its way, and both may go on."""
        return False

    def lacks_rights(self, error: Exception) -> bool:
        """Tell whether the user of the database may not do what was tried."""
        return isinstance(error, peewee.ProgrammingError)

    def insert_missing(self, insert: Callable[[], int]) -> int:
        """Do what inserts the rows that break no unique index, leaves out the others, and counts what was inserted."""
        return insert()

    def dependents(self, names: Collection[str]) -> list[str]:
        """Name what somebody else made that hangs on these tables, and would be lost with them."""
        found = [f"the trigger {name}" for name, table in DB.execute_sql(self.triggers).fetchall() if table in names]
        others = [table for table in DB.get_tables() if table not in names]
        referring = [table for table in others if any(key.dest_table in names for key in DB.get_foreign_keys(table))]
        return found + [f"the table {table}" for table in referring]

    def set_aside(self, names: Iterable[str]) -> None:
        """Make room for new tables: give these old ones their names with ``old``."""
        for name in names:
            self._free_names(name)
            DB.execute_sql(f"ALTER TABLE {name} RENAME TO {self.old}{name}")

    def _free_names(self, table: str) -> None:
        """Let what belongs to a new table have the names that an old table uses."""
        raise NotImplementedError

    def put_in_place(self, old: Sequence[str], new: Sequence[str]) -> None:
        """Let the new tables be the only ones; ``old`` are those that were set aside, each after what it refers to."""
        for name in reversed(old):
            DB.execute_sql(f"DROP TABLE {self.old}{name}")

    def open_like(self, table: str, other: str) -> None:
        """Let a table that was added belong to whom another belongs to, and be open to whom that is open to."""

    def portion(self) -> int:
        """Give how many bytes of text one statement may insert, of many rows."""
        return 4_000_000

    def widen_id(self, table: str) -> None:
        """Let the column ``id`` of a table count beyond 2,147,483,647."""
        raise NotImplementedError

    def clear_away(self, names: Sequence[str]) -> None:
        """Drop what an interruption left beside tables of these names, each after what it refers to."""
