"""``eventretry``: ask policy again and send again; and waiting for what comes of it."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterable
from uuid import UUID

from .. import orm, runner, waking
from ..config import Settings
from ..delivery import WAITS
from ..retry import State
from .output import complain, write_json, write_table

#: Seconds on top of the time-outs that the outcomes are waited for.
_PATIENCE = 30.0


def eventretry(options: Namespace, settings: Settings) -> bool:
    """Send again what is dead or refused, with ``--all`` what was delivered too; true if all of it arrived."""
    with orm.session():
        known = orm.EventLog.by_uuid(options.uuid)
        unknown = [uuid for uuid in options.uuid if uuid not in known]
        again = _send_again(list(known), options.all)
    for uuid in unknown:
        complain(f"{uuid}: there is no such event")
    if again:
        see_to_it(list(known), again, settings)
    with orm.session():
        outcomes = [row for row in orm.EventLogMatch.of_events(known) if row.uuid in again]
    report(options, outcomes)
    return not unknown and all(row.state == State.DELIVERED for row in outcomes)


@orm.repeated
def _send_again(events: list[UUID], everything: bool) -> dict[UUID, int]:
    """Reopen or replay the latest delivery to each subscription; give their uuids with the attempts so far."""
    wanted = {State.DEAD, State.REFUSED} | ({State.DELIVERED} if everything else set())
    with orm.transaction():
        events = orm.EventLog.lock(events)
        for uuid in orm.EventLog.unpark(events):
            complain(f"{uuid}: was given up by routing; the next worker routes it again")
        before = orm.EventLogMatch.of_events(events)
        latest = {(row.event_log_id, row.event_match_id): row for row in sorted(before, key=lambda row: row.replay)}
        chosen = [row for row in latest.values() if row.state in wanted]
        orm.GateAnswer.forget(events)
        for row in chosen:
            if row.state == State.DEAD:
                orm.EventLogMatch.reopen(row)
            else:
                orm.EventLogMatch.replay_of(row)
        old = {row.uuid for row in before} - {row.uuid for row in chosen if row.state == State.DEAD}
        return {row.uuid: row.attempts for row in orm.EventLogMatch.of_events(events) if row.uuid not in old}


def see_to_it(events: list[UUID], again: dict[UUID, int], settings: Settings) -> None:
    """Wait for a worker's outcomes; without a worker, or once it is gone, send here."""
    deadline = time.monotonic() + settings.delivery.timeout + settings.policy.timeout + _PATIENCE
    while waking.worker_seen():
        with orm.session():
            rows = [row for row in orm.EventLogMatch.of_events(events) if row.uuid in again]
        if all(_has_outcome(row, again[row.uuid]) for row in rows) or time.monotonic() > deadline:
            return
        time.sleep(0.2)
    complain("no worker was seen lately; sending from here")
    courier = runner.courier(settings)
    courier.drain(only=events)
    courier.stop(grace=0)


def _has_outcome(row: orm.EventLogMatch, attempts: int) -> bool:
    given_up = row.lease is None and row.reason not in (None, WAITS)
    return bool(row.state != State.PENDING or row.attempts > attempts or given_up)


def report(options: Namespace, outcomes: Iterable[orm.EventLogMatch]) -> None:
    """Print what became of deliveries that were sent again."""
    rows = [
        {
            "event": str(row.event_log_id),
            "subscription": str(row.event_match_id),
            "delivery": str(row.uuid),
            "state": row.state,
            "policy": row.policy_status_code,
            "target": row.target_status_code,
            "reason": row.reason,
        }
        for row in outcomes
    ]
    if options.json:
        write_json(rows)
    elif rows:
        write_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    else:
        print("nothing to send again")
