"""Subscriptions, and the revision that every change of them takes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import peewee

from ..access import EVERYBODY, Owner
from ..errors import BrokenSeal
from ..globals import MASK
from ..members import VERSION
from ..signing import member as signing
from ..subscriptions import masked, place
from . import keyring
from .base import BaseModel, plain
from .database import dialect, now, repeated, transaction
from .order import OLDEST_FIRST, Order, behind, by
from .statements import keys, marks, run

#: The members that every answer about a subscription has, in the order in which they are given.
MEMBERS = "uuid name jsonpath user disabled error target_url version extensions auth created updated deleted".split()

#: Those that an answer has only when they are set.
ADDED = ("retry", "limits", "ordered", "content_mode", "event_version", "signing")
#: Those that are written as they were sent.
_AS_SENT = ("name", "jsonpath", "target_url", "ordered", "content_mode", "event_version")
#: The columns of a subscription that does not fail.
NO_FAILURES = {"failing_since": None, "failures": 0, "warned": None}


class SubscriptionRevision(BaseModel):
    """One row: the number of the last committed change of any subscription."""

    value = peewee.BigIntegerField(default=0)

    @classmethod
    def take(cls) -> int:
        """Take the next number inside the caller's transaction, whose commits are thereby in the numbers' order."""
        cls.update(value=cls.value + 1).execute()
        return cls.current()

    @classmethod
    def current(cls) -> int:
        """Give the last number."""
        return int(cls.select(cls.value).scalar())


class Change(NamedTuple):
    """A subscription as routing needs it, after the change that took this revision.

    ``jsonpath`` is None where it is disabled or deleted; ``lane`` and ``ordered`` are as ``EventMatch`` has them.
    """

    uuid: UUID
    revision: int
    jsonpath: str | None
    lane: str
    ordered: bool


class EventMatch(BaseModel):
    """One subscription: who wants which events, and where to."""

    uuid = peewee.UUIDField(primary_key=True, default=uuid4)
    name = peewee.CharField()
    jsonpath = peewee.TextField()
    user = peewee.CharField(index=True)
    disabled = peewee.DateTimeField(null=True)
    error = peewee.TextField(null=True)
    target_url = peewee.TextField()
    version = peewee.CharField(default=VERSION)
    extensions = peewee.TextField(default="{}")
    created = peewee.DateTimeField()
    updated = peewee.DateTimeField()
    deleted = peewee.DateTimeField(null=True)
    auth = peewee.TextField(null=True)
    revision = peewee.BigIntegerField(default=0, index=True)
    failing_since = peewee.DateTimeField(null=True)
    failures = peewee.IntegerField(default=0)
    retry = peewee.TextField(null=True)
    limits = peewee.TextField(null=True)
    ordered = peewee.BooleanField(default=False, constraints=[peewee.SQL("DEFAULT FALSE")])
    warned = peewee.DateTimeField(null=True)
    paced_until = peewee.DateTimeField(null=True)
    content_mode = peewee.CharField(max_length=16, null=True)
    event_version = peewee.CharField(max_length=8, null=True)
    signing = peewee.TextField(null=True)

    @property
    def lane(self) -> str:
        """Name what its deliveries queue in: its own lane if it has limits or an order, else that of its target."""
        return _lane(self.uuid, self.target_url, self.limits is not None or self.ordered)

    @property
    def extension_values(self) -> dict[str, Any]:
        """Give the extensions as a value; raises ``ValueError`` where an old row holds no JSON."""
        return _object(self.extensions)

    @property
    def auth_values(self) -> dict[str, Any]:
        """Give ``auth`` as a value, secrets included; none is the empty object.

        Raises as ``extension_values``, and ``BrokenSeal`` where it can't be opened.
        """
        return self._opened("auth")

    @property
    def signing_values(self) -> dict[str, Any]:
        """Give ``signing`` as a value, secrets included; none is the empty object. Raises as ``auth_values``."""
        return self._opened("signing")

    @property
    def retry_values(self) -> dict[str, Any]:
        """Give ``retry`` as a value; none is the empty object. Raises as ``extension_values``."""
        return _object(self.retry)

    @property
    def limit_values(self) -> dict[str, Any]:
        """Give ``limits`` as a value; none is the empty object. Raises as ``extension_values``."""
        return _object(self.limits)

    def _opened(self, name: str) -> dict[str, Any]:
        text = getattr(self, name)
        return keyring.opened(text, name, self.user, self.uuid) if keyring.sealed(text) else _object(text)

    def to_hash(self, clear_auth: bool = False, naive: bool = False) -> dict[str, Any]:
        """Give the members of an answer; secrets, also those of ``signing``, are masked unless ``clear_auth``.

        They are the thirteen of ``MEMBERS``, and of ``ADDED`` those that are set.
        """
        found: dict[str, Any] = {name: plain(getattr(self, name), naive) for name in MEMBERS}
        auth = self._shown("auth", {"type": MASK})
        signs = self._shown("signing", {"schemes": [MASK]})
        found["extensions"] = _readable(self.extensions)
        found["auth"] = auth if clear_auth else masked(auth)
        added: dict[str, Any] = {
            "retry": _readable(self.retry),
            "limits": _readable(self.limits),
            "ordered": self.ordered,
        }
        added |= {"content_mode": self.content_mode, "event_version": self.event_version}
        added["signing"] = signs if clear_auth else signing.masked(signs)
        return found | {name: added[name] for name in ADDED if added[name]}

    def _shown(self, name: str, sealed: dict[str, Any]) -> dict[str, Any]:
        """Give secrets; those that can't be opened as what no request can set, so that no PUT loses them."""
        try:
            return self._opened(name)
        except BrokenSeal:
            return sealed
        except ValueError:
            return {}

    @classmethod
    @repeated
    def add(cls, user: str, members: Mapping[str, Any]) -> EventMatch:
        """Store a new subscription, members as ``subscriptions.validate`` gives them."""
        with transaction():
            at = now()
            row = cls(user=user, created=at, updated=at, revision=SubscriptionRevision.take())
            for name, value in columns(row, members, at).items():
                setattr(row, name, value)
            row.save(force_insert=True)
        return row

    @classmethod
    def of(cls, owner: Owner, uuid: UUID) -> EventMatch | None:
        """Give an owner's undeleted subscription."""
        return cls.get_or_none((cls.uuid == uuid) & cls._owned(owner))

    @classmethod
    def _owned(cls, owner: Owner) -> peewee.Expression:
        """Give the condition that a subscription is an owner's, and undeleted."""
        there = cls.deleted.is_null()
        return there if owner is EVERYBODY else (cls.user == owner) & there

    @classmethod
    def all_of(
        cls,
        owner: Owner,
        name: str | None = None,
        disabled: bool | None = None,
        target_url: str | None = None,
        since: datetime | None = None,
        order: Order = OLDEST_FIRST,
        after: Sequence[Any] | None = None,
        limit: int | None = None,
    ) -> list[EventMatch]:
        """Give an owner's undeleted subscriptions, narrowed by what is given.

        ``target_url`` is a beginning, ``since`` the earliest update, ``after`` the ``position`` of the last row of the
        page before, in the same order.
        """
        wanted = cls.select().where(cls._owned(owner))
        if name is not None:
            wanted = wanted.where(cls.name == name)
        if disabled is not None:
            wanted = wanted.where(cls.disabled.is_null(not disabled))
        if target_url is not None:
            wanted = wanted.where(peewee.fn.SUBSTR(cls.target_url, 1, len(target_url)) == target_url)
        if since is not None:
            wanted = wanted.where(cls.updated >= since)
        if after is not None:
            wanted = wanted.where(behind(cls, order, after))
        return list(wanted.order_by(*by(cls, order)).limit(limit))

    def position(self, order: Order) -> list[Any]:
        """Say where this row stands in an order."""
        return [*(getattr(self, name) for name, _descending in order), self.uuid]

    @classmethod
    def undeleted(cls) -> list[EventMatch]:
        """Give all subscriptions that are not deleted, each user's together."""
        return list(cls.select().where(cls.deleted.is_null()).order_by(cls.user, cls.created, cls.uuid))

    @classmethod
    def changed_since(cls, revision: int, page: int = 10000) -> Iterator[list[Change]]:
        """Give what took a number above ``revision``, in the order of the numbers, ``page`` rows at a time.

        Who has read it all has everything up to the last number: what is changed again meanwhile takes a higher one,
        and comes behind. After an upgrade many rows have the same number, so that a page also begins at a uuid.
        """
        after = revision, _LAST_UUID
        while True:
            found = run(_CHANGED, [after[0], after[0], *keys([str(after[1])]), page])
            changes = [_change(*row) for row in found.fetchall()]
            if changes:
                yield changes
            if len(changes) < page:
                return
            after = changes[-1].revision, changes[-1].uuid

    @classmethod
    def by_uuid(cls, uuids: Iterable[UUID]) -> dict[UUID, EventMatch]:
        """Give the rows with these uuids, deleted ones too."""
        return {row.uuid: row for row in cls.select().where(cls.uuid.in_(list(uuids)))}

    @classmethod
    def revisions(cls, uuids: Iterable[str]) -> dict[str, int]:
        """Give the number of the last change of each of these, all of them by their uuids as they are written."""
        wanted = keys(uuids)
        uuid = dialect().written("uuid")
        found = run(f"SELECT {uuid}, revision FROM eventmatch WHERE uuid IN ({marks(wanted)})", wanted)  # noqa: S608 - of our own words
        return dict(found.fetchall())

    @classmethod
    def succeeded(cls, uuids: Iterable[UUID | str]) -> None:
        """Forget the failures of subscriptions that a delivery reached."""
        reached = keys(map(str, uuids))
        run(
            "UPDATE eventmatch SET failing_since = NULL, failures = 0, warned = NULL"  # noqa: S608 - of our own words
            f" WHERE uuid IN ({marks(reached)}) AND failing_since IS NOT NULL",
            reached,
        )

    @classmethod
    def failed(cls, uuid: UUID, at: datetime) -> tuple[datetime, int]:
        """Count a failed attempt; give since when and how often all attempts have failed."""
        cls.update(failing_since=peewee.fn.COALESCE(cls.failing_since, at), failures=cls.failures + 1).where(
            cls.uuid == uuid
        ).execute()
        row = cls.select(cls.failing_since, cls.failures).where(cls.uuid == uuid).get()
        return row.failing_since, row.failures


