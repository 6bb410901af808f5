"""Targets that are in trouble, or that set their own pace: what all workers have to know of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

import peewee

from ..config import Delivery
from .base import BaseModel
from .database import dialect, insert_missing, locking, now, repeated, transaction
from .statements import marks, run


class TargetState(BaseModel):
    """One target by its place, as ``subscriptions.place`` gives it.

    ``failures`` counts those in a row that speak of the target, ``opened`` how often in a row it was left alone for
    them; nothing is sent there before ``open_until`` and ``paced_until``.
    """

    place = peewee.CharField(max_length=300, primary_key=True)
    failures = peewee.IntegerField(default=0)
    opened = peewee.IntegerField(default=0)
    open_until = peewee.DateTimeField(null=True)
    reason = peewee.TextField(null=True)
    paced_until = peewee.DateTimeField(null=True)

    @classmethod
    def troubled(cls) -> dict[str, tuple[float, bool]]:
        """Give the targets of which something is known that keeps deliveries back.

        Of each the seconds for which it is to be left alone, and whether one attempt has to look then if it is back.
        """
        clock, moment = dialect().clock, dialect().moment
        found = run(
            f"SELECT place, opened, open_until, {clock} FROM targetstate WHERE open_until > {clock} OR opened > 0"  # noqa: S608 - of our own words
        )
        troubled = {}
        for place, opened, until, at in found.fetchall():
            left = (moment(until) - moment(at)).total_seconds() if until else 0.0
            troubled[place] = max(0.0, left), opened > 0
        return troubled

    @classmethod
    @repeated
    def probe(cls, place: str, seconds: float) -> bool:
        """Take the one attempt that a target gets when it was left alone for long enough; False if another has it.

        Nobody else has it before ``seconds`` have passed.
        """
        at = now()
        over = (cls.place == place) & (cls.opened > 0) & (cls.open_until <= at)
        return bool(cls.update(open_until=at + timedelta(seconds=seconds), failures=1).where(over).execute())

    @classmethod
    @repeated
    def leave(cls, place: str) -> None:
        """Give back the attempt that was taken, because there was nothing to send."""
        taken = (cls.place == place) & (cls.opened > 0) & (cls.failures > 0)
        cls.update(open_until=now(), failures=0).where(taken).execute()

    @classmethod
    @repeated
    def forget_older(cls, seconds: float) -> None:
        """Drop what is known of targets to which nobody has sent anything for so long."""
        before = now() - timedelta(seconds=seconds)
        # One that answered since has nothing to say either.
        quiet = (cls.open_until < before) | (cls.open_until.is_null() & (cls.failures == 0) & (cls.opened == 0))
        cls.delete().where(quiet & (cls.paced_until.is_null() | (cls.paced_until < before))).execute()

    @classmethod
    def answered(cls, places: Sequence[str]) -> None:
        """Forget the failures of targets that answered, inside the caller's transaction.

        One that asked to be left alone for a time still is.
        """
        # The order of assignments matters to MariaDB, which uses what it has just assigned.
        run(
            "UPDATE targetstate SET open_until = CASE WHEN opened > 0 THEN NULL ELSE open_until END,"  # noqa: S608 - of our own words
            " reason = CASE WHEN opened > 0 THEN NULL ELSE reason END, failures = 0, opened = 0"
            f" WHERE place IN ({marks(places)}) AND (opened > 0 OR failures > 0)",
            places,
        )

    @classmethod
    def failed(cls, place: str, failures: int, hold: float | None, delivery: Delivery) -> datetime | None:
        """Count failures of a target, inside the caller's transaction; give until when it is left alone, if it now is.

        It is after ``breaker_failures`` in a row, for longer each time that an attempt after it fails too, and for
        ``hold`` seconds if it asked for that.
        """
        state, at = cls.locked(place), now()
        shut = state.open_until is not None and state.open_until > at
        written: dict[str, object] = {}
        until = state.open_until if shut else None
        if not state.opened:
            written["failures"] = state.failures + failures
        # What was under way when it was shut says nothing new; the attempt that looks whether it is back does.
        looked = bool(state.opened and (state.failures or not shut))
        too_many = not state.opened and 0 < delivery.breaker_failures <= state.failures + failures
        if looked or too_many:
            wait = min(delivery.breaker_max_wait, delivery.breaker_wait * 2.0 ** min(state.opened, 20))
            until = at + timedelta(seconds=wait)
            written |= {"opened": state.opened + 1, "failures": 0}
        if hold is not None:
            until = max(until or at, at + timedelta(seconds=hold))
        if until is not None and until != state.open_until:
            written["open_until"] = until
        if written:
            cls.update(**written).where(cls.place == place).execute()
        return until if "open_until" in written else None

    @classmethod
    def locked(cls, place: str) -> TargetState:
        """Give a target's row and keep it until the caller's transaction ends; it is made where there is none."""
        wanted = cls.select().where(cls.place == place)
        found = locking(wanted).get_or_none()
        if found is None:
            insert_missing(cls, [{"place": place}])
            found = locking(wanted).get()
        row: TargetState = found
        return row

    @classmethod
    @repeated
    def take(cls, place: str, rate: float, wanted: int) -> int:
        """Give how many of ``wanted`` deliveries a target's ``rate`` per second allows now, and count them."""
        with transaction():
            state, at = cls.locked(place), now()
            granted = min(wanted, allowed(state.paced_until, at, rate))
            if granted:
                paced_until = later(state.paced_until, at, rate, granted)
                cls.update(paced_until=paced_until).where(cls.place == place).execute()
        return granted


#: Seconds for which what a rate allows may be saved up.
_SAVED = 1.0


def allowed(paced_until: datetime | None, at: datetime, rate: float) -> int:
    """Count what a rate per second allows now: what was not used in the last second, and one in any case."""
    ahead = max(0.0, (paced_until - at).total_seconds()) if paced_until else 0.0
    return max(0, math.floor((max(_SAVED, 1 / rate) - ahead) * rate + 1e-6))


def later(paced_until: datetime | None, at: datetime, rate: float, count: int) -> datetime:
    """Give until when ``count`` more deliveries use a rate up."""
    return max(paced_until or at, at) + timedelta(seconds=count / rate)
