"""The plain way: a Celery task per delivery, sent with requests, the same rows and the same line of the log written.

`celery -A benchmarks.yardsticks.task_per_delivery worker` works; `python -m benchmarks.yardsticks.task_per_delivery`
sends a task for each delivery that is pending. Broker and database are those of the settings that
`NOTIFICATIONS_CONFIG` names.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import requests
from celery import Celery, signals

from pacifica.notifications import orm
from pacifica.notifications.config import get_config
from pacifica.notifications.globals import ATTEMPT_HEADER, DELIVERY_HEADER
from pacifica.notifications.retry import State

LOG = logging.getLogger(__name__)

app = Celery("task-per-delivery", broker=get_config().celery.broker_url)
app.conf.task_ignore_result = True
app.conf.worker_hijack_root_logger = False

_session = requests.Session()
_session.trust_env = False


@signals.worker_process_init.connect
def _begin(**_: Any) -> None:
    """Open a database of its own in each process, and write what we write to the log, and no more."""
    orm.initialize(get_config())
    # The driver is loaded, and a connection open, before the first task.
    with orm.session():
        orm.EventLogMatch.select().first()
    # What a process of the pool has as its standard error goes to the log of the pool, line by line.
    handler = logging.StreamHandler(sys.__stderr__)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=[handler], force=True
    )
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)


@signals.worker_init.connect
def _quiet(**_: Any) -> None:
    """Write no line for a task that came, as our worker writes none."""
    logging.getLogger("celery.worker.strategy").setLevel(logging.WARNING)


@app.task(name="deliver")
def deliver(uuid: str) -> None:
    """Send one delivery and write what came of it."""
    with orm.session():
        rows = orm.EventLogMatch
        event, subscription, url, text, kind = (
            rows.select(
                rows.event_log,
                rows.event_match,
                orm.EventMatch.target_url,
                orm.EventLog.jsondata,
                orm.EventLog.content_type,
            )
            .join(orm.EventLog)
            .switch(rows)
            .join(orm.EventMatch)
            .where(rows.uuid == uuid)
            .tuples()
            .get()
        )
        started = datetime.now(UTC).replace(tzinfo=None)
        answer = _session.post(
            url,
            data=text.encode(),
            headers={"Content-Type": kind, DELIVERY_HEADER: uuid, ATTEMPT_HEADER: "1"},
            timeout=(5, 30),
            allow_redirects=False,
        )
        ended = datetime.now(UTC).replace(tzinfo=None)
        state = State.DELIVERED if answer.ok else State.DEAD
        seconds = (ended - started).total_seconds()
        with orm.transaction():
            rows.update(
                state=state,
                reason=f"answered {answer.status_code}",
                attempts=1,
                finished=ended,
                next_attempt_at=None,
                target_status_code=answer.status_code,
            ).where(rows.uuid == uuid).execute()
            orm.DeliveryAttempt.insert(
                delivery=uuid, attempt=1, started=started, seconds=seconds, status=answer.status_code
            ).execute()
    LOG.info(
        "delivery.attempted delivery=%s event=%s subscription=%s state=%s attempt=%s status=%s seconds=%.3f",
        uuid,
        event,
        subscription,
        state,
        1,
        answer.status_code,
        seconds,
    )


def main() -> None:
    """Send a task for each delivery that is pending."""
    orm.initialize(get_config())
    with orm.session():
        rows = list(orm.EventLogMatch.select(orm.EventLogMatch.uuid).where(orm.EventLogMatch.state == State.PENDING))
    with app.producer_pool.acquire(block=True) as producer:
        for row in rows:
            deliver.apply_async((str(row.uuid),), producer=producer)


if __name__ == "__main__":
    main()
