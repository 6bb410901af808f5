"""Targets that are in trouble, or that set their own pace: what all workers have to know of them."""

from __future__ import annotations

import peewee

from .base import BaseModel


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
