"""``deliveries``: those that are dead, or any others, listed; and sent again."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import replace
from typing import Any
from uuid import UUID

import click

from .. import orm, waking
from ..config import Settings
from ..retry import State
from .events import date
from .output import complain, write_json, write_table
from .retry import report, see_to_it

#: Deliveries that are reopened in one transaction.
_BATCH = 500


def deliveries_list(options: Namespace, settings: Settings) -> bool:
    """Print deliveries, newest first: the dead ones, or others; false if a uuid is unknown."""
    states = options.state or (list(State) if options.uuid else [State.DEAD])
    limit = max(options.limit, len(options.uuid))
    with orm.session():
        found = orm.listed(_selection(options, states), limit + 1)
        known = _all_known(options.uuid)
    rows = [_described(row) for row in found[:limit]]
    if options.json:
        write_json(rows)
    elif rows:
        write_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    else:
        print("no such deliveries")
    if len(found) > limit:
        complain(f"there are more than these {limit}; --limit shows more")
    return known


def deliveries_retry(options: Namespace, settings: Settings) -> bool:
    """Send dead deliveries again, those of a selection; with --wait true if all of them arrived."""
    selection = _selection(options, [State.DEAD])
    if selection == orm.Selection() and not options.all:
        complain("say which: uuids of deliveries, a filter, or --all")
        return False
    with orm.session():
        known = _all_known(options.uuid)
        # What is dead again while this goes on is not sent once more.
        at = orm.now()
        selection = replace(selection, until=at if selection.until is None else min(at, selection.until))
        counts = orm.counted(selection)
    _tell(counts)
    if counts.reopened and not _confirmed(options, counts.reopened):
        complain("nothing was sent again")
        return False
    outcomes, reopened = _reopen(options, selection, counts.reopened, settings)
    if options.wait:
        report(options, outcomes)
        return known and all(row.state == State.DELIVERED for row in outcomes)
    if options.json:
        write_json({"reopened": reopened, "held": counts.disabled, "left": counts.deleted})
    else:
        print(f"{reopened} deliveries are due again" if reopened else "nothing to send again")
    if reopened and not waking.worker_seen():
        complain("no worker was seen lately; they are sent once one works")
    return known


def _selection(options: Namespace, states: list[State]) -> orm.Selection:
    """Read which deliveries are meant; raises ``ValueError`` for a date of another form."""
    return orm.Selection(
        states=tuple(states),
        uuids=tuple(options.uuid),
        user=options.user,
        subscription=options.subscription,
        event=options.event,
        target=options.target,
        status=options.status,
        reason=options.reason,
        since=date(options.since, options) if options.since is not None else None,
        until=date(options.until, options) if options.until is not None else None,
    )


def _all_known(wanted: list[UUID]) -> bool:
    """Tell whether there are deliveries with these uuids, and name those that are not there."""
    everywhere = orm.Selection(states=tuple(State), uuids=tuple(wanted))
    found = {row.uuid for row in orm.listed(everywhere, len(wanted))} if wanted else set()
    unknown = [uuid for uuid in wanted if uuid not in found]
    for uuid in unknown:
        complain(f"{uuid}: there is no such delivery")
    return not unknown


def _described(row: orm.EventLogMatch) -> dict[str, Any]:
    said = row.to_hash()
    return {
        "delivery": said["uuid"],
        "state": said["state"],
        "event": said["event_log"],
        "subscription": said["event_match"],
        "user": row.event_match.user,
        "attempts": said["attempts"],
        "status": said["target_status_code"],
        "finished": said["finished"],
        "reason": said["reason"],
    }


def _tell(counts: orm.Counted) -> None:
    """Say how many there are, and what becomes of those that will not be sent at once."""
    total = counts.reopened + counts.deleted
    complain(f"{total} dead {'delivery' if total == 1 else 'deliveries'}")
    if counts.disabled:
        complain(f"{counts.disabled} of a disabled subscription: reopened, and held until its owner revives it")
    if counts.deleted:
        complain(f"{counts.deleted} of a deleted subscription: left as they are")


def _confirmed(options: Namespace, count: int) -> bool:
    """Ask on a terminal; elsewhere only what is named or confirmed beforehand is sent."""
    if options.yes or options.uuid:
        return True
    if not sys.stdin.isatty():
        complain("--yes is needed where nobody can be asked")
        return False
    return click.confirm(f"Send {count} again?", err=True)


def _reopen(
    options: Namespace, selection: orm.Selection, count: int, settings: Settings
) -> tuple[list[orm.EventLogMatch], int]:
    """Reopen batch by batch; give the outcomes, if they are waited for, and how many were reopened."""
    outcomes: list[orm.EventLogMatch] = []
    reopened = 0
    with click.progressbar(length=count, label="sending again", file=sys.stderr) as bar:
        while True:
            with orm.session():
                batch = orm.reopen(selection, _BATCH)
            if not batch:
                return outcomes, reopened
            if options.wait:
                events = sorted({row.event_log_id for row in batch.values()})
                see_to_it(events, {uuid: row.attempts for uuid, row in batch.items()}, settings)
                with orm.session():
                    outcomes += [row for row in orm.EventLogMatch.of_events(events) if row.uuid in batch]
            reopened += len(batch)
            bar.update(len(batch))
