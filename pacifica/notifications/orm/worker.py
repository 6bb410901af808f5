"""Which workers are at work, by the database's clock."""

from __future__ import annotations

from datetime import timedelta

import peewee

from .base import BaseModel
from .database import clock, insert_missing, now, repeated, transaction


class Worker(BaseModel):
    """One worker that routes and delivers; ``holder`` is the process behind the name."""

    name = peewee.CharField(primary_key=True)
    holder = peewee.CharField()
    seen = peewee.DateTimeField(index=True)

    @classmethod
    @repeated
    def beat(cls, name: str, holder: str, stale: float) -> bool:
        """Say that ``holder`` is at work under a name; False while another process was seen there lately.

        ``stale`` is in seconds: how long a silent holder keeps the name.
        """
        with transaction():
            mine = (cls.holder == holder) | (cls.seen < now() - timedelta(seconds=stale))
            if cls.update(holder=holder, seen=clock()).where((cls.name == name) & mine).execute():
                return True
            return bool(insert_missing(cls, [{"name": name, "holder": holder, "seen": clock()}]))

    @classmethod
    @repeated
    def leave(cls, name: str, holder: str) -> None:
        """Give a name up."""
        cls.delete().where((cls.name == name) & (cls.holder == holder)).execute()

    @classmethod
    def seen_within(cls, seconds: float) -> bool:
        """Tell whether any worker was seen in the last seconds."""
        return cls.select().where(cls.seen >= now() - timedelta(seconds=seconds)).exists()

    @classmethod
    @repeated
    def forget_older(cls, seconds: float) -> None:
        """Drop the names of workers that were not seen for so long."""
        cls.delete().where(cls.seen < now() - timedelta(seconds=seconds)).execute()
