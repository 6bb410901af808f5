"""Fills a database with pending deliveries, through the functions that routing calls, and says what came of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import peewee

from pacifica.notifications import events, orm
from pacifica.notifications.config import Database, Settings
from pacifica.notifications.retry import State
from tests.support.factories import ingest

#: Events that are stored with one commit.
_BATCH = 100


@contextmanager
def opened(url: str) -> Iterator[None]:
    """Let this process use a database for the block; another one afterwards."""
    orm.initialize(Settings(database=Database(peewee_url=url)))
    try:
        with orm.session():
            yield
    finally:
        orm.disconnect()


def make_tables(url: str) -> None:
    """Make our tables as `dbsync` does."""
    with opened(url):
        orm.OrmSync.update_tables()


def subscribe(url: str, targets: Iterable[str]) -> list[orm.EventMatch]:
    """Make a subscription for each target, each of another user, and give their rows."""
    with opened(url):
        return [
            orm.EventMatch.add(f"user{number}", {"name": "all", "jsonpath": "$", "target_url": f"{target}/"})
            for number, target in enumerate(targets)
        ]


def deliver(url: str, groups: Iterable[Sequence[orm.EventMatch]]) -> None:
    """Store an event of 3 KB for each group of subscriptions, routed, with a delivery for each of them, due at once."""
    with opened(url):
        revision = orm.SubscriptionRevision.current()
        for part in peewee.chunked(enumerate(groups), _BATCH):
            with orm.transaction():
                for number, subscriptions in part:
                    body = json.dumps(ingest(number), ensure_ascii=False).encode()
                    event = orm.EventLog.store(events.parse(body)).uuid
                    orm.EventLogMatch.add(event, {row.uuid: row.lane for row in subscriptions})
                orm.EventLog.finish_routing(orm.EventLog.claim_unrouted(_BATCH, 60), revision)


def pending(url: str, subscriptions: Collection[orm.EventMatch]) -> bool:
    """Tell whether anything is pending for these subscriptions."""
    with opened(url):
        return bool(orm.EventLogMatch.select().where(_for(subscriptions, State.PENDING)).exists())


def delivered(url: str, subscriptions: Collection[orm.EventMatch]) -> tuple[int, float]:
    """Count what was delivered to these subscriptions; give the seconds from the first attempt to the last settled.

    By the database's clock, as it stands in the rows.
    """
    settled, tried = orm.EventLogMatch, orm.DeliveryAttempt
    with opened(url):
        theirs = _for(subscriptions, State.DELIVERED)
        count, ended = (
            settled.select(peewee.fn.COUNT(settled.uuid), peewee.fn.MAX(settled.finished)).where(theirs).tuples().get()
        )
        first = tried.select().join(settled).where(theirs).order_by(tried.started).first()
        return (count, (ended - first.started).total_seconds()) if first else (0, 0.0)


def attempts(url: str) -> int:
    """Count the attempts that were made."""
    with opened(url):
        return int(orm.DeliveryAttempt.select().count())


def first_answer(url: str) -> datetime:
    """Give the time when the first attempt was answered, by its row."""
    with opened(url):
        row = orm.DeliveryAttempt.select().order_by(orm.DeliveryAttempt.started).first()
        answered: datetime = row.started + timedelta(seconds=row.seconds)
        return answered.replace(tzinfo=UTC)


def _for(subscriptions: Collection[orm.EventMatch], state: State) -> peewee.Expression:
    rows = orm.EventLogMatch
    return (rows.state == state) & rows.event_match.in_([row.uuid for row in subscriptions])
