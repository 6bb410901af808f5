"""The schema: which version a database has, and how it gets to ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import peewee

from ..config import get_config
from ..errors import ConfigError, Unavailable
from . import upgrade
from .base import BaseModel
from .database import WrongSchema, dialect, said, session, wait_until_up
from .eventlog import EventLog
from .eventlogmatch import DeliveryAttempt, EventLogMatch
from .eventmatch import EventMatch, SubscriptionRevision
from .gateanswer import GateAnswer
from .targetstate import TargetState
from .token import Token
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
    TargetState,
    Worker,
    Token,
    NotificationSystem,
)


@dataclass(frozen=True, slots=True)
class Synced:
    """What was done to the tables: the version that was found, None if there were none, and the one that is there.

    ``found`` counts what an upgrade could not take over as it was, by what is said of it.
    """

    before: Version | None
    now: Version
    found: Mapping[str, int]

    @property
    def changed(self) -> bool:
        """Tell whether anything was done."""
        return self.before != self.now


class OrmSync:
    """Brings a database to the schema of this release."""

    #: Every version there was, oldest first; the last one is ours.
    versions: ClassVar[list[Version]] = [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (4, 1), (4, 2), (4, 3), (4, 4), (4, 5)]

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
    def update_tables(cls, timezone: str | None = None, progress: upgrade.Progress | None = None) -> Synced:
        """Make the tables where there are none, upgrade those of older releases; repeatable, two at once do no harm.

        ``timezone`` names the zone of the times in tables before 4.0, by default the machine's. Where the database
        can, all is one transaction; in MariaDB an interruption leaves the old tables as they were.

        Raises ``ConfigError`` for an unknown zone and where rights are missing, ``peewee.OperationalError`` for a
        schema that is newer than this release or unknown to it.
        """
        passage = upgrade.Passage(upgrade.zone_of(timezone), progress or upgrade.silent)
        with session(), dialect().alone():
            dialect().clear_away([model._meta.table_name for model in TABLES])
            before = None if cls.is_empty() else NotificationSystem.get_version()
            if before is not None and before >= cls.versions[-1]:
                require_schema()
                return Synced(before, before, {})
            try:
                cls._upgrade(before, passage)
            except peewee.DatabaseError as error:
                if dialect().broke_off(error):
                    raise ConfigError(
                        "another program uses the tables: stop every service and worker of the older release, and run"
                        " dbsync again; nothing was changed"
                    ) from error
                if not dialect().lacks_rights(error):
                    raise
                raise ConfigError(f"the tables can't be made: {said(error)}; {dialect().rights}") from error
            return Synced(before, cls.versions[-1], dict(passage.found))

    @classmethod
    def _upgrade(cls, before: Version | None, passage: upgrade.Passage) -> None:
        """Take every step that is left."""
        if before is None:
            upgrade.make_4_0()
            before = (4, 0)
        elif before < (4, 0):
            if SubscriptionRevision.table_exists():
                raise WrongSchema(
                    f"the database says that it has schema {_shown(before)}, and has tables of a later one; nothing was"
                    " changed: restore a copy of it, or correct the rows of notificationsystem"
                )
            upgrade.refuse_stranger()
            # The older steps look for what is missing: what an interrupted one recorded may not be what it did.
            before = cls.versions[0]
        at = cls.versions.index(before)
        for (major, minor), later in pairwise(cls.versions[at:]):
            step = getattr(cls, f"update_{major}_{minor}_to_{later[0]}_{later[1]}")
            step(passage)

    @classmethod
    def _step(cls, step: Callable[[upgrade.Passage], None], passage: upgrade.Passage | None) -> None:
        with session(), dialect().alone():
            step(passage or upgrade.Passage())

    @classmethod
    def update_0_0_to_1_0(cls, passage: upgrade.Passage | None = None) -> None:
        """Record the version."""
        cls._step(upgrade.make_version_table, passage)

    @classmethod
    def update_1_0_to_2_0(cls, passage: upgrade.Passage | None = None) -> None:
        """Add ``auth`` to subscriptions."""
        cls._step(upgrade.add_auth, passage)

    @classmethod
    def update_2_0_to_3_0(cls, passage: upgrade.Passage | None = None) -> None:
        """Make the log of events and of what became of them."""
        cls._step(upgrade.make_log_tables, passage)

    @classmethod
    def update_3_0_to_4_0(cls, passage: upgrade.Passage | None = None) -> None:
        """Write every row anew, times in UTC, all that is logged as ended."""
        cls._step(upgrade.move_to_4_0, passage)

    @classmethod
    def update_4_0_to_4_1(cls, passage: upgrade.Passage | None = None) -> None:
        """Let events be found by the time when they were accepted, and ids be 64 bits wide."""
        cls._step(upgrade.widen, passage)

    @classmethod
    def update_4_1_to_4_2(cls, passage: upgrade.Passage | None = None) -> None:
        """Let subscriptions be retried, limited and ordered each in its way, and deliveries queue in lanes."""
        cls._step(upgrade.open_lanes, passage)

    @classmethod
    def update_4_2_to_4_3(cls, passage: upgrade.Passage | None = None) -> None:
        """Let events keep their content mode, and subscriptions say which one they want, of which version."""
        cls._step(upgrade.add_modes, passage)

    @classmethod
    def update_4_3_to_4_4(cls, passage: upgrade.Passage | None = None) -> None:
        """Let subscriptions say how what they are sent is signed."""
        cls._step(upgrade.add_signing, passage)

    @classmethod
    def update_4_4_to_4_5(cls, passage: upgrade.Passage | None = None) -> None:
        """Let callers have tokens."""
        cls._step(upgrade.add_tokens, passage)


def described() -> str:
    """Say which schema the database has, which one is needed, and what to do."""
    found, ours = NotificationSystem.get_version(), OrmSync.versions[-1]
    wanted = _shown(ours)
    if OrmSync.is_empty():
        return f"the database has no tables yet; make them with: pacifica-notifications-cmd dbsync (schema {wanted})"
    shown = _shown(found)
    if found > ours:
        return f"the database has schema {shown}, newer than this release's {wanted}; install a newer release"
    return f"the database has schema {shown}, older than {wanted}; upgrade it with: pacifica-notifications-cmd dbsync"


def _shown(version: Version) -> str:
    return f"{version[0]}.{version[1]}"


def require_schema() -> None:
    """Raise ``peewee.OperationalError`` that names the remedy unless this release can use the database."""
    if not NotificationSystem.is_safe():
        raise WrongSchema(described())
