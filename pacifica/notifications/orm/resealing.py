"""Which keys the stored secrets are sealed with, and sealing them anew with the first one."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import reduce
from uuid import UUID

import peewee

from .. import signingkeys
from ..errors import BrokenSeal, ConfigError
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

    Beside an SQLite database a key is made where there is none, and one to sign with. Raises ``ConfigError`` that names
    the setting where the key of anything stored is missing, ``NoKey`` where there is none at all. It looks at every
    subscription once, which takes some 100 ms for 100,000.
    """
    found = _foreign(keyring.ids(), EventMatch.deleted.is_null())
    if found:
        raise ConfigError(keyring.remedy(found[0]))
    keyring.require()
    signingkeys.provide()


def in_clear() -> int:
    """Count the subscriptions of which a secret is stored in clear."""
    return int(EventMatch.select().where(_any(_clear)).count())


def sealed_with() -> dict[str, int]:
    """Count the subscriptions by the keys that their secrets are sealed with; those of the process come first."""
    found = {known: _count(known) for known in keyring.ids()}
    while foreign := _foreign(found):
        for key in foreign:
            found[key] = _count(key) or 1
    return found


def _count(key: str) -> int:
    return int(EventMatch.select().where(_any(lambda column: _with(column, key))).count())


def _foreign(known: Collection[str], where: peewee.Expression | None = None) -> list[str]:
    """Give the ids of other keys that one of the rows is sealed with, none if there is no such row."""

    def is_foreign(column: peewee.Field) -> peewee.Expression:
        others = _sealed(column)
        for key in known:
            others &= ~_with(column, key)
        return others

    wanted = _any(is_foreign) if where is None else where & _any(is_foreign)
    row = EventMatch.select(*_COLUMNS).where(wanted).first()
    ids = {key_id(getattr(row, column.name)) for column in _COLUMNS} if row is not None else set()
    # Not one of them where nobody of ours wrote it: its id does not even end.
    return sorted(key for key in ids if key is not None and key not in known)


def reseal(progress: Progress, clear_only: bool = False) -> Resealed:
    """Seal with the first key what is sealed with another one, and what is in clear; or only the latter.

    Batch by batch, each of them committed: it can be broken off at any point and begun anew, and others may work
    meanwhile. A row that somebody else writes at the same time keeps what they wrote. Raises ``NoKey``.
    """
    if not keyring.ids():
        raise keyring.no_key()
    first = keyring.ids()[0]

    def is_wanted(column: peewee.Field) -> peewee.Expression:
        return _clear(column) if clear_only else _clear(column) | (_sealed(column) & ~_with(column, first))

    wanted = _any(is_wanted)
    rows, seen, found, after = EventMatch.select().where(wanted).count(), 0, Resealed(), None
    while True:
        progress(seen, rows)
        portion = wanted if after is None else wanted & (EventMatch.uuid > after)
        columns = (EventMatch.uuid, EventMatch.user, EventMatch.revision, *_COLUMNS)
        batch = list(EventMatch.select(*columns).where(portion).order_by(EventMatch.uuid).limit(ROWS))
        if not batch:
            return found
        found.done += _written(batch, found.faults, clear_only)
        seen, after = min(rows, seen + len(batch)), batch[-1].uuid


@repeated
def _written(batch: Sequence[EventMatch], faults: dict[UUID, str], clear_only: bool) -> int:
    """Write rows anew and count them; the revision stays, because what they say does."""
    done = 0
    with transaction():
        for row in batch:
            written = {}
            for column in _COLUMNS:
                try:
                    if _is_wanted(getattr(row, column.name), clear_only):
                        written[column.name] = _sealed_anew(row, column.name)
                except ValueError as error:
                    faults[row.uuid] = str(error)
            # By the revision: a text that is compared is the same as another one to some databases.
            unchanged = (EventMatch.uuid == row.uuid) & (EventMatch.revision == row.revision)
            done += EventMatch.update(**written).where(unchanged).execute() if written else 0
    return done


def _is_wanted(text: str | None, clear_only: bool) -> bool:
    """Tell of a column what the statement tells of the whole row."""
    if keyring.sealed(text):
        return not clear_only and key_id(text) != keyring.ids()[0]
    return bool(text and text.startswith("{") and text != "{}")


def _sealed_anew(row: EventMatch, name: str) -> str:
    """Give the text to store; raises ``ValueError`` that says why a column can't be opened."""
    try:
        value = getattr(row, f"{name}_values")
    except BrokenSeal:
        raise
    except ValueError:
        # Without the cause, in whose text the secret stands.
        raise ValueError(f"{name} is no JSON") from None
    if not value:
        raise ValueError(f"{name} is no JSON object with members")
    return keyring.stored(value, name, row.user, row.uuid)


#: What holds secrets, each under the name with which it is sealed.
_COLUMNS: tuple[peewee.Field, ...] = (EventMatch.auth, EventMatch.signing)


def _any(holds: Callable[[peewee.Field], peewee.Expression]) -> peewee.Expression:
    """Tell whether something holds for one of the columns."""
    return reduce(operator.or_, map(holds, _COLUMNS))


def _beginning(column: peewee.Field, text: str) -> peewee.Expression:
    return peewee.fn.SUBSTR(column, 1, len(text)) == text


def _sealed(column: peewee.Field) -> peewee.Expression:
    return column.is_null(False) & _beginning(column, BEGINNING)


def _with(column: peewee.Field, known: str) -> peewee.Expression:
    return column.is_null(False) & _beginning(column, f'{BEGINNING}{known}"')


def _clear(column: peewee.Field) -> peewee.Expression:
    """Tell what holds an object with members that is not sealed; what is no object is of no use to anybody."""
    return column.is_null(False) & _beginning(column, "{") & (column != "{}") & ~_beginning(column, BEGINNING)