#: Behind every other one.
_LAST_UUID = UUID(int=2**128 - 1)
#: Asked before every batch: the index on the revision leads to the first row, as it would not with an OR alone.
_CHANGED = """
    SELECT uuid, revision, CASE WHEN disabled IS NULL AND deleted IS NULL THEN jsonpath END, target_url,
        limits IS NOT NULL, ordered
    FROM eventmatch WHERE revision >= ? AND (revision > ? OR uuid > ?) ORDER BY revision, uuid LIMIT ?
"""


def _change(
    uuid: object, revision: int, jsonpath: str | None, target_url: str, limits: object, ordered: object
) -> Change:
    key: UUID = EventMatch.uuid.python_value(uuid)
    return Change(key, revision, jsonpath, _lane(key, target_url, bool(limits or ordered)), bool(ordered))


def _lane(uuid: UUID, target_url: str, own: bool) -> str:
    return str(uuid) if own else place(target_url)


def columns(row: EventMatch, members: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """Give the columns of a row to write for members as ``subscriptions.validate`` gives them, secrets sealed.

    Disabling again keeps the time that is stored, reviving clears what led to it. Raises ``NoKey``.
    """
    written = {name: members[name] for name in _AS_SENT if name in members}
    if "extensions" in members:
        written["extensions"] = json.dumps(members["extensions"], ensure_ascii=False)
    if "auth" in members:
        written["auth"] = keyring.stored(members["auth"], "auth", row.user, row.uuid)
    if "signing" in members:
        signs = members["signing"]
        written["signing"] = keyring.stored(signs, "signing", row.user, row.uuid) if signs else None
    for name in ("retry", "limits"):
        if name in members:
            written[name] = json.dumps(members[name]) if members[name] else None
    if members.get("disabled"):
        written["disabled"] = row.disabled or at
    elif "disabled" in members and row.disabled is not None:
        written |= {"disabled": None, "error": None, **NO_FAILURES}
    return written


def _readable(text: str | None) -> dict[str, Any]:
    """Give a column's object; a text of an old row that is no JSON as an empty one, to be set anew by its owner."""
    try:
        return _object(text)
    except ValueError:
        return {}


def _object(text: str | None) -> dict[str, Any]:
    value = json.loads(text) if text else {}
    return value if isinstance(value, dict) else {}
