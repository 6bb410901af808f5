"""Which keys the stored secrets are sealed with, and sealing them anew with the first one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import peewee

from ..errors import ConfigError
from ..sealing import BEGINNING, key_id
from . import keyring
from .database import repeated, transaction
from .eventmatch import EventMatch

#: Subscriptions that are sealed in one transaction: it takes some milliseconds, in which others wait on SQLite.
ROWS = 100

#: Told how many rows are done, and how many there are.
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Resealed:
    """What was done: how many are sealed anew, and why others could not be opened."""

    done: int = 0
    faults: dict[UUID, str] = field(default_factory=dict)


def require_keys() -> None:
    """See to it that this process can seal and open what is stored; call it within a session.

    Beside an SQLite database a key is made where there is none. Raises ``ConfigError`` that names the setting where the
    key of anything stored is missing, ``NoKey`` where there is none at all. It looks at every subscription once, which
    takes some 100 ms for 100,000.
    """
    foreign = EventMatch.deleted.is_null() & _sealed()
    for known in keyring.ids():
        foreign &= ~_with(known)
    row = EventMatch.select(EventMatch.auth).where(foreign).first()
    if row is not None:
        raise ConfigError(keyring.remedy(key_id(row.auth) or ""))
    keyring.require()


def in_clear() -> int:
    """Count the subscriptions whose auth is stored in clear."""
    return int(EventMatch.select().where(_clear()).count())


def sealed_with() -> dict[str, int]:
    """Count the subscriptions by the key that their auth is sealed with; those of the process come first."""
    found = {known: int(EventMatch.select().where(_with(known)).count()) for known in keyring.ids()}
    while True:
        rest = _sealed()
        for known in found:
            rest &= ~_with(known)
        row = EventMatch.select(EventMatch.auth).where(rest).first()
        if row is None:
            return found
        foreign = key_id(row.auth) or ""
        if foreign in found:
            # Written by nobody of ours: its id does not even end.
            return found
        found[foreign] = int(EventMatch.select().where(_with(foreign)).count()) or 1


def reseal(progress: Progress, clear_only: bool = False) -> Resealed:
    """Seal with the first key what is sealed with another one, and what is in clear; or only the latter.

    Batch by batch, each of them committed: it can be broken off at any point and begun anew, and others may work
    meanwhile. A row that somebody else writes at the same time keeps what they wrote. Raises ``NoKey``.
    """
    if not keyring.ids():
        raise keyring.no_key()
    wanted = _clear()
    if not clear_only:
        wanted |= _sealed() & ~_with(keyring.ids()[0])
    rows, seen, found, after = EventMatch.select().where(wanted).count(), 0, Resealed(), None
    while True:
        progress(seen, rows)
        portion = wanted if after is None else wanted & (EventMatch.uuid > after)
        columns = (EventMatch.uuid, EventMatch.user, EventMatch.auth, EventMatch.revision)
        batch = list(EventMatch.select(*columns).where(portion).order_by(EventMatch.uuid).limit(ROWS))
        if not batch:
            return found
        found.done += _written(batch, found.faults)
        seen, after = min(rows, seen + len(batch)), batch[-1].uuid


@repeated
def _written(batch: Sequence[EventMatch], faults: dict[UUID, str]) -> int:
    """Write rows anew and count them; the revision stays, because what they say does."""
    done = 0
    with transaction():
        for row in batch:
            try:
                value = row.auth_values
            except ValueError as error:
                faults[row.uuid] = str(error) if keyring.sealed(row.auth) else "auth is no JSON"
                continue
            if not value:
                faults[row.uuid] = "auth is no JSON object with members"
                continue
            auth = keyring.stored(value, "auth", row.user, row.uuid)
            # By the revision: a text that is compared is the same as another one to some databases.
            unchanged = (EventMatch.uuid == row.uuid) & (EventMatch.revision == row.revision)
            done += EventMatch.update(auth=auth).where(unchanged).execute()
    return done


def _beginning(text: str) -> peewee.Expression:
    return peewee.fn.SUBSTR(EventMatch.auth, 1, len(text)) == text


def _sealed() -> peewee.Expression:
    return EventMatch.auth.is_null(False) & _beginning(BEGINNING)


def _with(known: str) -> peewee.Expression:
    return EventMatch.auth.is_null(False) & _beginning(f'{BEGINNING}{known}"')


def _clear() -> peewee.Expression:
    """Tell what holds an object with members that is not sealed; what is no object is of no use to anybody."""
    return EventMatch.auth.is_null(False) & _beginning("{") & (EventMatch.auth != "{}") & ~_beginning(BEGINNING)
