"""Tokens by which callers say who they are; only their digests are stored."""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from datetime import datetime, timedelta

import peewee

from .. import tokens
from ..errors import Refused
from .base import BaseModel
from .database import clock, insert_missing, now, repeated

#: Seconds for which a use is not written again.
_USED_WITHIN = 60.0


class Token(BaseModel):
    """One token: whose it is, its role, and, of a producer, how ``source`` and ``type`` of its events must begin.

    ``sources`` and ``types`` are JSON arrays of texts.
    """

    name = peewee.CharField(primary_key=True)
    digest = peewee.FixedCharField(max_length=64, unique=True)
    user = peewee.CharField()
    role = peewee.CharField()
    sources = peewee.TextField()
    types = peewee.TextField()
    created = peewee.DateTimeField()
    expires = peewee.DateTimeField(null=True)
    used = peewee.DateTimeField(null=True)

    @property
    def beginnings(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Give ``sources`` and ``types`` as values."""
        return tuple(json.loads(self.sources)), tuple(json.loads(self.types))

    @classmethod
    @repeated
    def make(
        cls,
        name: str,
        user: str,
        role: str,
        sources: Sequence[str] = (),
        types: Sequence[str] = (),
        days: float | None = None,
    ) -> tuple[str, Token]:
        """Make a token that expires after some days, or never; give it, this once, and its row.

        Raises ``Refused`` where another has the name.
        """
        text, at = tokens.new(), now()
        expires = at + timedelta(days=days) if days else None
        row = {"name": name, "digest": tokens.digest(text), "user": user, "role": role}
        row |= {"sources": json.dumps(list(sources)), "types": json.dumps(list(types))}
        if not insert_missing(cls, [{**row, "created": at, "expires": expires}]):
            raise Refused(f"there is a token {name} already; revoke it, or choose another name")
        return text, cls.get_by_id(name)

    @classmethod
    def known(cls, text: str) -> tuple[Token, bool] | None:
        """Give a token's row, and whether it has expired; None where there is none, as after it was revoked.

        That it was used is noted, at most once a minute.
        """
        wanted = tokens.digest(text)
        row = cls.select(cls, clock().alias("at")).where(cls.digest == wanted).objects().first()
        if row is None or not hmac.compare_digest(row.digest, wanted):
            return None
        at = row.at if isinstance(row.at, datetime) else datetime.fromisoformat(row.at)
        expired = row.expires is not None and row.expires <= at
        if not expired and (row.used is None or row.used <= at - timedelta(seconds=_USED_WITHIN)):
            cls.note(row.name)
        return row, expired

    @classmethod
    @repeated
    def note(cls, name: str) -> None:
        """Note that a token is used now."""
        cls.update(used=clock()).where(cls.name == name).execute()

    @classmethod
    def all_of(cls) -> list[Token]:
        """Give all tokens by their names."""
        return list(cls.select().order_by(cls.name))

    @classmethod
    @repeated
    def revoke(cls, name: str) -> bool:
        """Forget a token, which is unknown from then on; False if there is none of the name."""
        return bool(cls.delete().where(cls.name == name).execute())
