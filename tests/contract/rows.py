"""Rows for the tests of the tables, made as the service makes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from uuid import UUID

from pacifica.notifications import events, orm
from pacifica.notifications.orm import EventLog, EventLogMatch, EventMatch
from tests.support.factories import make_event, make_subscription
from tests.support.together import together

T = TypeVar("T")


def event(**changes: Any) -> events.Event:
    """Return a checked event that is another one each time."""
    return events.parse(json.dumps(make_event(**changes)).encode())


def stored(**changes: Any) -> UUID:
    """Store an event and return its uuid."""
    return EventLog.store(event(**changes)).uuid


def subscription(user: str = "alice", **members: Any) -> EventMatch:
    """Store a subscription."""
    return EventMatch.add(user, make_subscription(**members))


def deliveries(count: int = 1, owner: EventMatch | None = None) -> list[EventLogMatch]:
    """Store deliveries of as many events to one subscription, due at once."""
    owner = owner or subscription()
    made = [stored() for _ in range(count)]
    with orm.transaction():
        for uuid in made:
            EventLogMatch.add(uuid, lanes(owner))
    return EventLogMatch.of_events(made)


def lanes(*subscriptions: EventMatch) -> dict[UUID, str]:
    """Return subscriptions as a delivery is added to them."""
    return {row.uuid: row.lane for row in subscriptions}


class Broken(Exception):
    """What breaks a transaction."""


def broken_off(call: Callable[[], object]) -> None:
    """Do something in a transaction that fails at its end."""
    with suppress(Broken), orm.transaction():
        call()
        raise Broken


def again(row: T) -> T:
    """Read a row anew."""
    found: T = type(row).get_by_id(row._pk)  # type: ignore[attr-defined]
    return found


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Run calls at the same time, each with a connection of its own."""

    def connected(call: Callable[[], T]) -> Callable[[], T]:
        def run() -> T:
            with orm.session():
                return call()

        return run

    return together([connected(call) for call in calls])
