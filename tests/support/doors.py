"""The public doors of the service in the process of the test, on a real database: accept, route, deliver."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from pacifica.notifications import config, events, intake, orm, routing, runner, subscriptions
from pacifica.notifications.delivery import Courier

from .factories import make_event, make_subscription
from .keys import KEY, SETTING
from .process import HERE
from .processes import write_config

#: A time that has passed, whatever the clocks say.
LONG_AGO = datetime(2020, 1, 1)


class Doors:
    """One database with settings of its own, one router and one courier; as a context manager it closes them.

    What only time brings about is brought about in the tables: `make_due`, `write`.
    """

    def __init__(self, folder: Path, url: str, settings: Mapping[str, object] | None = None) -> None:
        self.url = url
        self.file = write_config(
            folder / "doors.ini",
            {
                "database.peewee_url": url,
                "database.connect_attempts": 1,
                "delivery.jitter": 0,
                SETTING: KEY,
                **HERE,
                **(settings or {}),
            },
        )
        self.settings = config.load(self.file, environ={})
        orm.initialize(self.settings)
        orm.OrmSync.update_tables()
        self.router = routing.Router(self.settings)
        self.courier = self.new_courier()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.courier.stop(grace=0)
        forget()

    def new_courier(self) -> Courier:
        """Return what delivers, as a worker of its own has it."""
        return runner.courier(self.settings)

    @contextmanager
    def new_courier_in_use(self) -> Iterator[Courier]:
        """Give another worker's courier, and close it."""
        courier = self.new_courier()
        try:
            yield courier
        finally:
            courier.stop(grace=0)

    def subscribe(self, target_url: str, user: str = "alice", **members: Any) -> UUID:
        """Make a subscription, checked as a request's body is; it matches every event unless told otherwise."""
        sent = make_subscription(target_url=target_url, **{"jsonpath": "$", **members})
        with orm.session():
            return orm.EventMatch.add(user, subscriptions.validate(sent)).uuid

    def change(self, uuid: UUID, **members: Any) -> None:
        """Change a subscription as PUT does."""
        with orm.session():
            row = orm.EventMatch.get_by_id(uuid)
            stored = row.to_hash(clear_auth=True)
            assert orm.change(row, subscriptions.validate(members, stored))

    def delete(self, uuid: UUID) -> None:
        """Delete a subscription as DELETE does."""
        with orm.session():
            assert orm.remove(orm.EventMatch.get_by_id(uuid))

    def accept(self, event: object = None, content_type: str = "application/json") -> UUID:
        """Accept an event, a JSON value or bytes as they are; by default another ingest each time."""
        event = make_event() if event is None else event
        body = event if isinstance(event, bytes) else json.dumps(event, ensure_ascii=False).encode()
        return intake.accept(body, content_type, self.settings).uuid

    def accept_binary(self, fields: Mapping[str, str], content_type: str = "", body: bytes = b"") -> UUID:
        """Accept an event in binary mode, headers by their names without `ce-`."""
        event = events.parse_binary(fields, content_type, body)
        return intake.accept_all([event], self.settings)[0].uuid

    def route(self) -> int:
        """Route everything and return the number of deliveries made."""
        return self.router.drain()

    def deliver(self) -> None:
        """Deliver everything that is due, and wait for the outcomes."""
        self.courier.drain()

    def work(self) -> None:
        """Route and deliver."""
        self.route()
        self.deliver()

    def send(self, event: object = None, content_type: str = "application/json") -> UUID:
        """Accept an event, route, deliver."""
        uuid = self.accept(event, content_type)
        self.work()
        return uuid

    def make_due(self) -> None:
        """Let the time pass until everything that waits for its time is due, questions to the policy server too."""
        with orm.session():
            row = orm.EventLogMatch
            row.update(next_attempt_at=orm.now()).where(row.next_attempt_at.is_null(False)).execute()
            orm.GateAnswer.update(ask_at=LONG_AGO).execute()

    def again(self) -> None:
        """Let the time pass, and deliver."""
        self.make_due()
        self.deliver()

    def write(self, uuid: UUID, **columns: Any) -> None:
        """Write columns of a subscription past every check, under the next revision."""
        with orm.session(), orm.transaction():
            columns = {"revision": orm.SubscriptionRevision.take(), **columns}
            orm.EventMatch.update(**columns).where(orm.EventMatch.uuid == uuid).execute()

    def subscription(self, uuid: UUID) -> orm.EventMatch:
        """Return a subscription's row."""
        with orm.session():
            return orm.EventMatch.get_by_id(uuid)

    def event(self, uuid: UUID) -> orm.EventLog:
        """Return an event's row."""
        with orm.session():
            return orm.EventLog.get_by_id(uuid)

    def deliveries(self, event: UUID | None = None, subscription: UUID | None = None) -> list[orm.EventLogMatch]:
        """Return the deliveries of an event, of a subscription, or all, in the order in which they were made."""
        row = orm.EventLogMatch
        with orm.session():
            wanted = row.select().order_by(row.created, row.replay)
            if event is not None:
                wanted = wanted.where(row.event_log == event)
            if subscription is not None:
                wanted = wanted.where(row.event_match == subscription)
            return list(wanted)

    def delivery(self, event: UUID | None = None, subscription: UUID | None = None) -> orm.EventLogMatch:
        """Return the only delivery."""
        (found,) = self.deliveries(event, subscription)
        return found

    def attempts(self, delivery: orm.EventLogMatch | None = None) -> list[orm.DeliveryAttempt]:
        """Return the attempts of a delivery, or of the only one, in the order in which they were written."""
        found = delivery or self.delivery()
        with orm.session():
            return orm.DeliveryAttempt.of_deliveries([found.uuid])

    def delay(self, delivery: orm.EventLogMatch | None = None) -> float:
        """Return the seconds from the end of a delivery's last attempt to its next one."""
        found = delivery or self.delivery()
        last = self.attempts(found)[-1]
        return (found.next_attempt_at - last.started).total_seconds() - last.seconds

    def migrated(self, body: str, subscription: UUID, state: str = "delivered") -> UUID:
        """Put an event there as an upgrade leaves it: any body, routed, no attributes, its delivery ended."""
        with orm.session():
            event = orm.EventLog.create(jsondata=body, created=orm.now(), routed=orm.now())
            orm.EventLogMatch.create(
                event_log=event, event_match=subscription, created=orm.now(), state=state, finished=orm.now()
            )
        return event.uuid


def forget() -> None:
    """Let the process forget its database and its settings."""
    if orm.DB.obj is not None:
        orm.DB.close_all()
        orm.DB.initialize(None)
    config.use(None)
