"""The schema: which version a database has, and how it gets to ours."""

from __future__ import annotations

from typing import ClassVar

import peewee

from ..config import get_config
from ..errors import ConfigError, Unavailable
from .base import BaseModel
from .database import DB, WrongSchema, dialect, insert_missing, session, wait_until_up
from .eventlog import EventLog
from .eventlogmatch import DeliveryAttempt, EventLogMatch
from .eventmatch import EventMatch, SubscriptionRevision
from .gateanswer import GateAnswer
from .worker import Worker

Version = tuple[int, int]


class NotificationSystem(BaseModel):
    """The version of the schema: one row for ``major``, one for ``minor``."""

    part = peewee.CharField(primary_key=True)
    value = peewee.IntegerField(default=-1)

    @classmethod
    def get_version(cls) -> Version:
        """Give the version that the database has; without a table it is (0, 0)."""
        with session():
            parts = {row.part: row.value for row in cls.select()} if cls.table_exists() else {}
        return parts.get("major", 0), parts.get("minor", 0)

    @classmethod
    def get_or_create_version(cls) -> Version:
        """Give the version, and record ours where none is recorded."""
        for part, value in zip(("major", "minor"), OrmSync.versions[-1], strict=True):
            cls.get_or_create(part=part, defaults={"value": value})
        return cls.get_version()

    @classmethod
    def is_equal(cls) -> bool:
        """Tell whether the database has exactly the schema of this release."""
        return cls.get_version() == OrmSync.versions[-1]

    @classmethod
    def is_safe(cls) -> bool:
        """Tell whether this release can use the database: the same major version, at least its minor version."""
        major, minor = cls.get_version()
        ours = OrmSync.versions[-1]
        return major == ours[0] and minor >= ours[1]


TABLES = (
    SubscriptionRevision,
    EventMatch,
    EventLog,
    EventLogMatch,
    DeliveryAttempt,
    GateAnswer,
    Worker,
    NotificationSystem,
)


class OrmSync:
    """Brings a database to the schema of this release."""

    #: Every version there was, oldest first; the last one is ours.
    versions: ClassVar[list[Version]] = [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)]

    @classmethod
    def dbconn_blocking(cls) -> None:
        """Wait for the database as the settings say; raises ``peewee.OperationalError`` when it stays away."""
        try:
            wait_until_up(get_config())
        except Unavailable as error:
            raise peewee.OperationalError(str(error)) from error

    @classmethod
    def is_empty(cls) -> bool:
        """Tell whether the database has none of our tables."""
        return not any(model.table_exists() for model in TABLES)

    @classmethod
    def update_tables(cls) -> bool:
        """Make the tables where there are none; False if they were there. Two at once do no harm.

        Raises ``peewee.OperationalError`` for a schema that this release can't upgrade.
        """
        with session(), dialect().alone():
            if cls.is_empty():
                try:
                    cls._create()
                except peewee.ProgrammingError as error:
                    reason = str(error).strip().partition("\n")[0]
                    raise ConfigError(
                        f"the tables can't be made: {reason}; in PostgreSQL the user of database.peewee_url needs:"
                        " GRANT CREATE ON SCHEMA public TO that user"
                    ) from error
                return True
            found = NotificationSystem.get_version()
            if found < cls.versions[-1]:
                raise WrongSchema(f"the database has schema {found[0]}.{found[1]}; this release can't upgrade it yet")
            require_schema()
            return False

    @classmethod
    def _create(cls) -> None:
        DB.create_tables(TABLES, safe=True)
        # What is waiting is found by these; finished rows are not in them where the database can leave them out.
        for field in (EventLog.route_at, EventLogMatch.next_attempt_at):
            where = field.is_null(False) if dialect().partial_indexes else None
            DB.execute(field.model.index(field, where=where))
        unfinished = EventLogMatch.finished.is_null() if dialect().partial_indexes else None
        DB.execute(EventLogMatch.index(EventLogMatch.event_match, EventLogMatch.finished, where=unfinished))
        insert_missing(SubscriptionRevision, [{"id": 1, "value": 0}])
        NotificationSystem.get_or_create_version()


def described() -> str:
    """Say which schema the database has, which one is needed, and what to do."""
    found, ours = NotificationSystem.get_version(), OrmSync.versions[-1]
    wanted = f"{ours[0]}.{ours[1]}"
    if OrmSync.is_empty():
        return f"the database has no tables yet; make them with: pacifica-notifications-cmd dbsync (schema {wanted})"
    shown = f"{found[0]}.{found[1]}"
    if found > ours:
        return f"the database has schema {shown}, newer than this release's {wanted}; install a newer release"
    return f"the database has schema {shown}, older than {wanted}; upgrade it with: pacifica-notifications-cmd dbsync"


def require_schema() -> None:
    """Raise ``peewee.OperationalError`` that names the remedy unless this release can use the database."""
    if not NotificationSystem.is_safe():
        raise WrongSchema(described())
